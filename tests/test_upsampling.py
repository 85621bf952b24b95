"""Upsampling: by hand, against torch, degenerate cases, gradients, errors."""

import json
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lesson_utils import upsampling as up
from lesson_utils.checks import upsampling as upsampling_checks
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.studies import read_study
from lesson_utils.data.photographs import NAMES, photograph, random_crops
from tests.answers import ExerciseTests

SIDES = st.integers(1, 9)


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


class TestResize:
    def test_by_hand(self):
        row = torch.tensor([0.0, 1, 2]).view(1, 1, 1, 3)
        nearest = up.resize_nearest(row, (2, 6))
        assert nearest[0, 0].tolist() == [[0, 0, 1, 1, 2, 2]] * 2
        bilinear = up.resize_bilinear(row, (1, 6)).flatten()
        assert bilinear.tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2]
        aligned = up.resize_bilinear(row, (1, 5), align_corners=True).flatten()
        assert aligned.tolist() == [0, 0.5, 1, 1.5, 2]

    @given(SIDES, SIDES, SIDES, SIDES)
    @settings(max_examples=60, deadline=None)
    def test_is_torch(self, height, width, high, wide):
        images, size = random(2, 3, height, width), (high, wide)
        exact = F.interpolate(images, size, mode="nearest-exact")
        assert torch.equal(up.resize_nearest(images, size), exact)
        for align in (False, True):
            theirs = F.interpolate(images, size, mode="bilinear", align_corners=align)
            ours = up.resize_bilinear(images, size, align_corners=align)
            torch.testing.assert_close(ours, theirs)

    def test_one_number_is_both_sides(self):
        images = random(1, 2, 3, 4)
        assert up.resize_nearest(images, 5).shape == (1, 2, 5, 5)
        assert torch.equal(
            up.resize_bilinear(images, 5), up.resize_bilinear(images, (5, 5))
        )

    def test_nearest_takes_any_dtype(self):
        assert up.resize_nearest(torch.ones(1, 1, 2, 2).bool(), 3).dtype == torch.bool

    def test_nearest_by_whole_numbers_has_no_rounding_error(self):
        row = torch.arange(1001).view(1, 1, 1, -1)
        found = up.resize_nearest(row, (1, 7007)).flatten()
        assert torch.equal(found, torch.arange(1001).repeat_interleave(7))

    def test_stays_in_range_and_keeps_a_flat_picture(self):
        images = torch.rand(1, 1, 4, 5)
        larger = up.resize_bilinear(images, (13, 17))
        assert images.min() <= larger.min()
        assert larger.max() <= images.max()
        flat = up.resize_bilinear(torch.full((1, 1, 4, 5), 0.3), (13, 17))
        torch.testing.assert_close(flat, torch.full((1, 1, 13, 17), 0.3))

    def test_gradient(self):
        images = random(1, 2, 3, 4).requires_grad_()
        for align in (False, True):
            assert gradcheck(
                lambda x, a=align: up.resize_bilinear(x, (5, 3), align_corners=a),
                images,
            )

    @pytest.mark.parametrize("resize", [up.resize_nearest, up.resize_bilinear])
    def test_errors(self, resize):
        with pytest.raises(ValueError, match=r"images must be \(B, C, H, W\).*\(3, 4"):
            resize(torch.ones(3, 4, 4), 2)
        with pytest.raises(ValueError, match="at least one pixel"):
            resize(torch.ones(1, 3, 0, 4), 2)
        for size in (0, 1.5, (1, 2, 3), True):
            with pytest.raises(ValueError, match="size must be"):
                resize(torch.ones(1, 3, 4, 4), size)

    def test_whole_numbers_are_not_mixed(self):
        with pytest.raises(ValueError, match="floating point"):
            up.resize_bilinear(torch.ones(1, 3, 4, 4).long(), 2)


class TestSamplePositions:
    def test_by_hand(self):
        assert up.sample_positions(2, 4).tolist() == [0, 0.25, 0.75, 1]
        assert up.sample_positions(4, 2).tolist() == [0.5, 2.5]
        assert up.sample_positions(3, 5, align_corners=True).tolist() == [
            0, 0.5, 1, 1.5, 2,
        ]  # fmt: skip
        assert up.sample_positions(5, 1, align_corners=True).tolist() == [0]

    def test_errors(self):
        for numbers in ((0, 3), (3, 0), (1.5, 3)):
            with pytest.raises(ValueError, match="whole number"):
                up.sample_positions(*numbers)


