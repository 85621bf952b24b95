"""What a detector says of pictures, and how good that is.

Boxes are xyxy, those of ground truth in the units of those that were detected. What is
in the pictures comes as labels (B, M, 5): class from 0, x1, y1, x2, y2, and class -1
for padding. Where a detection overlaps two objects equally, it is matched to the first
of them, in the order of the labels; COCO's own code takes the last.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lesson_utils.common.boxes import box_iou

COCO_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))  # 0.5, 0.55, …, 0.95


class Detections(NamedTuple):
    """What a detector says of one picture, the surest first.

    Attributes:
        boxes: (N, 4), xyxy.
        scores: (N,), probabilities.
        labels: (N,), int64, classes from 0; the background is none of them.

    Source: the definition.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor


def match_detections(
    boxes: Tensor, truths: Tensor, iou_thresholds: Sequence[float]
) -> Tensor:
    """Which detections of a class in a picture are right: each object is found once.

    The surest detection takes the free object that it overlaps most, if their IoU
    reaches the threshold; then the next.

    Args:
        boxes: (N, 4), xyxy, the surest first.
        truths: (M, 4), xyxy, in the units of `boxes`.
        iou_thresholds: T numbers in [0, 1]; at the threshold is enough.

    Returns:
        (N, T), bool.

    Raises:
        ValueError: boxes or truths are no xyxy boxes, or the thresholds are none or
            leave [0, 1].

    Source: Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV
        2010, section 4.2; that a detection may take its second-best object when the
        best is taken is COCO's rule.
    """
    iou = box_iou(boxes, truths)  # (N, M)
    levels = torch.as_tensor(iou_thresholds, dtype=iou.dtype, device=iou.device)
    if not levels.numel() or not ((levels >= 0) & (levels <= 1)).all():
        raise ValueError(
            f"iou_thresholds must be some numbers in [0, 1], got {iou_thresholds}"
        )
    right = iou.new_zeros(len(boxes), len(levels), dtype=torch.bool)
    if not iou.numel():
        return right
    free = iou.new_ones(len(truths), len(levels), dtype=torch.bool)
    # Most detections reach no object at all, and need no second look.
    for n in (iou.amax(dim=1) >= levels.min()).nonzero()[:, 0].tolist():
        overlap = iou[n, :, None].where(free, -1.0)  # (M, T)
        best, truth = overlap.max(dim=0)
        right[n] = best >= levels
        free[truth[right[n]], right[n].nonzero()[:, 0]] = False
    return right


def precision_recall(
    scores: Tensor, is_right: Tensor, num_truths: int
) -> tuple[Tensor, Tensor]:
    """Precision and recall as the score threshold comes down, detection by detection.

    Args:
        scores: (N,), of one class, of all pictures together.
        is_right: (N,), bool, see `match_detections`.
        num_truths: objects of the class in all pictures, at least 1.

    Returns:
        Precision and recall after the 1st, 2nd, … N-th detection, (N,) each, float64,
        the surest first and equal scores in the order given.

    Raises:
        ValueError: lengths that do not fit, a NaN among the scores, `is_right` is not
            boolean, or more right detections than objects.

    Source: Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV
        2010, section 4.2.
    """
    if scores.dim() != 1 or scores.shape != is_right.shape:
        raise ValueError(
            "scores and is_right must be (N,) both, got "
            f"{tuple(scores.shape)} and {tuple(is_right.shape)}"
        )
    if is_right.dtype != torch.bool:
        raise ValueError(f"is_right must be boolean, got {is_right.dtype}")
    if scores.isnan().any():
        place = scores.isnan().nonzero()[0].item()
        raise ValueError(f"scores must be numbers, got NaN for report {place}")
    if num_truths < max(1, int(is_right.sum())):
        raise ValueError(
            "num_truths must be at least 1 and as many as are found, got "
            f"{num_truths} for {int(is_right.sum())}"
        )
    order = scores.argsort(descending=True, stable=True)
    found = is_right[order].double().cumsum(dim=0)
    return found / torch.arange(1, len(found) + 1).to(found), found / num_truths


def average_precision(scores: Tensor, is_right: Tensor, num_truths: int) -> Tensor:
    """The area under the precision-recall curve of one class, its dents filled.

    At each recall the precision counts that can be had there or at any higher recall;
    the area under these steps is exact, not sampled (as PASCAL VOC does from 2010 on;
    COCO samples it at 101 recalls, VOC 2007 at 11).

    Args:
        scores: (N,), of all detections of the class, of all pictures together.
        is_right: (N,), bool, see `match_detections`.
        num_truths: objects of the class in all pictures, at least 1.

    Returns:
        A scalar in [0, 1]; 0 if nothing is detected.

    Raises:
        ValueError: see `precision_recall`.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge: A
        Retrospective, IJCV 2015, section 2.2.
    """
    precision, recall = precision_recall(scores, is_right, num_truths)
    best = precision.flip(0).cummax(dim=0).values.flip(0)  # the largest from here on
    step = recall.diff(prepend=recall.new_zeros(1))
    return (best * step).sum().float()


