"""Losses of networks that answer at many places at once, nearly all of them empty.

Logits are (B, A, K + 1) over A places, with class 0 for nothing there. What counts of
the places is divided by the number of those that hold something, not by all.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import require_not_negative


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
