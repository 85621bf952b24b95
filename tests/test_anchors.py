"""Anchors: by hand, against d2l and torchvision, slow loops, degenerate cases."""

import math
import warnings

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lesson_utils import anchors as an
from lesson_utils.checks import anchors as anchors_checks
from lesson_utils.common.boxes import box_iou
from tests.answers import ExerciseTests

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from d2l import torch as d2l

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")
SEEDS = st.integers(0, 2**31)
NAN = math.nan


def random_boxes(*shape, seed=0, steps=0, dtype=torch.float32):
    """Boxes with an area; on a grid of `steps`, many of their overlaps are equal."""
    generator = torch.Generator().manual_seed(seed)
    if steps:
        start = torch.randint(0, steps, (*shape, 2), generator=generator)
        side = torch.randint(1, steps + 1, (*shape, 2), generator=generator)
        return torch.cat([start, start + side], dim=-1).to(dtype) / steps
    start = torch.rand(*shape, 2, generator=generator, dtype=dtype)
    side = 0.05 + 0.5 * torch.rand(*shape, 2, generator=generator, dtype=dtype)
    return torch.cat([start, start + side], dim=-1)


def random_labels(batch, number, seed=0, steps=0):
    generator = torch.Generator().manual_seed(seed)
    classes = torch.randint(0, 5, (batch, number, 1), generator=generator).float()
    return torch.cat([classes, random_boxes(batch, number, seed=seed, steps=steps)], -1)


def assign_slowly(anchors, boxes, threshold=0.5):
    """The six steps, one entry of the matrix at a time."""
    iou = box_iou(anchors, boxes).tolist()
    entries = [
        (-value, a, m) for a, row in enumerate(iou) for m, value in enumerate(row)
    ]
    bound = {}
    for _, a, m in sorted(entries):
        if a not in bound and m not in bound.values():
            bound[a] = m
    for a, row in enumerate(iou):
        if a not in bound and row and max(row) >= threshold:
            bound[a] = row.index(max(row))
    return [bound.get(a, -1) for a in range(len(anchors))]


