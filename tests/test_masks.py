"""Masks: by hand, against libraries, degenerate cases, gradients, errors."""

import math

import numpy as np
import pytest
import skimage.draw
import skimage.feature
import skimage.morphology
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lesson_utils import masks
from lesson_utils.checks import masks as masks_checks
from lesson_utils.common import shapes
from lesson_utils.data.photographs import photograph
from tests.answers import ExerciseTests

SEEDS = st.integers(0, 2**31)


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def random_mask(*shape, seed=0, share=0.5):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator) < share


class TestApplyMask:
    def test_by_hand(self):
        image = torch.tensor([[1.0, 2], [3, 4]])
        mask = torch.tensor([[1, 0], [0, 1]])
        assert masks.apply_mask(image, mask).tolist() == [[1, 0], [0, 4]]

    def test_one_mask_for_all_channels_is_the_product(self):
        image, mask = random(3, 5, 7), random_mask(5, 7)
        assert torch.equal(masks.apply_mask(image, mask), image * mask)

    def test_nothing_leaks_from_behind(self):
        image = torch.tensor([[math.nan, math.inf], [3, 4]])
        mask = torch.tensor([[False, False], [True, True]])
        assert masks.apply_mask(image, mask).tolist() == [[0, 0], [3, 4]]

    def test_keeps_dtype(self):
        image = torch.full((2, 2), 200, dtype=torch.uint8)
        kept = masks.apply_mask(image, torch.ones(2, 2, dtype=torch.bool))
        assert kept.dtype == torch.uint8
        assert torch.equal(kept, image)

    def test_refuses_accidental_broadcasting(self):
        with pytest.raises(
            ValueError, match=r"mask must have the shape of image.*\(4,\)"
        ):
            masks.apply_mask(random(4, 4), torch.ones(4))

    def test_refuses_soft_masks_and_nan(self):
        with pytest.raises(ValueError, match=r"only 0 and 1.*\[0.5, 0.5\]"):
            masks.apply_mask(random(2, 2), torch.full((2, 2), 0.5))
        with pytest.raises(ValueError, match="image must not be NaN.*1 NaN of 4"):
            masks.apply_mask(torch.tensor([[math.nan, 1], [1, 1]]), torch.ones(2, 2))


class TestMaskedMean:
    def test_by_hand(self):
        values = torch.tensor([[1.0, 2], [3, 10]])
        mask = torch.tensor([[1, 0], [1, 0]])
        assert masks.masked_mean(values, mask).item() == 2
        assert masks.masked_mean(values, mask, dim=1).tolist() == [1, 3]

    @pytest.mark.parametrize("dim", [None, 0, -1, (1, 2), (0, 2)])
    def test_matches_numpy_ma(self, dim):
        values, mask = random(3, 6, 5), random_mask(3, 6, 5, share=0.6)
        mask[0] = True  # no mean is without a value
        expected = np.ma.array(values.numpy(), mask=~mask.numpy()).mean(axis=dim)
        got = masks.masked_mean(values, mask, dim)
        np.testing.assert_allclose(got.numpy(), np.ma.filled(expected), rtol=1e-12)

    def test_one_mask_for_three_channels(self):
        values, mask = random(3, 6, 5), random_mask(6, 5)
        expected = values[:, mask].mean(dim=1)
        torch.testing.assert_close(masks.masked_mean(values, mask, (1, 2)), expected)
        torch.testing.assert_close(masks.masked_mean(values, mask), expected.mean())

    def test_what_is_hidden_may_be_nan(self):
        values = torch.tensor([math.nan, 4.0])
        assert masks.masked_mean(values, torch.tensor([False, True])).item() == 4

    def test_gradient(self):
        values, mask = random(4, 3).requires_grad_(), random_mask(4, 3)
        assert gradcheck(lambda v: masks.masked_mean(v, mask), values)

    @pytest.mark.parametrize(
        ("values", "mask", "dim", "message"),
        [
            (torch.ones(2, 2), torch.zeros(2, 2), None, "keeps nothing for 1 of 1"),
            (torch.ones(2, 2), torch.tensor([[1, 1], [0, 0]]), 1, "nothing for 1 of 2"),
            (torch.ones(4, 4), torch.ones(4), None, r"mask must have.*\(4,\)"),
            (torch.ones(2, 2), torch.ones(2, 1), None, r"mask must have.*\(2, 1\)"),
            (torch.tensor([math.nan]), torch.ones(1), None, "values must not be NaN"),
            (torch.ones(2), torch.tensor([0, 2]), None, r"0 and 1.*\[0, 2\]"),
            (torch.ones(2).byte(), torch.ones(2), None, "floating point.*uint8"),
        ],
    )
    def test_errors(self, values, mask, dim, message):
        with pytest.raises(ValueError, match=message):
            masks.masked_mean(values, mask, dim)


