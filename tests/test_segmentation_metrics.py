"""Segmentation metrics: by hand, against torchmetrics and scikit-learn, and errors."""

import copy
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics
from torch import nn
from torchmetrics.functional import classification, segmentation

from lesson_utils import segmentation_metrics as sm
from lesson_utils.checks import segmentation_metrics as segmentation_checks
from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.colors import CLASS_COLORS, paint_classes
from lesson_utils.common.segmenting import (
    UNet,
    scene_segmenter,
    segment,
    standardize,
    train,
)
from lesson_utils.common.studies import read_study
from lesson_utils.data.scenes import Scenes, stack_classes
from tests.answers import ExerciseTests

NAMES = (
    *("pixel_accuracy", "mean_pixel_accuracy", "mean_iou", "frequency_weighted_iou"),
    "dice",
)
METRICS = [getattr(sm, name) for name in NAMES]
THREE = torch.tensor([[6, 2, 0], [1, 3, 0], [2, 0, 1]])


def maps(number, shape=(40,), seed=0):
    """Predictions and ground truth of `number` classes, half of them equal."""
    dice = torch.Generator().manual_seed(seed)
    targets = torch.randint(number, shape, generator=dice)
    other = torch.randint(number, shape, generator=dice)
    return torch.where(torch.rand(shape, generator=dice) < 0.5, other, targets), targets


class TestConfusionMatrix:
    def test_by_hand(self):
        targets = torch.tensor([[0, 0, 0], [1, 1, 2]])
        predictions = torch.tensor([[0, 0, 1], [1, 0, 0]])
        found = sm.confusion_matrix(predictions, targets, 3)
        assert found.tolist() == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
        assert found.dtype == torch.int64

    @given(st.integers(1, 9), st.integers(0, 60), st.integers(0, 2**20))
    @settings(max_examples=40, deadline=None)
    def test_is_scikit_learns(self, number, pixels, seed):
        predictions, targets = maps(number, (pixels,), seed)
        found = sm.confusion_matrix(predictions, targets, number)
        if pixels:
            labels = list(range(number))
            theirs = metrics.confusion_matrix(targets, predictions, labels=labels)
            assert np.array_equal(found, theirs)
        assert found.sum() == pixels

    @pytest.mark.parametrize("ignore_index", [None, 0, 3, 255, -1])
    def test_is_torchmetrics(self, ignore_index):
        predictions, targets = maps(4, (3, 6, 5))
        if ignore_index in (255, -1):
            targets[:, :2] = ignore_index
        ours = sm.confusion_matrix(predictions, targets, 4, ignore_index=ignore_index)
        theirs = classification.multiclass_confusion_matrix(
            predictions, targets, 4, ignore_index=ignore_index
        )
        assert torch.equal(ours, theirs)

    def test_parts_add_up(self):
        predictions, targets = maps(5, (4, 8, 8))
        parts = [
            sm.confusion_matrix(p, t, 5)
            for p, t in zip(predictions, targets, strict=True)
        ]
        assert torch.equal(sum(parts), sm.confusion_matrix(predictions, targets, 5))

    def test_bytes_and_booleans(self):
        predictions, targets = maps(200, (500,))
        found = sm.confusion_matrix(predictions.byte(), targets.byte(), 200)
        assert torch.equal(found, sm.confusion_matrix(predictions, targets, 200))
        masks = torch.tensor([True, False, True]), torch.tensor([True, True, False])
        assert sm.confusion_matrix(*masks, 2).tolist() == [[0, 1], [1, 1]]

    def test_what_is_ignored_is_not_looked_at(self):
        targets = torch.tensor([0, 255, 1])
        predictions = torch.tensor([0, -7, 1])
        found = sm.confusion_matrix(predictions, targets, 2, ignore_index=255)
        assert found.tolist() == [[1, 0], [0, 1]]

    def test_errors(self):
        one = torch.tensor([0, 1])
        for arguments, words in (
            ((one, one[:1], 2), r"targets must be \(2,\).*got \(1,\)"),
            ((one.float(), one, 2), "predictions must be whole numbers"),
            ((one, one.float(), 2), "targets must be whole numbers"),
            ((one, one + 1, 2), r"targets must lie in \[0, 1\], got \[1, 2\]"),
            ((one - 1, one, 2), r"predictions must lie in \[0, 1\], got \[-1, 0\]"),
            ((one, one, 0), "num_classes must be a whole number"),
        ):
            with pytest.raises(ValueError, match=words):
                sm.confusion_matrix(*arguments)
        with pytest.raises(ValueError, match="ignore_index must be a whole number"):
            sm.confusion_matrix(one, one, 2, ignore_index=1.5)