class TestPixelShuffle:
    @given(SIDES, SIDES, st.integers(1, 3), st.integers(1, 4))
    @settings(max_examples=40, deadline=None)
    def test_is_torch_and_can_be_undone(self, height, width, colors, factor):
        features = random(2, colors * factor**2, height, width)
        images = up.pixel_shuffle(features, factor)
        assert torch.equal(images, F.pixel_shuffle(features, factor))
        assert torch.equal(up.pixel_unshuffle(images, factor), features)
        undone = F.pixel_unshuffle(images, factor)
        assert torch.equal(up.pixel_unshuffle(images, factor), undone)

    def test_errors(self):
        with pytest.raises(ValueError, match="a multiple of 4 channels, got 6"):
            up.pixel_shuffle(torch.ones(1, 6, 2, 2), 2)
        with pytest.raises(ValueError, match="multiples of 2, got 4 x 3"):
            up.pixel_unshuffle(torch.ones(1, 6, 4, 3), 2)
        for function in (up.pixel_shuffle, up.pixel_unshuffle):
            with pytest.raises(ValueError, match=r"must be \(B, C, H, W\)"):
                function(torch.ones(4, 4, 4), 2)
            with pytest.raises(ValueError, match="factor must be a whole number"):
                function(torch.ones(1, 4, 4, 4), 0)


class TestMaxUnpool:
    def test_by_hand(self):
        values = torch.tensor([[[[5.0, 7.0]]]])
        filled = up.max_unpool(values, torch.tensor([[[[1, 6]]]]), (2, 4))
        assert filled[0, 0].tolist() == [[0, 5, 0, 0], [0, 0, 7, 0]]

    @pytest.mark.parametrize("size", [(6, 8), (7, 9)])
    def test_is_torch(self, size):
        images = random(2, 3, *size)
        values, indices = F.max_pool2d(images, 2, return_indices=True)
        theirs = F.max_unpool2d(values, indices, 2, output_size=size)
        assert torch.equal(up.max_unpool(values, indices, size), theirs)

    def test_overlapping_windows_hold_one_value(self):
        images = random(1, 2, 7, 7)
        values, indices = F.max_pool2d(images, 3, stride=2, return_indices=True)
        filled = up.max_unpool(values, indices, 7)
        kept = filled != 0
        assert torch.equal(filled[kept], images[kept])

    def test_gradient(self):
        values = random(1, 2, 2, 2).requires_grad_()
        indices = torch.arange(8).view(1, 2, 2, 2) % 4 * 3
        assert gradcheck(lambda v: up.max_unpool(v, indices, 4), values)

    def test_errors(self):
        values, indices = torch.ones(1, 1, 2, 2), torch.arange(4).view(1, 1, 2, 2)
        with pytest.raises(ValueError, match="from 0 to 2 for 1 x 3 pixels.*0 to 3"):
            up.max_unpool(values, indices, (1, 3))
        with pytest.raises(ValueError, match="from 0 to 15.*got -1 to 2"):
            up.max_unpool(values, indices - 1, 4)
        for wrong in (indices.float(), indices[..., :1]):
            with pytest.raises(ValueError, match="indices must be whole numbers"):
                up.max_unpool(values, wrong, 4)
        with pytest.raises(ValueError, match=r"values must be \(B, C, H, W\)"):
            up.max_unpool(values[0], indices[0], 4)
        with pytest.raises(ValueError, match="size must be"):
            up.max_unpool(values, indices, 0)


class TestBilinearKernel:
    @pytest.mark.parametrize("factor", [1, 2, 3, 4, 5, 8])
    def test_interpolates_away_from_the_border(self, factor):
        kernel, images = up.bilinear_kernel(factor).double(), random(1, 1, 6, 7)
        padding = (len(kernel) - factor) // 2
        ours = F.conv_transpose2d(
            images, kernel[None, None], stride=factor, padding=padding
        )
        theirs = F.interpolate(images, scale_factor=factor, mode="bilinear")
        inner = (..., slice(factor, -factor), slice(factor, -factor))
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours[inner], theirs[inner])
        assert kernel.sum().item() == pytest.approx(factor**2)
        if factor > 1:
            assert not torch.allclose(ours, theirs)

    @pytest.mark.parametrize("factor", [0, -1, 1.5, True])
    def test_errors(self, factor):
        with pytest.raises(ValueError, match="factor must be a whole number"):
            up.bilinear_kernel(factor)