class TestAnchorBoxes:
    def test_shapes_by_hand(self):
        shapes = an.anchor_shapes([0.5, 0.2], [1, 4])
        expected = torch.tensor([[0.5, 0.5], [0.2, 0.2], [1.0, 0.25]])
        torch.testing.assert_close(shapes, expected)

    def test_the_scale_is_the_root_of_the_area_and_the_ratio_is_width_to_height(self):
        width, height = an.anchor_shapes([0.3], [0.5, 1, 3]).T
        torch.testing.assert_close(width * height, torch.full((3,), 0.09))
        torch.testing.assert_close(width / height, torch.tensor([0.5, 1, 3]))

    def test_one_pixel_by_hand(self):
        got = an.anchor_boxes(1, 1, scales=[0.5], ratios=[1, 4])
        expected = [[0.25, 0.25, 0.75, 0.75], [0, 0.375, 1, 0.625]]
        torch.testing.assert_close(got, torch.tensor(expected))

    def test_a_ratio_of_one_is_square_in_pixels_on_a_wide_map(self):
        x1, y1, x2, y2 = an.anchor_boxes(2, 4, scales=[0.5], ratios=[1])[0].tolist()
        assert (x2 - x1) * 400 == pytest.approx((y2 - y1) * 200) == pytest.approx(100)

    @pytest.mark.parametrize(
        ("size", "scales", "ratios"),
        [
            ((1, 1), [0.5], [1]),
            ((3, 5), [0.75, 0.5, 0.25], [1, 2, 0.5]),
            ((7, 2), [0.9], [3, 0.2]),
            ((4, 4), [0.2, 1.3], [2]),
            ((38, 50), [0.1, 0.14], [1, 2, 3, 0.5, 1 / 3]),
        ],
    )
    def test_matches_d2l(self, size, scales, ratios):
        got = an.anchor_boxes(*size, scales=scales, ratios=ratios)
        expected = d2l.multibox_prior(torch.zeros(1, 3, *size), scales, ratios)[0]
        assert got.shape == (size[0] * size[1] * (len(scales) + len(ratios) - 1), 4)
        assert got.dtype == torch.float32
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)

    def test_matches_torchvision_whose_ratio_is_the_other_way_up(self):
        from torchvision.models.detection.anchor_utils import AnchorGenerator

        got = an.anchor_boxes(1, 1, scales=[0.5, 0.25], ratios=[2])
        theirs = AnchorGenerator().generate_anchors((50.0, 25.0), (0.5,))  # rounded
        torch.testing.assert_close((got - 0.5) * 100, theirs, rtol=0, atol=0.5)

    def test_pixels_one_by_one(self):
        options = {"scales": [0.3, 0.6], "ratios": [1, 2, 0.5]}
        each = [
            an.anchor_boxes_at_pixel(i, j, 3, 5, **options)
            for i in range(3)
            for j in range(5)
        ]
        torch.testing.assert_close(
            torch.cat(each), an.anchor_boxes(3, 5, **options), rtol=0, atol=1e-6
        )

    def test_several_maps(self):
        got = an.multiscale_anchors(
            [(4, 6), (2, 3)], scales=[[0.1], [0.4, 0.6]], ratios=[1, 2]
        )
        fine = an.anchor_boxes(4, 6, scales=[0.1], ratios=[1, 2])
        coarse = an.anchor_boxes(2, 3, scales=[0.4, 0.6], ratios=[1, 2])
        assert torch.equal(got, torch.cat([fine, coarse]))

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"height": 0}, "height must be a whole number >= 1, got 0"),
            ({"width": 2.0}, "width must be a whole number >= 1, got 2.0"),
            ({"scales": []}, r"scales must be.*got \[\]"),
            ({"scales": 0.5}, "scales must be a sequence"),
            ({"scales": [0.5, 0.0]}, "scales must be.*positive"),
            ({"ratios": [-1.0]}, r"ratios must be.*got \[-1.0\]"),
            ({"ratios": [NAN]}, "ratios must be"),
            ({"scales": [math.inf]}, "scales must be a sequence of finite"),
        ],
    )
    def test_errors(self, change, message):
        arguments = {"height": 2, "width": 2, "scales": [0.5], "ratios": [1]} | change
        height, width = arguments.pop("height"), arguments.pop("width")
        with pytest.raises(ValueError, match=message):
            an.anchor_boxes(height, width, **arguments)

    def test_errors_of_pixels_and_of_maps(self):
        with pytest.raises(ValueError, match="on the map of 2 x 3, got 2 and 0"):
            an.anchor_boxes_at_pixel(2, 0, 2, 3, scales=[0.5], ratios=[1])
        with pytest.raises(ValueError, match="got 1 for 2 feature_sizes"):
            an.multiscale_anchors([(2, 2), (1, 1)], scales=[[0.5]], ratios=[1])
        with pytest.raises(ValueError, match="got 0 for 0"):
            an.multiscale_anchors([], scales=[], ratios=[1])