class TestMetrics:
    def test_by_hand(self):
        iou = [6 / 11, 3 / 6, 1 / 3]
        assert sm.class_iou(THREE).tolist() == pytest.approx(iou)
        expected = {
            "pixel_accuracy": 10 / 15,
            "mean_pixel_accuracy": (6 / 8 + 3 / 4 + 1 / 3) / 3,
            "mean_iou": sum(iou) / 3,
            "frequency_weighted_iou": (8 * iou[0] + 4 * iou[1] + 3 * iou[2]) / 15,
            "dice": (12 / 17 + 6 / 9 + 2 / 4) / 3,
        }
        for name, value in expected.items():
            assert getattr(sm, name)(THREE).item() == pytest.approx(value), name

    @given(st.integers(2, 7), st.integers(1, 60), st.integers(0, 2**20))
    @settings(max_examples=40, deadline=None)
    def test_are_scikit_learns(self, number, pixels, seed):
        predictions, targets = maps(number, (pixels,), seed)
        confusion = sm.confusion_matrix(predictions, targets, number)
        kinds = {"zero_division": 0.0}
        jaccard, f1 = (
            # Of labels that occur, which is its default.
            {
                average: score(targets, predictions, average=average, **kinds)
                for average in ("macro", "weighted")
            }
            for score in (metrics.jaccard_score, metrics.f1_score)
        )
        assert sm.mean_iou(confusion).item() == pytest.approx(jaccard["macro"])
        assert sm.frequency_weighted_iou(confusion).item() == pytest.approx(
            jaccard["weighted"]
        )
        assert sm.dice(confusion).item() == pytest.approx(f1["macro"])
        accuracy = metrics.accuracy_score(targets, predictions)
        assert sm.pixel_accuracy(confusion).item() == pytest.approx(accuracy)
        recall = metrics.recall_score(
            targets,
            predictions,
            labels=targets.unique().tolist(),
            average="macro",
            **kinds,
        )
        assert sm.mean_pixel_accuracy(confusion).item() == pytest.approx(recall)

    @pytest.mark.parametrize("ignore_index", [None, 0, 2])
    @pytest.mark.parametrize("absent", [None, 1])
    def test_are_torchmetrics(self, ignore_index, absent):
        predictions, targets = maps(4, (3, 9, 9))
        if absent is not None:
            predictions[predictions == absent] = 3
            targets[targets == absent] = 3
        confusion = sm.confusion_matrix(
            predictions, targets, 4, ignore_index=ignore_index
        )
        theirs = classification.multiclass_jaccard_index(
            predictions, targets, 4, ignore_index=ignore_index
        )
        ours = sm.mean_iou(confusion, ignore_index=ignore_index)
        assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)
        if ignore_index is None:
            for name, theirs in (
                (
                    "frequency_weighted_iou",
                    classification.multiclass_jaccard_index(
                        predictions, targets, 4, average="weighted"
                    ),
                ),
                ("dice", classification.multiclass_f1_score(predictions, targets, 4)),
                (
                    "pixel_accuracy",
                    classification.multiclass_accuracy(
                        predictions, targets, 4, average="micro"
                    ),
                ),
            ):
                ours = getattr(sm, name)(confusion)
                assert ours.item() == pytest.approx(theirs.item(), rel=1e-6)

    def test_torchmetrics_mean_iou_averages_pictures(self):
        predictions, targets = maps(4, (5, 9, 9))
        theirs = segmentation.mean_iou(
            predictions, targets, num_classes=4, input_format="index"
        )
        each = torch.stack(
            [
                sm.confusion_matrix(p, t, 4)
                for p, t in zip(predictions, targets, strict=True)
            ]
        )
        torch.testing.assert_close(sm.mean_iou(each).float(), theirs)

    def test_ignoring_before_or_behind_is_the_same(self):
        predictions, targets = maps(5, (7, 7))
        whole = sm.confusion_matrix(predictions, targets, 5)
        without = sm.confusion_matrix(predictions, targets, 5, ignore_index=3)
        for metric in (sm.mean_iou, sm.dice):
            values = [metric(each, ignore_index=3) for each in (whole, without)]
            assert values[0] == values[1]
            assert metric(without) < values[0]  # its column would count as a 0
        assert sm.class_iou(whole, ignore_index=3)[3].isnan()

    def test_dice_and_iou_of_a_class(self):
        iou = sm.class_iou(THREE)
        assert sm.dice(THREE).item() == pytest.approx((2 * iou / (1 + iou)).mean())

    @pytest.mark.parametrize("number", [1, 2, 5])
    def test_all_background(self, number):
        confusion = torch.zeros(number, number, dtype=torch.int64)
        confusion[:, 0] = torch.arange(number, 0, -1) ** 2
        accuracy = sm.pixel_accuracy(confusion).item()
        assert sm.mean_iou(confusion).item() == pytest.approx(accuracy / number)
        assert sm.mean_pixel_accuracy(confusion).item() == pytest.approx(1 / number)
        weighted = sm.frequency_weighted_iou(confusion).item()
        assert weighted == pytest.approx(accuracy**2)

    def test_perfect_and_nothing(self):
        for metric in METRICS:
            assert metric(torch.diag(torch.tensor([5, 0, 2]))) == 1
            assert metric(torch.zeros(3, 3, dtype=torch.int64)).isnan()
            assert metric(torch.zeros(0, 3, 3)).shape == (0,)

    def test_order(self):
        """PA >= FWIoU, since no union is smaller than its row; Dice >= IoU."""
        for seed in range(20):
            confusion = sm.confusion_matrix(*maps(4, (30,), seed), 4)
            assert sm.pixel_accuracy(confusion) >= sm.frequency_weighted_iou(confusion)
            assert sm.dice(confusion) >= sm.mean_iou(confusion)
            assert sm.mean_pixel_accuracy(confusion) >= sm.mean_iou(confusion)

    def test_stacks(self):
        stack = torch.stack([THREE, 2 * THREE, THREE.T]).view(3, 1, 3, 3)
        for metric in METRICS:
            values = metric(stack)
            assert values.shape == (3, 1)
            assert values[0, 0] == metric(THREE)
            assert values[2, 0] == metric(THREE.T)

    @pytest.mark.parametrize("name", [*NAMES, "class_iou"])
    def test_errors(self, name):
        metric = getattr(sm, name)
        for confusion in (THREE[:2], THREE[0]):
            with pytest.raises(ValueError, match=r"confusion must be \(..., K, K\)"):
                metric(confusion)
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            metric(THREE - 1)
        if name in ("class_iou", "mean_iou", "dice"):
            with pytest.raises(ValueError, match="ignore_index must be a whole number"):
                metric(THREE, ignore_index=0.5)


