"""A small network from pictures to points, which several chapters train."""

import torch
from torch import Tensor, nn

from lesson_utils.common.require import require_whole


class EmbeddingNet(nn.Module):
    """Three convolutions with batch norm and a linear layer: from pictures to points.

    Args:
        dim: D, numbers of an embedding.
        channels: 1 for grey pictures, 3 for colored ones.

    Attributes:
        features: from (B, channels, H, W) to (B, 1024).
        head: the linear layer, to (B, D).

    Raises:
        ValueError: a number that is no whole number >= 1.

    Source: the definition.
    """

    def __init__(self, dim: int = 2, *, channels: int = 1) -> None:
        super().__init__()
        require_whole("dim", dim)
        require_whole("channels", channels)
        layers, inputs = [], channels
        for outputs, last in (
            (16, nn.MaxPool2d(2)),
            (32, nn.MaxPool2d(2)),
            (64, nn.AdaptiveAvgPool2d(4)),
        ):
            layers += [
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                last,
            ]
            inputs = outputs
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.head = nn.Linear(1024, dim)

    def forward(self, images: Tensor) -> Tensor:
        """Points of pictures.

        Args:
            images: (B, channels, H, W), in [0, 1], with sides of 16 pixels or more.

        Returns:
            (B, D).
        """
        return self.head(self.features(images - 0.5))


@torch.no_grad()
def embed(network: nn.Module, images: Tensor, *, batch_size: int = 250) -> Tensor:
    """The embeddings of many pictures, without gradients.

    Args:
        network: from (B, ...) to (B, D); it is left in the mode it is in.
        images: (N, ...).
        batch_size: pictures at once.

    Returns:
        (N, D).

    Raises:
        ValueError: a batch size that is no whole number >= 1.
    """
    require_whole("batch_size", batch_size)
    return torch.cat([network(part) for part in images.split(batch_size)])
