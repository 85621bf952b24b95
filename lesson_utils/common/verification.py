"""Measures of verification: are two pictures of one person, yes or no?

Scores are (N,), one for each pair, the larger the more alike; `same` is (N,), boolean,
the ground truth. A pair is accepted if its score is at least a threshold. TAR, the true
accept rate, is the share of pairs of one person that are accepted; FAR, the false
accept rate, that of the others.
"""

import torch
from torch import Tensor

from lesson_utils.common.require import require_shape, require_share, require_whole


def accept_rates(scores: Tensor, same: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The receiver operating characteristic, a point for each different score.

    Args:
        scores: (N,), floating point.
        same: (N,), boolean, with pairs of both kinds.

    Returns:
        FAR and TAR, (T,) each, float64, rising from what the highest score accepts to
        1; and the thresholds, (T,), falling.

    Raises:
        ValueError: another shape or dtype, a NaN, or pairs of one kind only.

    Source: the definition.
    """
    _require_pairs(scores, same)
    order = scores.sort(descending=True, stable=True).indices
    ranked, right = scores[order], same[order]
    last = torch.ones_like(right)
    last[:-1] = ranked[1:] != ranked[:-1]  # equal scores are accepted together
    tar = (right.cumsum(0).double() / right.sum())[last]
    far = ((~right).cumsum(0).double() / (~right).sum())[last]
    return far, tar, ranked[last]


def tar_at_far(scores: Tensor, same: Tensor, far: float) -> float:
    """The largest true accept rate at a false accept rate that is not exceeded.

    Args:
        scores: (N,), floating point.
        same: (N,), boolean, with pairs of both kinds.
        far: what is allowed, in [0, 1]. With M pairs of two persons only multiples of
            1 / M can be met; below 1 / M none of them may be accepted.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: as for `accept_rates`, or a rate out of range.

    Source: the definition.
    """
    require_share("far", far)
    rates, tar, _ = accept_rates(scores, same)
    allowed = tar[rates <= far + 1e-12]
    return allowed[-1].item() if len(allowed) else 0.0


def fold_accuracy(scores: Tensor, same: Tensor, *, folds: int = 10) -> Tensor:
    """Accuracy as Labeled Faces in the Wild has it: each fold by the others' threshold.

    Args:
        scores: (N,), floating point.
        same: (N,), boolean, with pairs of both kinds.
        folds: F; pair i is in fold i modulo F, and the threshold with which a fold is
            judged is the best one for all others together.

    Returns:
        (F,), float64, each from 0 to 1: mean and spread are what is reported.

    Raises:
        ValueError: as for `accept_rates`, of all pairs or of those that are left
            without a fold, or folds that are no whole number from 2 to N.

    Source: Huang et al., Labeled Faces in the Wild, 2007, view 2, where the folds are
        given.
    """
    _require_pairs(scores, same)
    require_whole("folds", folds, 2, len(scores))
    fold = torch.arange(len(scores), device=scores.device) % folds
    found = []
    for k in range(folds):
        far, tar, thresholds = accept_rates(scores[fold != k], same[fold != k])
        positives = same[fold != k].double().mean()
        best = (positives * tar + (1 - positives) * (1 - far)).argmax()
        accepted = scores[fold == k] >= thresholds[best]
        found.append((accepted == same[fold == k]).double().mean())
    return torch.stack(found)


def _require_pairs(scores: Tensor, same: Tensor) -> None:
    require_shape("scores", scores, "N", floating=True)
    if same.shape != scores.shape or same.dtype != torch.bool:
        raise ValueError(
            f"same must be ({len(scores)},), boolean, got {tuple(same.shape)} of "
            f"{same.dtype}"
        )
    if scores.isnan().any():
        raise ValueError("scores must be numbers, got NaN")
    if not same.any() or same.all():
        raise ValueError("same must have pairs of both kinds, got one")
