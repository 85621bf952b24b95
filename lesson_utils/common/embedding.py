"""A small network from pictures to points, which several chapters train."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_positive,
    require_shape,
    require_whole,
)


class EmbeddingNet(nn.Module):
    """Three convolutions with batch norm and a linear layer: from pictures to points.

    Args:
        dim: D, numbers of an embedding.
        channels: 1 for gray pictures, 3 for colored ones.

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


def likeness_loss(
    embeddings: Tensor,
    labels: Tensor,
    *,
    temperature: float = 1 / 16,
    focus: float = 0.0,
) -> Tensor:
    """Each sample of a batch is to find its partners among all others, by the cosine.

    Args:
        embeddings: (B, D), floating point.
        labels: (B,), whole numbers; each sample has at least one partner.
        temperature: of the softmax over the others.
        focus: above 0, samples with a large loss l weigh more, by exp(focus * l), as in
            the exponential loss; below 0 they weigh less, as outliers do in a robust
            mean; 0 weighs all alike. No gradient flows through weights.

    Returns:
        A scalar.

    Raises:
        ValueError: another shape, no sample, or one without a partner.

    Source: Khosla et al., Supervised Contrastive Learning, NeurIPS 2020, equation 2.
    """
    require_shape("embeddings", embeddings, "B D", floating=True)
    require_shape("labels", labels, "B", B=len(embeddings))
    require_positive("temperature", temperature)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    partner = (labels[:, None] == labels) & ~itself
    if not len(labels) or not partner.any(dim=1).all():
        raise ValueError("labels must hold each label twice or more, or there is none")
    unit = F.normalize(at_least_float32(embeddings), dim=1)
    likeness = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf)
    surprise = torch.logsumexp(likeness, dim=1, keepdim=True) - likeness
    losses = surprise.masked_fill(~partner, 0).sum(dim=1) / partner.sum(dim=1)
    weights = torch.softmax(focus * losses.detach(), dim=0)
    return (weights * losses).sum()


def frame_encoder() -> EmbeddingNet:
    """The book's own network for frames of walking creatures.

    Returns:
        The network, from (B, 3, H, W) in [0, 1] to (B, 64), in evaluation mode.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.frame_encoder`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "frame_encoder.safetensors"
    network = EmbeddingNet(verified_card(path)["dim"], channels=3)
    network.load_state_dict(load_file(path))  # float16, to float32
    return network.eval()