class TestComposite:
    def test_by_hand(self):
        one, zero = torch.ones(1, 1, 3), torch.zeros(1, 1, 3)
        alpha = torch.tensor([[0.0, 0.25, 1.0]])
        assert masks.composite(one, zero, alpha).flatten().tolist() == [0, 0.25, 1]

    def test_matches_pillow(self):
        from PIL import Image

        front, back = (
            photograph("chelsea", size=(40, 60)),
            photograph("coffee", size=(40, 60)),
        )
        alpha = torch.linspace(0, 1, 60).expand(40, 60)

        def pil(image):
            return Image.fromarray(image.mul(255).round().byte().numpy())

        expected = Image.composite(
            pil(front.permute(1, 2, 0)), pil(back.permute(1, 2, 0)), pil(alpha)
        )
        got = masks.composite(front, back, alpha).permute(1, 2, 0)
        assert np.abs(got.mul(255).numpy() - np.asarray(expected)).max() < 2.0

    def test_boolean_alpha_selects_and_dtype_stays(self):
        front, back, alpha = random(3, 4, 4), random(3, 4, 4, seed=1), random_mask(4, 4)
        got = masks.composite(front, back, alpha)
        assert got.dtype == torch.float64
        assert torch.equal(got, torch.where(alpha, front, back))

    def test_gradient(self):
        inputs = [random(2, 2, seed=s).sigmoid().requires_grad_() for s in range(3)]
        assert gradcheck(masks.composite, inputs)

    @pytest.mark.parametrize(
        ("back", "alpha", "message"),
        [
            (torch.zeros(3, 2), torch.ones(2, 2), r"one shape.*\(2, 2\) and \(3, 2\)"),
            (torch.zeros(2, 2), torch.ones(2), "alpha must have the shape"),
            (
                torch.zeros(2, 2),
                torch.full((2, 2), 1.5),
                r"alpha must lie.*\[1.5, 1.5\]",
            ),
            (torch.zeros(2, 2), torch.full((2, 2), math.nan), "alpha must lie"),
        ],
    )
    def test_errors(self, back, alpha, message):
        with pytest.raises(ValueError, match=message):
            masks.composite(torch.ones(2, 2), back, alpha)