class TestSuperResolution:
    def test_shrinks_as_pillow_does(self):
        """Pillow rounds to bytes: half a step of 255, and a little."""
        import numpy as np
        from PIL import Image

        image = photograph("chelsea")[None, :, :300, :450]
        theirs = Image.fromarray((255 * image[0].permute(1, 2, 0)).byte().numpy())
        theirs = theirs.resize((150, 100), Image.Resampling.BICUBIC)
        theirs = torch.from_numpy(np.asarray(theirs).copy()).permute(2, 0, 1) / 255
        assert (up.shrink(image, 3)[0] - theirs).abs().max() < 1.5 / 255

    def test_without_a_network_it_is_bicubic(self):
        images = torch.rand(1, 3, 4, 5)
        bicubic = F.interpolate(images, scale_factor=3, mode="bicubic")
        torch.testing.assert_close(up.enlarge(images, 3), bicubic)

    def test_details_are_those_of_the_lightness(self):
        images, network = torch.rand(1, 3, 4, 5), up.ESPCN(3, width=4)
        with torch.no_grad():
            added = up.enlarge(images, 3, network) - up.enlarge(images, 3)
        assert added.std(dim=1).max() < 1e-6
        assert added.std() > 1e-3

    def test_shapes_and_layers(self):
        network = up.ESPCN(2, width=8)
        assert network(torch.rand(2, 1, 5, 6)).shape == (2, 1, 10, 12)
        assert [tuple(p.shape) for p in network.parameters() if p.dim() > 1] == [
            (8, 1, 5, 5),
            (4, 8, 3, 3),
            (4, 4, 3, 3),
        ]

    def test_a_short_training_gains(self):
        names = [name for name in NAMES if name not in up.HELD_OUT][:6]
        crops = random_crops(names, 64, size=36)[:, :1]
        torch.manual_seed(0)
        network = up.ESPCN(3, width=8)
        history = up.train(network, crops, steps=60, learning_rate=3e-3, progress=False)
        first, last = (sum(history["loss"][s]) for s in (slice(10), slice(-10, None)))
        assert last < 0.9 * first
        assert not network.training

    def test_errors(self):
        with pytest.raises(ValueError, match="multiples of 3, got 4 x 6"):
            up.shrink(torch.rand(1, 1, 4, 6), 3)
        with pytest.raises(ValueError, match="images must be"):
            up.enlarge(torch.rand(3, 4, 6), 3)
        with pytest.raises(ValueError, match="factor must be a whole number"):
            up.ESPCN(0)
        with pytest.raises(ValueError, match="width must be a whole number >= 2"):
            up.ESPCN(width=1)
        with pytest.raises(ValueError, match=r"crops must be \(N, 1, S, S\)"):
            up.train(up.ESPCN(), torch.zeros(4, 3, 9, 9).byte())

    def test_the_networks_card_is_true(self):
        """On two of the held-out photographs; they are the study's."""
        from studies.super_resolver import decibels, enlarged

        card = json.loads((WEIGHTS / "super_resolver.json").read_text("utf-8"))
        network = up.super_resolver()
        gains = [card["psnr"][n] - card["psnr_bicubic"][n] for n in up.HELD_OUT]
        assert sum(gains) / len(gains) >= 0.5
        with torch.no_grad():
            for name in ("chelsea", "coffee"):
                found = decibels(*enlarged(name, network))
                assert found == pytest.approx(card["psnr"][name], abs=0.02)


def test_the_study_says_what_the_chapter_needs():
    from studies.upsampling import HEADS

    study = read_study("upsampling")
    rows = [row for row in study["rows"] if row["head"] in HEADS]
    assert {row["head"] for row in rows} == set(HEADS)
    assert len(rows) == 3 * len(HEADS)
    assert all(math.isfinite(row["gain"]) for row in rows)


# The exercises: right answers written in another way than the module's.


def resize_by_matrices(images, size, *, align_corners=False):
    if images.dim() != 4 or not images.is_floating_point() or 0 in images.shape[2:]:
        raise ValueError("images")
    if min(size) < 1:
        raise ValueError("size")
    matrices = []
    for old, new in zip(images.shape[2:], size, strict=True):
        grid = torch.arange(new, dtype=torch.float64)
        if align_corners:
            place = grid * (old - 1) / (new - 1) if new > 1 else 0 * grid
        else:
            place = (grid + 0.5) * old / new - 0.5
        place = place.clamp(0, old - 1)
        distance = (place[:, None] - torch.arange(old)).abs()
        matrices.append((1 - distance).clamp(min=0).to(images))
    return matrices[0] @ images @ matrices[1].T


def shuffle_by_strides(features, factor):
    if features.dim() != 4 or factor < 1 or features.shape[1] % factor**2:
        raise ValueError("features")
    batch, channels, height, width = features.shape
    images = features.new_zeros(
        batch, channels // factor**2, height * factor, width * factor
    )
    for row in range(factor):
        for column in range(factor):
            one = features[:, row * factor + column :: factor**2]
            images[:, :, row::factor, column::factor] = one
    return images


