"""Margins in softmax: classes kept apart by angles.

The module of the chapter `book/losses/margin_softmax.ipynb`. Features are (N, D) and a
last layer's weights (K, D), floating point; targets are (N,), whole numbers from 0 to
K - 1; angles are in radians. Logits come in float32 at least, and go into an ordinary
cross entropy.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_choice,
    require_labels,
    require_not_negative,
    require_positive,
    require_shape,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run
from lesson_utils.metric_learning import cosine_similarity

LOSSES = ("softmax", "sphereface", "cosface", "arcface")


def cosine_logits(features: Tensor, weight: Tensor) -> Tensor:
    """The cosine of every feature vector with every class's weights.

    Args:
        features: (N, D), floating point.
        weight: (K, D), floating point, a row for each class.

    Returns:
        (N, K), in [-1, 1]; 0 for a vector of zeros, which has no direction.

    Raises:
        ValueError: another shape, or not floating point.

    Source: Wang et al., NormFace, ACM Multimedia 2017.
    """
    require_shape("features", features, "N D", floating=True)
    require_shape("weight", weight, "K D", floating=True, D=features.shape[1])
    return cosine_similarity(features, weight)


def sphereface_logits(
    cosine: Tensor, norms: Tensor, targets: Tensor, *, margin: int = 4
) -> Tensor:
    """Multiply the angle to the own class: A-Softmax, with its weights of length 1.

    The own class's cosine becomes psi(theta) = (-1)^k cos(margin theta) - 2 k for theta
    between k pi / margin and (k + 1) pi / margin: it falls from 1 to 1 - 2 margin.

    Args:
        cosine: (N, K), in [-1, 1].
        norms: (N,), lengths of the feature vectors.
        targets: (N,), the own class of each.
        margin: what the angle is multiplied by.

    Returns:
        (N, K): `norms` times the cosines, psi for the own class.

    Raises:
        ValueError: another shape or dtype, a cosine beyond [-1, 1], a target out of
            range, or a margin that is no whole number >= 1.

    Source: Liu et al., SphereFace, CVPR 2017, section 3.
    """
    require_whole("margin", margin)
    cosine = _cosines(cosine, targets)
    require_shape("norms", norms, "N", floating=True, N=len(targets))
    own = _own(cosine, targets)
    # cos(margin theta) is a polynomial of cos(theta): no arccos, no infinite slope.
    before, multiple = torch.ones_like(own), own
    for _ in range(margin - 1):
        before, multiple = multiple, 2 * own * multiple - before
    k = (own.detach().acos() * (margin / math.pi)).floor().clamp(max=margin - 1)
    psi = (1 - 2 * (k % 2)) * multiple - 2 * k
    return at_least_float32(norms)[:, None] * _put(cosine, targets, psi)


def cosface_logits(
    cosine: Tensor, targets: Tensor, *, margin: float = 0.35, scale: float = 64.0
) -> Tensor:
    """Subtract a margin from the own class's cosine.

    Args:
        cosine: (N, K), in [-1, 1].
        targets: (N,), the own class of each.
        margin: what is subtracted.
        scale: what all cosines are multiplied by afterwards.

    Returns:
        (N, K).

    Raises:
        ValueError: another shape or dtype, a cosine beyond [-1, 1], a target out of
            range, a margin below 0, or a scale that is not above 0.

    Source: Wang et al., CosFace, CVPR 2018, section 3.
    """
    require_not_negative("margin", margin)
    require_positive("scale", scale)
    cosine = _cosines(cosine, targets)
    return scale * _put(cosine, targets, _own(cosine, targets) - margin)


def arcface_logits(
    cosine: Tensor, targets: Tensor, *, margin: float = 0.5, scale: float = 64.0
) -> Tensor:
    """Add a margin to the angle to the own class.

    Where the angle and the margin together leave pi, the cosine would rise again; there
    cos(theta) - margin sin(margin) is taken, which goes on falling.

    Args:
        cosine: (N, K), in [-1, 1].
        targets: (N,), the own class of each.
        margin: what is added, in radians, from 0 to below pi.
        scale: what all cosines are multiplied by afterwards.

    Returns:
        (N, K). At a cosine of 1 or -1, where the slope of the angle is infinite, only
        the part of the gradient that is finite is taken.

    Raises:
        ValueError: another shape or dtype, a cosine beyond [-1, 1], a target out of
            range, a margin out of [0, pi), or a scale that is not above 0.

    Source: Deng et al., ArcFace, CVPR 2019, section 3, with the continuation beyond pi
        of the authors' code.
    """
    require_share("margin", margin, f"[0, {math.pi})")
    require_positive("scale", scale)
    cosine = _cosines(cosine, targets)
    own = _own(cosine, targets)
    squares = (1 - own) * (1 + own)  # keeps the digits near 1 that 1 - own² loses
    edge = squares == 0
    sine = squares.masked_fill(edge, 1).sqrt().masked_fill(edge, 0)
    moved = own * math.cos(margin) - sine * math.sin(margin)  # cos(theta + margin)
    beyond = own - margin * math.sin(margin)
    moved = torch.where(own > -math.cos(margin), moved, beyond)
    return scale * _put(cosine, targets, moved)


def boundary_angle(angle: float, *, loss: str, margin: float = 0.0) -> float:
    """How far a feature may be from its class, towards another, for equal logits.

    Args:
        angle: between the two classes' weights, in (0, pi].
        loss: one of `LOSSES`.
        margin: the loss's own; none for "softmax", whose weights have length 1 here.

    Returns:
        The angle to the own class's weights at which its logit, margin included,
        equals the other's. Half the angle without a margin.

    Raises:
        ValueError: an angle out of range, an unknown loss, a margin that is not the
            loss's, or one so large that the own logit is smaller even on the weights.

    Source: by addition theorems, from the definitions of the logits.
    """
    require_share("angle", angle, f"(0, {math.pi}]")
    require_choice("loss", loss, LOSSES)
    if loss == "sphereface":
        require_whole("margin", margin)
        return angle / (margin + 1)
    require_not_negative("margin", margin)
    if loss == "softmax" and margin:
        raise ValueError(f"margin must be 0 for softmax, got {margin}")
    half = angle / 2
    room = angle if loss == "arcface" else 2 * math.sin(half) ** 2
    if margin > room:
        raise ValueError(f"margin must be at most {room:.4f} here, got {margin}")
    if loss == "arcface":
        return half - margin / 2
    # cos(t) - cos(angle - t) = 2 sin(half) sin(half - t)
    return half - math.asin(margin / (2 * math.sin(half)))


def largest_margin(num_classes: int, dim: int) -> float:
    """The largest margin of `cosface_logits` for which every class can be right.

    Args:
        num_classes: K, at least 2.
        dim: D, at least 2: 2, or K - 1 or more.

    Returns:
        1 less the cosine of the angle between neighbors, if classes are spread evenly.

    Raises:
        ValueError: a number out of its range, or a D for which no formula is known.

    Source: Wang et al., CosFace, CVPR 2018, section 3.4, where it is 1 - cos(2 pi / K)
        for D = 2 and K / (K - 1) for D >= K - 1.
    """
    require_whole("num_classes", num_classes, 2)
    require_whole("dim", dim, 2)
    if dim >= num_classes - 1:
        return num_classes / (num_classes - 1)
    if dim > 2:
        raise ValueError(
            f"dim must be 2 or at least {num_classes - 1} for {num_classes} classes, "
            f"got {dim}"
        )
    return 1 - math.cos(2 * math.pi / num_classes)


def smallest_scale(num_classes: int, probability: float, *, other: float) -> float:
    """The scale below which no class can reach a probability.

    Args:
        num_classes: K, at least 2.
        probability: P, in (0, 1).
        other: the cosine with all other classes, in [-1, 1), where that with the own
            one is 1: 0 if they stand at right angles, -1 / (K - 1) at best.

    Returns:
        The scale at which softmax gives P to the own class.

    Raises:
        ValueError: a number out of its range.

    Source: Wang et al., CosFace, CVPR 2018, section 3.3, for `other` = -1 / (K - 1).
    """
    require_whole("num_classes", num_classes, 2)
    require_share("probability", probability, "(0, 1)")
    require_share("other", other, "[-1, 1)")
    odds = probability / (1 - probability)
    return max(0.0, math.log((num_classes - 1) * odds) / (1 - other))


class MarginHead(nn.Module):
    """A last layer that hands logits with a margin to the cross entropy.

    Args:
        dim: D of the features.
        num_classes: K.
        loss: one of `LOSSES`; "softmax" is a linear layer without a bias.
        margin: the loss's own.
        scale: for "cosface" and "arcface".

    Attributes:
        weight: (K, D).

    Raises:
        ValueError: a number that is no whole number >= 1, or an unknown loss.

    Source: as the losses'.
    """

    def __init__(
        self, dim: int, num_classes: int, *, loss: str, margin: float, scale: float
    ) -> None:
        super().__init__()
        require_whole("dim", dim)
        require_whole("num_classes", num_classes)
        require_choice("loss", loss, LOSSES)
        self.loss, self.margin, self.scale = loss, margin, scale
        self.weight = nn.Parameter(torch.empty(num_classes, dim))
        nn.init.normal_(self.weight, std=dim**-0.5)

    def forward(self, features: Tensor, targets: Tensor) -> Tensor:
        """Logits with the margin, for training.

        Args:
            features: (N, D).
            targets: (N,).

        Returns:
            (N, K).
        """
        if self.loss == "softmax":
            return features @ self.weight.T
        cosine = cosine_logits(features, self.weight)
        if self.loss == "sphereface":
            norms = features.norm(dim=1)
            return sphereface_logits(cosine, norms, targets, margin=self.margin)
        logits = cosface_logits if self.loss == "cosface" else arcface_logits
        return logits(cosine, targets, margin=self.margin, scale=self.scale)


def train(
    network: nn.Module,
    head: MarginHead,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int = 300,
    batch_size: int = 64,
    learning_rate: float = 3e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Train a network and its last layer together, by the cross entropy.

    Args:
        network: from (B, C, H, W) to features (B, D); trained in place.
        head: from features and targets to logits; trained in place.
        images: (N, C, H, W), in [0, 1].
        labels: (N,), whole numbers.
        steps: batches of training.
        batch_size: pictures a step.
        learning_rate: Adam's, in the first half; then it falls to 0.
        seed: of the order.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` has it, or labels that are not the head's.
        FloatingPointError: the loss is no longer a number.

    Source: the definition.
    """
    require_labels("labels", labels, len(images), len(head.weight))
    models = [network, head]
    optimizers = [torch.optim.Adam(m.parameters(), lr=learning_rate) for m in models]
    run = Run(
        models,
        optimizers,
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=hold_then_fall,
        **run,
    )
    for _ in run:
        batch, targets = run.batch(images, labels)
        logits = run.networks[1](run.networks[0](batch), targets)
        run.learn(loss=F.cross_entropy(logits, targets))
    return run.history