class TestAssignAnchors:
    ANCHORS = torch.tensor([[0, 0, 4, 4], [2, 0, 6, 4], [0, 0, 2, 2], [8, 8, 9, 9.0]])

    def test_by_hand_with_one_best_anchor_for_two_truths(self):
        # Overlaps: anchor 0 has 12/16 with the first and 1 with the second truth.
        boxes = torch.tensor([[0, 0, 3, 4], [0, 0, 4, 4.0]])
        assert an.assign_anchors(self.ANCHORS, boxes).tolist() == [1, -1, 0, -1]

    def test_the_rest_takes_its_best_truth_from_the_threshold_on(self):
        box = torch.tensor([[0, 0, 4, 4.0]])
        half = torch.tensor([[0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 4, 1.9]])
        assert an.assign_anchors(half, box).tolist() == [0, 0, -1]
        assert an.assign_anchors(half, box, iou_threshold=0.51).tolist() == [0, -1, -1]
        assert an.assign_anchors(half, box, iou_threshold=0.4).tolist() == [0, 0, 0]

    @given(seed=SEEDS, a=st.integers(0, 12), m=st.integers(0, 7))
    @settings(max_examples=150, deadline=None)
    def test_matches_a_slow_loop_with_many_ties(self, seed, a, m):
        anchors = random_boxes(a, seed=seed, steps=4)
        boxes = random_boxes(m, seed=seed + 1, steps=4)
        got = an.assign_anchors(anchors, boxes, iou_threshold=0.4)
        assert got.dtype == torch.int64
        assert got.tolist() == assign_slowly(anchors, boxes, 0.4)

    @pytest.mark.parametrize("steps", [0, 4])
    def test_matches_d2l(self, steps):
        for seed in range(60):
            anchors = random_boxes(40, seed=seed, steps=steps)
            boxes = random_boxes(6, seed=1000 + seed, steps=steps)
            expected = d2l.assign_anchor_to_bbox(boxes, anchors, "cpu")
            assert torch.equal(an.assign_anchors(anchors, boxes), expected)

    def test_every_truth_has_an_anchor_of_its_own(self):
        anchors, boxes = random_boxes(30), random_boxes(9, seed=1)
        bound = an.assign_anchors(anchors, boxes, iou_threshold=1.0)
        assert sorted(bound[bound >= 0].tolist()) == list(range(9))

    def test_more_truths_than_anchors(self):
        boxes = torch.tensor([[0, 0, 4, 3], [0, 0, 4, 4], [2, 0, 6, 4.0]])
        assert an.assign_anchors(self.ANCHORS[:2], boxes).tolist() == [1, 2]

    def test_a_truth_that_nothing_overlaps_is_bound_to_the_first_free_anchor(self):
        boxes = torch.tensor([[0, 0, 4, 4], [20, 20, 21, 21.0]])
        assert an.assign_anchors(self.ANCHORS, boxes).tolist() == [0, 1, -1, -1]

    def test_zero_sized_boxes_are_no_nan(self):
        point = torch.tensor([[1, 1, 1, 1.0]])
        anchors = torch.cat([point, self.ANCHORS])
        boxes = torch.cat([point, self.ANCHORS[:1]])
        assert an.assign_anchors(anchors, boxes).tolist() == [0, 1, -1, -1, -1]

    def test_no_boxes_and_no_anchors(self):
        none = torch.zeros(0, 4)
        assert an.assign_anchors(self.ANCHORS, none).tolist() == [-1] * 4
        assert an.assign_anchors(none, self.ANCHORS).tolist() == []

    def test_does_not_touch_its_input(self):
        anchors, boxes = random_boxes(5), random_boxes(2, seed=1)
        copies = anchors.clone(), boxes.clone()
        an.assign_anchors(anchors, boxes)
        assert torch.equal(anchors, copies[0])
        assert torch.equal(boxes, copies[1])

    @pytest.mark.parametrize(
        ("anchors", "boxes", "threshold", "message"),
        [
            (ANCHORS, ANCHORS[:, [2, 3, 0, 1]], 0.5, "x1 <= x2"),
            (ANCHORS * NAN, ANCHORS, 0.5, "finite"),
            (ANCHORS, ANCHORS[None], 0.5, r"boxes \(M, 4\).*\(1, 4, 4\)"),
            (ANCHORS[None], ANCHORS, 0.5, r"anchors must be \(A, 4\)"),
            (ANCHORS, ANCHORS, 1.5, r"iou_threshold must lie in \[0, 1\], got 1.5"),
            (ANCHORS, ANCHORS, NAN, "iou_threshold must lie"),
        ],
    )
    def test_errors(self, anchors, boxes, threshold, message):
        with pytest.raises(ValueError, match=message):
            an.assign_anchors(anchors, boxes, iou_threshold=threshold)