def kernel_by_convolution(factor):
    """A box of the factor's width, convolved with itself (or nearly, if even)."""
    if not isinstance(factor, int) or factor < 1:
        raise ValueError("factor")
    size = 2 * factor - factor % 2
    row = torch.tensor([1 - abs(i - (size - 1) / 2) / factor for i in range(size)])
    return torch.outer(row, row)


def resize_in_float32(images, size, *, align_corners=False):
    """By the page's plain version: places in float32, whatever the images."""
    for dim, new in ((2, size[0]), (3, size[1])):
        old = images.shape[dim]
        place = (torch.arange(new) + 0.5) * old / new - 0.5
        if align_corners:
            place = torch.arange(new) * (old - 1) / max(new - 1, 1)
        place = place.clamp(0, old - 1)
        low = place.long()
        share = (place - low).view([-1 if d == dim else 1 for d in range(4)])
        left = images.index_select(dim, low)
        right = images.index_select(dim, (low + 1).clamp(max=old - 1))
        images = left + share * (right - left)
    return images


def kernel_by_impulse(factor):
    dark = torch.zeros(1, 1, 5, 5)
    dark[..., 2, 2] = 1
    image = F.interpolate(dark, scale_factor=factor, mode="bilinear")[0, 0]
    rows = image.sum(1).nonzero().flatten()
    return image[rows[0] : rows[-1] + 1, rows[0] : rows[-1] + 1]


RIGHT = {
    "resize_bilinear": resize_by_matrices,
    "pixel_shuffle": shuffle_by_strides,
    "bilinear_kernel": kernel_by_convolution,
}
PLAIN = {
    "resize_bilinear": resize_in_float32,
    "pixel_shuffle": lambda x, r: (
        x.unflatten(1, (-1, r, r)).permute(0, 1, 4, 2, 5, 3).flatten(4).flatten(2, 3)
    ),
    "bilinear_kernel": kernel_by_impulse,
}
LIBRARY = {
    "resize_bilinear": lambda images, size, *, align_corners=False: F.interpolate(
        images, size, mode="bilinear", align_corners=align_corners
    ),
    "pixel_shuffle": F.pixel_shuffle,
    "bilinear_kernel": "torch has no function that returns such a kernel",
}
WRONG = {
    "resize_bilinear": [
        (
            lambda x, s, *, align_corners=False: F.interpolate(
                x, s, mode="bilinear", align_corners=True
            ),
            "always",
        ),
        (
            lambda x, s, *, align_corners=False: F.interpolate(x, s, mode="bilinear"),
            "not heeded",
        ),
        (
            lambda x, s, *, align_corners=False: F.interpolate(
                x, s, mode="bilinear", align_corners=align_corners, antialias=True
            ),
            "smooth before",
        ),
        (
            lambda x, s, *, align_corners=False: resize_by_matrices(
                x, s[::-1], align_corners=align_corners
            ),
            "yours is turned",
        ),
        (
            lambda x, s, *, align_corners=False: resize_by_matrices(
                x, (x.shape[2], s[1]), align_corners=align_corners
            ),
            "both dimensions",
        ),
        (
            lambda x, s, *, align_corners=False: resize_by_matrices(
                x, s, align_corners=align_corners
            ).where(torch.tensor(not (align_corners and min(s) == 1)), torch.nan),
            "position is 0",
        ),
    ],
    "pixel_shuffle": [
        (
            lambda x, r: shuffle_by_strides(
                x.unflatten(1, (r * r, -1)).transpose(1, 2).flatten(1, 2), r
            ),
            "colors innermost",
        ),
        (
            lambda x, r: shuffle_by_strides(x.mT, r).mT,
            "changed places",
        ),
        (
            lambda x, r: x.reshape(len(x), -1, r * x.shape[2], r * x.shape[3]),
            "does not move numbers",
        ),
        (
            lambda x, r: torch.cat(
                [
                    torch.cat([x[:, i * r + j :: r * r] for j in range(r)], 3)
                    for i in range(r)
                ],
                2,
            ),
            "side by side",
        ),
        (F.pixel_unshuffle, ""),
    ],
    "bilinear_kernel": [
        (lambda f: kernel_by_convolution(f) / f**2, "too dark"),
        (lambda f: torch.ones(f, f), "flat stamp"),
        (lambda f: kernel_by_convolution(f).diagonal().sqrt(), "one row"),
        (
            lambda f: torch.outer(
                *[1 - (torch.arange(2 * f) - f + 0.5).abs() / f for _ in range(2)]
            ),
            "odd side",
        ),
        (
            lambda f: torch.outer(
                *[
                    1
                    - (torch.arange(2 * f - f % 2) - (2 * f - f % 2 - 1) // 2).abs() / f
                    for _ in range(2)
                ]
            ),
            "between two entries",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = upsampling_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
