"""The exercises of the chapter `book/detection/anchors.ipynb`."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
import torchvision
from torch import Tensor

from lesson_utils import anchors as an
from lesson_utils.common import boxes as common
from lesson_utils.grading.draws import seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _boxes(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = seeded(seed)
    start = torch.rand(*shape, 2, generator=generator, dtype=dtype)
    side = 0.1 + 0.6 * torch.rand(*shape, 2, generator=generator, dtype=dtype)
    return torch.cat([start, start + side], dim=-1)


# box_iou ----------------------------------------------------------------------------


def _box_iou_cases() -> Iterator[Case]:
    left = torch.tensor([[0.0, 0, 2, 2]])
    right = torch.tensor([[1.0, 0, 3, 2]])
    expected = torch.tensor([[1 / 3]])
    yield Case("two squares that share a half", (left, right), expected=expected)
    third = torch.tensor([[0.0, 0, 2, 2], [5, 5, 6, 8], [1, 1, 2, 2]])
    yield Case(
        "the same, apart on both axes, and inside",
        (left, third),
        expected=torch.tensor([[1.0, 0, 0.25]]),
    )
    first, second = _boxes(5), _boxes(3, seed=1)
    for name, args in {
        "5 boxes against 3": (first, second),
        "float32, pixels": (300 * first.float(), 300 * second.float()),
    }.items():
        yield Case.from_reference(name, torchvision.ops.box_iou, *args)
    yield Case.from_reference(
        "its gradient", torchvision.ops.box_iou, first, second, gradient=True
    )
    points = torch.tensor([[1.0, 1, 1, 1], [0, 0, 2, 2]])
    yield Case(
        "boxes without area",
        (points, points),
        expected=torch.tensor([[0.0, 0], [0, 1]]),
        hardening=True,
    )
    none = torch.zeros(0, 4)
    yield Case("no boxes", (none, left), expected=torch.zeros(0, 1), hardening=True)
    flipped = left[:, [2, 3, 0, 1]]
    yield Case("a box with x2 < x1", (left, flipped), raises=ValueError)
    hole = torch.tensor([[0.0, math.nan, 2, 2]])
    yield Case("a box with NaN", (hole, left), raises=ValueError)


def _refuse(*sets: Tensor) -> None:
    for boxes in sets:
        if not (boxes[:, 2:] >= boxes[:, :2]).all():
            raise ValueError("not xyxy")


def _iou(boxes1, boxes2, clamp="before", extra=0.0, union="either", safe=True):
    """The right answer, with parts of it changed on request."""
    _refuse(boxes1, boxes2)
    near = torch.maximum(boxes1[:, None, :2], boxes2[:, :2])
    sides = torch.minimum(boxes1[:, None, 2:], boxes2[:, 2:]) - near + extra
    both = sides.clamp(min=0).prod(-1) if clamp == "before" else sides.prod(-1)
    both = both.clamp(min=0) if clamp == "after" else both
    area1, area2 = ((b[:, 2:] - b[:, :2] + extra).prod(-1) for b in (boxes1, boxes2))
    whole = {
        "either": area1[:, None] + area2 - both,
        "sum": area1[:, None] + area2 + 0 * both,
        "smaller": torch.minimum(area1[:, None], area2) + 0 * both,
        "first": area1[:, None] + 0 * both,
    }[union]
    if safe == "selected":
        return torch.where(whole > 0, both / whole.where(whole > 0, 1.0), 0.0)
    return both / (whole.where(whole != 0, 1e-30) if safe else whole)


_no_clamp = partial(_iou, clamp="never")
_no_clamp_selected = partial(_no_clamp, safe="selected")
_clamp_late = partial(_iou, clamp="after")
_sum_of_areas = partial(_iou, union="sum")
_smaller_area = partial(_iou, union="smaller")
_first_area = partial(_iou, union="first")
_pixels_counted = partial(_iou, extra=1.0)
_divides_by_zero = partial(_iou, safe=False)


def _transposed(boxes1, boxes2):
    return _iou(boxes2, boxes1)


def _row_by_row(boxes1, boxes2):
    count = min(len(boxes1), len(boxes2))
    return _iou(boxes1[:count], boxes2[:count]).diagonal()


def _believes_anything(boxes1, boxes2):
    near = torch.maximum(boxes1[:, None, :2], boxes2[:, :2])
    both = (torch.minimum(boxes1[:, None, 2:], boxes2[:, 2:]) - near).clamp(min=0)
    both = both.prod(-1)
    areas = [(b[:, 2:] - b[:, :2]).prod(-1) for b in (boxes1, boxes2)]
    return both / (areas[0][:, None] + areas[1] - both).clamp(min=1e-30)


_BOX_IOU = Exercise(
    name="box_iou",
    solution=common.box_iou,
    cases=_box_iou_cases,
    mistakes=(
        *(
            Mistake(
                "Boxes that are apart on both axes have two negative sides, and their "
                "product is positive. Clamp both sides at 0 before you multiply.",
                answer,
            )
            for answer in (_no_clamp, _no_clamp_selected)
        ),
        Mistake(
            "You clamp the product. Two negative sides have a positive one: clamp "
            "both sides at 0 first.",
            _clamp_late,
        ),
        Mistake(
            "The sum of two areas counts what they share twice. Subtract the "
            "intersection once.",
            _sum_of_areas,
        ),
        Mistake(
            "You divide by the smaller area: then every box inside another scores 1. "
            "Divide by the union.",
            _smaller_area,
        ),
        Mistake(
            "You divide by the area of the first box. Divide by the union: the two "
            "areas, less what they share.",
            _first_area,
        ),
        Mistake(
            "A 1 is added to the sides. Here coordinates are edges: a box from 0 to 2 "
            "is 2 wide.",
            _pixels_counted,
        ),
        Mistake(
            "Two boxes without area are 0/0, which is NaN. They score 0: bound the "
            "union from below by a tiny number.",
            _divides_by_zero,
        ),
        Mistake(
            "Rows and columns have changed places: entry (i, j) belongs to the i-th "
            "of `boxes1` and the j-th of `boxes2`.",
            _transposed,
        ),
        Mistake(
            "You compare the i-th box with the i-th only. All pairs are wanted: "
            "`boxes1[:, None]` against `boxes2`.",
            _row_by_row,
        ),
        Mistake(
            "A box with x2 < x1, or with NaN, goes through unnoticed. Raise a "
            "`ValueError` unless `x1 <= x2` and `y1 <= y2`, which NaN never is.",
            _believes_anything,
        ),
    ),
    hints=(
        "The intersection of two boxes is a box: which is its left edge, which its "
        "right?",
        "`torch.maximum(boxes1[:, None, :2], boxes2[:, :2])` holds the top left "
        "corners of all intersections, (N, M, 2).",
        "Sides below 0 mean that there is none: clamp them at 0, multiply, and divide "
        "by the two areas less the intersection.",
    ),
)


# anchor_boxes_at_pixel --------------------------------------------------------------


def _anchors_by_loop(row, column, height, width, *, scales, ratios):
    """Python's floats, one anchor after another."""
    pairs = [(s, ratios[0]) for s in scales] + [(scales[0], r) for r in ratios[1:]]
    x, y = (column + 0.5) / width, (row + 0.5) / height
    boxes = []
    for scale, ratio in pairs:
        half_height = scale / math.sqrt(ratio) / 2
        half_width = half_height * ratio * height / width
        corners = x - half_width, y - half_height, x + half_width, y + half_height
        boxes.append(corners)
    return torch.tensor(boxes)