class TestOffsets:
    def test_by_hand(self):
        anchor = torch.tensor([[0, 0, 10, 20.0]])
        box = torch.tensor([[1, 4, 11, 44.0]])  # one tenth and 14/20 further, twice h
        expected = torch.tensor([[1, 7, 0, 5 * math.log(2)]])
        torch.testing.assert_close(an.encode_offsets(anchor, box), expected)
        torch.testing.assert_close(
            an.encode_offsets(anchor, box, std=(1, 1, 1, 1)),
            torch.tensor([[0.1, 0.7, 0, math.log(2)]]),
        )

    @given(seed=SEEDS)
    @settings(max_examples=30, deadline=None)
    def test_round_trip(self, seed):
        anchors = random_boxes(2, 9, seed=seed, dtype=torch.float64)
        boxes = random_boxes(2, 9, seed=seed + 1, dtype=torch.float64)
        offsets = an.encode_offsets(anchors, boxes)
        torch.testing.assert_close(an.decode_offsets(anchors, offsets), boxes)

    def test_matches_d2l_up_to_its_constant(self):
        anchors, boxes = random_boxes(50), random_boxes(50, seed=1)
        got, theirs = (
            an.encode_offsets(anchors, boxes),
            d2l.offset_boxes(anchors, boxes),
        )
        torch.testing.assert_close(got, theirs, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(
            an.decode_offsets(anchors, got), d2l.offset_inverse(anchors, got)
        )

    def test_matches_torchvision(self):
        from torchvision.models.detection._utils import BoxCoder

        anchors, boxes = random_boxes(50), random_boxes(50, seed=1)
        expected = BoxCoder((10.0, 10.0, 5.0, 5.0)).encode_single(boxes, anchors)
        got = an.encode_offsets(anchors, boxes)
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)

    def test_moving_and_scaling_both_changes_nothing(self):
        anchors, boxes = (random_boxes(9, seed=s, dtype=torch.float64) for s in (0, 1))
        scale, shift = torch.tensor([300, 200.0] * 2), torch.tensor([7, -3.0] * 2)
        torch.testing.assert_close(
            an.encode_offsets(anchors * scale + shift, boxes * scale + shift),
            an.encode_offsets(anchors, boxes),
        )

    def test_gradients(self):
        anchors, boxes = (random_boxes(3, seed=s, dtype=torch.float64) for s in (0, 1))
        offsets = an.encode_offsets(anchors, boxes).requires_grad_()
        assert gradcheck(lambda x: an.decode_offsets(anchors, x), offsets)
        assert gradcheck(
            lambda x: an.encode_offsets(anchors, x), boxes.requires_grad_()
        )

    def test_no_boxes(self):
        none = torch.zeros(0, 4)
        assert an.encode_offsets(none, none).shape == (0, 4)
        assert an.decode_offsets(none, none).shape == (0, 4)

    @pytest.mark.parametrize(
        ("anchors", "boxes", "std", "message"),
        [
            ([[0, 0, 0, 1]], [[0, 0, 1, 1]], an.STD, "anchors must have a width and"),
            ([[0, 0, 1, 1]], [[0, 2, 1, 2]], an.STD, r"boxes must have.*\[0.0, 2.0"),
            ([[2, 0, 1, 1]], [[0, 0, 1, 1]], an.STD, "x1 <= x2"),
            ([[0, 0, 1, 1]], [[0, 0, 1, 1]], (1, 1, 0, 1), "std must be"),
            ([[0, 0, 1, 1]], [[0, 0, 1, 1]], (1, 1), "std must be four"),
        ],
    )
    def test_errors_of_encoding(self, anchors, boxes, std, message):
        with pytest.raises(ValueError, match=message):
            an.encode_offsets(
                torch.tensor(anchors).float(), torch.tensor(boxes).float(), std=std
            )

    @pytest.mark.parametrize("value", [NAN, math.inf, 1e5])
    def test_errors_of_decoding(self, value):
        anchor, offsets = torch.tensor([[0, 0, 1, 1.0]]), torch.zeros(1, 4)
        offsets[0, 2] = value
        with pytest.raises(ValueError, match="offsets must be finite and decode"):
            an.decode_offsets(anchor, offsets)
        with pytest.raises(ValueError, match=r"offsets must be \(..., N, 4\)"):
            an.decode_offsets(anchor, torch.zeros(1, 3))


