"""Colors: by hand, against torchvision, gradients, errors."""

import math

import pytest
import torch
from torch.autograd import gradcheck
from torchvision.transforms.v2 import functional as tv

from lesson_utils.common import colors
from lesson_utils.data.photographs import photograph


def random(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=dtype)


ADJUST = {
    "brightness": (colors.adjust_brightness, tv.adjust_brightness),
    "contrast": (colors.adjust_contrast, tv.adjust_contrast),
    "saturation": (colors.adjust_saturation, tv.adjust_saturation),
    "hue": (colors.adjust_hue, tv.adjust_hue),
}


class TestColors:
    @pytest.mark.parametrize(
        ("name", "factor"),
        [
            *[("hue", shift) for shift in (-0.5, -0.2, 0.0, 0.1, 1 / 3, 0.5)],
            *[(n, f) for n in list(ADJUST)[:3] for f in (0.0, 0.1, 0.5, 1.0, 1.7)],
        ],
    )
    def test_matches_torchvision(self, name, factor):
        ours, theirs = ADJUST[name]
        grays = torch.linspace(0, 1, 64).reshape(8, 8).expand(3, 8, 8)
        corners = torch.cartesian_prod(*[torch.tensor([0.0, 0.5, 1])] * 3).T[..., None]
        for image in (photograph("coffee", size=(40, 50)), grays, corners):
            torch.testing.assert_close(
                ours(image, factor), theirs(image, factor), atol=2e-6, rtol=1e-5
            )

    @pytest.mark.parametrize("name", ADJUST)
    def test_a_factor_for_each_picture(self, name):
        adjust, _ = ADJUST[name]
        images, factors = random(3, 3, 5, 6), torch.tensor([0.0, 0.3, 0.5])
        each = [adjust(i, f) for i, f in zip(images, factors.tolist(), strict=True)]
        torch.testing.assert_close(adjust(images, factors), torch.stack(each))

    def test_by_hand(self):
        red = torch.tensor([0.8, 0.0, 0.0])[:, None, None]
        assert colors.adjust_brightness(red, 0.5).flatten().tolist() == [
            pytest.approx(0.4), 0, 0,
        ]  # fmt: skip
        turned = colors.adjust_hue(red, 1 / 3).flatten()
        torch.testing.assert_close(turned, torch.tensor([0.0, 0.8, 0.0]))
        gray = colors.adjust_saturation(red, 0).flatten()
        torch.testing.assert_close(gray, torch.full((3,), 0.8 * 0.2989))

    def test_hue_of_gray_stays_and_opposites_return(self):
        gray = torch.full((3, 2, 2), 0.4)
        torch.testing.assert_close(colors.adjust_hue(gray, 0.3), gray)
        image = random(3, 9, 9)
        there = colors.adjust_hue(image, 0.5)
        torch.testing.assert_close(colors.adjust_hue(there, -0.5), image)

    def test_gradient(self):
        image = (0.3 + 0.2 * random(3, 2, 3, dtype=torch.float64)).requires_grad_()
        for name, (adjust, _) in ADJUST.items():
            factor = 0.1 if name == "hue" else 0.9
            assert gradcheck(lambda x, a=adjust, f=factor: a(x, f), image)

    @pytest.mark.parametrize(
        ("image", "factor", "message"),
        [
            (torch.full((3, 2, 2), 1.5), 1, r"in \[0, 1\], got \[1.5, 1.5\]"),
            (torch.full((3, 2, 2), -0.5), 1, "must lie.*-0.5"),
            (torch.full((3, 2, 2), math.nan), 1, r"must lie in \[0, 1\], got \[nan"),
            (torch.ones(1, 2, 2), 1, r"3 channels, got \(1, 2, 2\)"),
            (torch.ones(3, 2, 2).byte(), 1, "floating point.*uint8"),
            (torch.ones(3, 2), 1, r"image must be.*\(3, 2\)"),
            (torch.ones(3, 2, 2), -0.1, r"factor must lie in \[0, inf\], got -0.1"),
            (torch.ones(3, 2, 2), math.inf, "factor must lie.*inf"),
            (torch.ones(4, 3, 2, 2), torch.ones(3), r"one for each.*\(3,\)"),
        ],
    )
    def test_errors(self, image, factor, message):
        for name in ("brightness", "contrast", "saturation"):
            with pytest.raises(ValueError, match=message):
                ADJUST[name][0](image, factor)

    def test_errors_of_hue(self):
        with pytest.raises(ValueError, match=r"shift must lie in \[-0.5, 0.5\].*0.6"):
            colors.adjust_hue(torch.ones(3, 2, 2), 0.6)

    def test_gray_is_torchvisions(self):
        image = photograph("coffee", size=(20, 30))
        torch.testing.assert_close(colors.to_gray(image), tv.rgb_to_grayscale(image))

    def test_jitter_draws_for_each_picture_of_a_batch(self):
        image = random(3, 4, 4)
        dice = torch.Generator().manual_seed(0)
        first, second = colors.color_jitter(
            torch.stack([image, image]),
            brightness=0.5,
            contrast=0.5,
            saturation=0.5,
            hue=0.5,
            generator=dice,
        )
        assert (first - second).abs().max() > 0.01