class TestMatchTemplate:
    @pytest.mark.parametrize("channels", [1, 3])
    def test_matches_skimage(self, channels):
        image = photograph("astronaut", size=(60, 70))[:channels].double()
        template = image[:, 20:33, 15:26]
        expected = skimage.feature.match_template(
            image.permute(1, 2, 0).numpy(), template.permute(1, 2, 0).numpy()
        )[..., 0]
        got = masks.match_template(image, template)
        np.testing.assert_allclose(got.numpy(), expected, atol=1e-9)

    def test_matches_numpy_corrcoef(self):
        image, template = random(2, 9, 8), random(2, 3, 4, seed=1)
        got = masks.match_template(image, template)
        assert got.shape == (7, 5)
        for i, j in [(0, 0), (6, 4), (3, 2)]:
            window = image[:, i : i + 3, j : j + 4]
            pair = torch.stack([window.flatten(), template.flatten()])
            assert got[i, j].item() == pytest.approx(np.corrcoef(pair)[0, 1])

    def test_brightness_and_contrast_do_not_matter_and_a_negative_scores_minus_one(
        self,
    ):
        image = random(1, 12, 12)
        template = image[:, 4:8, 5:10]
        for changed, score in [(3 * template + 7, 1), (1 - template, -1)]:
            assert masks.match_template(image, changed)[4, 5].item() == pytest.approx(
                score
            )

    def test_far_from_zero_in_single_precision(self):
        image = photograph("camera", size=64)[:1]
        template = image[:, 20:30, 30:42]
        far = masks.match_template(image + 100, template + 100)
        torch.testing.assert_close(
            far, masks.match_template(image, template), atol=3e-3, rtol=0
        )

    def test_flat_windows_score_zero(self):
        image = torch.zeros(1, 20, 20)
        image[:, 10:, 10:] = 0.1 * random(1, 10, 10, dtype=torch.float32)
        scores = masks.match_template(image + 0.3, random(1, 3, 3, dtype=torch.float32))
        assert (scores[:8, :8] == 0).all()
        assert scores[10:, 10:].abs().min() > 0

    def test_template_as_large_as_the_picture(self):
        image = random(3, 5, 6)
        torch.testing.assert_close(
            masks.match_template(image, image), torch.ones(1, 1, dtype=torch.float64)
        )

    @pytest.mark.parametrize(
        ("image", "template", "message"),
        [
            (random(1, 4, 4), random(1, 5, 2), r"\(1, 5, 2\) must not be larger"),
            (random(3, 4, 4), random(1, 2, 2), "channels.*1 of.*for 3"),
            (random(1, 4, 4), torch.ones(1, 2, 2).double(), "must vary"),
            (random(1, 4, 4), torch.ones(1, 2, 2), "dtype.*float32.*float64"),
            (random(4, 4), random(2, 2), r"image must be \(C, H, W\).*\(4, 4\)"),
            (random(1, 4, 4) / 0, random(1, 2, 2), "image must be finite"),
        ],
    )
    def test_errors(self, image, template, message):
        with pytest.raises(ValueError, match=message):
            masks.match_template(image, template)


