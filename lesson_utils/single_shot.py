"""A single-shot detector, its losses, its training, and the measures of a detector.

The module of the chapter `book/detection/single_shot.ipynb`. Pictures are (B, 3, S, S),
uint8 or floating point in [0, 1]; boxes are xyxy in shares of the picture. What is in
the pictures comes as labels (B, M, 5): class from 0, x1, y1, x2, y2, and class -1 for
padding. In logits and in targets class 0 is the background, and the others follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from lesson_utils.anchors import anchor_targets, multiscale_anchors
from lesson_utils.common.boxes import box_iou
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.scenes import collate
from lesson_utils.nms import Detections, multibox_detection

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SCALES = ((0.15, 0.2), (0.28, 0.38), (0.5, 0.6))  # of the anchors on each map
COCO_THRESHOLDS = tuple(k / 100 for k in range(50, 100, 5))  # 0.5, 0.55, …, 0.95


# The network ------------------------------------------------------------------------


def flatten_head(output: Tensor, values: int) -> Tensor:
    """Bring what a head puts out into the order of the anchors: a row for each.

    Args:
        output: (B, n * values, H, W): at each pixel n anchors, the values of one
            anchor in neighbouring channels.
        values: numbers for each anchor, such as 4 offsets.

    Returns:
        (B, H * W * n, values), in the order of `anchors.anchor_boxes`.

    Raises:
        ValueError: the output is not four-dimensional, or its channels do not split
            into groups of `values`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.1.
    """
    if output.dim() != 4 or values < 1 or output.shape[1] % values:
        raise ValueError(
            f"output must be (B, n * {values}, H, W), got {tuple(output.shape)}"
        )
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, values)


class SingleShot(nn.Module):
    """A small SSD: convolutions that halve the map, and heads on several of the maps.

    Args:
        num_classes: K, without the background.
        image_size: S, a multiple of `stem_stride` times 2 for each stage.
        stem_stride: by how much the first convolution shrinks the picture.
        widths: channels after the stem and after each stage; a stage halves the map.
        depths: convolutions of each stage.
        scales: for each stage the scales of the anchors on its map; none, no head.
        ratios: (m,), of the anchors, the same for all maps.
        prior: in (0, 1), the probability of an object with which every anchor begins,
            about; None leaves the biases as torch draws them.

    Attributes:
        anchors: (A, 4), map after map.

    Raises:
        ValueError: `num_classes` is not a whole number >= 1, the numbers of stages do
            not agree, no stage has a head, the size does not fit, the prior leaves
            (0, 1), or see `anchors.multiscale_anchors`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2; the
        prior is Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, section
        4.1; the sizes are this book's.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        image_size: int = 96,
        stem_stride: int = 3,
        widths: Sequence[int] = (24, 48, 96, 128),
        depths: Sequence[int] = (3, 2, 2),
        scales: Sequence[Sequence[float]] = SCALES,
        ratios: Sequence[float] = (1.0,),
        prior: float | None = 0.01,
    ) -> None:
        super().__init__()
        require_whole("num_classes", num_classes)
        if not len(widths) - 1 == len(depths) == len(scales) or not any(scales):
            raise ValueError(
                "scales and depths must be one for each stage, one less than widths, "
                f"and some scales given, got {scales}, {depths} and {widths}"
            )
        shrink = stem_stride * 2 ** len(depths)
        if image_size < shrink or image_size % shrink:
            raise ValueError(
                f"image_size must be a multiple of {shrink}, got {image_size}"
            )
        self.num_classes, self.image_size = num_classes, image_size
        # An odd kernel that leaves no pixel out, whatever the stride.
        self.stem = _convolution(3, widths[0], stem_stride, 2 * stem_stride - 1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                _convolution(inputs, width, 2),
                *(_convolution(width, width) for _ in range(depth - 1)),
            )
            for (inputs, width), depth in zip(pairwise(widths), depths, strict=True)
        )
        per_pixel = [len(s) + len(ratios) - 1 if s else 0 for s in scales]
        self.class_heads = _heads(widths[1:], per_pixel, num_classes + 1)
        self.offset_heads = _heads(widths[1:], per_pixel, 4)
        if prior is not None:
            _set_prior(self.class_heads, prior, num_classes)
        sides = [image_size // stem_stride // 2**k for k in range(1, len(widths))]
        anchors = multiscale_anchors(
            [(side, side) for side, s in zip(sides, scales, strict=True) if s],
            scales=[s for s in scales if s],
            ratios=ratios,
        )
        self.register_buffer("anchors", anchors, persistent=False)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """The answers at all anchors.

        Args:
            images: (B, 3, S, S), uint8 or floating point in [0, 1].

        Returns:
            The logits, (B, A, K + 1), and the offsets, (B, 4A).

        Raises:
            ValueError: the images are not (B, 3, S, S).
        """
        if images.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(
                f"images must be (B, 3, {self.image_size}, {self.image_size}), got "
                f"{tuple(images.shape)}"
            )
        if images.dtype == torch.uint8:
            images = images.float() / 255
        x = self.stem((images - 0.5) / 0.25)
        logits, offsets = [], []
        for stage, classify, move in zip(
            self.stages, self.class_heads, self.offset_heads, strict=True
        ):
            x = stage(x)
            if classify is not None:
                logits.append(flatten_head(classify(x), self.num_classes + 1))
                offsets.append(flatten_head(move(x), 4))
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1).flatten(1)


