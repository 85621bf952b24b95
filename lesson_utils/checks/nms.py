"""The exercises of the chapter `book/detection/nms.ipynb`."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import nms as chapter
from lesson_utils.grading.draws import seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# Two that overlap by 12 / 20 = 0.6, and one apart.
_THREE = torch.tensor([[0.0, 0, 4, 4], [1, 0, 5, 4], [8, 8, 9, 9]])
_CHAIN = torch.tensor([[0.0, 0, 4, 1], [1, 0, 5, 1], [2, 0, 6, 1]])


def _crowd(seed: int, number: int) -> tuple[Tensor, Tensor]:
    """Boxes in the unit square and scores without ties."""
    generator = seeded(seed)
    corner = torch.rand(number, 2, generator=generator)
    size = 0.1 + 0.4 * torch.rand(number, 2, generator=generator)
    scores = torch.randperm(number, generator=generator) / number
    return torch.cat([corner, corner + size], dim=1), scores


def _by_torchvision(boxes, scores, iou_threshold):
    from torchvision.ops import nms

    return nms(boxes, scores, iou_threshold)


def _batched_by_torchvision(boxes, scores, labels, iou_threshold):
    from torchvision.ops import nms

    kept = []
    for label in labels.unique().tolist():
        rows = (labels == label).nonzero()[:, 0]
        kept += rows[nms(boxes[rows], scores[rows], iou_threshold)].tolist()
    kept.sort(key=lambda row: (-scores[row].item(), row))
    return torch.tensor(kept, dtype=torch.int64)


def _ious(boxes: Tensor) -> Tensor:
    """(N, N), without the library that the reader is to do without."""
    corner1 = torch.maximum(boxes[:, None, :2], boxes[:, :2])
    corner2 = torch.minimum(boxes[:, None, 2:], boxes[:, 2:])
    shared = (corner2 - corner1).clamp(min=0).prod(2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return shared / (area[:, None] + area - shared).clamp(min=1e-30)


# nms --------------------------------------------------------------------------------


def _nms_cases() -> Iterator[Case]:
    scores = torch.tensor([0.8, 0.9, 0.1])
    yield Case(
        "two on each other, one apart, scores 0.8, 0.9, 0.1",
        (_THREE, scores, 0.5),
        expected=torch.tensor([1, 2]),
    )
    yield Case(
        "the same at the threshold 0.7",
        (_THREE, scores, 0.7),
        expected=torch.tensor([1, 0, 2]),
    )
    yield Case(
        "a chain: the first overlaps the second, the second the third",
        (_CHAIN, torch.tensor([0.9, 0.8, 0.7]), 0.5),
        expected=torch.tensor([0, 2]),
    )
    half = torch.tensor([[0.0, 0, 4, 4], [0, 0, 4, 2]])
    yield Case(
        "an IoU of exactly the threshold",
        (half, torch.tensor([0.9, 0.8]), 0.5),
        expected=torch.tensor([0, 1]),
        hardening=True,
    )
    yield Case(
        "equal scores",
        (_THREE[[0, 2, 0]], torch.full((3,), 0.5), 0.5),
        expected=torch.tensor([0, 1]),
        hardening=True,
    )
    for seed, number in enumerate((6, 30, 60)):
        boxes, scores = _crowd(seed, number)
        name = f"{number} random boxes"
        yield Case.from_reference(name, _by_torchvision, boxes, scores, 0.3)
    boxes, scores = _crowd(9, 12)
    yield Case.from_reference(
        "threshold 0: no overlap at all",
        _by_torchvision,
        boxes,
        scores,
        0.0,
        hardening=True,
    )
    yield Case(
        "one box", (_THREE[:1], torch.tensor([0.2]), 0.5), expected=torch.tensor([0])
    )
    yield Case(
        "no boxes",
        (torch.zeros(0, 4), torch.zeros(0), 0.5),
        expected=torch.zeros(0, dtype=torch.int64),
        hardening=True,
    )


def _suppressor(
    *,
    by: Callable[[Tensor], Tensor] = lambda scores: scores.argsort(
        descending=True, stable=True
    ),
    deletes: Callable = lambda iou, threshold: iou > threshold,
    finish: Callable = lambda kept, order: kept,
) -> Callable:
    """Greedy NMS, right but for what is given."""

    def answer(boxes, scores, iou_threshold):
        order = by(scores)
        gone, kept, iou = set(), [], _ious(boxes)
        for row in order.tolist():
            if row in gone:
                continue
            kept.append(row)
            delete = deletes(iou[row], iou_threshold)
            gone |= set(delete.nonzero()[:, 0].tolist())
        result = torch.tensor(kept, dtype=torch.int64, device=boxes.device)
        return finish(result, order)

    return answer


def _deleted_ones_delete(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True, stable=True)
    over = _ious(boxes[order]) > iou_threshold
    return order[~over.triu(1).any(0)]


def _within_the_order(kept, order):
    place = {row: index for index, row in enumerate(order.tolist())}
    return torch.tensor([place[row] for row in kept.tolist()], dtype=torch.int64)


def _fails_on_none(boxes, scores, iou_threshold):
    if not len(boxes):
        raise RuntimeError("stack expects a non-empty TensorList")
    return _suppressor()(boxes, scores, iou_threshold)


def _as_mask(boxes, scores, iou_threshold):
    mask = torch.zeros(len(boxes), dtype=torch.bool)
    mask[_suppressor()(boxes, scores, iou_threshold)] = True
    return mask


def _boxes_themselves(boxes, scores, iou_threshold):
    return boxes[_suppressor()(boxes, scores, iou_threshold)]


def _intersection_only(boxes, scores, iou_threshold):
    order = scores.argsort(descending=True, stable=True).tolist()
    kept = []
    for row in order:
        shared = [_shared(boxes[row], boxes[other]) for other in kept]
        if all(area <= iou_threshold for area in shared):
            kept.append(row)
    return torch.tensor(kept, dtype=torch.int64)


def _shared(first, second):
    sides = torch.minimum(first[2:], second[2:]) - torch.maximum(first[:2], second[:2])
    return sides.clamp(min=0).prod().item()


_NMS = Exercise(
    name="nms",
    solution=chapter.greedy_nms,
    cases=_nms_cases,
    mistakes=(
        Mistake(
            "You go through the boxes from the least sure to the surest. The surest "
            "comes first: `scores.argsort(descending=True)`.",
            _suppressor(by=lambda scores: scores.argsort(stable=True)),
        ),
        Mistake(
            "You take the boxes in the order in which they come. Sort by score first.",
            _suppressor(by=lambda scores: torch.arange(len(scores))),
        ),
        Mistake(
            "A box that has been deleted deletes another: in a chain the third must "
            "stay, since the second is gone before it is asked. Compare with what is "
            "kept only.",
            _deleted_ones_delete,
        ),
        Mistake(
            "At the threshold itself a box stays: delete where the IoU is *larger*.",
            _suppressor(deletes=lambda iou, threshold: iou >= threshold),
        ),
        Mistake(
            "Your threshold is always one half. Use the one that is given.",
            _suppressor(deletes=lambda iou, threshold: iou > 0.5),
        ),
        Mistake(
            "You return places in the sorted order. Rows of `boxes` are asked for: "
            "`order[place]`.",
            _suppressor(finish=_within_the_order),
        ),
        Mistake(
            "The rows must come with the largest score first; yours are sorted by row.",
            _suppressor(finish=lambda kept, order: kept.sort().values),
        ),
        Mistake("You return a mask. Rows are asked for, int64.", _as_mask),
        Mistake(
            "You return the boxes. Their rows are asked for, so that the caller can "
            "pick scores and labels by them, too.",
            _boxes_themselves,
        ),
        Mistake(
            "You compare the intersection with the threshold; divide it by the union.",
            _intersection_only,
        ),
        Mistake(
            "No boxes at all is a valid case: return an empty int64 tensor.",
            _fails_on_none,
        ),
    ),
    hints=(
        "Sort the rows by score, the largest first. Take the first, keep it.",
        "Drop from the rest whatever overlaps it by more than the threshold; begin "
        "again with what is left.",
        "`left = left[box_iou(boxes[best], boxes[left])[0] <= iou_threshold]`, with "
        "`best` a tensor of one row.",
    ),
)


# batched_nms ------------------------------------------------------------------------


def _batched_nms_cases() -> Iterator[Case]:
    scores = torch.tensor([0.8, 0.9, 0.1])
    yield Case(
        "a cat on a dog, and a cat apart",
        (_THREE, scores, torch.tensor([0, 1, 0]), 0.5),
        expected=torch.tensor([1, 0, 2]),
    )
    yield Case(
        "two cats on each other, and a dog apart",
        (_THREE, scores, torch.tensor([0, 0, 1]), 0.5),
        expected=torch.tensor([1, 2]),
    )
    yield Case(
        "scores that alternate between the classes",
        (
            torch.tensor([[0.0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5], [6, 6, 7, 7]]),
            torch.tensor([0.9, 0.6, 0.8, 0.7]),
            torch.tensor([5, 5, 2, 2]),
            0.5,
        ),
        expected=torch.tensor([0, 2, 3, 1]),
    )
    for seed, classes in ((0, 2), (1, 5)):
        boxes, scores = _crowd(seed, 40)
        labels = torch.arange(40) % classes
        yield Case.from_reference(
            f"40 random boxes of {classes} classes",
            _batched_by_torchvision,
            boxes,
            scores,
            labels,
            0.3,
        )
    boxes, scores = _crowd(2, 30)
    corner = torch.tensor([[0.0], [-4], [-5], [-6]]).expand(4, 2)
    yield Case(
        "boxes of side 1 at (0, 0), (-4, -4), (-5, -5), (-6, -6)",
        (
            torch.cat([corner, corner + 1], dim=1),
            torch.tensor([0.9, 0.8, 0.7, 0.6]),
            torch.tensor([0, 0, 1, 1]),
            0.5,
        ),
        expected=torch.tensor([0, 1, 2, 3]),
        hardening=True,
    )
    pixels = 600 * boxes
    yield Case.from_reference(
        "boxes in pixels, up to 900",
        _batched_by_torchvision,
        pixels,
        scores,
        torch.arange(30) % 4,
        0.3,
    )
    yield Case(
        "no boxes",
        (torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.int64), 0.5),
        expected=torch.zeros(0, dtype=torch.int64),
        hardening=True,
    )


def _class_by_class(boxes, scores, labels, iou_threshold, *, rows=True, by_score=True):
    kept = []
    for label in labels.unique():
        chosen = (labels == label).nonzero()[:, 0]
        among = _suppressor()(boxes[chosen], scores[chosen], iou_threshold)
        kept.append(chosen[among] if rows else among)
    result = torch.cat(kept) if kept else torch.zeros(0, dtype=torch.int64)
    return result[scores[result].argsort(descending=True)] if by_score else result


_places_in_the_class = partial(_class_by_class, rows=False)
_one_class_after_another = partial(_class_by_class, by_score=False)


def _by_row(boxes, scores, labels, iou_threshold):
    return _class_by_class(boxes, scores, labels, iou_threshold).sort().values


def _whatever_the_class(boxes, scores, labels, iou_threshold):
    return _suppressor()(boxes, scores, iou_threshold)


def _shifted(shift: Callable[[Tensor], Tensor | float]) -> Callable:
    def answer(boxes, scores, labels, iou_threshold):
        if not len(boxes):
            return torch.zeros(0, dtype=torch.int64)
        moved = boxes + shift(boxes) * labels[:, None]
        return _suppressor()(moved, scores, iou_threshold)

    return answer


def _most_common_class(boxes, scores, labels, iou_threshold):
    if not len(labels):
        return labels
    chosen = (labels == labels.mode().values).nonzero()[:, 0]
    return chosen[_suppressor()(boxes[chosen], scores[chosen], iou_threshold)]


def _fails_without_classes(boxes, scores, labels, iou_threshold):
    if not len(boxes):
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    return _class_by_class(boxes, scores, labels, iou_threshold)


_BATCHED_NMS = Exercise(
    name="batched_nms",
    solution=chapter.batched_nms,
    cases=_batched_nms_cases,
    mistakes=(
        Mistake(
            "A cat deletes a dog: the labels have no effect. Suppress within each "
            "class only.",
            _whatever_the_class,
        ),
        Mistake(
            "You return places among the boxes of one class. Turn them back into rows "
            "of `boxes`: `rows_of_the_class[kept]`.",
            _places_in_the_class,
        ),
        Mistake(
            "Your classes come one after another. The largest score comes first, "
            "whatever its class.",
            _one_class_after_another,
        ),
        Mistake("The rows are sorted by row; sort them by score.", _by_row),
        Mistake(
            "You shift each class by 1. That parts boxes within the unit square, and "
            "not boxes in pixels: shift by more than the whole extent.",
            _shifted(lambda boxes: 1.0),
        ),
        Mistake(
            "You shift each class by the largest coordinate. Where boxes begin below 0 "
            "that is too little: shift by the largest less the smallest, and a bit.",
            _shifted(lambda boxes: boxes.max()),
        ),
        Mistake(
            "You shift each class by the largest coordinate and 1. Where boxes begin "
            "below 0 they reach further than that: shift by the largest less the "
            "smallest, and 1.",
            _shifted(lambda boxes: boxes.max() + 1),
        ),
        Mistake("Only one class is left of all.", _most_common_class),
        Mistake(
            "No boxes at all is a valid case: return an empty int64 tensor.",
            _fails_without_classes,
        ),
    ),
    hints=(
        "One way: go through `labels.unique()`, and call `greedy_nms` for each.",
        "What it returns are places among that class; you know their rows.",
        "Another way: move the boxes of each class so far away that classes cannot "
        "touch, and suppress once.",
    ),
)

EXERCISES = (_NMS, _BATCHED_NMS)
