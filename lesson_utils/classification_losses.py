"""Classification losses: what each asks of a margin, and AdaBoost as one of them.

The module of the chapter `book/losses/classification_losses.ipynb`. A two-class label y
is -1 or 1, a score f is any number, and the *margin* is m = y f: positive if the sign
of the score is right. Losses of margins give one number for each margin, in its dtype.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_floating,
    require_labels,
    require_not_negative,
    require_shape,
    require_share,
    require_whole,
)

# Losses of the margin ---------------------------------------------------------------


def zero_one_loss(margins: Tensor) -> Tensor:
    """Count the mistakes: 1 for a margin of 0 or less, 0 above.

    Args:
        margins: (...), floating point.

    Returns:
        The shape of `margins`; its slope is 0 wherever it has one.

    Raises:
        ValueError: the margins are not floating point.

    Source: the definition.
    """
    require_floating("margins", margins)
    return (margins <= 0).to(margins.dtype)


def hinge_loss(margins: Tensor) -> Tensor:
    """The distance that is missing to a margin of 1: max(0, 1 - m).

    Args:
        margins: (...), floating point.

    Returns:
        The shape of `margins`.

    Raises:
        ValueError: the margins are not floating point.

    Source: Cortes and Vapnik, Support-Vector Networks, Machine Learning 1995.
    """
    require_floating("margins", margins)
    return (1 - margins).clamp(min=0)


def squared_hinge_loss(margins: Tensor) -> Tensor:
    """The square of what is missing to a margin of 1: max(0, 1 - m)².

    Args:
        margins: (...), floating point.

    Returns:
        The shape of `margins`.

    Raises:
        ValueError: the margins are not floating point.

    Source: the definition.
    """
    return hinge_loss(margins).square()


def logistic_loss(margins: Tensor) -> Tensor:
    """Minus the log of the sigmoid of the margin: log(1 + e^-m), cross entropy of two.

    Args:
        margins: (...), floating point.

    Returns:
        The shape of `margins`, without overflow for any finite margin.

    Raises:
        ValueError: the margins are not floating point.

    Source: the definition.
    """
    require_floating("margins", margins)
    # log(e^0 + e^-m): the larger exponent is taken out before anything is raised.
    return torch.logaddexp(torch.zeros_like(margins), -margins)


def exponential_loss(margins: Tensor) -> Tensor:
    """AdaBoost's loss, e^-m.

    Args:
        margins: (...), floating point.

    Returns:
        The shape of `margins`; infinite below -88.7 in float32, where e^-m is too
        large to be written down. `exponential_weights` needs no such number.

    Raises:
        ValueError: the margins are not floating point.

    Source: Friedman, Hastie and Tibshirani, Annals of Statistics 2000.
    """
    require_floating("margins", margins)
    return torch.exp(-margins)


def exponential_weights(margins: Tensor) -> Tensor:
    """Which part of the whole pull each point has under the exponential loss.

    Args:
        margins: (..., N), floating point.

    Returns:
        (..., N): e^-m over its sum, without overflow for finite margins.

    Raises:
        ValueError: the margins are not floating point.

    Source: Friedman, Hastie and Tibshirani, Annals of Statistics 2000.
    """
    require_floating("margins", margins)
    return torch.softmax(-margins, dim=-1)


# Losses of logits -------------------------------------------------------------------


def cross_entropy(
    logits: Tensor, targets: Tensor, *, label_smoothing: float = 0.0
) -> Tensor:
    """Minus the log of the softmax at the right class, in the mean of a batch.

    Args:
        logits: (N, K), floating point, N and K at least 1.
        targets: (N,), whole numbers from 0 to K - 1.
        label_smoothing: ε in [0, 1]: the target is 1 - ε for the right class, and ε / K
            more for each class.

    Returns:
        A scalar, float32 at least.

    Raises:
        ValueError: logits are not (N, K) or empty, targets are not such numbers, or
            the smoothing lies outside [0, 1].

    Source: Szegedy et al., Rethinking the Inception Architecture for Computer Vision,
        CVPR 2016, section 7 (the smoothing).
    """
    require_shape("logits", logits, "N K", floating=True)
    if not logits.numel():
        raise ValueError(f"logits must not be empty, got {tuple(logits.shape)}")
    require_labels("targets", targets, *logits.shape)
    require_share("label_smoothing", label_smoothing)
    logits = at_least_float32(logits)
    log_p = logits - logits.logsumexp(dim=1, keepdim=True)  # (N, K)
    losses = -log_p.gather(1, targets.long()[:, None])[:, 0]  # (N,)
    if label_smoothing:  # 0 times the infinite loss of an excluded class is NaN
        losses = (1 - label_smoothing) * losses - label_smoothing * log_p.mean(dim=1)
    return losses.mean()


def focal_loss(
    logits: Tensor, targets: Tensor, *, gamma: float = 2.0, alpha: float | None = 0.25
) -> Tensor:
    """Cross entropy of yes or no, less of it where the answer is right already.

    Where the right answer has the probability p, it counts (1 - p)^γ, times α for yes
    and 1 - α for no. With γ = 0 this is weighted cross entropy.

    Args:
        logits: (...), floating point.
        targets: (...), of the same shape: 0 or 1, of any dtype.
        gamma: γ, at least 0.
        alpha: α in [0, 1], or None for no weights.

    Returns:
        The shape of `logits`, float32 at least; finite, with finite gradients, for all
        finite logits and every γ.

    Raises:
        ValueError: logits are not floating point, targets have another shape or
            another value than 0 and 1, γ is negative, or α outside [0, 1].

    Source: Lin et al., Focal Loss for Dense Object Detection, ICCV 2017, equation 5.
    """
    require_floating("logits", logits)
    if targets.shape != logits.shape or not ((targets == 0) | (targets == 1)).all():
        raise ValueError(
            f"targets must be 0 or 1, shaped as logits, {tuple(logits.shape)}, got "
            f"{tuple(targets.shape)} of {targets.unique()[:5].tolist()}"
        )
    require_not_negative("gamma", gamma)
    logits = at_least_float32(logits)
    positive = targets == 1
    margins = torch.where(positive, logits, -logits)
    # (1 - p)^γ as a power has an infinite slope at p = 1 if γ < 1; log(1 - p) has none.
    losses = torch.exp(-gamma * logistic_loss(-margins)) * logistic_loss(margins)
    if alpha is None:
        return losses
    require_share("alpha", alpha)
    return torch.where(positive, alpha * losses, (1 - alpha) * losses)


def fit_linear(
    points: Tensor,
    targets: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    decay: float = 0.1,
    steps: int = 200,
) -> tuple[Tensor, Tensor]:
    """The weight and the bias with the least mean loss, and not too long a weight.

    Args:
        points: (N, D), floating point, N at least 1.
        targets: (N,), whatever the loss wants.
        loss: takes scores (N,) and targets, and returns one loss for each, (N,).
        decay: λ, at least 0: λ / 2 times the squared length of the weight is added.
        steps: of L-BFGS, at most.

    Returns:
        Weight (D,) and bias, a scalar, without gradients.

    Raises:
        ValueError: points are not (N, D), floating point, with N >= 1, targets are not
            as many, decay is negative, or steps is no whole number from 1.

    Source: the definition.
    """
    require_shape("points", points, "N D", floating=True)
    if not len(points) or targets.shape[:1] != points.shape[:1]:
        raise ValueError(
            f"targets must be one for each of N >= 1 points, got "
            f"{tuple(targets.shape)} for {len(points)}"
        )
    require_not_negative("decay", decay)
    require_whole("steps", steps)
    weight = points.new_zeros(points.shape[1]).requires_grad_()
    bias = points.new_zeros(()).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=steps, history_size=20, line_search_fn="strong_wolfe"
    )

    def objective() -> Tensor:
        optimizer.zero_grad()
        mean = loss(points @ weight + bias, targets).mean()
        total = mean + decay / 2 * weight.square().sum()
        total.backward()
        return total

    optimizer.step(objective)
    return weight.detach(), bias.detach()


# AdaBoost ---------------------------------------------------------------------------


class Stump(NamedTuple):
    """A classifier of one question: `sign` where a feature is above the threshold.

    Args:
        feature: which column of the points.
        threshold: what it is compared with.
        sign: -1 or 1, the answer above the threshold; below it, minus that.

    Source: the definition.
    """

    feature: int
    threshold: float
    sign: int

    def __call__(self, points: Tensor) -> Tensor:
        """The answers, -1 or 1, (N,), for points (N, D)."""
        above = points[:, self.feature] > self.threshold
        return torch.where(above, self.sign, -self.sign).to(points.dtype)


class Round(NamedTuple):
    """One round of boosting.

    Args:
        weights: (N,), of the points in this round, adding up to 1.
        stump: the best one for these weights.
        error: ε, the weight of the points that it gets wrong.
        alpha: α, its vote.

    Source: Freund and Schapire, JCSS 1997.
    """

    weights: Tensor
    stump: Stump
    error: float
    alpha: float


def best_stump(points: Tensor, labels: Tensor, weights: Tensor) -> tuple[Stump, float]:
    """The stump with the smallest sum of weights of the points that it gets wrong.

    Args:
        points: (N, D), floating point.
        labels: (N,), -1 or 1.
        weights: (N,), not negative, adding up to 1.

    Returns:
        The stump, its threshold halfway between two points, and its error, at most
        0.5. Of equal ones the first feature and the lowest threshold.

    Raises:
        ValueError: labels are not -1 or 1, both of them present, one for each point,
            or all points are the same.

    Source: the definition.
    """
    _require_signs(labels, len(points))
    values, order = points.sort(dim=0, stable=True)  # (N, D)
    signed = (weights * labels).to(points.dtype)[order]
    # Right less wrong, of "1 above": what lies above the cut, less what lies below it.
    edges = (signed.sum(dim=0) - 2 * signed.cumsum(dim=0))[:-1]  # (N - 1, D)
    edges = edges.masked_fill(values[1:] == values[:-1], 0)
    if not (values[0] < values[-1]).any():
        raise ValueError(f"points must differ, got {len(points)} times the same")
    feature, cut = divmod(edges.abs().T.argmax().item(), len(edges))
    threshold = (values[cut, feature] + values[cut + 1, feature]).item() / 2
    edge = edges[cut, feature].item()
    return Stump(feature, threshold, 1 if edge > 0 else -1), (1 - abs(edge)) / 2


def adaboost(points: Tensor, labels: Tensor, rounds: int) -> list[Round]:
    """Boosting: the exponential loss goes down, one stump at a time.

    Args:
        points: (N, D), floating point.
        labels: (N,), -1 or 1.
        rounds: how many, at most.

    Returns:
        The rounds; fewer if no stump is better than chance, and only one, with a vote
        of 1, if one stump is right about every point.

    Raises:
        ValueError: as `best_stump`; `rounds` is no whole number from 1.

    Source: Freund and Schapire, A Decision-Theoretic Generalization of On-Line Learning
        and an Application to Boosting, JCSS 1997; the vote here is half of theirs.
    """
    require_shape("points", points, "N D", floating=True)
    require_whole("rounds", rounds)
    margins = points.new_zeros(len(points))
    result = []
    for _ in range(rounds):
        weights = exponential_weights(margins)
        stump, error = best_stump(points, labels, weights)
        right = stump(points) * labels
        if (right > 0).all():
            return [Round(weights, stump, 0.0, 1.0)]
        alpha = math.log((1 - error) / error) / 2
        if alpha < 1e-9:
            break
        result.append(Round(weights, stump, error, alpha))
        margins = margins + alpha * right
    return result


def boosted_scores(rounds: list[Round], points: Tensor) -> Tensor:
    """The stumps' answers, each times its vote, added up.

    Args:
        rounds: as `adaboost` returns them.
        points: (N, D), floating point.

    Returns:
        (N,): positive for label 1.

    Source: Freund and Schapire, JCSS 1997.
    """
    scores = points.new_zeros(len(points))
    for each in rounds:
        scores = scores + each.alpha * each.stump(points)
    return scores


def _require_signs(labels: Tensor, number: int) -> None:
    if labels.shape != (number,) or set(labels.unique().tolist()) != {-1, 1}:
        raise ValueError(
            f"labels must be -1 or 1, both of them, one for each of {number} points, "
            f"got {tuple(labels.shape)} of {labels.unique()[:5].tolist()}"
        )