class TestBoundaryIoU:
    def test_by_hand(self):
        square = torch.zeros(9, 9, dtype=torch.bool)
        square[2:7, 2:7] = True  # a rim of 16
        moved = square.roll(1, 1)
        assert sm.boundary_iou(square, square) == 1
        shared = 4 + 4  # of the rows above and below
        assert sm.boundary_iou(square, moved).item() == pytest.approx(
            shared / (32 - shared)
        )
        inner = torch.zeros_like(square)
        inner[3:6, 3:6] = True
        assert sm.boundary_iou(square, inner) == 0
        assert sm.boundary_iou(square, inner, distance=2).item() == pytest.approx(
            8 / 25
        )

    def test_wide_rims_are_whole_masks(self):
        dice = torch.Generator().manual_seed(0)
        masks1, masks2 = (torch.rand(4, 8, 8, generator=dice) < 0.5 for _ in "12")
        iou = (masks1 & masks2).sum((1, 2)) / (masks1 | masks2).sum((1, 2))
        found = sm.boundary_iou(masks1, masks2, distance=8)
        torch.testing.assert_close(found, iou)

    def test_is_the_published_procedure(self):
        """Pad by a pixel of nothing, erode d times by 3 x 3, take off."""
        from scipy.ndimage import binary_erosion

        dice = torch.Generator().manual_seed(1)
        masks = torch.rand(2, 1, 1, 12, 12, generator=dice)
        masks = torch.nn.functional.interpolate(masks[:, 0], 24, mode="bicubic") > 0.5
        rims = []
        for mask in masks[:, 0].numpy():
            inner = binary_erosion(mask, np.ones((3, 3)), iterations=3)
            rims.append(mask & ~inner)
        expected = (rims[0] & rims[1]).sum() / (rims[0] | rims[1]).sum()
        found = sm.boundary_iou(masks[0, 0], masks[1, 0], distance=3)
        assert found.item() == pytest.approx(expected)

    def test_empty(self):
        nothing = torch.zeros(5, 5)
        assert sm.boundary_iou(nothing, nothing).isnan()
        assert sm.boundary_iou(nothing, torch.ones(5, 5)) == 0

    def test_errors(self):
        mask = torch.zeros(4, 4)
        with pytest.raises(ValueError, match=r"masks2 must be \(4, 4\)"):
            sm.boundary_iou(mask, mask[:3])
        with pytest.raises(ValueError, match="distance must be a whole number"):
            sm.boundary_iou(mask, mask, distance=0)
        with pytest.raises(ValueError, match="only 0 and 1"):
            sm.boundary_iou(mask, mask + 0.5)


