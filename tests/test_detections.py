"""Detections: matching, precision and recall, average precision, and what is wrong."""

import importlib.util
import math
from collections import defaultdict

import pytest
import torch

from lesson_utils.common import detections as measures
from lesson_utils.common.detections import Detections

# Measures: held against loops over plain numbers that share no line with the module.


def iou_of(a, b):
    w = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    h = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h
    return w * h / whole if whole > 0 else 0.0


def average_precision_by_hand(detections, labels, label, threshold):
    """One class at one threshold; None if the class is in no picture."""
    reports = []
    for picture, (boxes, scores, classes) in enumerate(detections):
        for n in range(len(scores)):
            if classes[n] == label:
                reports.append((scores[n].item(), picture, boxes[n].tolist()))
    truths = defaultdict(list)
    for picture, rows in enumerate(labels.tolist()):
        for kind, *box in rows:
            if kind == label:
                truths[picture].append(box)
    total = sum(map(len, truths.values()))
    if not total:
        return None
    hits, curve = 0, []
    free = {picture: set(range(len(boxes))) for picture, boxes in truths.items()}
    for number, (_, picture, box) in enumerate(sorted(reports, key=lambda r: -r[0]), 1):
        best = max(
            free.get(picture, ()),
            key=lambda m, p=picture, b=box: iou_of(b, truths[p][m]),
            default=None,
        )
        if best is not None and iou_of(box, truths[picture][best]) >= threshold:
            free[picture].discard(best)
            hits += 1
        curve.append((hits / total, hits / number))
    area, before = 0.0, 0.0
    for recall, _ in curve:
        area += (recall - before) * max(p for r, p in curve if r >= recall)
        before = recall
    return area


