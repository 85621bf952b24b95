"""Non-maximum suppression: of the boxes that say the same thing, keep the surest.

The module of the chapter `book/detection/nms.ipynb`. Boxes are xyxy, in any unit. Ties
between scores go to the box that comes first. Boxes without area have no overlap with
anything, and are all kept.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lesson_utils.anchors import decode_offsets
from lesson_utils.common.boxes import box_iou
from lesson_utils.common.detections import Detections
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_boxes,
    require_positive,
    require_share,
    require_unit_range,
    require_whole,
)

# How many boxes are settled at once: enough to keep the processor busy, few enough for
# a table of them against 20,000 others to stay small.
BLOCK = 160
# How many pairs are listed at most, for they take some 100 bytes each; and at most
# which share of all: a pair on a list takes as long as about twelve in a table.
MAX_PAIRS, MAX_SHARE = 2**20, 1 / 12


def greedy_nms(
    boxes: Tensor,
    scores: Tensor,
    iou_threshold: float,
    *,
    overlap: Callable[[Tensor, Tensor], Tensor] = box_iou,
) -> Tensor:
    """Keep the best box, delete what overlaps it too much, repeat: one box at a time.

    This is the algorithm to read; `nms` returns the same, and is the one to run.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,), larger is surer.
        iou_threshold: in [0, 1]; a box is deleted if its overlap with a kept one is
            larger.
        overlap: of (1, 4) and (N, 4) boxes, (1, N); `distance_box_iou` spares
            neighbors whose centers are apart.

    Returns:
        (K,), int64: rows of `boxes`, the largest score first.

    Raises:
        ValueError: boxes are no xyxy boxes, scores are of another number or hold a NaN,
            or the threshold leaves [0, 1].

    Source: Felzenszwalb et al., Object Detection with Discriminatively Trained
        Part-Based Models, TPAMI 2010, section 7 (there by how much of a box is
        covered, not by IoU).
    """
    _check(boxes, scores, iou_threshold)
    left = scores.argsort(descending=True, stable=True)
    kept = []
    while len(left):
        best, left = left[:1], left[1:]
        kept.append(best)
        left = left[overlap(boxes[best], boxes[left])[0] <= iou_threshold]
    return torch.cat(kept) if kept else left


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Non-maximum suppression, many boxes at a time; exactly what `greedy_nms` keeps.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,), larger is surer.
        iou_threshold: in [0, 1]; a box is deleted if its IoU with a kept one is larger.

    Returns:
        (K,), int64: rows of `boxes`, the largest score first.

    Raises:
        ValueError: see `greedy_nms`.

    Source: blocks that are settled by iterating as in Zheng et al., Enhancing Geometric
        Factors in Model Learning and Inference for Object Detection and Instance
        Segmentation, IEEE Transactions on Cybernetics 2022.
    """
    _check(boxes, scores, iou_threshold)
    rows = scores.argsort(descending=True, stable=True)
    left = _columns(boxes.detach())[:, rows]  # (5, N); which to keep has no slope
    pairs = _pairs_side_by_side(left)
    if pairs is not None:
        better, worse = pairs
        first, second = left[:, better], left[:, worse]
        iou = _iou(first, second, left.new_empty(3, len(better)))
        deletes = iou > iou_threshold
        return rows[_settle(better[deletes], worse[deletes], len(rows))]
    work = left.new_empty(3, min(BLOCK, len(rows)) * len(rows))
    kept = []
    while len(rows):
        block, left = left[:, :BLOCK, None], left[:, BLOCK:]
        deletes = _iou(block, block[..., 0], work) > iou_threshold
        keep = _settle(*deletes.triu(diagonal=1).nonzero().T, len(deletes))
        kept.append(rows[:BLOCK][keep])
        largest = _iou(block[:, keep], left, work).amax(dim=0)
        free = (largest <= iou_threshold).nonzero()[:, 0]
        left, rows = left.index_select(1, free), rows[BLOCK:][free]
    return torch.cat(kept)