class TestAnchorTargets:
    ANCHORS = an.anchor_boxes(6, 6, scales=[0.3, 0.5], ratios=[1, 2, 0.5])

    @pytest.mark.parametrize("steps", [0, 5])
    def test_matches_d2l_without_padding(self, steps):
        for seed in range(10):
            labels = random_labels(4, 5, seed=seed, steps=steps)
            got = an.anchor_targets(self.ANCHORS, labels)
            expected = d2l.multibox_target(self.ANCHORS[None], labels)
            flat, mask, classes = expected  # theirs are (B, 4A), (B, 4A), (B, A)
            expected = flat.unflatten(1, (-1, 4)), mask[:, ::4] > 0, classes
            for ours, theirs in zip(got, expected, strict=True):
                assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
                torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)

    def test_padding_changes_nothing(self):
        labels = random_labels(3, 4)
        labels[1, 1] = labels[2] = -1.0
        labels[0, 0, 0], labels[0, 0, 1:] = -1, torch.tensor([NAN, 9, 3, -math.inf])
        got = an.anchor_targets(self.ANCHORS, labels)
        for i, picture in enumerate(labels):
            alone = an.anchor_targets(self.ANCHORS, picture[None, picture[:, 0] >= 0])
            for together, single in zip(got, alone, strict=True):
                assert torch.equal(together[i], single[0])

    def test_a_batch_of_padding_alone(self):
        for labels in (torch.full((2, 3, 5), -1.0), torch.zeros(2, 0, 5)):
            offsets, mask, classes = an.anchor_targets(self.ANCHORS, labels)
            count = len(self.ANCHORS)
            assert offsets.shape == (2, count, 4)
            assert mask.shape == (2, count)
            assert classes.shape == (2, count)
            for result in (offsets, mask, classes):
                assert not result.any()

    def test_by_hand(self):
        anchors = torch.tensor([[0, 0, 0.5, 0.5], [0, 0, 0.4, 0.5], [0.6, 0.6, 1, 1]])
        labels = torch.tensor([[[2, 0, 0, 0.5, 0.5]]])
        offsets, mask, classes = an.anchor_targets(anchors, labels)
        assert classes.tolist() == [[3, 3, 0]]
        assert mask.tolist() == [[True, True, False]]
        grown = [1.25, 0, 5 * math.log(1.25), 0]  # (0.25 - 0.2) / 0.4 / 0.1
        expected = torch.tensor([[[0.0] * 4, grown, [0.0] * 4]])
        torch.testing.assert_close(offsets, expected)

    def test_options_are_handed_on(self):
        labels = random_labels(2, 3)
        offsets, mask, _ = an.anchor_targets(
            self.ANCHORS, labels, iou_threshold=0.3, std=(1, 1, 1, 1)
        )
        usual = an.anchor_targets(self.ANCHORS, labels)
        assert mask.sum() > usual[1].sum()
        ten = usual[0] * torch.tensor(an.STD)
        both = usual[1] & (usual[2] > 0)
        torch.testing.assert_close(offsets[both], ten[both])

    def test_dtype(self):
        labels = random_labels(1, 2).double()
        offsets, mask, classes = an.anchor_targets(self.ANCHORS.double(), labels)
        assert offsets.dtype == torch.float64
        assert mask.dtype == torch.bool
        assert classes.dtype == torch.int64

    @pytest.mark.parametrize(
        ("anchors", "labels", "message"),
        [
            (ANCHORS, [[0, 0, 0, 1, 1]], r"labels must be.*\(1, 5\)"),
            (ANCHORS, [[[0.5, 0, 0, 1, 1]]], "whole number.*got 0.5"),
            (ANCHORS, [[[-2, 0, 0, 1, 1]]], "got -2"),
            (ANCHORS, [[[NAN, 0, 0, 1, 1]]], "got nan"),
            (ANCHORS, [[[0, 0.5, 0, 0.2, 1]]], "x1 <= x2"),
            (ANCHORS, [[[0, 0.5, 0, 0.5, 1]]], "must have a width"),
            (torch.zeros(1, 4), [[[0, 0, 0, 1, 1]]], "anchors must have a width"),
        ],
    )
    def test_errors(self, anchors, labels, message):
        with pytest.raises(ValueError, match=message):
            an.anchor_targets(anchors, torch.tensor(labels).float())