def sample_classes(
    targets: Tensor, num_classes: int, number: int, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A few of very many classes: all that a batch has, and others drawn at random.

    Args:
        targets: (N,), whole numbers from 0 to K - 1.
        num_classes: K.
        number: how many classes are taken; at least those of the batch.
        generator: of the others.

    Returns:
        The classes, (number,), int64, in order, and the targets as positions in them.

    Raises:
        ValueError: targets out of range, or a number below the batch's classes or
            above K.

    Source: An et al., Partial FC, ICCV Workshops 2021.
    """
    require_labels("targets", targets, len(targets), num_classes)
    own = targets.unique()
    require_whole("number", number, max(1, len(own)), num_classes)
    # The batch's own classes get the largest lots, so that they are always drawn.
    lots = torch.rand(num_classes, generator=generator).to(targets.device)
    lots[own.long()] += 1
    classes = lots.topk(number).indices.sort().values
    return classes, torch.searchsorted(classes, targets.long())


def _cosines(cosine: Tensor, targets: Tensor) -> Tensor:
    """Cosines in float32 at least, and in [-1, 1] to the last bit."""
    require_shape("cosine", cosine, "N K", floating=True)
    require_labels("targets", targets, *cosine.shape)
    if cosine.numel() and not cosine.detach().abs().max() <= 1 + 1e-3:
        largest = cosine.detach().abs().max()
        raise ValueError(f"cosine must lie in [-1, 1], got a size of {largest:g}")
    cosine = at_least_float32(cosine)
    # Rounding is put right, but its slope stays: a clamp would stop the gradient.
    return cosine + (cosine.clamp(-1, 1) - cosine).detach()


def _own(cosine: Tensor, targets: Tensor) -> Tensor:
    return cosine.gather(1, targets.long()[:, None])[:, 0]


def _put(cosine: Tensor, targets: Tensor, own: Tensor) -> Tensor:
    return cosine.scatter(1, targets.long()[:, None], own[:, None])