class TestMorphology:
    def test_by_hand(self):
        mask = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
        expected = [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
        assert masks.dilate(mask, 1).int().tolist() == expected
        assert not masks.erode(mask, 1).any()

    @given(seed=SEEDS, radius=st.integers(0, 4), share=st.sampled_from([0.1, 0.5, 0.9]))
    @settings(max_examples=40, deadline=None)
    def test_matches_skimage(self, seed, radius, share):
        mask = random_mask(9, 12, seed=seed, share=share)
        square = np.ones((2 * radius + 1,) * 2, bool)
        grown = skimage.morphology.dilation(mask.numpy(), square, mode="min")
        shrunk = skimage.morphology.erosion(mask.numpy(), square, mode="max")
        assert np.array_equal(masks.dilate(mask, radius).numpy(), grown)
        assert np.array_equal(masks.erode(mask, radius).numpy(), shrunk)

    def test_stacks_and_empty_stacks(self):
        stack = random_mask(2, 3, 6, 6)
        each = [[masks.dilate(m, 2) for m in row] for row in stack]
        assert torch.equal(
            masks.dilate(stack, 2), torch.stack([torch.stack(r) for r in each])
        )
        assert masks.dilate(torch.zeros(0, 4, 4), 1).shape == (0, 4, 4)

    def test_errors(self):
        with pytest.raises(
            ValueError, match="radius must be a whole number >= 0, got -1"
        ):
            masks.dilate(torch.ones(2, 2), -1)
        with pytest.raises(ValueError, match="got 1.5"):
            masks.erode(torch.ones(2, 2), 1.5)
        with pytest.raises(ValueError, match=r"shape \(3,\)"):
            masks.dilate(torch.ones(3), 1)
        with pytest.raises(ValueError, match="0 and 1"):
            masks.erode(torch.full((2, 2), 3), 1)


class TestBoxesAndIou:
    def test_boxes_by_hand(self):
        stack = torch.stack(
            [shapes.rectangle_mask(6, 9, box) for box in [(1, 2, 7, 4), (3, 3, 3, 3)]]
        )
        assert masks.masks_to_boxes(stack).tolist() == [[1, 2, 7, 4], [3, 3, 3, 3]]

    def test_boxes_match_torchvision(self):
        stack = random_mask(20, 12, 15, share=0.02)
        stack = stack[stack.flatten(1).any(1)]
        expected = torchvision.ops.masks_to_boxes(stack)
        assert torch.equal(masks.masks_to_boxes(stack), expected)

    def test_no_masks(self):
        assert masks.masks_to_boxes(torch.zeros(0, 3, 3)).shape == (0, 4)
        assert masks.mask_iou(torch.zeros(0, 3, 3), torch.ones(2, 3, 3)).shape == (0, 2)

    def test_iou_by_hand(self):
        left = shapes.rectangle_mask(2, 4, (0, 0, 1, 1))[None]
        middle = shapes.rectangle_mask(2, 4, (1, 0, 2, 1))[None]
        empty = torch.zeros(1, 2, 4)
        assert masks.mask_iou(left, middle).item() == pytest.approx(2 / 6)
        assert masks.mask_iou(empty, empty).item() == 0

    def test_iou_matches_a_slow_loop(self):
        first, second = random_mask(4, 5, 6, share=0.3), random_mask(3, 5, 6, seed=1)
        got = masks.mask_iou(first, second)
        for i, a in enumerate(first):
            for j, b in enumerate(second):
                expected = (a & b).sum().item() / (a | b).sum().item()
                assert got[i, j].item() == pytest.approx(expected)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"each keep a pixel; empty: \[1\]"):
            masks.masks_to_boxes(torch.stack([torch.ones(2, 2), torch.zeros(2, 2)]))
        with pytest.raises(ValueError, match=r"masks must be \(N, H, W\).*\(2, 2\)"):
            masks.masks_to_boxes(torch.ones(2, 2))
        with pytest.raises(ValueError, match="one height and width"):
            masks.mask_iou(torch.ones(1, 2, 2), torch.ones(1, 2, 3))
        with pytest.raises(ValueError, match="masks2.*0 and 1"):
            masks.mask_iou(torch.ones(1, 2, 2), torch.full((1, 2, 2), 0.5))


class TestMaskedSoftmax:
    def test_by_hand(self):
        got = masks.masked_softmax(torch.zeros(3), torch.tensor([1, 0, 1]))
        assert got.tolist() == [0.5, 0, 0.5]

    @pytest.mark.parametrize("dim", [0, 1, -1])
    def test_matches_softmax_of_what_is_kept(self, dim):
        logits, mask = random(4, 6), random_mask(4, 6, share=0.7)
        got = masks.masked_softmax(logits, mask, dim).movedim(dim, -1)
        rows = zip(logits.movedim(dim, -1), mask.movedim(dim, -1), got, strict=True)
        for row, keep, result in rows:
            torch.testing.assert_close(result[keep], row[keep].softmax(0))
            assert (result[~keep] == 0).all()

    def test_a_row_of_nothing_is_zeros_with_zero_gradient(self):
        logits = random(2, 3).requires_grad_()
        mask = torch.tensor([[True, True, False], [False, False, False]])
        got = masks.masked_softmax(logits, mask)
        assert got[1].tolist() == [0, 0, 0]
        (got * 1e30).square().sum().backward()
        assert logits.grad.isfinite().all()
        assert logits.grad[1].tolist() == [0, 0, 0]

    def test_large_logits_and_hidden_nan(self):
        logits = torch.tensor([1e4, 1e4 - 1, math.nan, math.inf])
        mask = torch.tensor([True, True, False, False])
        expected = torch.tensor([1.0, 0.0]).softmax(0)
        torch.testing.assert_close(masks.masked_softmax(logits, mask)[:2], expected)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
    def test_keeps_dtype(self, dtype):
        got = masks.masked_softmax(torch.zeros(2, 4, dtype=dtype), torch.eye(2, 4))
        assert got.dtype == dtype
        assert torch.equal(got, torch.eye(2, 4, dtype=dtype))

    def test_gradient(self):
        logits, mask = random(3, 4).requires_grad_(), random_mask(3, 4)
        mask[0], mask[1, 1:] = (
            False,
            False,
        )  # a row of nothing, and a row of one at most
        assert gradcheck(lambda x: masks.masked_softmax(x, mask), logits)

    @pytest.mark.parametrize(
        ("logits", "mask", "message"),
        [
            (torch.zeros(4, 4), torch.ones(4), "mask must have the shape of logits"),
            (torch.zeros(2), torch.tensor([1, 2]), "0 and 1"),
            (torch.tensor([math.nan, 0]), torch.ones(2), r"NaN or \+inf"),
            (torch.tensor([math.inf, 0]), torch.ones(2), r"NaN or \+inf"),
            (torch.zeros(2).long(), torch.ones(2), "floating point"),
        ],
    )
    def test_errors(self, logits, mask, message):
        with pytest.raises(ValueError, match=message):
            masks.masked_softmax(logits, mask)


