"""Frame attention: one descriptor of a short video, from good frames more than bad.

The module of the chapter `book/attention/frame_attention.ipynb`. Features of frames are
(T, D) or (B, T, D): T frames, D numbers each. A mask, (T,) or (B, T), is true where a
frame is real and false where it only pads a shorter video.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_shape,
    require_whole,
)


def mean_distances(features: Tensor, mask: Tensor | None = None) -> Tensor:
    """How far each frame lies from the mean of its video.

    Args:
        features: (T, D) or (B, T, D), floating point.
        mask: (T,) or (B, T), boolean, true for real frames; None if all are.

    Returns:
        (T,) or (B, T), Euclidean; 0 for padding, which is no part of the mean.

    Raises:
        ValueError: another shape or dtype, no frame, or a video with padding only.

    Source: the definition.
    """
    apart, _ = _from_mean(features, mask)
    return torch.linalg.vector_norm(apart, dim=-1).to(features.dtype)


def distance_weights(
    features: Tensor, *, temperature: float, mask: Tensor | None = None
) -> Tensor:
    """Weights that fall with a frame's distance from the mean of its video.

    Args:
        features: (T, D) or (B, T, D), floating point.
        temperature: the distance that takes a weight down by a factor of e; small ones
            choose the frame nearest to the mean, large ones weigh all alike.
        mask: (T,) or (B, T), boolean, true for real frames; None if all are.

    Returns:
        (T,) or (B, T), a video's adding up to 1; 0 for padding.

    Raises:
        ValueError: as for `mean_distances`, or a temperature that is not above 0.

    Source: the definition: the softmax of -distance / temperature.
    """
    require_positive("temperature", temperature)
    mask = _require_frames(features, mask)
    scores = -at_least_float32(mean_distances(features, mask)) / temperature
    return _masked_softmax(scores, mask).to(features.dtype)


def attention_pool(
    features: Tensor, scores: Tensor, mask: Tensor | None = None
) -> Tensor:
    """The mean of frames, weighted by the softmax of their scores.

    Args:
        features: (T, D) or (B, T, D), floating point.
        scores: (T,) or (B, T), floating point, any numbers.
        mask: (T,) or (B, T), boolean, true for real frames; None if all are.

    Returns:
        (D,) or (B, D). Padding has no weight, whatever stands there.

    Raises:
        ValueError: another shape or dtype, no frame, or a video with padding only.

    Source: Liu, Yan and Ouyang, Quality Aware Network for Set to Set Recognition, CVPR
        2017, whose scores are divided by their sum; here they pass through a softmax.
    """
    mask = _require_frames(features, mask)
    if scores.shape != mask.shape or not scores.is_floating_point():
        raise ValueError(
            f"scores must be {tuple(mask.shape)}, floating point, one for each frame, "
            f"got {tuple(scores.shape)} of {scores.dtype}"
        )
    weights = _masked_softmax(at_least_float32(scores), mask)
    wide = at_least_float32(features).masked_fill(~mask[..., None], 0)
    return (weights[..., None] * wide).sum(-2).to(features.dtype)


class AttentionPool(nn.Module):
    """Pooling whose scores are learned, from a frame and how it departs from the mean.

    Args:
        dim: D.
        hidden: units of the one hidden layer.

    Attributes:
        score: two linear layers, from 2 D numbers to one.

    Raises:
        ValueError: a number that is no whole number >= 1.

    Source: the definition; QAN scores a frame by what a convolution sees of it.
    """

    def __init__(self, dim: int, hidden: int = 32) -> None:
        super().__init__()
        require_whole("dim", dim)
        require_whole("hidden", hidden)
        self.score = nn.Sequential(
            nn.Linear(2 * dim, hidden), nn.ReLU(), nn.Linear(hidden, 1)
        )

    def scores(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """What the network thinks of each frame.

        Args:
            features: (B, T, D), unit vectors.
            mask: (B, T), boolean; None if all frames are real.

        Returns:
            (B, T), any numbers.
        """
        apart, mask = _from_mean(features, mask)
        squares = apart.square() * features.shape[-1]  # of the order of 1
        inputs = torch.cat([features, squares.to(features.dtype)], dim=-1)
        return self.score(inputs.masked_fill(~mask[..., None], 0))[..., 0]

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """One descriptor of each video.

        Args:
            features: (B, T, D).
            mask: (B, T), boolean; None if all frames are real.

        Returns:
            (B, D).
        """
        return attention_pool(features, self.scores(features, mask), mask)


class TemporalLSTM(nn.Module):
    """An LSTM reads the frames in order; its outputs, added to them, are averaged.

    Args:
        dim: D, of the features, of the state and of the descriptor.

    Attributes:
        lstm: the recurrent layer.

    Raises:
        ValueError: `dim` is no whole number >= 1.

    Source: McLaughlin, Martinez del Rincon and Miller, Recurrent Convolutional Network
        for Video-based Person Re-identification, CVPR 2016, which has a plain recurrent
        layer and the same mean over time.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        require_whole("dim", dim)
        self.lstm = nn.LSTM(dim, dim, batch_first=True)

    def forward(self, features: Tensor, mask: Tensor | None = None) -> Tensor:
        """One descriptor of each video.

        Args:
            features: (B, T, D).
            mask: (B, T), boolean; None if all frames are real. Padding comes last.

        Returns:
            (B, D).
        """
        mask = _require_frames(features, mask)
        features = features.masked_fill(~mask[..., None], 0)
        outputs = features + self.lstm(features)[0]
        return attention_pool(outputs, torch.zeros_like(outputs[..., 0]), mask)