def _pixel_cases() -> Iterator[Case]:
    yield Case(
        "a map of one pixel, a square and a wide anchor",
        (0, 0, 1, 1),
        {"scales": [0.5], "ratios": [1, 4]},
        expected=torch.tensor([[0.25, 0.25, 0.75, 0.75], [0, 0.375, 1, 0.625]]),
    )
    yield Case(
        "a scale, at its largest",
        (0, 0, 1, 1),
        {"scales": [1.0], "ratios": [1]},
        expected=torch.tensor([[0.0, 0, 1, 1]]),
    )
    for name, args, scales, ratios in (
        ("three scales, one ratio", (1, 2, 4, 4), [0.75, 0.5, 0.25], [1]),
        ("three scales, three ratios", (1, 2, 4, 4), [0.75, 0.5, 0.2], [1, 2, 0.5]),
        ("a wide map", (1, 4, 3, 6), [0.3, 0.4], [1, 3]),
        ("a tall map, and no ratio of 1", (5, 0, 8, 2), [0.2, 0.9], [0.5, 2]),
    ):
        yield Case.from_reference(
            name, _anchors_by_loop, *args, scales=scales, ratios=ratios
        )


def _pixel(
    row, column, height, width, scales, ratios,
    *, shape="side", centre=0.5, aspect=True, half=2, pairs="with the first",
):  # fmt: skip
    """The right answer, with parts of it changed on request."""
    chosen = {
        "with the first": [(s, ratios[0]) for s in scales]
        + [(scales[0], r) for r in ratios[1:]],
        "all": [(s, r) for s in scales for r in ratios],
        "ratios first": [(scales[0], r) for r in ratios]
        + [(s, ratios[0]) for s in scales[1:]],
    }[pairs]
    x, y = (column + centre) / width, (row + centre) / height
    boxes = []
    for s, r in chosen:
        w, h = {
            "side": (s * r**0.5, s / r**0.5),
            "notes": ((s * r) ** 0.5, (s / r) ** 0.5),
            "inverted": (s / r**0.5, s * r**0.5),
            "no root": (s * r, s / r),
        }[shape]
        w = w * height / width if aspect else w
        boxes.append((x - w / half, y - h / half, x + w / half, y + h / half))
    return torch.tensor(boxes)