def batched_nms(
    boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float
) -> Tensor:
    """Non-maximum suppression for each class: a cat does not delete a dog.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,), larger is surer.
        labels: (N,), of any type that can be compared: the class of each box.
        iou_threshold: in [0, 1].

    Returns:
        (K,), int64: rows of `boxes`, the largest score first, whatever the class.

    Raises:
        ValueError: labels are of another number, or see `greedy_nms`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.1.
    """
    if labels.shape != scores.shape:
        raise ValueError(
            f"labels must be one for each score, got shapes {tuple(labels.shape)} and "
            f"{tuple(scores.shape)}"
        )
    _check(boxes, scores, iou_threshold)
    rows = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    kept = [row[nms(boxes[row], scores[row], iou_threshold)] for row in rows]
    # In the order of the boxes first, so that ties go to the box that comes first.
    together = torch.cat(kept).sort().values if kept else labels.new_zeros(0).long()
    return together[scores[together].argsort(descending=True, stable=True)]


def soft_nms(
    boxes: Tensor,
    scores: Tensor,
    *,
    sigma: float = 0.5,
    score_threshold: float = 0.001,
) -> tuple[Tensor, Tensor]:
    """Lower the score of what overlaps a better box, and delete nothing else.

    A score s becomes s exp(-IoU^2 / sigma) with each better box that is picked.

    Args:
        boxes: (N, 4), xyxy.
        scores: (N,), in [0, 1]: probabilities.
        sigma: above 0; the smaller, the more overlap costs.
        score_threshold: in [0, 1]; what falls below it is dropped.

    Returns:
        Rows of `boxes`, (K,), int64, in the order in which they are picked, and their
        new scores, (K,), which fall along it.

    Raises:
        ValueError: boxes are no xyxy boxes, scores are of another number or outside
            [0, 1], `sigma` is not positive, or the threshold leaves [0, 1].

    Source: Bodla et al., Soft-NMS: Improving Object Detection with One Line of Code,
        ICCV 2017, section 3
        (the Gaussian).
    """
    _check(boxes, scores, score_threshold, name="score_threshold")
    require_positive("sigma", sigma)
    require_unit_range("scores", scores)
    scores, left = scores.clone(), scores.new_ones(len(scores), dtype=torch.bool)
    picked, new_scores = [], []
    while left.any():
        best = scores.masked_fill(~left, -1).argmax()
        if scores[best] < score_threshold:
            break
        picked.append(best)
        new_scores.append(scores[best].clone())
        left[best] = False
        iou = box_iou(boxes[best, None], boxes)[0]
        scores *= (-iou.square() / sigma).exp().to(scores.dtype)
    if not picked:
        return torch.zeros(0, dtype=torch.int64, device=boxes.device), scores[:0]
    return torch.stack(picked), torch.stack(new_scores)


def multibox_detection(
    logits: Tensor,
    offsets: Tensor,
    anchors: Tensor,
    *,
    iou_threshold: float = 0.5,
    score_threshold: float = 0.01,
    max_detections: int = 100,
) -> list[Detections]:
    """From what a single-shot detector puts out to its detections.

    Decode the offsets, softmax over the classes, drop the background, keep what is sure
    enough, suppress within each class.

    Args:
        logits: (B, A, K + 1), of K classes after the background, which is class 0.
        offsets: (B, A, 4), as `anchors.anchor_targets` returns them.
        anchors: (A, 4), xyxy in shares of the picture.
        iou_threshold: in [0, 1], of the suppression.
        score_threshold: in [0, 1]; a class below it is no detection. An anchor may
            report several classes.
        max_detections: in each picture, the surest; at least 1.

    Returns:
        For each picture its detections, boxes clipped to the picture. What lies outside
        of it is no detection: clipped, it would have no area.

    Raises:
        ValueError: shapes that do not fit, logits that are not finite, a threshold that
            leaves [0, 1], or see `anchors.decode_offsets`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.1.
    """
    _check_outputs(logits, offsets, anchors)
    require_share("iou_threshold", iou_threshold)
    require_share("score_threshold", score_threshold)
    require_whole("max_detections", max_detections)
    boxes = decode_offsets(anchors, offsets).clamp(0, 1)
    outside = (boxes[..., 2:] <= boxes[..., :2]).any(dim=-1, keepdim=True)  # (B, A, 1)
    probabilities = logits.softmax(dim=-1)[..., 1:].masked_fill(outside, -1)
    result = []
    for their_boxes, their_scores in zip(boxes, probabilities, strict=True):
        anchor, label = (their_scores >= score_threshold).nonzero(as_tuple=True)
        sure, found = their_scores[anchor, label], their_boxes[anchor]
        kept = batched_nms(found, sure, label, iou_threshold)[:max_detections]
        result.append(Detections(found[kept], sure[kept], label[kept]))
    return result