def predict(
    model: nn.Module,
    images: Tensor,
    *,
    batch_size: int = 64,
    iou_threshold: float = 0.45,
    score_threshold: float = 0.01,
    max_detections: int = 100,
) -> list[Detections]:
    """What a detector finds, in evaluation mode.

    Args:
        model: from (B, 3, S, S) to logits and offsets, with a buffer `anchors`, (A, 4).
            It is left in evaluation mode.
        images: (N, 3, S, S), uint8 or in [0, 1].
        batch_size: pictures at a time.
        iou_threshold: of the suppression.
        score_threshold: what is less sure is not reported. To measure a detector, keep
            it low.
        max_detections: in each picture.

    Returns:
        For each picture its detections, on the CPU.

    Raises:
        ValueError: the images are not as said, or see `nms.multibox_detection`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 3.7, for
        the thresholds 0.45 and 0.01.
    """
    _check_range(images)
    model.eval()
    device = next(model.parameters()).device
    found: list[Detections] = []
    for part in images.split(batch_size) if len(images) else ():
        with torch.no_grad():
            logits, offsets = model(part.to(device))
        found += multibox_detection(
            logits.float().cpu(),
            offsets.float().cpu(),
            model.anchors.cpu(),
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
            max_detections=max_detections,
        )
    return found


# The losses -------------------------------------------------------------------------


def hard_negative_mask(
    losses: Tensor, is_positive: Tensor, *, ratio: int = 3
) -> Tensor:
    """The background anchors that count: in each picture those with the largest loss.

    Args:
        losses: (B, A), of each anchor.
        is_positive: (B, A), bool: the anchors that have an object.
        ratio: how many background anchors for each anchor with an object, at least 1.
            A picture without objects counts as if it had one.

    Returns:
        (B, A), bool; never true where `is_positive` is. If a picture has fewer
        background anchors than asked for, all of them. Among equal losses the first.

    Raises:
        ValueError: the shapes differ, `is_positive` is not boolean, a loss is NaN, or
            the ratio is not a whole number >= 1.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2
        ("hard negative mining"); that an empty picture keeps some is our choice.
    """
    if losses.dim() != 2 or losses.shape != is_positive.shape:
        raise ValueError(
            "losses and is_positive must be (B, A) both, got "
            f"{tuple(losses.shape)} and {tuple(is_positive.shape)}"
        )
    if is_positive.dtype != torch.bool:
        raise ValueError(f"is_positive must be boolean, got {is_positive.dtype}")
    require_whole("ratio", ratio)
    if losses.isnan().any():
        raise ValueError("losses must be numbers, got NaN")
    wanted = ratio * is_positive.sum(dim=1, keepdim=True).clamp(min=1)  # (B, 1)
    negative = losses.masked_fill(is_positive, -math.inf)
    order = negative.argsort(dim=1, descending=True, stable=True)
    rank = order.argsort(dim=1)  # (B, A): place of each anchor in that order
    return (rank < wanted) & ~is_positive