_notes_formula = partial(_pixel, shape="notes")
_ratio_inverted = partial(_pixel, shape="inverted")
_no_root = partial(_pixel, shape="no root")
_no_aspect = partial(_pixel, aspect=False)
_corner = partial(_pixel, centre=0.0)
_twice_the_size = partial(_pixel, half=1)
_every_pair = partial(_pixel, pairs="all")
_ratios_first = partial(_pixel, pairs="ratios first")


def _row_is_x(row, column, height, width, *, scales, ratios):
    right = _pixel(row, column, height, width, scales, ratios)
    moved = (row + 0.5) / width - (column + 0.5) / width
    down = (column + 0.5) / height - (row + 0.5) / height
    return right + torch.tensor([moved, down, moved, down])


def _clipped(row, column, height, width, *, scales, ratios):
    return _pixel(row, column, height, width, scales, ratios).clamp(0, 1)


_PIXEL = Exercise(
    name="anchor_boxes_at_pixel",
    solution=an.anchor_boxes_at_pixel,
    cases=_pixel_cases,
    mistakes=(
        Mistake(
            "`√(s r)` and `√(s / r)` make s the area: at s = 0.5 the square has a side "
            "of 0.71. Here s is the side: width `s √r`, height `s / √r`.",
            _notes_formula,
        ),
        Mistake(
            "The ratio is upside down: it is width to height, so that 4 is a wide "
            "anchor.",
            _ratio_inverted,
        ),
        Mistake(
            "Without the root, a ratio of 4 makes an anchor 16 times as wide as high. "
            "Width `s √r`, height `s / √r`.",
            _no_root,
        ),
        Mistake(
            "A share of the width is not a share of the height. In shares of the "
            "picture's width, the width is `s √r · height / width`.",
            _no_aspect,
        ),
        Mistake(
            "The anchor stands on the pixel's corner. Its center is half a pixel "
            "further: `(column + 0.5) / width`.",
            _corner,
        ),
        Mistake(
            "The anchors are twice as large: a side reaches half of it to each side "
            "of the center.",
            _twice_the_size,
        ),
        Mistake(
            "Every scale meets every ratio here. Only the pairs that hold the first "
            "scale or the first ratio are wanted: n + m − 1 of them.",
            _every_pair,
        ),
        Mistake(
            "The anchors are right and their order is not: first all scales with the "
            "first ratio, then the other ratios with the first scale.",
            _ratios_first,
        ),
        Mistake(
            "Row and column have changed places: the column is the x, the row the y.",
            _row_is_x,
        ),
        Mistake(
            "The anchors are cut off at the picture's edge. They may reach out of it.",
            _clipped,
        ),
    ),
    hints=(
        "Two equations give a shape: width times height is s², width over height is r.",
        "All scales take `ratios[0]`; the other ratios take `scales[0]`.",
        "In shares of the height the sides are `s √r` and `s / √r`. The width becomes "
        "a share of the width by a factor of `height / width`.",
    ),
)


