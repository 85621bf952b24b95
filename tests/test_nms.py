"""NMS: by hand, greedy, vectorised and torchvision's, classes, soft, errors."""

import pytest
import torch
import torchvision
from d2l import torch as d2l
from hypothesis import given, settings
from hypothesis import strategies as st

from lesson_utils import nms as module
from lesson_utils.anchors import anchor_boxes, encode_offsets
from lesson_utils.checks import nms as nms_checks
from lesson_utils.common.boxes import box_iou, distance_box_iou
from lesson_utils.nms import (
    batched_nms,
    greedy_nms,
    multibox_detection,
    nms,
    soft_nms,
)
from tests.answers import ExerciseTests

# Two cats on each other (IoU 0.6), one apart.
CATS = torch.tensor([[0.0, 0, 4, 4], [1, 0, 5, 4], [8, 8, 9, 9]])


def crowd(seed, number, side=0.3, dtype=torch.float32):
    """Boxes in the unit square, some of them alike, and scores without ties."""
    generator = torch.Generator().manual_seed(seed)
    corner = torch.rand(number, 2, generator=generator)
    size = side * torch.rand(number, 2, generator=generator)
    boxes = torch.cat([corner, corner + size], dim=1)
    scores = torch.randperm(number, generator=generator) / max(number, 1)
    return boxes.to(dtype), scores.to(dtype)


