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

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.anchors import anchor_targets, multiscale_anchors
from lesson_utils.common.backbones import with_weights
from lesson_utils.common.dense_losses import masked_l1
from lesson_utils.common.detections import Detections
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_box_labels,
    require_images,
    require_not_negative,
    require_positive,
    require_shape,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.scenes import flip
from lesson_utils.nms import multibox_detection

SCALES = ((0.15, 0.2), (0.28, 0.38), (0.5, 0.6))  # of the anchors on each map


def flatten_head(output: Tensor, values: int) -> Tensor:
    """Bring what a head puts out into the order of the anchors: a row for each.

    Args:
        output: (B, n * values, H, W): at each pixel n anchors, the values of one
            anchor in neighboring channels.
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
        prior: in (0, 1), about what every anchor gives an object at first; None for
            the biases that torch draws.

    Attributes:
        anchors: (A, 4), map after map.

    Raises:
        ValueError: an argument is out of its range or does not fit the others, no
            stage has a head, or see `anchors.multiscale_anchors`.

    Source: Liu et al., SSD, ECCV 2016, section 2; the prior is Lin et al., Focal Loss
        for Dense Object Detection, ICCV 2017, section 3.3; the sizes are this book's.
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
        sides = _map_sides(image_size, stem_stride, widths, depths, scales)
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
        maps = [((k, k), s) for k, s in zip(sides, scales, strict=True) if s]
        sizes, its_scales = zip(*maps, strict=True)
        anchors = multiscale_anchors(sizes, scales=its_scales, ratios=ratios)
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
        require_shape("images", images, "B 3 S S", S=self.image_size)
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


def scene_detector() -> SingleShot:
    """The detector for scenes that `studies/scene_detector.py` has trained for long.

    Returns:
        The network, in evaluation mode.

    Source: the definition.
    """
    return with_weights(SingleShot, "scene_detector", "bundled")


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
        model: as `SingleShot`, left in evaluation mode.
        images: (N, 3, S, S), uint8 or in [0, 1].
        batch_size: pictures at a time.
        iou_threshold: of the suppression.
        score_threshold: what is less sure is dropped. Keep it low to measure.
        max_detections: in each picture.

    Returns:
        For each picture its detections, on the CPU.

    Raises:
        ValueError: the images are not as said, or see `nms.multibox_detection`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, "Inference time".
    """
    require_images("images", images)
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
        ValueError: shapes or types do not fit, a loss is NaN, or the ratio is below 1.

    Source: Liu et al., SSD, ECCV 2016, section 2.2; of an empty picture, our choice.
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
    **options: object,
) -> dict[str, list[float]]:
    """Train a detector in place.

    Args:
        model: see `predict`; it is left in evaluation mode.
        images: (N, 3, S, S), uint8 or in [0, 1].
        labels: (N, M, 5): class from 0, or -1 for padding, x1, y1, x2, y2.
        steps: batches in all.
        batch_size: as `common.training.Run` takes it.
        learning_rate: the peak; see `common.schedules.one_cycle`.
        weight_decay: AdamW's.
        class_loss: of logits (B, A, K + 1) and classes (B, A).
        box_loss: of offsets and targets, (B, A, 4), and mask, (B, A).
        augment: `augment(images, labels, generator=…)` of each batch, or None.
        seed: of the order of the pictures and of their changes.
        **options: `fabric`, `checkpoint`, `save_every` and `progress`, as `Run` takes
            them.

    Returns:
        "class_loss" and "box_loss", a number for each step.

    Raises:
        ValueError: an argument is not as said, or the checkpoint is of another run.
        FloatingPointError: a loss is no longer a number.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, equation 1.
    """
    require_positive("learning_rate", learning_rate)
    require_not_negative("weight_decay", weight_decay)
    require_images("images", images)
    require_box_labels("labels", labels, len(images), model.num_classes)
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
        **options,
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


def _map_sides(
    image_size: int,
    stem_stride: int,
    widths: Sequence[int],
    depths: Sequence[int],
    scales: Sequence[Sequence[float]],
) -> list[int]:
    """The side of the map behind each stage, if the sizes fit each other."""
    if not len(widths) - 1 == len(depths) == len(scales) or not any(scales):
        raise ValueError(
            "scales and depths must be one for each stage, one less than widths, "
            f"and some scales given, got {scales}, {depths} and {widths}"
        )
    shrink = stem_stride * 2 ** len(depths)
    if image_size < shrink or image_size % shrink:
        raise ValueError(f"image_size must be a multiple of {shrink}, got {image_size}")
    return [image_size // stem_stride // 2**k for k in range(1, len(widths))]


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