def mined_cross_entropy(logits: Tensor, classes: Tensor, *, ratio: int = 3) -> Tensor:
    """Cross entropy of the anchors with an object and of the hardest of the others.

    Args:
        logits: (B, A, K + 1).
        classes: (B, A), int64, 0 for background.
        ratio: see `hard_negative_mask`.

    Returns:
        A scalar: the sum over those anchors, over the number with an object (or 1).

    Raises:
        ValueError: see `hard_negative_mask`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, equation 3.
    """
    losses = F.cross_entropy(logits.mT, classes, reduction="none")  # (B, A)
    is_positive = classes > 0
    # Which anchors count is a choice, not something to be learned: no gradient.
    hard = hard_negative_mask(losses.detach(), is_positive, ratio=ratio)
    counts = is_positive | hard
    return losses[counts].sum() / is_positive.sum().clamp(min=1)


def focal_cross_entropy(
    logits: Tensor, classes: Tensor, *, gamma: float = 2.0
) -> Tensor:
    """Cross entropy of all anchors, each weighted by how wrong it is.

    An anchor whose right class has the probability p counts (1 - p)^gamma.

    Args:
        logits: (B, A, K + 1).
        classes: (B, A), int64, 0 for background.
        gamma: at least 0; 0 is plain cross entropy.

    Returns:
        A scalar: the sum over all anchors, over the number with an object (or 1).

    Raises:
        ValueError: gamma is negative.

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 4,
        here over a softmax, without their weights alpha of the classes.
    """
    require_not_negative("gamma", gamma)
    losses = F.cross_entropy(logits.mT, classes, reduction="none")  # (B, A): -log p
    weights = -torch.expm1(-losses)  # 1 - p, without losing digits where p is near 1
    return (weights**gamma * losses).sum() / (classes > 0).sum().clamp(min=1)