class TestUNet:
    @pytest.mark.parametrize(("skip", "weights"), [(True, 121_213), (False, 109_117)])
    def test_shape_and_size(self, skip, weights):
        network = UNet(5, skip=skip)
        assert network(torch.zeros(2, 3, 16, 24)).shape == (2, 5, 16, 24)
        assert sum(p.numel() for p in network.parameters()) == weights

    def test_skips_carry_the_finest_detail(self):
        """Without them, all that is fine goes through the coarsest maps."""
        torch.manual_seed(0)
        image = torch.rand(1, 3, 16, 16)
        for skip, changes in ((True, True), (False, False)):
            network = UNet(2, widths=(4, 8), skip=skip).eval()
            network.up[0].weight.data.zero_()
            network.up[0].bias.data.zero_()
            with torch.no_grad():
                differ = (network(image) - network(image.flip(-1))).abs().max() > 1e-6
            assert differ == changes

    def test_errors(self):
        for arguments in ({"num_classes": 0}, {"num_classes": 2, "widths": (4,)}):
            with pytest.raises(ValueError, match="num_classes must|widths must"):
                UNet(**arguments)

    def test_learns(self):
        """Bright squares on a dark ground: a toy that a few steps suffice for."""
        dice = torch.Generator().manual_seed(0)
        classes = torch.zeros(32, 16, 16, dtype=torch.int64)
        for each in classes:
            y, x = torch.randint(0, 10, (2,), generator=dice)
            each[y : y + 6, x : x + 6] = 1
        images = (
            0.5 * torch.rand(32, 3, 16, 16, generator=dice) + 0.5 * classes[:, None]
        )
        torch.manual_seed(0)
        network = UNet(2, widths=(4, 8))
        history = train(
            network, images, classes, steps=100, batch_size=8, progress=False
        )
        assert history["loss"][-1] < 0.7 * history["loss"][0]
        confusion = sm.confusion_matrix(segment(network, images), classes, 2)
        assert sm.mean_iou(confusion) > 0.8
        again = UNet(2, widths=(4, 8))
        weight = torch.tensor([1.0, 5.0])
        train(
            again, images, classes, steps=2, batch_size=8, weight=weight, progress=False
        )

    def test_how_long_and_how_fast_it_learns_unasked(self):
        dice = torch.Generator().manual_seed(0)
        images = torch.rand(2, 3, 2, 2, generator=dice)
        classes = torch.randint(2, (2, 2, 2), generator=dice)
        network = nn.Conv2d(3, 2, 1)
        assert len(train(network, images, classes, progress=False)["loss"]) == 300
        twin, options = copy.deepcopy(network), {"steps": 2, "progress": False}
        train(network, images, classes, **options)
        train(twin, images, classes, learning_rate=4e-3, **options)
        assert torch.equal(network.weight, twin.weight)

    def test_bytes_are_standardized_as_shares(self):
        levels = torch.tensor([0, 51, 255], dtype=torch.uint8)
        images = levels[:, None, None, None].expand(3, 3, 2, 2)
        wanted = torch.tensor([-2, -1.2, 2])[:, None, None, None].expand(3, 3, 2, 2)
        torch.testing.assert_close(standardize(images), wanted)
        torch.testing.assert_close(standardize(images / 255), wanted)

    def test_errors_of_training(self):
        network, images = UNet(2, widths=(4, 8)), torch.rand(2, 3, 8, 8)
        with pytest.raises(ValueError, match=r"classes must be \(2, H, W\)"):
            train(network, images, torch.zeros(3, 8, 8).long(), progress=False)
        with pytest.raises(ValueError, match="must lie in"):
            segment(network, 255 * images)
        with pytest.raises(ValueError, match="at least one picture"):
            segment(network, images[:0])