# The exercises: right answers written in another way than the module's.


def masked_mean_by_weights(values, mask, dim=None, keepdim=False):
    clean = values.masked_fill(~mask, 0.0)
    weights = torch.ones_like(values) * mask
    total = weights.sum(dim) if dim is not None else weights.sum()
    if not total.all():
        raise ValueError("no value to average")
    return clean.sum(dim) / total if dim is not None else clean.sum() / total


def composite_by_lerp(foreground, background, alpha):
    if alpha.dtype == torch.bool:
        return background.where(~alpha, foreground)
    if alpha.min() < 0 or alpha.max() > 1:
        raise ValueError("alpha")
    return background + alpha.to(foreground) * (foreground - background)


def masked_softmax_by_log(logits, mask, dim=-1):
    infinity = torch.full_like(logits, -math.inf)
    safe = torch.where(mask, logits, infinity)
    empty = ~mask.any(dim, keepdim=True)
    safe = torch.where(empty, torch.zeros_like(logits), safe)
    return torch.where(mask, safe.log_softmax(dim).exp(), torch.zeros_like(logits))


def match_template_by_unfold(image, template):
    height, width = template.shape[1:]
    rows, columns = image.shape[1] - height + 1, image.shape[2] - width + 1
    if rows < 1 or columns < 1:
        raise ValueError("too large")
    windows = torch.nn.functional.unfold(image[None], (height, width))[0].T
    windows = windows - windows.mean(dim=1, keepdim=True)
    flat = (template - template.mean()).reshape(-1)
    norms = windows.norm(dim=1) * flat.norm()
    scores = torch.where(norms > 1e-6, windows @ flat / norms.clamp(min=1e-6), 0)
    return scores.reshape(rows, columns)


RIGHT = {
    "masked_mean": masked_mean_by_weights,
    "composite": composite_by_lerp,
    "masked_softmax": masked_softmax_by_log,
    "match_template": match_template_by_unfold,
}

# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "masked_mean": [
        (lambda v, m, dim=None: (v * m).mean(dim), "number of all values"),
        (
            lambda v, m, dim=None: (v * m).sum() / m.expand_as(v).sum(),
            "whatever `dim`",
        ),
        (lambda v, m, dim=None: v[m.expand_as(v)].mean(), "whatever `dim`"),
        (lambda v, m, dim=None: v.mean(dim), "mask is not used"),
        (
            lambda v, m, dim=None: (
                v.nan_to_num(0, 0).mul(m).sum(dim) / (m + torch.zeros_like(v)).sum(dim)
            ),
            "0/0 is NaN",
        ),
    ],
    "composite": [
        (lambda f, b, a: b.lerp(f, 1 - a.to(f)), "changed places"),
        (lambda f, b, a: f * a + b, "shines through"),
        (lambda f, b, a: f + b - b * a, "not multiplied by alpha"),
        (lambda f, b, a: f.where(a >= 0.5, b), "hard"),
        (lambda f, b, a: a.to(f) * f + (1 - a.to(f)) * b, "unnoticed"),
        (lambda f, b, a: b.lerp(f, a.to(f).clip(0, 1)), "do not clamp"),
    ],
    "masked_softmax": [
        (lambda z, m, dim=-1: (z * m).softmax(dim), "ordinary logit"),
        (lambda z, m, dim=-1: z.softmax(dim).where(m, 0), "denominator"),
        (lambda z, m, dim=-1: z.where(m, -6e4).softmax(dim), "uniform"),
        (lambda z, m, dim=-1: z.where(m, -math.inf).softmax(dim), "must be zeros"),
        (lambda z, m, dim=-1: z.where(~m, -math.inf).softmax(dim), "wrong way round"),
        (
            lambda z, m, dim=-1: (
                z.where(m, -math.inf).exp()
                / z.where(m, -math.inf).exp().sum(dim, keepdim=True)
            ),
            "overflows",
        ),
    ],
    "match_template": [
        (lambda i, t: torch.conv2d(i[None], t[None])[0, 0], "likes what is bright"),
        (
            lambda i, t: match_template_by_unfold(i, t.flip(-1, -2)),
            "180 degrees",
        ),
        (
            lambda i, t: (
                torch.nn.functional.unfold(i[None], t.shape[1:])[0].T
                @ (t - t.mean()).flatten()
                / t.numel()
            ).reshape(i.shape[1] - t.shape[1] + 1, -1),
            "covariance",
        ),
        (
            lambda i, t: torch.nn.functional.cosine_similarity(
                torch.nn.functional.unfold(i[None], t.shape[1:])[0].T, t.reshape(1, -1)
            ).reshape(i.shape[1] - t.shape[1] + 1, -1),
            "brightness counts",
        ),
        (
            lambda i, t: match_template_by_unfold(
                torch.nn.functional.pad(
                    i,
                    (
                        t.shape[2] // 2,
                        (t.shape[2] - 1) // 2,
                        t.shape[1] // 2,
                        (t.shape[1] - 1) // 2,
                    ),
                ),
                t,
            ),
            "wholly inside",
        ),
    ],
}


def masked_mean_by_nanmean(values, mask, dim=None):
    return torch.where(mask, values, math.nan).nanmean(dim)


def masked_softmax_plainly(logits, mask, dim=-1):
    weights = logits.exp() * mask
    return weights / weights.sum(dim, keepdim=True)


def match_template_by_windows(image, template):
    (_, height, width), t = template.shape, template - template.mean()
    rows = []
    for y in range(image.shape[1] - height + 1):
        row = []
        for x in range(image.shape[2] - width + 1):
            w = image[:, y : y + height, x : x + width]
            w = w - w.mean()
            row.append((w * t).sum() / (w.square().sum() * t.square().sum()).sqrt())
        rows.append(torch.stack(row))
    return torch.stack(rows)


def match_template_of_skimage(image, template):
    score = skimage.feature.match_template(image.numpy(), template.numpy())
    return torch.from_numpy(score)[0].to(image.dtype)


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "masked_mean": lambda values, mask, dim=None: (
        (values * mask).sum(dim) / mask.expand_as(values).sum(dim)
    ),
    "composite": lambda foreground, background, alpha: (
        alpha.to(foreground) * foreground + (1 - alpha.to(foreground)) * background
    ),
    "masked_softmax": masked_softmax_plainly,
    "match_template": match_template_by_windows,
}
LIBRARY = {
    "masked_mean": masked_mean_by_nanmean,
    "composite": lambda foreground, background, alpha: torch.lerp(
        background, foreground, alpha.to(foreground).expand_as(foreground)
    ),
    "masked_softmax": lambda logits, mask, dim=-1: torch.softmax(
        logits.masked_fill(~mask, -math.inf), dim
    ),
    "match_template": match_template_of_skimage,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = masks_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