@pytest.mark.parametrize("suppress", [greedy_nms, nms])
class TestSuppression:
    @pytest.mark.parametrize(
        ("threshold", "kept"), [(0.5, [1, 2]), (0.6, [1, 0, 2]), (1.0, [1, 0, 2])]
    )
    def test_by_hand(self, suppress, threshold, kept):
        """At the threshold itself a box stays: 12 / 20 is 0.6."""
        scores = torch.tensor([0.8, 0.9, 0.1])
        assert suppress(CATS, scores, threshold).tolist() == kept

    def test_what_was_deleted_deletes_nothing(self, suppress):
        """A chain: the second goes with the first, and the third stays."""
        chain = torch.tensor([[0.0, 0, 4, 1], [1, 0, 5, 1], [2, 0, 6, 1]])
        scores = torch.tensor([0.9, 0.8, 0.7])
        assert suppress(chain, scores, 0.5).tolist() == [0, 2]

    @pytest.mark.parametrize("listed", [True, False])
    def test_a_long_chain(self, suppress, listed, monkeypatch):
        """More than a block, each box deleting the next: every second stays."""
        if not listed:
            monkeypatch.setattr(module, "MAX_PAIRS", 0)
        number = 2 * module.BLOCK + 7
        start = torch.arange(number, dtype=torch.float32)
        zero = torch.zeros(number)
        boxes = torch.stack([start, zero, start + 4, zero + 1], dim=1)
        kept = suppress(boxes, -start, 0.5)
        assert kept.tolist() == list(range(0, number, 2))

    def test_ties_go_to_the_first(self, suppress):
        assert suppress(CATS[[0, 1, 0]], torch.ones(3), 0.5).tolist() == [0]
        assert suppress(CATS, torch.ones(3), 0.9).tolist() == [0, 1, 2]

    def test_none_and_one(self, suppress):
        kept = suppress(torch.zeros(0, 4), torch.zeros(0), 0.5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64
        assert suppress(CATS[:1], torch.ones(1), 0.0).tolist() == [0]

    def test_boxes_without_area_are_kept(self, suppress):
        points = torch.tensor([[1.0, 1, 1, 1]] * 3)
        assert suppress(points, torch.tensor([1.0, 3, 2]), 0.0).tolist() == [1, 2, 0]

    def test_scores_of_any_range(self, suppress):
        scores = torch.tensor([-torch.inf, -3.0, torch.inf])
        assert suppress(CATS, scores, 0.5).tolist() == [2, 1]

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
    def test_other_precisions(self, suppress, dtype):
        boxes, scores = crowd(5, 60)
        boxes = (boxes.to(dtype) * 300).to(dtype)  # areas are infinite in float16
        expected = torchvision.ops.nms(boxes.double(), scores.double(), 0.4)
        assert suppress(boxes, scores.double(), 0.4).tolist() == expected.tolist()

    def test_arguments_are_left_alone(self, suppress):
        boxes, scores = crowd(1, 30)
        before = boxes.clone(), scores.clone()
        suppress(boxes, scores, 0.3)
        assert torch.equal(boxes, before[0])
        assert torch.equal(scores, before[1])

    @pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
    def test_thresholds_that_will_not_do(self, suppress, threshold):
        with pytest.raises(ValueError, match=r"iou_threshold must lie in \[0, 1\]"):
            suppress(CATS, torch.ones(3), threshold)

    def test_scores_that_will_not_do(self, suppress):
        with pytest.raises(ValueError, match=r"\(3, 4\) and \(2,\)"):
            suppress(CATS, torch.ones(2), 0.5)
        with pytest.raises(ValueError, match="NaN for box 1"):
            suppress(CATS, torch.tensor([1, torch.nan, 2]), 0.5)

    @pytest.mark.parametrize("bad", [torch.nan, -5.0])
    def test_boxes_that_will_not_do(self, suppress, bad):
        boxes = CATS.clone()
        boxes[1, 2] = bad
        with pytest.raises(ValueError, match="boxes must be finite xyxy"):
            suppress(boxes, torch.ones(3), 0.5)


class TestEquality:
    def test_three_hundred_random_cases(self):
        for seed in range(300):
            boxes, scores = crowd(seed, seed % 50, side=0.02 + 0.4 * (seed % 3))
            threshold = (seed % 11) / 10
            kept = nms(boxes, scores, threshold)
            assert torch.equal(kept, greedy_nms(boxes, scores, threshold)), seed
            theirs = torchvision.ops.nms(boxes, scores, threshold)
            assert torch.equal(kept, theirs), seed

    @pytest.mark.parametrize("listed", [True, False])
    @pytest.mark.parametrize("side", [0.03, 0.3, 0.9])
    def test_listed_and_in_many_blocks(self, side, listed, monkeypatch):
        monkeypatch.setattr(module, "MAX_PAIRS", 2**30 * listed)
        monkeypatch.setattr(module, "MAX_SHARE", 1)
        boxes, scores = crowd(0, 3 * module.BLOCK + 11, side)
        for threshold in (0.1, 0.5, 0.8):
            theirs = torchvision.ops.nms(boxes, scores, threshold)
            assert torch.equal(nms(boxes, scores, threshold), theirs)

    @settings(deadline=None)
    @given(st.integers(0, 2**31), st.integers(0, 40), st.sampled_from([1, 2, 7]))
    def test_any_block(self, seed, number, block):
        boxes, scores = crowd(seed, number, 0.6)
        expected = greedy_nms(boxes, scores, 0.3)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "BLOCK", block)
            patch.setattr(module, "MAX_PAIRS", 0)
            assert torch.equal(nms(boxes, scores, 0.3), expected)

    def test_boxes_that_touch_or_stand_in_a_column(self):
        """Sides that are equal, along the axis by which pairs are listed."""
        corner = torch.arange(60) % 4 * 1.0
        boxes = torch.stack([corner, corner * 0, corner + 1, corner * 0 + 1], dim=1)
        scores = crowd(4, 60)[1]
        assert len(nms(boxes, scores, 0.0)) == 4
        assert torch.equal(nms(boxes, scores, 0.0), greedy_nms(boxes, scores, 0.0))

    def test_as_d2l(self):
        boxes, scores = crowd(3, 80, 0.5)
        assert torch.equal(nms(boxes, scores, 0.5), d2l.nms(boxes, scores, 0.5))

    def test_memory(self):
        """20,000 boxes need a table of a block, not one of all pairs."""
        boxes, scores = crowd(0, 20_000, 0.02)
        with torch.profiler.profile(profile_memory=True) as profile:
            assert len(nms(boxes, scores, 0.5)) > 10_000
        largest = max(event.self_cpu_memory_usage for event in profile.events())
        assert 10 * 2**20 < largest < 100 * 2**20  # all pairs, in bytes: 400 MB