class TestScenes:
    def test_stack_is_what_describe_says(self):
        drawn = Scenes(3, image_size=32)
        images, classes = stack_classes(drawn)
        assert images.shape == (3, 3, 32, 32)
        assert classes.dtype == torch.int64
        for index, painted in enumerate(classes):
            scene = drawn.describe(index)
            assert torch.equal(images[index], scene.image)
            assert torch.equal(painted > 0, scene.masks.any(0))
            for label, mask in zip(scene.labels, scene.masks, strict=True):
                assert (painted[mask] == label + 1).all()

    def test_paint(self):
        picture = paint_classes(torch.tensor([[0, 4]]))
        assert picture.shape == (3, 1, 2)
        last = [int(CLASS_COLORS[4][k : k + 2], 16) / 255 for k in (1, 3, 5)]
        assert picture[:, 0, 1].tolist() == pytest.approx(last)
        with pytest.raises(ValueError, match=r"classes must lie in \[0, 4\]"):
            paint_classes(torch.tensor([[5]]))


class TestStudies:
    def test_bundled_weights_do_what_their_card_says(self):
        path = WEIGHTS / "scene_segmenter.safetensors"
        assert path.stat().st_size <= 256_000
        card = verified_card(path)
        images, classes = stack_classes(
            Scenes(40, seed=1, image_size=64, max_objects=3)
        )
        predicted = segment(scene_segmenter(), images)
        found = sm.mean_iou(sm.confusion_matrix(predicted, classes, 5)).item()
        assert abs(found - card["mean_iou"]) < 0.1  # of 200 scenes, the first forty

    def test_study_is_of_these_networks(self):
        from studies.segmentation_metrics import NETWORKS

        study = read_study("segmentation_metrics")
        keys = {(row["network"], row["seed"]) for row in study["rows"]}
        assert keys == set(itertools.product(NETWORKS, study["seeds"]))


