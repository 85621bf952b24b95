"""Channel attention: gates for channels and for places, and maps of where a class is.

The module of the chapter `book/attention/channel_attention.ipynb`. Features are
(B, C, H, W), floating point. A gate is a number in (0, 1) that features are multiplied
with: one for each channel, (B, C), or one for each place, (B, 1, H, W).
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import require_labels, require_shape, require_whole


def squeeze_excite(
    features: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor
) -> Tensor:
    """Features, each channel multiplied by a gate that all channels' means decide on.

    Args:
        features: (B, C, H, W), with at least one place.
        weight1: (S, C), which squeezes C means into S numbers.
        bias1: (S,).
        weight2: (C, S), which makes C gates of them.
        bias2: (C,).

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: features or weights have another shape, or there is no place.

    Source: Hu et al., Squeeze-and-Excitation Networks, CVPR 2018, equations 2 to 4,
        where biases are left out.
    """
    _require_features(features)
    require_shape("weight1", weight1, "S C", C=features.shape[1])
    require_shape("weight2", weight2, "C S", C=features.shape[1], S=len(weight1))
    means = features.mean((2, 3))  # (B, C): squeeze
    hidden = F.relu(F.linear(means, weight1, bias1))  # (B, S)
    gates = F.linear(hidden, weight2, bias2).sigmoid()  # (B, C): excite
    return features * gates[:, :, None, None]


def spatial_attention(features: Tensor, weight: Tensor) -> Tensor:
    """Features, each place multiplied by a gate that its surroundings decide on.

    Args:
        features: (B, C, H, W), with at least one channel.
        weight: (1, 2, K, K), of a convolution without bias, K odd: the first kernel
            is for the mean over channels, the second for the largest of them.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: features or weight have another shape, their dtypes differ, K is
            even, or there is no channel.

    Source: Woo et al., CBAM: Convolutional Block Attention Module, ECCV 2018, section
        3.
    """
    return features * _place_gates(features, weight)


def class_activation_map(
    features: Tensor, weight: Tensor, label: int | Tensor
) -> Tensor:
    """How much each place speaks for a class, before the mean over places is taken.

    Args:
        features: (B, C, H, W), of the last layer before global average pooling.
        weight: (K, C), of the linear layer behind it.
        label: the class, from 0 to K - 1; or (B,), one for each picture.

    Returns:
        (B, H, W): above 0 where a place speaks for the class, below 0 where against it.
        Its mean over places, plus the layer's bias, is the class's logit.

    Raises:
        ValueError: features or weight have another shape, or a label is out of range.

    Source: Zhou et al., Learning Deep Features for Discriminative Localization, CVPR
        2016, section 2.
    """
    require_shape("features", features, "B C H W", floating=True)
    require_shape("weight", weight, "K C", C=features.shape[1])
    if isinstance(label, Tensor) and label.dim():
        require_labels("label", label, len(features), len(weight))
        return torch.einsum("bchw,bc->bhw", features, weight[label.long()])
    label = label.item() if isinstance(label, Tensor) else label
    require_whole("label", label, 0, len(weight) - 1)
    return torch.einsum("bchw,c->bhw", features, weight[label])


class SqueezeExcitation(nn.Module):
    """Squeeze and excitation, with its two layers.

    Args:
        channels: C.
        reduction: r; the means are squeezed into C // r numbers.

    Attributes:
        fc1: the layer that squeezes, with bias.
        fc2: the layer that makes gates, with bias.

    Raises:
        ValueError: a number is no whole number >= 1, or `reduction` is above
            `channels`, which would leave nothing to decide by.

    Source: Hu et al., CVPR 2018, section 3; with biases, as in torchvision, whose
        argument is C // r.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        squeezed = _squeezed(channels, reduction)
        self.fc1 = nn.Linear(channels, squeezed)
        self.fc2 = nn.Linear(squeezed, channels)

    def gates(self, features: Tensor) -> Tensor:
        """The gates alone.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C), in [0, 1].
        """
        _require_features(features)
        return self.fc2(F.relu(self.fc1(features.mean((2, 3))))).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Features, gated by channel.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return features * self.gates(features)[:, :, None, None]