def _columns(boxes: Tensor) -> Tensor:
    """(5, N): all x1, all y1, all x2, all y2, all areas, each in one piece."""
    boxes = at_least_float32(boxes)
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    # Boxes without area share nothing: 0 by nearly 0 is 0, where 0 by 0 is NaN.
    area = ((x2 - x1) * (y2 - y1)).clamp(min=torch.finfo(boxes.dtype).tiny)
    return torch.stack([x1, y1, x2, y2, area])


def _pairs_side_by_side(boxes: Tensor) -> tuple[Tensor, Tensor] | None:
    """Pairs of boxes as columns that share more than a point along x, if they are few.

    All others have an IoU of 0. With the boxes in the order of their left sides, those
    that begin before a box ends are the next ones behind it.

    Returns:
        (P,) and (P,), int64, the smaller place first; None if there are many.
    """
    left, order = boxes[0].sort()
    place = torch.arange(len(order), device=order.device)
    behind = torch.searchsorted(left, boxes[2, order]) - place - 1
    behind = behind.clamp_(min=0)  # a box without width has itself before it
    number = behind.sum().item()
    if number > min(MAX_PAIRS, MAX_SHARE * len(order) ** 2 / 2):
        return None
    before = behind.cumsum(0) - behind
    first = place.repeat_interleave(behind)
    # Count 1, 2, 3 behind each: the number of the pair, less those of boxes before.
    second = torch.arange(1, number + 1, device=order.device) + (place - before)[first]
    pair = order[first], order[second]
    return torch.minimum(*pair), torch.maximum(*pair)


def _iou(first: Tensor, second: Tensor, work: Tensor) -> Tensor:
    """IoU of boxes as columns, of shapes that broadcast, written into `work`.

    Tables this large cost more to get from the system than to compute; and a sum in
    place saves a trip to memory.
    """
    shape = torch.broadcast_shapes(first.shape[1:], second.shape[1:])
    shared, height, other = (w[: math.prod(shape)].view(shape) for w in work)
    left1, top1, right1, bottom1, area1 = first
    left2, top2, right2, bottom2, area2 = second
    torch.minimum(right1, right2, out=shared)
    shared.sub_(torch.maximum(left1, left2, out=other)).clamp_(min=0)
    torch.minimum(bottom1, bottom2, out=height)
    height.sub_(torch.maximum(top1, top2, out=other))
    # A negative height needs no clamp: it makes an IoU below 0, which deletes nothing.
    shared.mul_(height)
    union = torch.add(area1, area2, out=height).sub_(shared)
    return shared.div_(union)


def _settle(better: Tensor, worse: Tensor, number: int) -> Tensor:
    """(N,), bool: which of N boxes in the order of their scores a greedy pass keeps.

    A box goes if one that is kept, before it, deletes it. Begin with all kept, and
    apply that rule until nothing changes: after k rounds the first k are right.

    Args:
        better: (E,), of each deletion the box that deletes if it is kept.
        worse: (E,), the one behind it that it deletes.
        number: N.
    """
    keep = better.new_ones(number, dtype=torch.bool)
    while True:
        new = torch.ones_like(keep)
        new[worse[keep[better]]] = False
        if torch.equal(new, keep):
            return keep
        keep = new


def _check(
    boxes: Tensor, scores: Tensor, threshold: float, name: str = "iou_threshold"
) -> None:
    require_boxes("boxes", boxes)
    if boxes.dim() != 2 or scores.shape != boxes.shape[:1]:
        raise ValueError(
            "boxes must be (N, 4) and scores (N,), got shapes "
            f"{tuple(boxes.shape)} and {tuple(scores.shape)}"
        )
    if scores.isnan().any():
        place = scores.isnan().nonzero()[0].item()
        raise ValueError(f"scores must be numbers, got NaN for box {place}")
    require_share(name, threshold)


def _check_outputs(logits: Tensor, offsets: Tensor, anchors: Tensor) -> None:
    if (
        logits.dim() != 3
        or logits.shape[2] < 2
        or offsets.shape != (*logits.shape[:2], 4)
        or anchors.shape != (logits.shape[1], 4)
    ):
        raise ValueError(
            "logits must be (B, A, K + 1) of at least one class and the background, "
            "offsets (B, A, 4), anchors (A, 4), got shapes "
            f"{tuple(logits.shape)}, {tuple(offsets.shape)}, {tuple(anchors.shape)}"
        )
    if not logits.isfinite().all():
        raise ValueError("logits must be finite, got a NaN or an infinity")
