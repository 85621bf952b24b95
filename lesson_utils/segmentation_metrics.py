"""Segmentation metrics: one table of counts, and five numbers from it.

The module of the chapter `book/losses/segmentation_metrics.ipynb`. A segmentation is a
map of classes (H, W), or a batch of them, of whole numbers from 0 to K - 1; class 0 is
the background where there is one. A confusion matrix has a row for each class of the
ground truth and a column for each class predicted. The network whose maps the chapter
judges is `lesson_utils.common.segmenting.UNet`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.require import INTEGERS, require_whole
from lesson_utils.masks import erode


def confusion_matrix(
    predictions: Tensor,
    targets: Tensor,
    num_classes: int,
    *,
    ignore_index: int | None = None,
) -> Tensor:
    """How many pixels of each class were predicted as each class.

    Matrices of parts of a set, such as batches, add up to that of the set.

    Args:
        predictions: any shape, whole numbers or booleans, from 0 to K - 1.
        targets: the same shape, likewise: the ground truth.
        num_classes: K.
        ignore_index: pixels with this target do not count, whatever was predicted
            there. It may lie outside of 0 ... K - 1, as 255 often does.

    Returns:
        (K, K), int64: row i, column j counts the pixels of class i predicted as j.

    Raises:
        ValueError: the shapes differ, the numbers are not whole, a class that counts
            is not within 0 ... K - 1, or `num_classes` is no whole number >= 1.

    Source: Long et al., Fully Convolutional Networks for Semantic Segmentation, CVPR
        2015, section 5, where the entries are n_ij.
    """
    require_whole("num_classes", num_classes)
    if predictions.shape != targets.shape:
        raise ValueError(
            f"targets must be {tuple(predictions.shape)}, as the predictions are, got "
            f"{tuple(targets.shape)}"
        )
    predictions, targets = (
        _as_classes(name, classes)
        for name, classes in (("predictions", predictions), ("targets", targets))
    )
    if ignore_index is not None:
        require_whole("ignore_index", ignore_index, None)
        counts = targets != ignore_index
        predictions, targets = predictions[counts], targets[counts]
    for name, classes in (("predictions", predictions), ("targets", targets)):
        _require_range(name, classes, num_classes)
    # One number for each pair: K times the row, plus the column.
    pairs = num_classes * targets + predictions
    counts = torch.bincount(pairs, minlength=num_classes**2)
    return counts.view(num_classes, num_classes)


def class_iou(confusion: Tensor, *, ignore_index: int | None = None) -> Tensor:
    """Intersection over union of each class, all pixels of the set taken together.

    Args:
        confusion: (..., K, K), from `confusion_matrix`; several may be stacked.
        ignore_index: a class that is left out: its pixels do not count, and it has no
            value. A number outside of 0 ... K - 1, such as 255, leaves nothing out.

    Returns:
        (..., K), float64, in [0, 1]; NaN for a class that is left out or has no pixel,
        neither in the ground truth nor in the predictions.

    Raises:
        ValueError: `confusion` is not (..., K, K), or holds a negative number, or
            `ignore_index` is no whole number.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge: A
        Retrospective, IJCV 2015, section 3.2.
    """
    right, truth, predicted = _sums(confusion, ignore_index)
    return right / (truth + predicted - right)


def pixel_accuracy(confusion: Tensor) -> Tensor:
    """The share of pixels that have the right class.

    Args:
        confusion: (..., K, K), from `confusion_matrix`.

    Returns:
        (...), float64, in [0, 1]; NaN where no pixel counts.

    Raises:
        ValueError: as for `class_iou`.

    Source: Long et al., CVPR 2015, section 5.
    """
    right, truth, _ = _sums(confusion)
    return right.sum(-1) / truth.sum(-1)


def mean_pixel_accuracy(confusion: Tensor) -> Tensor:
    """The share of right pixels within each class of the ground truth, averaged.

    Args:
        confusion: (..., K, K), from `confusion_matrix`.

    Returns:
        (...), float64, in [0, 1]: the mean over classes that the ground truth has; NaN
        where no pixel counts.

    Raises:
        ValueError: as for `class_iou`.

    Source: Long et al., CVPR 2015, section 5, as "mean accuracy".
    """
    right, truth, _ = _sums(confusion)
    return (right / truth).nanmean(-1)


def mean_iou(confusion: Tensor, *, ignore_index: int | None = None) -> Tensor:
    """Intersection over union, averaged over classes.

    Args:
        confusion: (..., K, K), from `confusion_matrix`.
        ignore_index: a class that is left out, as for `class_iou`.

    Returns:
        (...), float64, in [0, 1]: the mean over classes that occur, in the ground truth
        or in the predictions; NaN where there is none.

    Raises:
        ValueError: as for `class_iou`.

    Source: Long et al., CVPR 2015, section 5, as "mean IU".
    """
    return class_iou(confusion, ignore_index=ignore_index).nanmean(-1)


def frequency_weighted_iou(confusion: Tensor) -> Tensor:
    """Intersection over union of each class, weighted by how common the class is.

    Args:
        confusion: (..., K, K), from `confusion_matrix`.

    Returns:
        (...), float64, in [0, 1]: each class weighs as much as its share of the ground
        truth's pixels; NaN where no pixel counts.

    Raises:
        ValueError: as for `class_iou`.

    Source: Long et al., CVPR 2015, section 5.
    """
    right, truth, predicted = _sums(confusion)
    # A class without a pixel weighs nothing: its 0 / 0 must not spoil the sum.
    iou = right / (truth + predicted - right).clamp(min=1)
    return (truth * iou).sum(-1) / truth.sum(-1)


def dice(confusion: Tensor, *, ignore_index: int | None = None) -> Tensor:
    """The Dice coefficient, which is F1, averaged over classes.

    Args:
        confusion: (..., K, K), from `confusion_matrix`.
        ignore_index: as for `mean_iou`.

    Returns:
        (...), float64, in [0, 1]: over the classes that count in `mean_iou`.

    Raises:
        ValueError: as for `mean_iou`.

    Source: Dice, Measures of the Amount of Ecologic Association Between Species,
        Ecology 1945.
    """
    right, truth, predicted = _sums(confusion, ignore_index)
    return (2 * right / (truth + predicted)).nanmean(-1)


def boundary_iou(masks1: Tensor, masks2: Tensor, *, distance: int = 1) -> Tensor:
    """Intersection over union of the rims of two masks, not of all they cover.

    Args:
        masks1: (..., H, W), boolean or 0/1.
        masks2: the same shape.
        distance: how wide a rim is, in pixels, measured along rows and columns. A mask
            that is cut off by the picture's border has a rim there, too.

    Returns:
        (...), float32, in [0, 1]; NaN where both masks are empty.

    Raises:
        ValueError: the shapes differ, a mask is not boolean or 0/1, or the distance is
            no whole number >= 1.

    Source: Cheng et al., Boundary IoU: Improving Object-Centric Image Segmentation
        Evaluation, CVPR 2021, where the distance is a share of the picture's diagonal.
    """
    require_whole("distance", distance)
    if masks1.shape != masks2.shape:
        raise ValueError(
            f"masks2 must be {tuple(masks1.shape)}, as masks1 is, got "
            f"{tuple(masks2.shape)}"
        )
    rim1, rim2 = (_rim(masks, distance) for masks in (masks1, masks2))
    shared = (rim1 & rim2).sum((-2, -1)).float()
    return shared / (rim1 | rim2).sum((-2, -1))


def _rim(masks: Tensor, distance: int) -> Tensor:
    """The pixels of masks that lie at most so far from a pixel that is none."""
    padded = F.pad(masks, (distance,) * 4)  # outside of the picture nothing is masked
    inner = erode(padded, distance)[..., distance:-distance, distance:-distance]
    return masks.bool() & ~inner


def _as_classes(name: str, classes: Tensor) -> Tensor:
    """A map of classes as one row of int64: K times a byte would not fit a byte."""
    if classes.dtype not in (*INTEGERS, torch.bool):
        raise ValueError(f"{name} must be whole numbers, got {classes.dtype}")
    return classes.long().flatten()


def _require_range(name: str, classes: Tensor, num_classes: int) -> None:
    if classes.numel():
        least, largest = classes.aminmax()
        if least < 0 or largest >= num_classes:
            raise ValueError(
                f"{name} must lie in [0, {num_classes - 1}], got [{least}, {largest}]"
            )


def _sums(
    confusion: Tensor, ignore_index: int | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each class the right pixels, those of the ground truth, and the predicted."""
    if confusion.dim() < 2 or confusion.shape[-1] != confusion.shape[-2]:
        raise ValueError(f"confusion must be (..., K, K), got {tuple(confusion.shape)}")
    if confusion.numel() and not confusion.min() >= 0:  # true for NaN, too
        raise ValueError(f"confusion must not be negative, got {confusion.min():g}")
    counts = confusion.double()
    if ignore_index is not None:
        require_whole("ignore_index", ignore_index, None)
        ignored = torch.arange(counts.shape[-1], device=counts.device) == ignore_index
        # Its row alone: where another class was predicted as it, that is an error.
        counts = counts.masked_fill(ignored[:, None], 0)
        predicted = counts.sum(-2).masked_fill(ignored, 0)
    else:
        predicted = counts.sum(-2)
    return counts.diagonal(dim1=-2, dim2=-1), counts.sum(-1), predicted