def test_distance_spares_neighbors():
    """Two of one size side by side: IoU 0.6, but centers a fifth of the hull apart."""
    scores = torch.tensor([0.9, 0.8, 0.7])
    near = distance_box_iou(CATS[:1], CATS[1:2]).item()
    assert near < 0.59
    assert greedy_nms(CATS, scores, 0.59).tolist() == [0, 2]
    kept = greedy_nms(CATS, scores, 0.59, overlap=distance_box_iou)
    assert kept.tolist() == [0, 1, 2]


class TestClasses:
    def test_a_cat_deletes_no_dog(self):
        labels = torch.tensor([0, 1, 0])
        kept = batched_nms(CATS, torch.tensor([0.8, 0.9, 0.1]), labels, 0.5)
        assert kept.tolist() == [1, 0, 2]

    @pytest.mark.parametrize("seed", range(5))
    def test_as_torchvision(self, seed):
        boxes, scores = crowd(seed, 200)
        labels = torch.arange(200) % 7
        theirs = torchvision.ops.batched_nms(boxes, scores, labels, 0.4)
        assert torch.equal(batched_nms(boxes, scores, labels, 0.4), theirs)

    def test_ties_go_to_the_first(self):
        labels = torch.tensor([2, 1, 0])
        assert batched_nms(CATS, torch.ones(3), labels, 0.5).tolist() == [0, 1, 2]

    def test_negative_and_large_coordinates(self):
        """Where shifting each class by an offset goes wrong in float32."""
        boxes = CATS + 1e6
        labels = torch.tensor([0, 10_000, 10_000])
        scores = torch.tensor([0.8, 0.9, 0.95])
        assert batched_nms(boxes, scores, labels, 0.5).tolist() == [2, 1, 0]
        assert batched_nms(-boxes.flip(1), scores, labels, 0.5).tolist() == [2, 1, 0]

    def test_none_at_all(self):
        empty = torch.zeros(0)
        kept = batched_nms(torch.zeros(0, 4), empty, empty.long(), 0.5)
        assert kept.shape == (0,)
        assert kept.dtype == torch.int64

    def test_labels_of_another_number(self):
        with pytest.raises(ValueError, match=r"labels must be one for each score"):
            batched_nms(CATS, torch.ones(3), torch.ones(2), 0.5)


class TestSoft:
    def test_by_hand(self):
        """0.8 falls to 0.8 exp(-0.6 ** 2 / 0.5) = 0.389, and comes after 0.5."""
        rows, scores = soft_nms(CATS, torch.tensor([0.8, 0.9, 0.5]))
        assert rows.tolist() == [1, 2, 0]
        expected = [0.9, 0.5, 0.8 * 2.718281828 ** (-0.36 / 0.5)]
        assert scores.tolist() == pytest.approx(expected)

    @pytest.mark.parametrize("seed", range(5))
    def test_an_honest_loop(self, seed):
        boxes, scores = crowd(seed, 25, 0.6, torch.float64)
        iou, left = box_iou(boxes, boxes).tolist(), dict(enumerate(scores.tolist()))
        expected = []
        while left:
            best = max(left, key=left.get)
            score = left.pop(best)
            if score < 0.01:
                break
            expected.append((best, score))
            for other in left:
                left[other] *= 2.718281828459045 ** (-(iou[best][other] ** 2) / 0.3)
        rows, new = soft_nms(boxes, scores, sigma=0.3, score_threshold=0.01)
        assert rows.tolist() == [row for row, _ in expected]
        torch.testing.assert_close(new.tolist(), [score for _, score in expected])

    def test_scores_fall(self):
        boxes, scores = crowd(9, 100, 0.5)
        rows, new = soft_nms(boxes, scores)
        assert (new.diff() <= 0).all()
        assert (new <= scores[rows]).all()
        assert len(set(rows.tolist())) == len(rows)

    def test_without_overlap_nothing_changes(self):
        rows, new = soft_nms(CATS[[0, 2]], torch.tensor([0.2, 0.3]))
        assert rows.tolist() == [1, 0]
        assert new.tolist() == pytest.approx([0.3, 0.2])

    def test_none_at_all(self):
        rows, new = soft_nms(torch.zeros(0, 4), torch.zeros(0))
        assert (rows.shape, rows.dtype, new.shape) == ((0,), torch.int64, (0,))
        rows, _ = soft_nms(CATS, torch.full((3,), 0.1), score_threshold=0.5)
        assert rows.tolist() == []

    @pytest.mark.parametrize(
        ("wrong", "says"),
        [
            ({"sigma": 0.0}, "sigma must be finite and above 0, got 0.0"),
            ({"score_threshold": 2.0}, "score_threshold must lie"),
        ],
    )
    def test_arguments_that_will_not_do(self, wrong, says):
        with pytest.raises(ValueError, match=says):
            soft_nms(CATS, torch.ones(3), **wrong)

    def test_scores_that_are_no_probabilities(self):
        with pytest.raises(
            ValueError, match=r"scores must lie in \[0, 1\], got \[-1, 3\]"
        ):
            soft_nms(CATS, torch.tensor([-1.0, 3.0, 0.5]))