# Exercises --------------------------------------------------------------------------


def one_hot_confusion(predictions, targets, num_classes, *, ignore_index=None):
    """By products of indicators, where the solution counts pairs."""
    if predictions.shape != targets.shape or predictions.is_floating_point():
        raise ValueError("maps of whole numbers, of one shape")
    kept = torch.ones_like(targets, dtype=torch.bool)
    if ignore_index is not None:
        kept = targets != ignore_index
    predictions, targets = predictions[kept].long(), targets[kept].long()
    for classes in (predictions, targets):
        if len(classes) and not (min(classes) >= 0 and max(classes) < num_classes):
            raise ValueError("a class is out of range")
    kinds = torch.arange(num_classes)
    rows, columns = (
        (classes[:, None] == kinds).long() for classes in (targets, predictions)
    )
    return rows.T @ columns


def plain_confusion(predictions, targets, num_classes, *, ignore_index=None):
    if ignore_index is not None:
        kept = targets != ignore_index
        predictions, targets = predictions[kept], targets[kept]
    pairs = num_classes * targets.flatten() + predictions.flatten()
    return torch.bincount(pairs, minlength=num_classes**2).reshape(num_classes, -1)


def torchmetrics_confusion(predictions, targets, num_classes, *, ignore_index=None):
    return classification.multiclass_confusion_matrix(
        predictions, targets, num_classes, ignore_index=ignore_index
    )


def looped_mean(confusion, *, ignore_index=None):
    """In Python's numbers, class by class."""
    if confusion.dim() != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError("confusion must be square")
    rows = confusion.tolist()
    if any(count < 0 for row in rows for count in row):
        raise ValueError("confusion must not be negative")
    if ignore_index is not None and 0 <= ignore_index < len(rows):
        rows[ignore_index] = [0] * len(rows)
    scores = []
    for kind, row in enumerate(rows):
        union = sum(row) + sum(each[kind] for each in rows) - row[kind]
        if union and kind != ignore_index:
            scores.append(row[kind] / union)
    return torch.tensor(scores).mean()


def plain_mean(confusion, *, ignore_index=None):
    kept = torch.ones(len(confusion))
    if ignore_index is not None:
        kept[ignore_index] = 0
        confusion = confusion * kept[:, None]
    right = confusion.diag()
    union = confusion.sum(0) + confusion.sum(1) - right
    counted = (union > 0) & (kept > 0)
    return (right[counted] / union[counted]).mean()


def torchmetrics_mean(confusion, *, ignore_index=None, average="macro"):
    from torchmetrics.functional.classification import jaccard

    confusion = confusion.clone()
    if ignore_index is not None and ignore_index < len(confusion):
        confusion[ignore_index] = 0  # which it expects of its own confusion matrix
    return jaccard._jaccard_index_reduce(
        confusion, average=average, ignore_index=ignore_index
    )


def looped_weighted(confusion):
    if confusion.dim() != 2 or confusion.shape[0] != confusion.shape[1]:
        raise ValueError("confusion must be square")
    if (confusion < 0).any():
        raise ValueError("confusion must not be negative")
    total = 0.0
    for kind in range(len(confusion)):
        row, column = confusion[kind].sum(), confusion[:, kind].sum()
        if row:
            right = confusion[kind, kind]
            total = total + row * right / (row + column - right)
    return torch.as_tensor(total) / confusion.sum()


def plain_weighted(confusion):
    right, rows = confusion.diag(), confusion.sum(1)
    iou = right / (rows + confusion.sum(0) - right)
    return (rows * iou.nan_to_num()).sum() / rows.sum()


def swapped(predictions, targets, num_classes, *, ignore_index=None):
    return sm.confusion_matrix(
        predictions, targets, num_classes, ignore_index=ignore_index
    ).T


def once(predictions, targets, num_classes, *, ignore_index=None):
    found = sm.confusion_matrix(
        predictions, targets, num_classes, ignore_index=ignore_index
    )
    return (found > 0).long()