def fuse(appearance: Tensor, motion: Tensor, *, weight: float = 1.0) -> Tensor:
    """Two descriptors of one video joined: each of length 1, then the second scaled.

    Args:
        appearance: (B, D1), floating point.
        motion: (B, D2), likewise.
        weight: how much the motion counts: squared distances are those of the
            appearance, and weight² times those of the motion.

    Returns:
        (B, D1 + D2).

    Raises:
        ValueError: another shape or dtype, or a weight below 0.

    Source: the definition.
    """
    require_shape("appearance", appearance, "B D", floating=True)
    require_shape("motion", motion, "B D", floating=True, B=len(appearance))
    require_not_negative("weight", weight)
    parts = [F.normalize(appearance, dim=1), weight * F.normalize(motion, dim=1)]
    return torch.cat(parts, dim=1)


def _require_frames(features: Tensor, mask: Tensor | None) -> Tensor:
    """The mask, all true if there is none."""
    require_shape("features", features, "... T D", floating=True)
    if features.dim() > 3 or not features.shape[-2]:
        raise ValueError(
            f"features must be (T, D) or (B, T, D) with a frame at least, got "
            f"{tuple(features.shape)}"
        )
    if mask is None:
        return torch.ones_like(features[..., 0], dtype=torch.bool)
    if mask.shape != features.shape[:-1] or mask.dtype != torch.bool:
        raise ValueError(
            f"mask must be {tuple(features.shape[:-1])}, boolean, got "
            f"{tuple(mask.shape)} of {mask.dtype}"
        )
    if not mask.any(dim=-1).all():
        raise ValueError("mask must leave each video a frame at least, got none")
    return mask


def _from_mean(features: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Frames less the mean of the real ones, 0 for padding; and the mask."""
    mask = _require_frames(features, mask)
    padding = ~mask[..., None]
    # Filled, not multiplied: what stands in padding may be NaN.
    wide = at_least_float32(features).masked_fill(padding, 0)
    mean = wide.sum(-2, keepdim=True) / mask.sum(-1)[..., None, None]
    return (wide - mean).masked_fill(padding, 0), mask


def _masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    # -inf before the softmax: a 0 there would still be e⁰ = 1 behind it.
    return torch.softmax(scores.masked_fill(~mask, -torch.inf), dim=-1)