class TestDetection:
    anchors = anchor_boxes(4, 4, scales=[0.3, 0.6], ratios=[1.0])

    def perfect(self, boxes, labels, num_classes=3):
        """Outputs that say: the first anchors are these boxes, the rest background."""
        number, truth = len(boxes), torch.zeros(len(self.anchors), dtype=torch.int64)
        truth[:number] = labels + 1
        logits = 10.0 * torch.nn.functional.one_hot(truth, num_classes + 1)
        offsets = torch.zeros(len(self.anchors), 4)
        offsets[:number] = encode_offsets(self.anchors[:number], boxes)
        return logits[None], offsets[None]

    def test_what_goes_in_comes_out(self):
        boxes = torch.tensor([[0.1, 0.2, 0.4, 0.5], [0.6, 0.1, 0.9, 0.8]])
        labels = torch.tensor([2, 0])
        (found,) = multibox_detection(
            *self.perfect(boxes, labels), self.anchors, score_threshold=0.5
        )
        order = found.labels.argsort(descending=True)
        torch.testing.assert_close(found.boxes[order], boxes)
        assert found.labels[order].tolist() == [2, 0]
        assert (found.scores > 0.99).all()

    def test_only_background(self):
        logits = torch.tensor([9.0, 0, 0]).expand(1, len(self.anchors), 3)
        (found,) = multibox_detection(
            logits, torch.zeros(1, len(self.anchors), 4), self.anchors
        )
        assert found.boxes.shape == (0, 4)
        assert found.scores.shape == found.labels.shape == (0,)

    def test_the_threshold_is_a_threshold(self):
        """Doubles at IoU 0.54: kept or deleted by what is asked, not by 0.5."""
        boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5], [0.2, 0.1, 0.6, 0.5]])
        outputs = self.perfect(boxes, torch.tensor([1, 1]))
        numbers = [
            len(
                multibox_detection(
                    *outputs, self.anchors, iou_threshold=t, score_threshold=0.5
                )[0].boxes
            )
            for t in (0.3, 0.55, 0.7)
        ]
        assert numbers == [1, 1 + (3 / 5 <= 0.55), 2]

    def test_classes_do_not_delete_each_other(self):
        boxes = torch.tensor([[0.1, 0.1, 0.5, 0.5]] * 2)
        for labels, number in (([1, 1], 1), ([1, 2], 2)):
            outputs = self.perfect(boxes, torch.tensor(labels))
            (found,) = multibox_detection(*outputs, self.anchors, score_threshold=0.5)
            assert len(found.boxes) == number

    def test_as_d2l_for_one_class(self):
        """Of one class, and with every anchor above the score threshold."""
        generator = torch.Generator().manual_seed(0)
        # Small ones, so that none leaves the picture: d2l clips nothing.
        anchors = anchor_boxes(6, 6, scales=[0.08, 0.1], ratios=[1.0])
        logits = torch.randn(1, 72, 2, generator=generator)
        offsets = 0.5 * torch.randn(1, 72, 4, generator=generator)
        theirs = d2l.multibox_detection(
            logits.softmax(-1).mT, offsets.flatten(1), anchors[None], nms_threshold=0.4
        )[0]
        theirs = theirs[theirs[:, 0] >= 0]
        (found,) = multibox_detection(logits, offsets, anchors, iou_threshold=0.4)
        assert 36 <= len(theirs) < 72
        torch.testing.assert_close(found.scores, theirs[:, 1])
        torch.testing.assert_close(found.boxes, theirs[:, 2:], atol=1e-4, rtol=0)

    def test_a_batch_is_its_parts(self):
        generator = torch.Generator().manual_seed(1)
        number = len(self.anchors)
        logits = torch.randn(3, number, 4, generator=generator)
        offsets = torch.randn(3, number, 4, generator=generator)
        together = multibox_detection(logits, offsets, self.anchors)
        for index, found in enumerate(together):
            part = slice(index, index + 1)
            (alone,) = multibox_detection(logits[part], offsets[part], self.anchors)
            for one, other in zip(found, alone, strict=True):
                assert torch.equal(one, other)

    def test_the_most_detections(self):
        logits = torch.zeros(1, len(self.anchors), 4)
        offsets = torch.zeros(1, len(self.anchors), 4)
        (found,) = multibox_detection(logits, offsets, self.anchors, max_detections=5)
        assert len(found.boxes) == 5

    def test_what_lies_outside_of_the_picture_is_no_detection(self):
        """It has no area once it is clipped, and would push true boxes off the list."""
        outside = torch.tensor([[-0.5, 0.2, -0.1, 0.6], [0.2, 1.0, 0.6, 1.4]])
        anchors = torch.cat(
            [outside.repeat(75, 1), torch.tensor([[0.2, 0.2, 0.6, 0.6]])]
        )
        logits = torch.tensor([[0.0, 9.0]]).repeat(151, 1)
        logits[-1, 1] = 2.0  # the one true box, less sure than all of them
        (found,) = multibox_detection(logits[None], torch.zeros(1, 151, 4), anchors)
        torch.testing.assert_close(found.boxes, anchors[-1:])
        (found,) = multibox_detection(
            logits[None], torch.zeros(1, 151, 4), anchors, score_threshold=0
        )
        assert len(found.boxes) == 1

    def test_no_picture(self):
        empty = torch.zeros(0, len(self.anchors), 3)
        offsets = torch.zeros(0, len(self.anchors), 4)
        assert multibox_detection(empty, offsets, self.anchors) == []

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"logits": torch.zeros(1, 32, 1)}, "at least one class"),
            ({"offsets": torch.zeros(1, 3, 4)}, r"\(1, 3, 4\)"),
            ({"offsets": torch.zeros(1, 128)}, r"offsets \(B, A, 4\).*\(1, 128\)"),
            ({"anchors": torch.zeros(3, 4)}, r"\(3, 4\)"),
            ({"logits": torch.full((1, 32, 3), torch.nan)}, "logits must be finite"),
            ({"iou_threshold": 1.5}, "iou_threshold must lie"),
            ({"score_threshold": -1}, "score_threshold must lie"),
            ({"max_detections": 0}, "max_detections must be"),
        ],
    )
    def test_arguments_that_will_not_do(self, change, says):
        arguments = {
            "logits": torch.zeros(1, 32, 3),
            "offsets": torch.zeros(1, 32, 4),
            "anchors": self.anchors,
        }
        with pytest.raises(ValueError, match=says):
            multibox_detection(**(arguments | change))