# The exercises: right answers written in another way than the module's.


def box_iou_by_loop(boxes1, boxes2):
    for boxes in (boxes1, boxes2):
        for x1, y1, x2, y2 in boxes.tolist():
            if not (x1 <= x2 and y1 <= y2):
                raise ValueError("not a box")
    if not len(boxes1) or not len(boxes2):
        return boxes1.new_zeros(len(boxes1), len(boxes2))
    rows = []
    for a in boxes1:
        row = []
        for b in boxes2:
            w = (torch.min(a[2], b[2]) - torch.max(a[0], b[0])).clamp(min=0)
            h = (torch.min(a[3], b[3]) - torch.max(a[1], b[1])).clamp(min=0)
            areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
            row.append(w * h / (areas - w * h) if areas > 0 else 0 * areas)
        rows.append(torch.stack(row))
    return torch.stack(rows)


def anchors_of_d2l(row, column, height, width, *, scales, ratios):
    every = d2l.multibox_prior(torch.zeros(1, 1, height, width), scales, ratios)[0]
    return every.view(height, width, -1, 4)[row, column]


def assign_by_list(anchors, boxes, *, iou_threshold=0.5, verbose=False):
    return torch.tensor(assign_slowly(anchors, boxes, iou_threshold))


def decode_by_columns(anchors, offsets, *, std=(0.1, 0.1, 0.2, 0.2)):
    x1, y1, x2, y2 = anchors.unbind(1)
    dx, dy, dw, dh = (o * s for o, s in zip(offsets.unbind(1), std, strict=True))
    w, h = x2 - x1, y2 - y1
    left = x1 + w * (0.5 + dx - dw.exp() / 2)
    top = y1 + h * (0.5 + dy - dh.exp() / 2)
    return torch.stack([left, top, left + w * dw.exp(), top + h * dh.exp()], dim=1)


RIGHT = {
    "box_iou": box_iou_by_loop,
    "anchor_boxes_at_pixel": anchors_of_d2l,
    "assign_anchors": assign_by_list,
    "decode_offsets": decode_by_columns,
}


def sides(first, second):
    near = torch.max(first[:, None, :2], second[:, :2])
    return torch.min(first[:, None, 2:], second[:, 2:]) - near


def unclamped(first, second, guard):
    """Negative sides are multiplied; the union is guarded against 0 in some way."""
    if not all((boxes[:, 2:] >= boxes[:, :2]).all() for boxes in (first, second)):
        raise ValueError("not a box")
    shared = sides(first, second).prod(-1)
    return shared / guard(area(first)[:, None] + area(second) - shared)