def short(predictions, targets, num_classes, *, ignore_index=None):
    if ignore_index is not None:
        kept = targets != ignore_index
        predictions, targets = predictions[kept], targets[kept]
    pairs = num_classes * targets.flatten() + predictions.flatten()
    return torch.bincount(pairs).reshape(num_classes, num_classes)


def deaf(predictions, targets, num_classes, *, ignore_index=None):
    return sm.confusion_matrix(predictions, targets, num_classes)


def deaf_and_plain(predictions, targets, num_classes, *, ignore_index=None):
    pairs = num_classes * targets.flatten() + predictions.flatten()
    counts = torch.bincount(pairs, minlength=num_classes**2)
    return counts.reshape(num_classes, num_classes)


def shares(predictions, targets, num_classes, *, ignore_index=None):
    found = sm.confusion_matrix(
        predictions, targets, num_classes, ignore_index=ignore_index
    )
    return found / found.sum(1, keepdim=True).clamp(min=1)


def mean_over_all(confusion, *, ignore_index=None):
    scores = sm.class_iou(confusion, ignore_index=ignore_index)
    kept = [k for k in range(len(scores)) if k != ignore_index]
    return scores[kept].nan_to_num().mean()


def mean_of_rows(confusion, *, ignore_index=None):
    left = confusion.clone()
    if ignore_index is not None and ignore_index < len(left):
        left[ignore_index] = 0
    return sm.mean_pixel_accuracy(left)


def mean_of_dice(confusion, *, ignore_index=None):
    return sm.dice(confusion, ignore_index=ignore_index)


def mean_of_everything(confusion, *, ignore_index=None):
    return sm.mean_iou(confusion)


def mean_less_a_column(confusion, *, ignore_index=None):
    left = confusion.clone()
    if ignore_index is not None and ignore_index < len(left):
        left[ignore_index], left[:, ignore_index] = 0, 0
    return sm.mean_iou(left)


def mean_that_ignores_late(confusion, *, ignore_index=None):
    scores = sm.class_iou(confusion)
    kept = [k for k in range(len(scores)) if k != ignore_index]
    return scores[kept].nanmean()


RIGHT = {
    "confusion_matrix": one_hot_confusion,
    "mean_iou": looped_mean,
    "frequency_weighted_iou": looped_weighted,
}
PLAIN = {
    "confusion_matrix": plain_confusion,
    "mean_iou": plain_mean,
    "frequency_weighted_iou": plain_weighted,
}
LIBRARY = {
    "confusion_matrix": torchmetrics_confusion,
    "mean_iou": torchmetrics_mean,
    "frequency_weighted_iou": lambda c: torchmetrics_mean(c, average="weighted"),
}
WRONG = {
    "confusion_matrix": [
        (swapped, "changed places"),
        (once, "adds 1 once"),
        (short, "minlength"),
        (deaf, "not heeded"),
        (deaf_and_plain, "not heeded"),
        (shares, "shares of each row"),
        (plain_confusion, "byte"),
    ],
    "mean_iou": [
        (mean_over_all, "counts as 0"),
        (mean_of_rows, "mean pixel accuracy"),
        (mean_of_dice, "Dice"),
        (mean_of_everything, "not heeded"),
        (mean_less_a_column, "Only the row goes"),
        (mean_that_ignores_late, "Take its row out first"),
    ],
    "frequency_weighted_iou": [
        (sm.mean_iou, "All classes weigh alike"),
        (sm.pixel_accuracy, "pixel accuracy"),
        (lambda c: sm.frequency_weighted_iou(c.T), "what was predicted"),
        (lambda c: sm.frequency_weighted_iou(c) * c.sum(), "are counts"),
        (lambda c: sm.frequency_weighted_iou(c) / len(c), "average them again"),
        (
            lambda c: (c.sum(1) * sm.class_iou(c)).sum() / c.sum(),
            "still NaN",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = segmentation_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