def masked_l1(offsets: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """The mean absolute error of the offsets that count.

    Args:
        offsets: (B, 4A), the network's.
        targets: (B, 4A), as `anchors.anchor_targets` returns them.
        mask: (B, 4A), 1 where an offset counts and 0 elsewhere.

    Returns:
        A scalar; 0 if none counts.

    Raises:
        ValueError: the shapes differ.

    Source: Girshick, Fast R-CNN, ICCV 2015, section 2.3 (there smoothed near 0).
    """
    if not offsets.shape == targets.shape == mask.shape:
        raise ValueError(
            "offsets, targets and mask must have one shape, got "
            f"{tuple(offsets.shape)}, {tuple(targets.shape)}, {tuple(mask.shape)}"
        )
    return ((offsets - targets).abs() * mask).sum() / mask.sum().clamp(min=1)


# The training -----------------------------------------------------------------------


def stack_scenes(data: Dataset) -> tuple[Tensor, Tensor]:
    """All of a data set with boxes in memory, a byte for each colour of a pixel.

    Args:
        data: items (image (3, S, S) in [0, 1], boxes (M, 4), labels (M,)).

    Returns:
        The images, (N, 3, S, S), uint8, and the labels, (N, M, 5), padded with -1.

    Raises:
        ValueError: there is no item.

    Source: the definition.
    """
    scenes = (data[index] for index in range(len(data)))
    return collate(
        [
            ((image * 255).round().byte(), boxes, classes)
            for image, boxes, classes in scenes
        ]
    )


def flip(
    images: Tensor, labels: Tensor, *, generator: torch.Generator | None = None
) -> tuple[Tensor, Tensor]:
    """Mirror half of the pictures, left to right, and the boxes with them.

    Args:
        images: (B, 3, H, W).
        labels: (B, M, 5), boxes in shares of the picture.
        generator: draws the half; torch's global one by default.

    Returns:
        Images and labels of the same shapes.

    Source: the definition.
    """
    chosen = torch.rand(len(images), generator=generator) < 0.5
    images = torch.where(chosen[:, None, None, None], images.flip(-1), images)
    kind, x1, y1, x2, y2 = labels.unbind(dim=-1)
    # Left and right change places: the new left edge is the old right one, mirrored.
    mirrored = torch.stack([kind, 1 - x2, y1, 1 - x1, y2], dim=-1)
    return images, torch.where(chosen[:, None, None], mirrored, labels)


def train(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 400,
    batch_size: int = 16,
    learning_rate: float = 4e-3,
    weight_decay: float = 0.01,
    class_loss: Callable[[Tensor, Tensor], Tensor] = mined_cross_entropy,
    box_loss: Callable[[Tensor, Tensor, Tensor], Tensor] = masked_l1,
    augment: Callable[..., tuple[Tensor, Tensor]] | None = flip,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train a detector in place.

    Order and changes of a step depend on `seed` and its number alone: a run that is
    resumed goes on as if it had never stopped.

    Args:
        model: see `predict`; it is left in evaluation mode.
        images: (N, 3, S, S), uint8 or in [0, 1].
        labels: (N, M, 5): class from 0, or -1 for padding, x1, y1, x2, y2.
        steps: batches in all.
        batch_size: pictures a step, in all processes together; N if there are fewer.
        learning_rate: the peak; see `common.schedules.one_cycle`.
        weight_decay: AdamW's.
        class_loss: of logits (B, A, K + 1) and classes (B, A).
        box_loss: of offsets, targets and mask, (B, 4A) each.
        augment: `augment(images, labels, generator=…)` changes each batch; None for
            none.
        seed: of the order of the pictures and of their changes.
        fabric: launched; by default one process on the device that is there.
        checkpoint: a file. If it is there, the run goes on from it; it is written at
            the end and at every `save_every` steps.
        save_every: in steps; by default only at the end.
        progress: whether to show a bar.

    Returns:
        "class_loss" and "box_loss", a number for each step.

    Raises:
        ValueError: an argument is out of its range, the pictures or labels are not as
            said, or the checkpoint is of another run.
        FloatingPointError: a loss is no longer a number.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, equation 1, with
        AdamW (Loshchilov and Hutter, ICLR 2019).
    """
    require_positive("learning_rate", learning_rate)
    require_not_negative("weight_decay", weight_decay)
    _check_pairs(images, labels, model)
    optimizer = torch.optim.AdamW(
        model.parameters(), learning_rate, weight_decay=weight_decay
    )
    run = Run(
        model,
        optimizer,
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        settings={"learning_rate": learning_rate, "weight_decay": weight_decay},
        fabric=fabric,
        checkpoint=checkpoint,
        save_every=save_every,
        progress=progress,
    )
    anchors = model.anchors.cpu()

    def with_targets(
        pictures: Tensor, truths: Tensor, *, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        if augment is not None:
            pictures, truths = augment(pictures, truths, generator=generator)
        # On the CPU, where many small steps cost less than on a GPU.
        return pictures, *anchor_targets(anchors, truths)

    for _ in run:
        pictures, offsets, mask, classes = run.batch(
            images, labels, change=with_targets
        )
        logits, moves = run.network(pictures)
        run.learn(
            class_loss=class_loss(logits.float(), classes),
            box_loss=box_loss(moves.float(), offsets, mask),
        )
    return run.history


# The measures -----------------------------------------------------------------------


def match_detections(
    boxes: Tensor, truths: Tensor, iou_thresholds: Sequence[float]
) -> Tensor:
    """Which reports of one class in one picture are right: each truth is found once.

    The surest report takes the free truth that it overlaps most, if their IoU reaches
    the threshold; then the next.

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
        2010, section 4.2; that a report may take its second-best truth when the best
        is taken is COCO's rule.
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
    # Most reports reach no truth at all, and need no second look.
    for n in (iou.amax(dim=1) >= levels.min()).nonzero()[:, 0].tolist():
        overlap = iou[n, :, None].where(free, -1.0)  # (M, T)
        best, truth = overlap.max(dim=0)
        right[n] = best >= levels
        free[truth[right[n]], right[n].nonzero()[:, 0]] = False
    return right


def precision_recall(
    scores: Tensor, is_right: Tensor, num_truths: int
) -> tuple[Tensor, Tensor]:
    """Precision and recall as the score threshold comes down, report by report.

    Args:
        scores: (N,), of one class, of all pictures together.
        is_right: (N,), bool, see `match_detections`.
        num_truths: objects of the class in all pictures, at least 1.

    Returns:
        Precision and recall after the 1st, 2nd, … N-th report, (N,) each, float64, the
        surest first and equal scores in the order given.

    Raises:
        ValueError: lengths that do not fit, a NaN among the scores, `is_right` is not
            boolean, or more right reports than truths.

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
        scores: (N,), of all reports of the class, of all pictures together.
        is_right: (N,), bool, see `match_detections`.
        num_truths: objects of the class in all pictures, at least 1.

    Returns:
        A scalar in [0, 1]; 0 if nothing is reported.

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
    """All reports of one class, picture after picture, and which of them are right.

    Args:
        detections: of B pictures.
        labels: (B, M, 5), with class -1 for padding.
        label: the class, from 0.
        iou_thresholds: T numbers in [0, 1].

    Returns:
        Scores (N,), right ones (N, T), and the number of truths.

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
        ValueError: there is no truth at all, or see `match_class`.

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
    """What is wrong with the reports on one picture.

    Attributes:
        kinds: for each of N reports "right", "duplicate", "confused", "badly placed"
            or "nothing there".
        about: (N,), int64: the row of the labels that a report is about, -1 for none.
        missed: (M,), bool: the truths that no report is about.

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
    """Say of each report on a picture what is wrong with it.

    The first rule that fits counts:

    1. It reaches the IoU threshold with a free truth of its class: *right*.
    2. It reaches it with a truth of its class that a surer report has: *duplicate*.
    3. It reaches it with a truth of another class: *confused*.
    4. It touches a truth of its class: *badly placed*.
    5. *Nothing there*.

    Args:
        found: the reports, the surest first, those alone that one would show.
        truths: (M, 5): class, or -1 for padding, x1, y1, x2, y2.
        iou_threshold: in [0, 1].
        touching: the IoU from which on a box touches a truth, above 0.

    Returns:
        The kinds, what each report is about, and the truths that none is about.

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
    kinds, about = [], torch.full((len(iou),), -1)
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


def _convolution(
    inputs: int, outputs: int, stride: int = 1, size: int = 3
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def _heads(
    widths: Sequence[int], per_pixel: Sequence[int], values: int
) -> nn.ModuleList:
    """A convolution for each map that has anchors, and None for the others."""
    return nn.ModuleList(
        nn.Conv2d(width, number * values, 3, padding=1) if number else None
        for width, number in zip(widths, per_pixel, strict=True)
    )


def _set_prior(heads: nn.ModuleList, prior: float, num_classes: int) -> None:
    require_share("prior", prior, "(0, 1)")
    for head in heads:
        if head is not None:
            bias = head.bias.data.view(-1, num_classes + 1)  # a row for each anchor
            bias.zero_()
            bias[:, 0] = math.log(num_classes * (1 - prior) / prior)


def _check_range(images: Tensor) -> None:
    if images.dtype == torch.uint8 or not images.numel():
        return
    if not ((images >= 0) & (images <= 1)).all():  # false for NaN, too
        raise ValueError(
            "images must lie in [0, 1], or be uint8, got "
            f"[{images.min().item():g}, {images.max().item():g}]"
        )


def _check_pairs(images: Tensor, labels: Tensor, model: nn.Module) -> None:
    _check_range(images)
    if not len(images) or labels.dim() != 3 or len(labels) != len(images):
        raise ValueError(
            "labels must be (N, M, 5), one for each of N >= 1 images, got "
            f"{tuple(labels.shape)} for images {tuple(images.shape)}"
        )
    classes = labels[..., 0]
    if classes.numel() and not classes.max() < model.num_classes:
        raise ValueError(
            f"labels must be of classes below {model.num_classes}, got "
            f"{classes.max().item():g}"
        )