def area(boxes):
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def cut(row, column, height, width, s, r, k):
    """One pixel's anchors of widths s and heights r, center shifted by k pixels."""
    x, y = (column + k) / width, (row + k) / height
    return torch.tensor(
        [
            (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
            for w, h in zip(s, r, strict=True)
        ]
    )


def pairs(scales, ratios):
    return [(s, ratios[0]) for s in scales] + [(scales[0], r) for r in ratios[1:]]


def of_shape(shape, k=0.5):
    def answer(row, column, height, width, *, scales, ratios):
        wide, high = zip(*(shape(s, r) for s, r in pairs(scales, ratios)), strict=True)
        wide = [w * height / width for w in wide]
        return cut(row, column, height, width, wide, high, k)

    return answer


def best_of_truths(anchors, boxes, *, iou_threshold=0.5):
    result = d2l_threshold(anchors, boxes, iou_threshold)
    if len(boxes):
        result[box_iou(boxes, anchors).argmax(1)] = torch.arange(len(boxes))
    return result


def d2l_threshold(anchors, boxes, iou_threshold=0.5):
    result = torch.full((len(anchors),), -1)
    for a, row in enumerate(box_iou(anchors, boxes)):
        if len(row) and row.max() >= iou_threshold:
            result[a] = row.argmax()
    return result


def decode_with(grow, std=None):
    def answer(anchors, offsets, *, std=std or an.STD):
        center = (anchors[:, :2] + anchors[:, 2:]) / 2
        side = anchors[:, 2:] - anchors[:, :2]
        scaled = offsets * torch.tensor(std, dtype=offsets.dtype)
        center, side = center + scaled[:, :2] * side, grow(scaled[:, 2:]) * side
        return torch.cat([center - side / 2, center + side / 2], dim=1)

    return answer


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "box_iou": [
        (
            lambda a, b: (
                sides(a, b).prod(-1)
                / (area(a)[:, None] + area(b) - sides(a, b).prod(-1))
            ),
            "before you multiply",
        ),
        (
            lambda a, b: unclamped(a, b, lambda u: u.where(u > 0, torch.inf)),
            "product is positive",
        ),
        (
            lambda a, b: sides(a, b).clamp(0).prod(-1) / (area(a)[:, None] + area(b)),
            "counts what they share twice",
        ),
        (
            lambda a, b: (
                sides(a, b).clamp(0).prod(-1)
                / torch.min(area(a)[:, None], area(b)).clamp(min=1e-9)
            ),
            "smaller area",
        ),
        (lambda a, b: box_iou(b, a), "changed places"),
        (lambda a, b: box_iou(a, b).diagonal(), "All pairs"),
        (
            lambda a, b: (
                sides(a, b).clamp(0).prod(-1)
                / (area(a)[:, None] + area(b) - sides(a, b).clamp(0).prod(-1))
            ),
            "0/0",
        ),
    ],
    "anchor_boxes_at_pixel": [
        (of_shape(lambda s, r: ((s * r) ** 0.5, (s / r) ** 0.5)), "make s the area"),
        (of_shape(lambda s, r: (s / r**0.5, s * r**0.5)), "upside down"),
        (of_shape(lambda s, r: (s * r, s / r)), "Without the root"),
        (of_shape(lambda s, r: (s * r**0.5, s / r**0.5), k=0), "pixel's corner"),
        (
            lambda i, j, h, w, *, scales, ratios: cut(
                i,
                j,
                h,
                w,
                [s * r**0.5 for s, r in pairs(scales, ratios)],
                [s / r**0.5 for s, r in pairs(scales, ratios)],
                0.5,
            ),
            "share of the height",
        ),
        (
            lambda i, j, h, w, *, scales, ratios: anchors_of_d2l(
                i, j, h, w, scales=scales, ratios=ratios
            ).clip(0, 1),
            "cut off",
        ),
    ],
    "assign_anchors": [
        (
            lambda a, b, *, iou_threshold=0.5: d2l_threshold(a, b, iou_threshold),
            "without an anchor",
        ),
        (best_of_truths, "same best anchor"),
        (
            lambda a, b, *, iou_threshold=0.5: an.assign_anchors(
                a, b, iou_threshold=1.0
            ),
            "Only the binding",
        ),
        (
            lambda a, b, *, iou_threshold=0.5: an.assign_anchors(
                a, b, iou_threshold=0.0
            ),
            "Every anchor gets a truth",
        ),
        (
            lambda a, b, *, iou_threshold=0.5: an.assign_anchors(a, b),
            "whatever was asked for",
        ),
        (
            lambda a, b, *, iou_threshold=0.5: an.assign_anchors(
                a, b, iou_threshold=iou_threshold + 1e-4
            ),
            "exactly the threshold",
        ),
    ],
    "decode_offsets": [
        (decode_with(lambda x: x), "offset of 0 leaves it"),
        (decode_with(lambda x: 1 + x), "1 + x"),
        (lambda a, o, *, std=an.STD: decode_with(torch.exp)(a, o), "use the one given"),
        (
            lambda a, o, *, std=an.STD: decode_with(torch.exp)(a, o, std=(1, 1, 1, 1)),
            "not used",
        ),
        (
            lambda a, o, *, std=an.STD: decode_with(torch.exp)(
                a, o, std=[1 / s for s in std]
            ),
            "once more",
        ),
    ],
}