# assign_anchors ---------------------------------------------------------------------


def _assign_by_sorting(anchors, boxes, *, iou_threshold=0.5):
    """All entries from the largest down; sorting is stable, so the first of ties."""
    iou = torchvision.ops.box_iou(anchors, boxes).nan_to_num(0).double().numpy()
    bound = np.full(len(anchors), -1)
    for entry in np.argsort(-iou, axis=None, kind="stable"):
        a, m = np.unravel_index(entry, iou.shape)
        if bound[a] < 0 and m not in bound:
            bound[a] = m
    for a in range(len(anchors)):
        if bound[a] < 0 and len(boxes) and iou[a].max() >= iou_threshold:
            bound[a] = iou[a].argmax()
    return torch.from_numpy(bound).long()


_ROW = torch.tensor([[0.0, 0, 4, 4], [2, 0, 6, 4], [0, 0, 2, 2], [8, 8, 9, 9]])


def _assign_cases() -> Iterator[Case]:
    truth = torch.tensor([[0.0, 0, 4, 4]])
    halves = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2], [0, 0, 4, 1]])
    yield Case(
        "one truth; anchors at IoU 1, 0.5 and 0.25",
        (halves, truth),
        expected=torch.tensor([0, 0, -1]),
    )
    yield Case(
        "one truth that no anchor meets at 0.5",
        (halves[2:], truth),
        expected=torch.tensor([0]),
    )
    two = torch.tensor([[0.0, 0, 3, 4], [0, 0, 4, 4]])
    yield Case(
        "one anchor is the best of two truths",
        (_ROW, two),
        expected=torch.tensor([1, -1, 0, -1]),
    )
    yield Case(
        "a threshold of 0.2",
        (halves, truth),
        {"iou_threshold": 0.2},
        expected=torch.tensor([0, 0, 0]),
    )
    # The second truth's only good anchor overlaps the first truth even more.
    near = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    truths = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 6]])
    yield Case(
        "a bound anchor that overlaps another truth more",
        (near, truths),
        expected=torch.tensor([0, 1]),
    )
    for seed, threshold in ((0, 0.5), (1, 0.3)):
        anchors, boxes = _boxes(20, seed=seed), _boxes(5, seed=seed + 10)
        yield Case.from_reference(
            f"20 anchors, 5 truths, threshold {threshold}",
            _assign_by_sorting,
            anchors,
            boxes,
            iou_threshold=threshold,
        )
    yield Case(
        "no truths",
        (_ROW, torch.zeros(0, 4)),
        expected=torch.tensor([-1, -1, -1, -1]),
        hardening=True,
    )
    three = torch.tensor([[0.0, 0, 4, 3], [0, 0, 4, 4], [2, 0, 6, 4]])
    yield Case(
        "three truths, two anchors",
        (_ROW[:2], three),
        expected=torch.tensor([1, 2]),
        hardening=True,
    )


