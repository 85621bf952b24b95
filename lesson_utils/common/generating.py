"""What generators of pictures need: ways between latents, and a distance of samples."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """Between two vectors along the arc, so that the length does not sag on the way.

    Args:
        start: (..., D), not 0.
        end: (..., D), not 0, and not opposite to `start`.
        share: how far, a scalar or a shape that fits (..., 1); 0 is `start`, 1 `end`.

    Returns:
        (..., D); for two of one length, vectors of that length.

    Raises:
        ValueError: two vectors are opposite, or one is 0: then no arc is the shortest.

    Source: Shoemake, Animating Rotation with Quaternion Curves, SIGGRAPH 1985; for
        latent vectors White, Sampling Generative Networks, 2016.
    """
    cosine = F.cosine_similarity(start, end, dim=-1)[..., None].clamp(-1, 1)
    angle = cosine.arccos()
    lengths = torch.minimum(start.norm(dim=-1), end.norm(dim=-1))
    if not (angle < math.pi - 1e-3).all() or not (lengths > 0).all():
        raise ValueError(
            "start and end must not be 0, nor opposite to each other, got an angle of "
            f"{angle.max().item():.4f} and a length of {lengths.min().item():g}"
        )
    straight = angle < 1e-3  # the arc is its chord, and the sine below nearly 0
    sine = angle.where(~straight, 1.0).sin()
    first = (((1 - share) * angle).sin() / sine).where(~straight, 1 - share)
    second = ((share * angle).sin() / sine).where(~straight, share)
    return first * start + second * end


def kernel_distance(features1: Tensor, features2: Tensor) -> Tensor:
    """Squared maximum mean discrepancy under the kernel (x·y / D + 1)³, unbiased.

    With the features of an Inception network this is the KID; any fixed features do.

    Args:
        features1: (N, D), N >= 2.
        features2: (M, D), M >= 2.

    Returns:
        (), 0 on average for two samples of one distribution, so at times below 0.

    Raises:
        ValueError: features are not (N, D) with one D, or fewer than two.

    Source: Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 3.
    """
    for name, features in (("features1", features1), ("features2", features2)):
        if features.dim() != 2 or len(features) < 2:
            raise ValueError(
                f"{name} must be (N, D) with N >= 2, got {tuple(features.shape)}"
            )
    if features1.shape[1] != features2.shape[1]:
        raise ValueError(
            f"features1 and features2 must have one D, got {features1.shape[1]} and "
            f"{features2.shape[1]}"
        )
    within = _mean_off_diagonal(features1) + _mean_off_diagonal(features2)
    return within - 2 * _kernel(features1, features2).mean()


def _kernel(features1: Tensor, features2: Tensor) -> Tensor:
    return (features1 @ features2.T / features1.shape[1] + 1) ** 3


def _mean_off_diagonal(features: Tensor) -> Tensor:
    # A vector with itself is left out: that is what makes the estimate unbiased.
    kernel, number = _kernel(features, features), len(features)
    return (kernel.sum() - kernel.trace()) / (number * (number - 1))