def iou_of_corners(boxes1, boxes2):
    left = torch.max(boxes1[:, None, 0], boxes2[None, :, 0])
    top = torch.max(boxes1[:, None, 1], boxes2[None, :, 1])
    right = torch.min(boxes1[:, None, 2], boxes2[None, :, 2])
    bottom = torch.min(boxes1[:, None, 3], boxes2[None, :, 3])
    both = (right - left).clamp(min=0) * (bottom - top).clamp(min=0)
    return both / (area(boxes1)[:, None] + area(boxes2)[None] - both)


def anchors_in_python(row, column, height, width, *, scales, ratios):
    boxes = []
    for s, r in [(s, ratios[0]) for s in scales] + [(scales[0], r) for r in ratios[1:]]:
        w, h = s * math.sqrt(r) * height / width, s / math.sqrt(r)
        x, y = (column + 0.5) / width, (row + 0.5) / height
        boxes.append([x - w / 2, y - h / 2, x + w / 2, y + h / 2])
    return torch.tensor(boxes)


def assign_in_steps(anchors, boxes, *, iou_threshold=0.5):
    iou = torchvision.ops.box_iou(anchors, boxes)
    best, bound = iou.max(dim=1)
    bound[best < iou_threshold] = -1
    for _ in range(len(boxes)):
        a, m = divmod(iou.argmax().item(), len(boxes))
        bound[a] = m
        iou[a], iou[:, m] = -1, -1
    return bound


def decode_by_formula(anchors, offsets, *, std=(0.1, 0.1, 0.2, 0.2)):
    wide, high = anchors[:, 2] - anchors[:, 0], anchors[:, 3] - anchors[:, 1]
    x = (anchors[:, 0] + anchors[:, 2]) / 2 + offsets[:, 0] * std[0] * wide
    y = (anchors[:, 1] + anchors[:, 3]) / 2 + offsets[:, 1] * std[1] * high
    w, h = wide * (offsets[:, 2] * std[2]).exp(), high * (offsets[:, 3] * std[3]).exp()
    return torch.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], 1)


def decode_of_torchvision(anchors, offsets, *, std=(0.1, 0.1, 0.2, 0.2)):
    coder = torchvision.models.detection._utils.BoxCoder([1 / s for s in std])
    return coder.decode_single(offsets, anchors)


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "box_iou": iou_of_corners,
    "anchor_boxes_at_pixel": anchors_in_python,
    "assign_anchors": assign_in_steps,
    "decode_offsets": decode_by_formula,
}
LIBRARY = {
    "box_iou": torchvision.ops.box_iou,
    "anchor_boxes_at_pixel": anchors_of_d2l,
    "assign_anchors": "d2l's has a threshold of one half, whatever is asked for",
    "decode_offsets": decode_of_torchvision,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = anchors_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