def random_case(seed, pictures=6, classes=3):
    """Truths, and reports near them: wrong classes, doubles, empty pictures, ties."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape):
        return torch.rand(*shape, generator=generator)

    detections, labels = [], torch.full((pictures, 4, 5), -1.0)
    for picture in range(pictures):
        number = int(uniform(1) * 5)
        corner = 0.6 * uniform(number, 2)
        boxes = torch.cat([corner, corner + 0.1 + 0.3 * uniform(number, 2)], dim=1)
        kinds = (uniform(number) * classes).floor()
        labels[picture, :number] = torch.cat([kinds[:, None], boxes], dim=1)
        copies = int(uniform(1) * 4)
        near = boxes.repeat(copies, 1)
        near = near + 0.04 * (uniform(*near.shape) - 0.5)
        said = kinds.repeat(copies).long()
        said = torch.where(uniform(len(said)) < 0.2, (said + 1) % classes, said)
        scores = (uniform(len(said)) * 12).ceil() / 12
        detections.append(Detections(near, scores, said))
    return detections, labels


class TestMeasures:
    @pytest.mark.parametrize("seed", range(12))
    def test_by_hand(self, seed):
        detections, labels = random_case(seed)
        thresholds = (0.3, 0.5, 0.75)
        ours = measures.average_precisions(
            detections, labels, num_classes=3, iou_thresholds=thresholds
        )
        for label in range(3):
            for place, threshold in enumerate(thresholds):
                theirs = average_precision_by_hand(detections, labels, label, threshold)
                value = ours[label, place].item()
                if theirs is None:
                    assert math.isnan(value)
                else:
                    assert value == pytest.approx(theirs, abs=1e-6)

    def test_one_half_is_the_threshold_if_none_is_given(self):
        detections, labels = random_case(0)
        torch.testing.assert_close(
            measures.average_precisions(detections, labels, num_classes=3),
            measures.average_precisions(
                detections, labels, num_classes=3, iou_thresholds=(0.5,)
            ),
            equal_nan=True,
        )

    def test_mean_over_classes_that_are_there(self):
        box = torch.tensor([[0.1, 0.1, 0.5, 0.5]])
        found = Detections(box, torch.tensor([0.9]), torch.tensor([0]))
        other = Detections(box, torch.tensor([0.9]), torch.tensor([2]))
        labels = torch.tensor([[[0, 0.1, 0.1, 0.5, 0.5]], [[1, 0.1, 0.1, 0.5, 0.5]]])
        value = measures.mean_average_precision([found, other], labels, num_classes=3)
        assert value == 0.5  # class 0 is found, class 1 is not, class 2 is nowhere

    def test_all_thresholds(self):
        """An IoU of 0.8 is enough for seven of the ten."""
        found = Detections(
            torch.tensor([[0.0, 0, 0.8, 1]]), torch.ones(1), torch.tensor([0])
        )
        labels = torch.tensor([[[0.0, 0, 0, 1, 1]]])
        assert len(measures.COCO_THRESHOLDS) == 10
        assert measures.COCO_THRESHOLDS[::9] == (0.5, 0.95)
        value = measures.mean_average_precision(
            [found], labels, num_classes=1, iou_thresholds=measures.COCO_THRESHOLDS
        )
        assert value == pytest.approx(0.7)

    def test_near_the_hundred_and_one_points_of_coco(self):
        detections, labels = random_case(3, pictures=80)
        for label in range(3):
            scores, right, truths = measures.match_class(detections, labels, label)
            precision, recall = measures.precision_recall(scores, right[:, 0], truths)
            sampled = [
                max([p for p, r in zip(precision, recall, strict=True) if r >= k / 100],
                    default=0.0)
                for k in range(101)
            ]  # fmt: skip
            ours = measures.average_precision(scores, right[:, 0], truths)
            assert abs(ours - sum(sampled) / 101) < 0.01

    def test_no_reports(self):
        nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
        labels = torch.tensor([[[0.0, 0, 0, 1, 1]], [[-1.0, 0, 0, 0, 0]]])
        assert (
            measures.mean_average_precision([nothing] * 2, labels, num_classes=1) == 0
        )

    def test_no_truth_at_all(self):
        labels = torch.full((1, 2, 5), -1.0)
        nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
        with pytest.raises(ValueError, match="labels must hold an object"):
            measures.mean_average_precision([nothing], labels, num_classes=2)

    def test_a_report_takes_the_second_best_truth(self):
        truths = torch.tensor([[0.0, 0, 10, 10], [0, 1, 10, 11]])
        boxes = truths[[0, 0, 0]]
        right = measures.match_detections(boxes, truths, [0.5, 0.9])
        assert right.tolist() == [[True, True], [True, False], [False, False]]

    def test_at_the_threshold_is_enough(self):
        truth = torch.tensor([[0.0, 0, 10, 10]], dtype=torch.float64)
        box = torch.tensor([[0.0, 0, 10, 6]], dtype=torch.float64)
        assert measures.match_detections(box, truth, [0.6]).item()

    def test_curve(self):
        precision, recall = measures.precision_recall(
            torch.tensor([0.2, 0.9, 0.5]), torch.tensor([True, True, False]), 4
        )
        assert precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3])
        assert recall.tolist() == [0.25, 0.25, 0.5]

    def test_ties_keep_their_order(self):
        same, right = torch.full((2,), 0.5), torch.tensor([True, False])
        assert measures.average_precision(same, right, 1) == 1
        assert measures.average_precision(same, ~right, 1) == 0.5

    @pytest.mark.parametrize(
        ("scores", "right", "truths", "words"),
        [
            ([0.5, math.nan], [True, False], 2, "NaN for report 1"),
            ([0.5], [True, False], 2, "scores and is_right"),
            ([[0.5]], [[True]], 2, "scores and is_right"),
            ([0.5], [1.0], 2, "boolean"),
            ([0.5], [False], 0, "num_truths"),
            ([0.5, 0.4], [True, True], 1, "num_truths"),
        ],
    )
    def test_errors(self, scores, right, truths, words):
        with pytest.raises(ValueError, match=words):
            measures.average_precision(
                torch.tensor(scores), torch.tensor(right), truths
            )

    @pytest.mark.parametrize("thresholds", [(), (1.2,), (math.nan,)])
    def test_thresholds(self, thresholds):
        with pytest.raises(ValueError, match="iou_thresholds"):
            measures.match_detections(torch.zeros(1, 4), torch.zeros(1, 4), thresholds)

    def test_flipped_boxes(self):
        flipped = Detections(
            torch.tensor([[0.5, 0, 0.1, 1]]), torch.ones(1), torch.tensor([0])
        )
        labels = torch.tensor([[[0.0, 0, 0, 1, 1]]])
        with pytest.raises(ValueError, match="xyxy"):
            measures.mean_average_precision([flipped], labels, num_classes=1)

    @pytest.mark.parametrize("shape", [(2, 1, 5), (1, 5), (1, 1, 4)])
    def test_labels_of_other_pictures(self, shape):
        found = Detections(torch.zeros(1, 4), torch.ones(1), torch.zeros(1).long())
        with pytest.raises(ValueError, match="labels must be"):
            measures.match_class([found], torch.zeros(shape), 0)


class TestDiagnose:
    truths = torch.tensor(
        [[0, 0.0, 0, 0.4, 0.4], [1, 0.5, 0.5, 0.9, 0.9], [1, 0, 0.6, 0.2, 0.8],
         [-1, 0, 0, 0, 0]]
    )  # fmt: skip

    def found(self, *reports):
        boxes = torch.tensor([box for box, _ in reports])
        scores = torch.linspace(0.9, 0.5, len(reports))
        return Detections(boxes, scores, torch.tensor([label for _, label in reports]))

    def test_one_of_each(self):
        diagnosis = measures.diagnose(
            self.found(
                ([0.0, 0, 0.4, 0.4], 0),
                ([0.0, 0, 0.4, 0.38], 0),
                ([0.5, 0.5, 0.9, 0.9], 0),
                ([0.5, 0.5, 0.7, 0.7], 1),
                ([0.5, 0.0, 0.9, 0.3], 1),
            ),
            self.truths,
        )
        kinds = ["right", "duplicate", "confused", "badly placed", "nothing there"]
        assert diagnosis.kinds == kinds
        assert diagnosis.about.tolist() == [0, 0, 1, 1, -1]
        assert diagnosis.missed.tolist() == [False, False, True, False]

    def test_agrees_with_the_matching(self):
        """What is right for one rule is right for the other."""
        for seed in range(10):
            detections, labels = random_case(seed)
            for one, truths in zip(detections, labels, strict=True):
                order = one.scores.argsort(descending=True, stable=True)
                one = Detections(*(part[order] for part in one))
                kinds = measures.diagnose(one, truths).kinds
                right = 0
                for label in range(3):
                    _, hits, _ = measures.match_class([one], truths[None], label)
                    right += int(hits.sum())
                assert kinds.count("right") == right

    def test_nothing(self):
        nothing = Detections(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0).long())
        diagnosis = measures.diagnose(nothing, self.truths)
        assert diagnosis.kinds == []
        assert diagnosis.missed.tolist() == [True, True, True, False]
        lone = measures.diagnose(self.found(([0.0, 0, 1, 1], 0)), torch.zeros(0, 5))
        assert lone.kinds == ["nothing there"]

    def test_truths_of_another_shape(self):
        with pytest.raises(ValueError, match="truths must be"):
            measures.diagnose(self.found(([0.0, 0, 1, 1], 0)), torch.zeros(2, 4))


@pytest.mark.skipif(
    importlib.util.find_spec("pycocotools") is None
    or importlib.util.find_spec("torchmetrics") is None,
    reason="torchmetrics' MeanAveragePrecision needs pycocotools",
)
def test_near_torchmetrics():
    """COCO samples the curve at 101 recalls, so that equal means within a hundredth."""
    from torchmetrics.detection import MeanAveragePrecision

    detections, labels = random_case(5, pictures=60)
    metric = MeanAveragePrecision()
    metric.update(
        [{"boxes": b, "scores": s, "labels": k} for b, s, k in detections],
        [{"boxes": t[t[:, 0] >= 0, 1:], "labels": t[t[:, 0] >= 0, 0].long()}
         for t in labels],
    )  # fmt: skip
    theirs = metric.compute()
    for thresholds, name in (((0.5,), "map_50"), (measures.COCO_THRESHOLDS, "map")):
        ours = measures.mean_average_precision(
            detections, labels, num_classes=3, iou_thresholds=thresholds
        )
        assert ours == pytest.approx(theirs[name].item(), abs=0.01)
