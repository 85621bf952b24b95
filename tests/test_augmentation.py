"""Augmentation: by hand, against torchvision, degenerate cases, gradients, errors."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch.autograd import gradcheck
from torchvision import transforms, tv_tensors
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from lesson_utils import augmentation
from lesson_utils.checks import augmentation as augmentation_checks
from lesson_utils.common import boxes as boxes_module
from lesson_utils.common import colors
from lesson_utils.data.photographs import photograph
from tests.answers import ExerciseTests

SEEDS = st.integers(0, 2**31)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.rand(*shape, generator=seeded(seed), dtype=dtype)


def random_boxes(number, height, width, seed=0):
    corners = random(number, 2, 2, seed=seed).sort(dim=1).values
    return (corners * torch.tensor([width, height])).flatten(1)


def as_tv(boxes, height, width):
    return tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=(height, width))


class TestHorizontalFlip:
    def test_boxes_by_hand(self):
        boxes = torch.tensor([[0.0, 1, 3, 4], [2, 0, 10, 5], [0, 0, 10, 5]])
        expected = [[7, 1, 10, 4], [0, 0, 8, 5], [0, 0, 10, 5]]
        assert boxes_module.flip_boxes(boxes, 10).tolist() == expected

    def test_a_box_holds_the_same_pixels(self):
        image = random(3, 6, 9)
        flipped, boxes = augmentation.random_horizontal_flip(
            image, torch.tensor([[2, 1, 5, 4]]), p=1
        )
        x1, y1, x2, y2 = boxes[0].tolist()
        assert torch.equal(flipped[:, y1:y2, x1:x2], image[:, 1:4, 2:5].flip(-1))

    def test_matches_torchvision(self):
        image, boxes = random(3, 20, 30), random_boxes(7, 20, 30)
        flipped, moved = augmentation.random_horizontal_flip(image, boxes, p=1)
        assert torch.equal(flipped, tv.horizontal_flip(image))
        expected = tv.horizontal_flip(as_tv(boxes, 20, 30))
        torch.testing.assert_close(moved, expected.as_subclass(torch.Tensor))

    def test_twice_is_nothing(self):
        image, boxes = random(3, 4, 5), random_boxes(3, 4, 5)
        once = augmentation.random_horizontal_flip(image, boxes, p=1)
        twice = augmentation.random_horizontal_flip(*once, p=1)
        assert torch.equal(twice[0], image)
        torch.testing.assert_close(twice[1], boxes)

    def test_probability_and_one_coin_for_both(self):
        image, boxes = random(1, 2, 3), torch.tensor([[0.0, 0, 1, 1]])
        generator, flips = seeded(), 0
        for _ in range(500):
            got, moved = augmentation.random_horizontal_flip(
                image, boxes, p=0.3, generator=generator
            )
            flipped = not torch.equal(got, image)
            assert flipped == (moved[0, 0].item() == 2)
            flips += flipped
        assert 110 < flips < 190

    def test_each_picture_of_a_batch_has_its_coin(self):
        images = random(400, 1, 2, 3)
        got = augmentation.random_horizontal_flip(images, generator=seeded())
        same = (got == images).flatten(1).all(dim=1)
        mirrored = (got == images.flip(-1)).flatten(1).all(dim=1)
        assert (same ^ mirrored).all()
        assert 150 < same.sum() < 250

    def test_without_boxes_and_with_none_of_them(self):
        image = random(3, 4, 5)
        assert torch.equal(augmentation.random_horizontal_flip(image, p=0), image)
        _, boxes = augmentation.random_horizontal_flip(image, torch.zeros(0, 4), p=1)
        assert boxes.shape == (0, 4)

    @pytest.mark.parametrize(
        ("image", "boxes", "p", "message"),
        [
            (torch.ones(4, 5), None, 1, r"image must be.*\(4, 5\)"),
            (torch.ones(3, 4, 5).byte(), None, 1, "floating point.*uint8"),
            (torch.ones(3, 0, 5), None, 1, r"not empty.*\(3, 0, 5\)"),
            (torch.ones(3, 4, 5), None, 1.5, r"p must lie in \[0, 1\], got 1.5"),
            (torch.ones(3, 4, 5), None, math.nan, "p must lie.*nan"),
            (torch.ones(3, 4, 5), torch.zeros(4), 1, r"boxes must be \(N, 4\)"),
            (torch.ones(3, 4, 5), torch.tensor([[0, 0, 6, 4]]), 1, "x2 <= 5.*6"),
            (torch.ones(3, 4, 5), torch.tensor([[0, 0, 5, 5]]), 0, "y2 <= 4.*5, 5"),
            (torch.ones(3, 4, 5), torch.tensor([[-1, 0, 2, 2]]), 1, "0 <= x1.*-1"),
            (torch.ones(3, 4, 5), torch.tensor([[3, 0, 2, 2]]), 1, "x1 <= x2.*3"),
            (torch.ones(3, 4, 5), torch.full((1, 4), math.nan), 1, "boxes.*nan"),
            (torch.ones(2, 3, 4, 5), torch.zeros(1, 4), 1, "one picture"),
        ],
    )
    def test_errors(self, image, boxes, p, message):
        with pytest.raises(ValueError, match=message):
            augmentation.random_horizontal_flip(image, boxes, p=p)


class TestSampleCrop:
    @given(seed=SEEDS, height=st.integers(1, 60), width=st.integers(1, 60))
    @settings(max_examples=60, deadline=None)
    def test_is_in_the_picture(self, seed, height, width):
        x1, y1, x2, y2 = augmentation.sample_crop(height, width, generator=seeded(seed))
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height

    @pytest.mark.parametrize(
        ("height", "width", "scale", "ratio"),
        [
            (200, 300, (0.08, 1.0), (3 / 4, 4 / 3)),
            (120, 90, (0.2, 0.5), (0.25, 4.0)),
        ],
    )
    def test_has_the_distribution_of_torchvision(self, height, width, scale, ratio):
        torch.manual_seed(0)
        theirs = v2.RandomResizedCrop(8, scale=scale, ratio=ratio)
        picture, rows = torch.empty(3, height, width), []
        for _ in range(1500):
            p = theirs.make_params([picture])
            rows.append((p["left"], p["top"], p["width"], p["height"]))
        generator, own = seeded(), []
        for _ in range(1500):
            x1, y1, x2, y2 = augmentation.sample_crop(
                height, width, scale=scale, ratio=ratio, generator=generator
            )
            own.append((x1, y1, x2 - x1, y2 - y1))
        for ours, reference in zip(np.array(own).T, np.array(rows).T, strict=True):
            assert stats.ks_2samp(ours, reference).pvalue > 0.001

    def test_area_is_uniform_and_shape_log_uniform(self):
        generator, boxes = seeded(), []
        for _ in range(1500):  # small enough to fit whatever the shape
            boxes.append(
                augmentation.sample_crop(
                    1000, 1000, scale=(0.02, 0.1), ratio=(0.2, 5), generator=generator
                )
            )
        x1, y1, x2, y2 = torch.tensor(boxes, dtype=torch.float64).T
        area = (x2 - x1) * (y2 - y1) / 1e6
        shape = ((x2 - x1) / (y2 - y1)).log()
        uniform = stats.uniform(0.02, 0.08)
        assert stats.kstest(area, uniform.cdf).pvalue > 0.001
        low = math.log(0.2)
        assert stats.kstest(shape, stats.uniform(low, -2 * low).cdf).pvalue > 0.001

    def test_reaches_both_edges(self):
        generator = seeded()
        left = {
            augmentation.sample_crop(
                4, 4, scale=(0.5625, 0.5625), ratio=(1, 1), generator=generator
            )[0]
            for _ in range(100)
        }
        assert left == {0, 1}

    @pytest.mark.parametrize(
        ("height", "width", "expected"),
        [(100, 10, (0, 43, 10, 56)), (10, 100, (43, 0, 56, 10)), (1, 1, (0, 0, 1, 1))],
    )
    def test_falls_back_to_the_middle(self, height, width, expected):
        crop = augmentation.sample_crop(height, width, scale=(1, 1))
        assert crop == expected
        params = v2.RandomResizedCrop(8, scale=(1, 1)).make_params(
            [torch.empty(3, height, width)]
        )
        assert crop[:2] == (params["left"], params["top"])
        assert crop[2] - crop[0] == params["width"]
        assert crop[3] - crop[1] == params["height"]

    def test_the_generator_decides(self):
        state = torch.get_rng_state()
        crops = [augmentation.sample_crop(99, 99, generator=seeded(5)) for _ in "ab"]
        assert crops[0] == crops[1]
        assert torch.equal(torch.get_rng_state(), state)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"height": 0}, "height must be.*got 0"),
            ({"width": 2.5}, "width must be.*got 2.5"),
            ({"scale": (0.5, 0.2)}, r"scale must be.*\(0.5, 0.2\)"),
            ({"scale": (0, 1)}, r"scale must be.*\(0, 1\)"),
            ({"scale": (0.5, 1.5)}, r"<= 1, got \(0.5, 1.5\)"),
            ({"ratio": (-1, 1)}, r"ratio must be.*\(-1, 1\)"),
            ({"ratio": (1, math.inf)}, "ratio must be.*inf"),
            ({"ratio": (math.nan, 1)}, "ratio must be.*nan"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            augmentation.sample_crop(**({"height": 9, "width": 9} | options))


class TestResizedCrop:
    @pytest.mark.parametrize("size", [12, (7, 30), 90])
    def test_matches_torchvision(self, size):
        image = photograph("chelsea", size=(60, 80))
        expected = tv.resized_crop(
            image, 5, 10, 40, 50, [size, size] if isinstance(size, int) else list(size)
        )
        got = augmentation.resized_crop(image, (10, 5, 60, 45), size)
        torch.testing.assert_close(got, expected)
        batch = augmentation.resized_crop(image[None], (10, 5, 60, 45), size)
        assert torch.equal(batch[0], got)

    def test_boxes_match_torchvision(self):
        boxes = random_boxes(20, 60, 80)
        expected = tv.resized_crop(as_tv(boxes, 60, 80), 5, 10, 40, 50, [30, 90])
        got = boxes_module.crop_boxes(boxes, (10, 5, 60, 45), (30, 90))
        torch.testing.assert_close(got, expected.as_subclass(torch.Tensor))

    def test_boxes_by_hand(self):
        boxes = torch.tensor([[2, 1, 4, 3], [0, 0, 9, 9], [7, 7, 8, 8]])
        got = boxes_module.crop_boxes(boxes, (2, 1, 6, 3), (4, 4))
        assert got.tolist() == [[0, 0, 2, 4], [0, 0, 4, 4], [4, 4, 4, 4]]

    def test_random_one_is_a_sampled_crop_resized(self):
        image, boxes = random(3, 30, 40), random_boxes(3, 30, 40)
        crop = augmentation.sample_crop(30, 40, generator=seeded(4))
        got, moved = augmentation.random_resized_crop(
            image, 16, boxes, generator=seeded(4)
        )
        assert torch.equal(got, augmentation.resized_crop(image, crop, 16))
        assert torch.equal(moved, boxes_module.crop_boxes(boxes, crop, 16))

    def test_each_picture_of_a_batch_has_its_crop(self):
        images = random(1, 3, 30, 40).expand(4, -1, -1, -1)
        got = augmentation.random_resized_crop(images, (5, 6), generator=seeded())
        assert got.shape == (4, 3, 5, 6)
        assert not torch.allclose(got[0], got[1])

    def test_gradient(self):
        image = random(1, 5, 6, dtype=torch.float64).requires_grad_()
        assert gradcheck(
            lambda x: augmentation.resized_crop(x, (1, 0, 5, 4), (2, 7)), image
        )

    @pytest.mark.parametrize(
        ("crop", "size", "message"),
        [
            ((0, 0, 6, 4), 3, r"x2 <= 5.*\(0, 0, 6, 4\)"),
            ((2, 0, 2, 4), 3, "x1 < x2"),
            ((0, 0.5, 2, 4), 3, "whole numbers"),
            ((0, 0, 2), 3, "crop must be"),
            ((0, 0, 2, 2), 0, "size must be.*got 0"),
            ((0, 0, 2, 2), (3, 3, 3), "size must be"),
        ],
    )
    def test_errors(self, crop, size, message):
        with pytest.raises(ValueError, match=message):
            augmentation.resized_crop(torch.ones(3, 4, 5), crop, size)

    def test_errors_of_boxes(self):
        with pytest.raises(ValueError, match=r"one picture.*\(2, 3, 4, 5\)"):
            augmentation.random_resized_crop(
                torch.ones(2, 3, 4, 5), 3, torch.zeros(1, 4)
            )
        with pytest.raises(ValueError, match="y2 <= 4.*9"):
            augmentation.random_resized_crop(
                torch.ones(3, 4, 5), 3, torch.tensor([[0, 0, 2, 9]])
            )


class TestJitter:
    def test_jitter_is_its_parts(self):
        image = random(3, 6, 7)
        assert torch.equal(colors.color_jitter(image), image)
        got = colors.color_jitter(image, hue=0.4, generator=seeded(1))
        generator = seeded(1)
        torch.randperm(4, generator=generator)
        shift = -0.4 + 0.8 * torch.rand((), generator=generator)
        assert torch.equal(got, colors.adjust_hue(image, shift))

    def test_jitter_factors_are_in_range_and_differ_within_a_batch(self):
        images = torch.full((500, 3, 1, 1), 0.5)
        got = colors.color_jitter(images, brightness=0.4, generator=seeded())
        factors = got[:, 0].flatten() / 0.5
        assert stats.kstest(factors, stats.uniform(0.6, 0.8).cdf).pvalue > 0.001

    def test_jitter_takes_its_parts_in_any_order(self):
        image = random(3, 6, 7)
        options = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.5}
        seen = [
            colors.color_jitter(image, **options, generator=seeded(seed))
            for seed in range(20)
        ]
        assert all(((s >= 0) & (s <= 1)).all() for s in seen)
        assert len({tuple(torch.randperm(4, generator=seeded(s)).tolist())
                    for s in range(20)}) > 5  # fmt: skip
        assert not torch.equal(seen[0], seen[1])

    def test_errors(self):
        image = torch.ones(3, 2, 2)
        with pytest.raises(ValueError, match=r"hue must lie in \[0, 0.5\], got 0.7"):
            colors.color_jitter(image, hue=0.7)
        for name in ("brightness", "contrast", "saturation"):
            with pytest.raises(ValueError, match=f"{name} must lie.*got -1"):
                colors.color_jitter(image, **{name: -1})
        with pytest.raises(ValueError, match="must lie in.*2"):
            colors.color_jitter(2 * image)


class TestAffine:
    def test_matches_torchvision(self):
        images = random(4, 3, 20, 31)
        options = {"degrees": 40, "shift": 0.2, "zoom": 0.3}
        got = augmentation.random_affine(images, **options, generator=seeded(2))
        generator = seeded(2)
        draws = [2 * torch.rand(4, generator=generator) - 1 for _ in range(4)]
        for k, image in enumerate(images):
            angle, zoom, x, y = (float(draw[k]) for draw in draws)
            expected = tv.affine(
                image,
                angle=40 * angle,
                translate=[0.2 * x * 31, 0.2 * y * 20],
                scale=1 + 0.3 * zoom,
                shear=[0.0, 0.0],
                interpolation=v2.InterpolationMode.BILINEAR,
            )
            torch.testing.assert_close(got[k], expected, atol=1e-4, rtol=0)

    def test_without_strength_it_changes_nothing(self):
        image = random(1, 7, 9)
        torch.testing.assert_close(augmentation.random_affine(image), image)

    def test_some_pictures_stay_as_they_are(self):
        images = random(40, 1, 5, 5)
        always = augmentation.random_affine(images, degrees=90, generator=seeded())
        got = augmentation.random_affine(images, degrees=90, p=0.5, generator=seeded())
        kept = (got == images).flatten(1).all(dim=1)
        assert 10 < kept.sum() < 30
        assert torch.equal(got[~kept], always[~kept])

    def test_each_picture_has_its_draw_and_outside_is_zero(self):
        images = torch.ones(3, 1, 8, 8)
        got = augmentation.random_affine(images, shift=0.5, generator=seeded())
        assert len({float(one.sum()) for one in got}) == 3
        assert ((got >= 0) & (got <= 1)).all()
        assert (got == 0).any()

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"degrees": 181}, r"degrees must lie in \[0, 180\], got 181"),
            ({"shift": -0.1}, "shift must lie"),
            ({"p": 1.5}, r"p must lie in \[0, 1\], got 1.5"),
            ({"zoom": 1.0}, r"zoom must lie in \[0, 1\), got 1.0"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            augmentation.random_affine(random(1, 4, 4), **options)


def batch_of(number, classes=4, size=6, seed=0):
    labels = torch.randint(classes, (number,), generator=seeded(seed))
    images = random(number, 3, size, size + 2, seed=seed)
    return images, F.one_hot(labels, classes).float()


class TestMixup:
    def test_matches_torchvision(self):
        images, targets = batch_of(5)
        got = augmentation.mixup(images, targets, generator=seeded(3))
        weight = augmentation._sample_beta(1.0, seeded(3))
        theirs = v2.MixUp(num_classes=4)
        labels = targets.argmax(1)
        params = {"labels": labels, "batch_size": 5, "lam": weight}
        torch.testing.assert_close(got[0], theirs.transform(images, params))
        torch.testing.assert_close(got[1], theirs.transform(labels, params))

    @pytest.mark.parametrize("alpha", [0.2, 1.0, 4.0])
    def test_weight_is_beta(self, alpha):
        images, targets = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1), torch.eye(2)
        generator, weights = seeded(), []
        for _ in range(600):
            mixed, soft = augmentation.mixup(
                images, targets, alpha=alpha, generator=generator
            )
            weights.append(mixed[1].item())
            assert soft[1, 1].item() == pytest.approx(weights[-1])
        assert stats.kstest(weights, stats.beta(alpha, alpha).cdf).pvalue > 0.001

    def test_targets_stay_probabilities_and_a_batch_of_one_itself(self):
        images, targets = batch_of(6)
        _, soft = augmentation.mixup(images, targets.softmax(1), generator=seeded())
        torch.testing.assert_close(soft.sum(1), torch.ones(6))
        alone, own = augmentation.mixup(images[:1], targets[:1])
        torch.testing.assert_close(alone, images[:1])
        torch.testing.assert_close(own, targets[:1])

    def test_loss_is_linear_in_the_targets(self):
        images, targets = batch_of(5)
        logits = random(5, 4, seed=9)
        _, soft = augmentation.mixup(images, targets, generator=seeded(3))
        weight = augmentation._sample_beta(1.0, seeded(3))
        labels = targets.argmax(1)
        expected = weight * F.cross_entropy(logits, labels)
        expected += (1 - weight) * F.cross_entropy(logits, labels.roll(1))
        torch.testing.assert_close(F.cross_entropy(logits, soft), expected)

    def test_gradient(self):
        images = random(2, 1, 2, 2, dtype=torch.float64).requires_grad_()
        targets = torch.eye(2, dtype=torch.float64)
        assert gradcheck(
            lambda x: augmentation.mixup(x, targets, generator=seeded(2)), images
        )

    @pytest.mark.parametrize("mix", [augmentation.mixup, augmentation.cutmix])
    @pytest.mark.parametrize(
        ("images", "targets", "alpha", "message"),
        [
            (torch.ones(3, 2, 2), torch.eye(3), 1, r"images must be.*\(3, 2, 2\)"),
            (torch.ones(0, 3, 2, 2), torch.eye(0), 1, "not empty"),
            (torch.ones(2, 3, 2, 2), torch.tensor([0, 1]), 1, r"one_hot.*\(2,\)"),
            (torch.ones(2, 3, 2, 2), torch.eye(3), 1, r"B = 2.*\(3, 3\)"),
            (torch.ones(2, 3, 2, 2), torch.eye(2).long(), 1, "int64"),
            (torch.ones(2, 3, 2, 2), torch.ones(2, 2), 1, "rows that add up to 2"),
            (
                torch.ones(2, 3, 2, 2),
                torch.tensor([[2.0, -1], [0, 1]]),
                1,
                "not negative",
            ),
            (torch.ones(2, 3, 2, 2), torch.eye(2), 0, "alpha must be.*got 0"),
            (torch.ones(2, 3, 2, 2), torch.eye(2), math.nan, "alpha must be.*nan"),
        ],
    )
    def test_errors(self, mix, images, targets, alpha, message):
        with pytest.raises(ValueError, match=message):
            mix(images, targets, alpha=alpha)


class TestCutmix:
    def test_matches_torchvision(self):
        images, targets = batch_of(5, size=20)
        for seed in range(20):
            got = augmentation.cutmix(images, targets, generator=seeded(seed))
            generator = seeded(seed)
            kept = augmentation._sample_beta(1.0, generator)
            box = augmentation._sample_patch(20, 22, kept, generator)
            pasted = (box[2] - box[0]) * (box[3] - box[1]) / (20 * 22)
            labels = targets.argmax(1)
            params = {"labels": labels, "batch_size": 5, "box": box,
                      "lam_adjusted": 1 - pasted}  # fmt: skip
            theirs = v2.CutMix(num_classes=4)
            torch.testing.assert_close(got[0], theirs.transform(images, params))
            torch.testing.assert_close(got[1], theirs.transform(labels, params))

    def test_target_is_the_share_of_pixels(self):
        images = torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1).expand(2, 1, 8, 11)
        generator = seeded()
        for _ in range(100):
            mixed, soft = augmentation.cutmix(images, torch.eye(2), generator=generator)
            assert set(mixed.unique().tolist()) <= {0.0, 1.0}
            assert mixed[1].mean().item() == pytest.approx(soft[1, 1].item())
            assert mixed[0].mean().item() == pytest.approx(soft[0, 1].item())

    def test_area_has_the_distribution_of_torchvision(self):
        images, targets = torch.ones(2, 1, 30, 40), torch.eye(2)
        torch.manual_seed(0)
        theirs, generator = v2.CutMix(num_classes=2), seeded()
        reference, own = [], []
        for _ in range(800):
            _, soft = theirs(images, torch.tensor([0, 1]))
            reference.append(soft[0, 0].item())
            _, soft = augmentation.cutmix(images, targets, generator=generator)
            own.append(soft[0, 0].item())
        assert stats.ks_2samp(own, reference).pvalue > 0.001

    def test_leaves_its_input_alone(self):
        images, targets = batch_of(3)
        before = images.clone()
        augmentation.cutmix(images, targets, generator=seeded())
        assert torch.equal(images, before)


# The exercises: right answers written in another way than the module's.


def flip_by_loop(image, boxes=None, *, p=0.5, generator=None):
    height, width = image.shape[-2:]
    if p < 0 or p > 1:
        raise ValueError("p")
    moved = []
    for x1, y1, x2, y2 in [] if boxes is None else boxes.tolist():
        if not (0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height):
            raise ValueError("box")
        moved.append([width - x2, y1, width - x1, y2])
    if torch.rand(1, generator=generator).item() >= p:
        return image if boxes is None else (image, boxes)
    columns = torch.arange(width - 1, -1, -1)
    image = image[..., columns]
    return image if boxes is None else (image, boxes.new_tensor(moved).reshape(-1, 4))


def sample_crop_by_distributions(
    height, width, *, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), generator=None
):
    if scale[0] <= 0 or scale[1] > 1 or scale[0] > scale[1]:
        raise ValueError("scale")
    if ratio[0] <= 0 or ratio[0] > ratio[1]:
        raise ValueError("ratio")

    def between(low, high):
        return torch.empty(1).uniform_(low, high, generator=generator).item()

    for _ in range(10):
        shape = math.exp(between(math.log(ratio[0]), math.log(ratio[1])))
        area = between(*scale) * height * width
        h = round((area / shape) ** 0.5)
        w = round((area * shape) ** 0.5)
        if 1 <= w <= width and 1 <= h <= height:
            y = torch.randint(0, height - h + 1, (1,), generator=generator).item()
            x = torch.randint(0, width - w + 1, (1,), generator=generator).item()
            return [x, y, x + w, y + h]
    w, h = width, height
    if width / height < ratio[0]:
        h = round(width / ratio[0])
    elif width / height > ratio[1]:
        w = round(height * ratio[1])
    x, y = (width - w) // 2, (height - h) // 2
    return [x, y, x + w, y + h]


def mixup_by_loop(images, targets, *, alpha=1.0, generator=None):
    if targets.dim() != 2 or len(images) != len(targets) or alpha <= 0:
        raise ValueError("targets")
    while True:  # Jöhnk's way to draw a beta
        x, y = (torch.rand(2, generator=generator).double() ** (1 / alpha)).tolist()
        if 0 < x + y <= 1:
            break
    weight = x / (x + y)
    pairs = [
        (
            weight * images[k] + (1 - weight) * images[k - 1],
            weight * targets[k] + (1 - weight) * targets[k - 1],
        )
        for k in range(len(images))
    ]
    return tuple(torch.stack(part) for part in zip(*pairs, strict=True))


RIGHT = {
    "random_horizontal_flip": flip_by_loop,
    "sample_crop": sample_crop_by_distributions,
    "mixup": mixup_by_loop,
}


def naive_flip(move=None, coin=None):
    def answer(image, boxes=None, p=0.5, generator=None):
        tossed = torch.rand(1, generator=generator) < p if coin is None else coin(p)
        if not tossed:
            return image if boxes is None else (image, boxes)
        image = torch.flip(image, [-1])
        return image if boxes is None else (image, move(boxes, image.shape[-1]))

    return answer


def mirrored(boxes, width):
    new = boxes.clone()
    new[:, 0], new[:, 2] = width - boxes[:, 2], width - boxes[:, 0]
    return new


def naive_crop(height, width, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), generator=None):
    share = torch.empty(()).uniform_(*scale, generator=generator).item()
    shape = ratio[0] * (ratio[1] / ratio[0]) ** torch.rand((), generator=generator)
    w = min(int((height * width * share * shape) ** 0.5 + 0.5), width)
    h = min(int((height * width * share / shape) ** 0.5 + 0.5), height)
    x = torch.randint(width - w + 1, (), generator=generator).item()
    y = torch.randint(height - h + 1, (), generator=generator).item()
    return x, y, x + w, y + h


def crop_as(change):
    def answer(height, width, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), generator=None):
        right = sample_crop_by_distributions(
            height, width, scale=scale, ratio=ratio, generator=generator
        )
        return change(*right, height, width)

    return answer


def mix_as(change):
    def answer(images, targets, alpha=1.0, generator=None):
        mixed, soft = mixup_by_loop(images, targets, alpha=alpha, generator=generator)
        return change(mixed, soft, images, targets)

    return answer


def mixup_with_torch(images, targets, alpha=1.0, generator=None):
    if targets.dim() != 2 or len(images) != len(targets) or alpha <= 0:
        raise ValueError("targets")
    weight = torch.distributions.Beta(alpha, alpha).sample((1,))
    mixed = images * weight + images[[-1, *range(len(images) - 1)]] * (1 - weight)
    return mixed, targets * weight + targets.roll(1, dims=0) * (1 - weight)


def mixup_shuffled(images, targets, alpha=1.0, generator=None):
    if targets.dim() != 2 or len(images) != len(targets) or alpha <= 0:
        raise ValueError("targets")
    weight = augmentation._sample_beta(alpha, generator)
    order = torch.arange(len(images)).flip(0)
    return torch.lerp(images[order], images, weight), torch.lerp(
        targets[order], targets, weight
    )


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "random_horizontal_flip": [
        (naive_flip(lambda b, w: b.clone()), "boxes stay"),
        (
            naive_flip(
                lambda b, w: torch.stack(
                    [w - b[:, 0], b[:, 1], w - b[:, 2], b[:, 3]], 1
                )
            ),
            "x1 must be `W - x2`",
        ),
        (naive_flip(lambda b, w: mirrored(b, w - 1)), "name edges"),
        (naive_flip(mirrored, lambda p: torch.rand(1) < p), "generator is not used"),
        (naive_flip(mirrored, lambda p: torch.tensor(True)), "whatever p is"),
        (naive_flip(mirrored), "unnoticed"),
        (
            lambda image, boxes=None, p=0.5, generator=None: (
                flip_by_loop(image, p=p, generator=generator),
                boxes,
            ),
            "boxes stay",
        ),
    ],
    "sample_crop": [
        (naive_crop, "cut to the picture"),
        (crop_as(lambda x1, y1, x2, y2, h, w: (x1, y1, x2 - x1, y2 - y1)), "width, he"),
        (crop_as(lambda x1, y1, x2, y2, h, w: (y1, x1, y2, x2)), "y before x"),
        (crop_as(lambda x1, y1, x2, y2, h, w: (0, 0, x2 - x1, y2 - y1)), "corner"),
        (
            crop_as(
                lambda x1, y1, x2, y2, h, w: (
                    (w - x2 + x1) // 2,
                    (h - y2 + y1) // 2,
                    (w - x2 + x1) // 2 + x2 - x1,
                    (h - y2 + y1) // 2 + y2 - y1,
                )
            ),
            "in the middle",
        ),
    ],
    "mixup": [
        (mix_as(lambda mixed, soft, images, targets: (mixed, targets)), "are not"),
        (mix_as(lambda m, s, i, t: (m, t + t.roll(1, 0) - s)), "other way round"),
        (
            mix_as(
                lambda m, s, i, t: (
                    m,
                    t.where(
                        (m[0] - i[-1])[0, 0, 0] > (i[0] - m[0])[0, 0, 0], t.roll(1, 0)
                    ),
                )
            ),
            "hard",
        ),
        (
            mix_as(lambda m, s, i, t: ((i + i.roll(1, 0)) / 2, (t + t.roll(1, 0)) / 2)),
            "always the mean",
        ),
        (mixup_with_torch, "generator is not used"),
        (mixup_shuffled, "reverses"),
    ],
}


def flip_plainly(image, boxes=None, *, p=0.5, generator=None):
    flipped = torch.rand((), generator=generator) < p
    if flipped:
        image = image.flip(-1)
    if boxes is None:
        return image
    if flipped:
        x1, y1, x2, y2 = boxes.unbind(1)
        boxes = torch.stack([image.shape[2] - x2, y1, image.shape[2] - x1, y2], dim=1)
    return image, boxes


def flip_of_torchvision(image, boxes=None, *, p=0.5, generator=None):
    flipped = torch.rand((), generator=generator) < p
    if boxes is None:
        return tv.horizontal_flip(image) if flipped else image
    if flipped:
        size = tuple(image.shape[-2:])
        moved = tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)
        image, boxes = tv.horizontal_flip(image), tv.horizontal_flip(moved)
    return image, boxes.as_subclass(torch.Tensor)


def crop_plainly(
    height, width, *, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), generator=None
):
    def draw(low, high):
        return low + (high - low) * torch.rand((), generator=generator).item()

    for _ in range(10):
        area = height * width * draw(*scale)
        shape = math.exp(draw(math.log(ratio[0]), math.log(ratio[1])))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            x = int(draw(0, width - w + 1))
            y = int(draw(0, height - h + 1))
            return x, y, x + w, y + h
    return 0, 0, width, height


def crop_of_torchvision(
    height, width, *, scale=(0.08, 1.0), ratio=(3 / 4, 4 / 3), generator=None
):
    # It draws from the global generator alone: let ours set that one's seed.
    torch.manual_seed(torch.randint(2**60, (), generator=generator).item())
    blank = torch.zeros(1, height, width)
    top, left, h, w = transforms.RandomResizedCrop.get_params(
        blank, list(scale), list(ratio)
    )
    return left, top, left + w, top + h


def mixup_plainly(images, targets, *, alpha=1.0, generator=None):
    seed = torch.randint(2**31, (), generator=generator).item()
    weight = float(np.random.default_rng(seed).beta(alpha, alpha))
    before = [len(images) - 1, *range(len(images) - 1)]
    mixed = weight * images + (1 - weight) * images[before]
    return mixed, weight * targets + (1 - weight) * targets[before]


def mixup_of_torchvision(images, targets, *, alpha=1.0, generator=None):
    # Its own targets are one-hot: mixed as pictures of one row, soft ones pass, too.
    seed = torch.randint(2**60, (), generator=generator).item()
    mix = v2.MixUp(alpha=alpha, num_classes=len(images))
    torch.manual_seed(seed)
    mixed, shares = mix(images, torch.arange(len(images)))
    return mixed, shares @ targets


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "random_horizontal_flip": flip_plainly,
    "sample_crop": crop_plainly,
    "mixup": mixup_plainly,
}
LIBRARY = {
    "random_horizontal_flip": flip_of_torchvision,
    "sample_crop": crop_of_torchvision,
    "mixup": mixup_of_torchvision,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = augmentation_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