# The exercises: right in another way, and wrong as readers write it.


def loop_of_comparisons(boxes, scores, iou_threshold):
    kept = []
    for row in sorted(range(len(boxes)), key=lambda row: -scores[row].item()):
        box = boxes[row][None]
        if all(box_iou(box, boxes[k][None]).item() <= iou_threshold for k in kept):
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)


def far_apart(boxes, scores, labels, iou_threshold):
    if not len(boxes):
        return labels
    extent = boxes.max() - boxes.min() + 1
    return nms(boxes.double() + (labels * extent)[:, None], scores, iou_threshold)


def unsorted(boxes, scores, iou_threshold):
    kept = []
    for row in range(len(boxes)):
        if all(
            box_iou(boxes[row, None], boxes[k, None]).item() <= iou_threshold
            for k in kept
        ):
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)


def all_pairs_at_once(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True, stable=True)
    over = box_iou(boxes[order], boxes[order]).triu(1) > iou_threshold
    return order[over.sum(0) == 0]


def wrong_end(boxes, scores, iou_threshold):
    return nms(boxes, -scores, iou_threshold)


def at_the_threshold(boxes, scores, iou_threshold):
    left = scores.argsort(descending=True, stable=True)
    kept = left[:0]
    while len(left):
        kept = torch.cat([kept, left[:1]])
        iou = box_iou(boxes[left[:1]], boxes[left])[0]
        iou[0] = 2
        left = left[iou < iou_threshold]
    return kept