class ChannelAttention(nn.Module):
    """The channel gate of CBAM: means and maxima go through the same two layers.

    Args:
        channels: C.
        reduction: r.

    Attributes:
        fc1: the layer that squeezes, without bias.
        fc2: the layer that makes gates, without bias.

    Raises:
        ValueError: as for `SqueezeExcitation`.

    Source: Woo et al., ECCV 2018, section 3; without biases, as in timm.
    """

    def __init__(self, channels: int, *, reduction: int = 16) -> None:
        super().__init__()
        squeezed = _squeezed(channels, reduction)
        self.fc1 = nn.Linear(channels, squeezed, bias=False)
        self.fc2 = nn.Linear(squeezed, channels, bias=False)

    def gates(self, features: Tensor) -> Tensor:
        """The gates alone.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C), in [0, 1].
        """
        _require_features(features)
        pooled = features.mean((2, 3)), features.amax((2, 3))  # (B, C) each
        return sum(self.fc2(F.relu(self.fc1(each))) for each in pooled).sigmoid()

    def forward(self, features: Tensor) -> Tensor:
        """Features, gated by channel.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return features * self.gates(features)[:, :, None, None]


class SpatialAttention(nn.Module):
    """The spatial gate of CBAM, with its one convolution.

    Args:
        kernel_size: K, odd.

    Attributes:
        conv: from the mean and the maximum over channels to one gate, without bias.

    Raises:
        ValueError: `kernel_size` is no odd whole number.

    Source: Woo et al., ECCV 2018, section 3; timm's has batch normalization behind the
        convolution, the paper's formula has none.
    """

    def __init__(self, *, kernel_size: int = 7) -> None:
        super().__init__()
        _require_odd("kernel_size", kernel_size)
        self.conv = nn.Conv2d(2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def gates(self, features: Tensor) -> Tensor:
        """The gates alone.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, 1, H, W), in [0, 1].
        """
        return _place_gates(features, self.conv.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Features, gated by place.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return features * self.gates(features)


class CBAM(nn.Module):
    """The convolutional block attention module: channels first, then places.

    Args:
        channels: C.
        reduction: r.
        kernel_size: of the spatial gate, odd.

    Attributes:
        channel: the gate of channels.
        spatial: the gate of places.

    Raises:
        ValueError: as for its two parts.

    Source: Woo et al., ECCV 2018, section 3.
    """

    def __init__(
        self, channels: int, *, reduction: int = 16, kernel_size: int = 7
    ) -> None:
        super().__init__()
        self.channel = ChannelAttention(channels, reduction=reduction)
        self.spatial = SpatialAttention(kernel_size=kernel_size)

    def forward(self, features: Tensor) -> Tensor:
        """Features, gated twice.

        Args:
            features: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        return self.spatial(self.channel(features))


def _place_gates(features: Tensor, weight: Tensor) -> Tensor:
    require_shape("features", features, "B C H W", floating=True)
    require_shape("weight", weight, "1 2 K K", K=weight.shape[-1])
    _require_odd("weight's size", weight.shape[-1])
    if not features.shape[1]:
        raise ValueError(f"features must have a channel, got {tuple(features.shape)}")
    if weight.dtype != features.dtype:
        raise ValueError(
            f"weight must have the features' dtype {features.dtype}, got {weight.dtype}"
        )
    # max, not amax: of equal channels one gets the gradient, as in the authors' code.
    pooled = torch.stack([features.mean(1), features.max(1).values], dim=1)
    return F.conv2d(pooled, weight, padding=weight.shape[-1] // 2).sigmoid()


def _squeezed(channels: int, reduction: int) -> int:
    require_whole("channels", channels)
    require_whole("reduction", reduction, 1, channels)
    return channels // reduction


def _require_features(features: Tensor) -> None:
    require_shape("features", features, "B C H W", floating=True)
    if 0 in features.shape[2:]:
        raise ValueError(f"features must have a place, got {tuple(features.shape)}")


def _require_odd(name: str, size: int) -> None:
    require_whole(name, size)
    if size % 2 == 0:
        raise ValueError(f"{name} must be odd, got {size}")