def _bind(iou, bound, *, rows=True, columns=True, floor=-1.0):
    """The binding, with a deletion left out on request."""
    iou = iou.clone()
    for _ in range(iou.shape[1]):
        entry = int(iou.argmax())
        a, m = divmod(entry, iou.shape[1])
        if iou[a, m] <= floor:
            break
        bound[a] = m
        if columns:
            iou[:, m] = -1
        if rows:
            iou[a] = -1
    return bound


def _nobody(anchors):
    return torch.full((len(anchors),), -1)


def _from_threshold(iou, threshold):
    if not iou.shape[1]:
        return torch.full((len(iou),), -1)
    best, truth = iou.max(dim=1)
    return truth.where(best >= threshold, -1)


def _threshold_only(anchors, boxes, *, iou_threshold=0.5):
    return _from_threshold(common.box_iou(anchors, boxes), iou_threshold)


def _best_of_each_truth(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    bound = _from_threshold(iou, iou_threshold)
    for m in range(len(boxes)):
        bound[iou[:, m].argmax()] = m
    return bound


def _in_turn(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    bound = _from_threshold(iou, iou_threshold)
    for m in range(min(iou.shape)):
        a = iou[:, m].argmax()
        bound[a] = m
        iou[a] = -1
    return bound


def _overwritten(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    bound = _bind(iou, _nobody(anchors))
    usual = _from_threshold(iou, iou_threshold)
    return usual.where(usual >= 0, bound)


def _column_stays(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    return _bind(iou, _from_threshold(iou, iou_threshold), columns=False)


def _row_stays(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    return _bind(iou, _from_threshold(iou, iou_threshold), rows=False)


def _above_only(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    above = math.nextafter(iou_threshold, 2) + 1e-6
    return _bind(iou, _from_threshold(iou, above))


def _no_threshold(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    return _bind(iou, _from_threshold(iou, 0.0))


def _binding_only(anchors, boxes, *, iou_threshold=0.5):
    return _bind(common.box_iou(anchors, boxes), _nobody(anchors))


def _always_half(anchors, boxes, *, iou_threshold=0.5):
    return _assign_by_sorting(anchors, boxes)


def _binds_above_threshold(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    usual = _from_threshold(iou, iou_threshold)
    return _bind(iou, usual, floor=iou_threshold - 1e-9)


def _goes_on_without_anchors(anchors, boxes, *, iou_threshold=0.5):
    iou = common.box_iou(anchors, boxes)
    return _bind(iou, _from_threshold(iou, iou_threshold), floor=-2.0)


_ASSIGN = Exercise(
    name="assign_anchors",
    solution=an.assign_anchors,
    cases=_assign_cases,
    mistakes=(
        Mistake(
            "The threshold alone leaves truths without an anchor. Bind first: every "
            "truth gets one, however small the overlap.",
            _threshold_only,
        ),
        Mistake(
            "Two truths can have the same best anchor, and the second takes it from "
            "the first. Delete the anchor's row once it is bound, and look again.",
            _best_of_each_truth,
        ),
        Mistake(
            "You serve the truths in their order. The largest entry of the whole "
            "matrix comes first, whichever truth it belongs to.",
            _in_turn,
        ),
        Mistake(
            "An anchor that was bound is given away again by the threshold. What is "
            "bound stays bound: the threshold is for the others.",
            _overwritten,
        ),
        Mistake(
            "The truth stays in play after it was bound, and takes a second anchor "
            "instead of leaving it to another. Delete its column.",
            _column_stays,
        ),
        Mistake(
            "The anchor stays in play after it was bound, and a second truth takes it "
            "over. Delete its row.",
            _row_stays,
        ),
        Mistake("An IoU of exactly the threshold is enough: `>=`.", _above_only),
        Mistake(
            "Every anchor gets a truth. Those that no truth bound, and whose best IoU "
            "is below the threshold, are background: −1.",
            _no_threshold,
        ),
        Mistake(
            "Only the binding is done. Then each free anchor takes its best truth, if "
            "the IoU reaches the threshold.",
            _binding_only,
        ),
        Mistake("The threshold is 0.5, whatever was asked for.", _always_half),
        Mistake(
            "The binding has no threshold: a truth gets its best anchor even if they "
            "hardly overlap.",
            _binds_above_threshold,
        ),
        Mistake(
            "When all anchors are bound, nothing is left but what you have deleted. "
            "Stop there: the truths that remain get none.",
            _goes_on_without_anchors,
        ),
    ),
    hints=(
        "Write the matrix of a small case on paper, and strike out a row and a column "
        "with each pair that you bind.",
        "`iou.argmax()` counts row by row: `divmod(entry, number_of_truths)` is the "
        "row and the column. Deleting is writing −1.",
        "Do the threshold first, for all anchors, then let the binding overwrite it. "
        "Stop when the largest entry is −1.",
    ),
)


# decode_offsets ---------------------------------------------------------------------


def _encode_by_loop(anchors, boxes, std=(0.1, 0.1, 0.2, 0.2)):
    rows = []
    for a, b in zip(anchors.tolist(), boxes.tolist(), strict=True):
        w, h = a[2] - a[0], a[3] - a[1]
        row = (
            (b[0] + b[2] - a[0] - a[2]) / 2 / w,
            (b[1] + b[3] - a[1] - a[3]) / 2 / h,
            math.log((b[2] - b[0]) / w),
            math.log((b[3] - b[1]) / h),
        )
        rows.append([value / s for value, s in zip(row, std, strict=True)])
    return torch.tensor(rows, dtype=anchors.dtype)


def _decode_by_torchvision(anchors, offsets):
    from torchvision.models.detection._utils import BoxCoder

    return BoxCoder((10.0, 10.0, 5.0, 5.0)).decode_single(offsets, anchors)


def _decode_cases() -> Iterator[Case]:
    anchor = torch.tensor([[0.0, 0, 10, 20]])
    for name, offsets, box in (
        ("offsets of 0", [0.0, 0, 0, 0], [0.0, 0, 10, 20]),
        ("one anchor's width to the right", [10.0, 0, 0, 0], [10.0, 0, 20, 20]),
        ("down by a tenth of the height", [0.0, 1, 0, 0], [0.0, 2, 10, 22]),
        (
            "twice as wide",
            [0.0, 0, math.log(2) / 0.2, 0],
            [-5.0, 0, 15, 20],
        ),
    ):
        expected = torch.tensor([box])
        yield Case(name, (anchor, torch.tensor([offsets])), expected=expected)
    anchors, boxes = _boxes(9), _boxes(9, seed=1)
    offsets = _encode_by_loop(anchors, boxes)
    yield Case("the round trip of nine boxes", (anchors, offsets), expected=boxes)
    std = (0.5, 0.4, 0.3, 1.0)
    yield Case(
        "the round trip with another std",
        (anchors, _encode_by_loop(anchors, boxes, std)),
        {"std": std},
        expected=boxes,
    )
    yield Case.from_reference(
        "its gradient", _decode_by_torchvision, anchors, offsets, gradient=True
    )
    none = torch.zeros(0, 4)
    yield Case("no anchors", (none, none), expected=none, hardening=True)


_STD = (0.1, 0.1, 0.2, 0.2)


def _decode(
    anchors, offsets, std=_STD, *, grow=torch.exp, origin="center", form="xyxy"
):
    """The right answer, with parts of it changed on request."""
    side = anchors[:, 2:] - anchors[:, :2]
    start = anchors[:, :2] + (side / 2 if origin == "center" else 0)
    scaled = offsets * offsets.new_tensor(std)
    centre = start + scaled[:, :2] * side
    new = grow(scaled[:, 2:]) * side
    if form == "cxcywh":
        return torch.cat([centre, new], dim=1)
    return torch.cat([centre - new / 2, centre + new / 2], dim=1)


def _std_ignored(anchors, offsets, *, std=_STD):
    return _decode(anchors, offsets, (1, 1, 1, 1))


def _std_fixed(anchors, offsets, *, std=_STD):
    return _decode(anchors, offsets, _STD)


def _std_divided(anchors, offsets, *, std=_STD):
    return _decode(anchors, offsets, [1 / s for s in std])


def _std_after_exp(anchors, offsets, *, std=_STD):
    late = offsets.new_tensor(std[2:])
    grow = lambda x: (x / late).exp() * late  # noqa: E731
    return _decode(anchors, offsets, std, grow=grow)


_no_exp = partial(_decode, grow=lambda x: x)
_linear = partial(_decode, grow=lambda x: 1 + x)
_from_corner = partial(_decode, origin="corner")
_leaves_cxcywh = partial(_decode, form="cxcywh")


def _moves_in_pictures(anchors, offsets, *, std=_STD):
    side = anchors[:, 2:] - anchors[:, :2]
    scaled = offsets * offsets.new_tensor(std)
    still = torch.cat([torch.zeros_like(offsets[:, :2]), offsets[:, 2:]], dim=1)
    moved = torch.cat([scaled[:, :2]] * 2, dim=1)
    return _decode(anchors, still, std) + moved + 0 * side.sum()


def _moves_in_new_sides(anchors, offsets, *, std=_STD):
    box = _decode(anchors, offsets, std)
    side, new = anchors[:, 2:] - anchors[:, :2], box[:, 2:] - box[:, :2]
    moved = offsets[:, :2] * offsets.new_tensor(std[:2])
    return box + torch.cat([moved * (new - side)] * 2, dim=1)


_DECODE = Exercise(
    name="decode_offsets",
    solution=an.decode_offsets,
    cases=_decode_cases,
    mistakes=(
        Mistake(
            "`std` is not used. The encoding divided by it, so the way back begins "
            "with a multiplication.",
            _std_ignored,
        ),
        Mistake(
            "`std` is always (0.1, 0.1, 0.2, 0.2) here: use the one given.", _std_fixed
        ),
        Mistake(
            "You divide by `std` once more. The encoding divided; undo it: multiply.",
            _std_divided,
        ),
        Mistake(
            "`std` comes before the exponential: the logarithm was divided by it, not "
            "the side.",
            _std_after_exp,
        ),
        Mistake(
            "The last two offsets are logarithms: the side is multiplied by their "
            "exponential, so that an offset of 0 leaves it as it is.",
            _no_exp,
        ),
        Mistake(
            "1 + x is near e to the x only for small x, and can be negative. Take the "
            "exponential.",
            _linear,
        ),
        Mistake(
            "The first two offsets move the center. You start from the corner.",
            _from_corner,
        ),
        Mistake(
            "This is center and sides. Boxes go out as xyxy: half a side to the left "
            "of the center, half a side to its right.",
            _leaves_cxcywh,
        ),
        Mistake(
            "A shift is counted in the anchor's widths and heights: multiply it by "
            "the anchor's sides.",
            _moves_in_pictures,
        ),
        Mistake(
            "A shift is counted in the sides of the anchor, not in those of the new "
            "box.",
            _moves_in_new_sides,
        ),
    ),
    hints=(
        "Solve each of the four formulas for the box: x, y, w and h.",
        "Multiply by `std`. Then the center moves by a share of the anchor's sides, "
        "and the sides grow by an exponential.",
        "From center and sides to xyxy: `torch.cat([c - s / 2, c + s / 2], dim=-1)`.",
    ),
)


EXERCISES = (_BOX_IOU, _PIXEL, _ASSIGN, _DECODE)