def forgets_the_rows(boxes, scores, labels, iou_threshold):
    each = [labels == label for label in labels.unique()]
    kept = [nms(boxes[own], scores[own], iou_threshold) for own in each]
    kept = torch.cat([*kept, labels[:0]])
    return kept[scores[kept].argsort(descending=True)]


def in_order_of_class(boxes, scores, labels, iou_threshold):
    rows = [(labels == k).nonzero()[:, 0] for k in labels.unique()]
    kept = [r[nms(boxes[r], scores[r], iou_threshold)] for r in rows]
    return torch.cat([*kept, labels[:0]])


RIGHT = {"nms": loop_of_comparisons, "batched_nms": far_apart}
WRONG = {
    "nms": [
        (unsorted, "in which they come"),
        (all_pairs_at_once, "in a chain"),
        (wrong_end, "from the least sure"),
        (at_the_threshold, "is *larger*"),
        (lambda b, s, t: nms(b, s, 0.5), "always one half"),
        (lambda b, s, t: nms(b, s, t).sort().values, "sorted by row"),
    ],
    "batched_nms": [
        (forgets_the_rows, "rows_of_the_class"),
        (in_order_of_class, "one after another"),
        (lambda b, s, k, t: nms(b, s, t), "labels have no effect"),
        (lambda b, s, k, t: batched_nms(b, s, k, t).sort().values, "sorted by row"),
        (lambda b, s, k, t: nms(b + k[:, None], s, t), "shift each class by 1"),
        (
            lambda b, s, k, t: nms(b + k[:, None] * (b.max() if len(b) else 0), s, t),
            "begin below 0",
        ),
    ],
}


def nms_plainly(boxes, scores, iou_threshold):
    left = scores.argsort(descending=True)
    kept = []
    while len(left) > 0:
        best, left = left[0], left[1:]
        kept.append(best)
        left = left[box_iou(boxes[best][None], boxes[left])[0] <= iou_threshold]
    return torch.stack(kept)


def batched_nms_plainly(boxes, scores, labels, iou_threshold):
    kept = []
    for label in labels.unique():
        rows = torch.where(labels == label)[0]
        kept.append(rows[nms_plainly(boxes[rows], scores[rows], iou_threshold)])
    kept = torch.cat(kept)
    return kept[scores[kept].argsort(descending=True)]


# Right answers as readers write them, without a look at bad input.
PLAIN = {"nms": nms_plainly, "batched_nms": batched_nms_plainly}
LIBRARY = {"nms": torchvision.ops.nms, "batched_nms": torchvision.ops.batched_nms}


class TestExercises(ExerciseTests):
    checks, right, wrong = nms_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
