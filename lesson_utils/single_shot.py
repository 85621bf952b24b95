"""A single-shot detector, its losses, and its training.

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
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from lesson_utils.anchors import anchor_targets, multiscale_anchors
from lesson_utils.common.detections import Detections
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.scenes import collate
from lesson_utils.nms import multibox_detection

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SCALES = ((0.15, 0.2), (0.28, 0.38), (0.5, 0.6))  # of the anchors on each map


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
    rows = output.shape[1:].numel() // values  # said, since of nothing -1 is ambiguous
    return output.permute(0, 2, 3, 1).reshape(len(output), rows, values)


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
            The logits, (B, A, K + 1), and the offsets, (B, A, 4).

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
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)


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
    logits = at_least_float32(logits)
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
    logits = at_least_float32(logits)
    losses = F.cross_entropy(logits.mT, classes, reduction="none")  # (B, A): -log p
    if gamma > 0:
        wrong = -torch.expm1(-losses)  # 1 - p, without losing digits where p is near 1
        sure = wrong <= 0
        # The power never sees a 0, where its slope may be infinite, and inf · 0 is NaN.
        weights = wrong.masked_fill(sure, 1) ** gamma
        losses = weights.masked_fill(sure, 0) * losses
    return losses.sum() / (classes > 0).sum().clamp(min=1)


def masked_l1(offsets: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """The mean absolute error of the offsets that count.

    Args:
        offsets: (B, A, 4), the network's.
        targets: (B, A, 4), as `anchors.anchor_targets` returns them.
        mask: (B, A), bool: the anchors whose offsets count.

    Returns:
        A scalar; 0 if none counts.

    Raises:
        ValueError: the shapes do not fit, or the mask is not boolean.

    Source: Girshick, Fast R-CNN, ICCV 2015, section 2.3 (there smoothed near 0).
    """
    if not offsets.shape == targets.shape == (*mask.shape, 4):
        raise ValueError(
            "offsets and targets must be (B, A, 4) and mask (B, A), got "
            f"{tuple(offsets.shape)}, {tuple(targets.shape)}, {tuple(mask.shape)}"
        )
    if mask.dtype != torch.bool:
        raise ValueError(f"mask must be boolean, got {mask.dtype}")
    errors = (offsets - targets).abs() * mask[..., None]  # (B, A, 4)
    return errors.sum() / (4 * mask.sum()).clamp(min=1)


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
        box_loss: of offsets and targets, (B, A, 4), and mask, (B, A).
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