def match_class(
    detections: Sequence[Detections],
    labels: Tensor,
    label: int,
    *,
    iou_thresholds: Sequence[float] = (0.5,),
) -> tuple[Tensor, Tensor, int]:
    """All detections of one class, picture after picture, and which of them are right.

    Args:
        detections: of B pictures.
        labels: (B, M, 5), with class -1 for padding.
        label: the class, from 0.
        iou_thresholds: T numbers in [0, 1].

    Returns:
        Scores (N,), right ones (N, T), and the number of objects.

    Raises:
        ValueError: detections for another number of pictures, or see
            `match_detections`.

    Source: as `match_detections`.
    """
    if labels.dim() != 3 or labels.shape[2] != 5 or len(labels) != len(detections):
        raise ValueError(
            f"labels must be (B, M, 5) for {len(detections)} pictures, got "
            f"{tuple(labels.shape)}"
        )
    scores, right, num_truths = [], [], 0
    for (boxes, sure, classes), truths in zip(detections, labels, strict=True):
        theirs = truths[truths[:, 0] == label, 1:]
        mine = (classes == label).nonzero()[:, 0]
        mine = mine[sure[mine].argsort(descending=True, stable=True)]
        scores.append(sure[mine])
        right.append(match_detections(boxes[mine], theirs, iou_thresholds))
        num_truths += len(theirs)
    return torch.cat(scores), torch.cat(right), num_truths


def average_precisions(
    detections: Sequence[Detections],
    labels: Tensor,
    *,
    num_classes: int,
    iou_thresholds: Sequence[float] = (0.5,),
) -> Tensor:
    """The average precision of each class at each IoU threshold.

    Args:
        detections: of B pictures.
        labels: (B, M, 5), with class -1 for padding.
        num_classes: K.
        iou_thresholds: T numbers in [0, 1].

    Returns:
        (K, T), float32; NaN for a class that is in no picture.

    Raises:
        ValueError: see `match_class` and `average_precision`.

    Source: as `average_precision`.
    """
    rows = []
    for label in range(num_classes):
        scores, right, num_truths = match_class(
            detections, labels, label, iou_thresholds=iou_thresholds
        )
        rows.append(
            torch.stack([average_precision(scores, r, num_truths) for r in right.T])
            if num_truths
            else scores.new_full((right.shape[1],), math.nan, dtype=torch.float32)
        )
    return torch.stack(rows)


def mean_average_precision(
    detections: Sequence[Detections],
    labels: Tensor,
    *,
    num_classes: int,
    iou_thresholds: Sequence[float] = (0.5,),
) -> float:
    """The mean of the average precisions over classes and IoU thresholds.

    Args:
        detections: of B pictures.
        labels: (B, M, 5), with class -1 for padding.
        num_classes: K; a class that is in no picture is left out of the mean.
        iou_thresholds: (0.5,) for mAP@0.5, `COCO_THRESHOLDS` for mAP@[.5:.95].

    Returns:
        A scalar in [0, 1].

    Raises:
        ValueError: there is no object at all, or see `match_class`.

    Source: Lin et al., Microsoft COCO: Common Objects in Context, ECCV 2014, for the
        mean over thresholds.
    """
    table = average_precisions(
        detections, labels, num_classes=num_classes, iou_thresholds=iou_thresholds
    )
    if table.isnan().all():
        raise ValueError(
            f"labels must hold an object of one of {num_classes} classes, got none"
        )
    return table.nanmean().item()


class Diagnosis(NamedTuple):
    """What is wrong with the detections on one picture.

    Attributes:
        kinds: for each of N detections "right", "duplicate", "confused", "badly
            placed" or "nothing there".
        about: (N,), int64: the row of the labels that each is about, -1 for none.
        missed: (M,), bool: the objects that none is about.

    Source: see `diagnose`.
    """

    kinds: list[str]
    about: Tensor
    missed: Tensor


def diagnose(
    found: Detections,
    truths: Tensor,
    *,
    iou_threshold: float = 0.5,
    touching: float = 0.1,
) -> Diagnosis:
    """Say of each detection on a picture what is wrong with it.

    The first rule that fits counts:

    1. It reaches the IoU threshold with a free object of its class: *right*.
    2. It reaches it with an object of its class that a surer one has: *duplicate*.
    3. It reaches it with an object of another class: *confused*.
    4. It touches an object of its class: *badly placed*.
    5. *Nothing there*.

    Args:
        found: the detections, the surest first, those alone that one would show.
        truths: (M, 5): class, or -1 for padding, x1, y1, x2, y2.
        iou_threshold: in [0, 1].
        touching: the IoU from which on a box touches an object, above 0.

    Returns:
        The kinds, what each detection is about, and the objects that none is about.

    Raises:
        ValueError: truths are not (M, 5), or boxes are no xyxy boxes.

    Source: after Bolya et al., TIDE: A General Toolbox for Identifying Object Detection
        Errors, ECCV 2020, simplified.
    """
    if truths.dim() != 2 or truths.shape[1] != 5:
        raise ValueError(f"truths must be (M, 5), got {tuple(truths.shape)}")
    real = truths[:, 0] >= 0
    missed, taken = real.clone(), ~real
    iou = box_iou(found.boxes, truths[:, 1:]).masked_fill(~real, -1)  # (N, M)
    same = found.labels[:, None] == truths[:, 0]
    kinds, about = [], torch.full((len(iou),), -1, device=iou.device)
    for n, (overlap, own) in enumerate(zip(iou, same, strict=True)):
        for kind, candidates, least in (
            ("right", own & ~taken, iou_threshold),
            ("duplicate", own & taken, iou_threshold),
            ("confused", ~own & real, iou_threshold),
            ("badly placed", own, touching),
        ):
            best = (overlap * candidates).argmax() if len(overlap) else None
            if best is not None and candidates[best] and overlap[best] >= least:
                kinds.append(kind)
                about[n] = best
                missed[best] = False
                taken[best] |= kind == "right"
                break
        else:
            kinds.append("nothing there")
    return Diagnosis(kinds, about, missed)
