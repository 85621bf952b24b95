"""Backbones: two small networks that ship with the book, and torchvision's.

Each takes RGB pictures (B, 3, H, W) that are standardized by its own buffers `mean` and
`std`, (3,) each. Weights are read from safetensors, or by torch without running code.
Networks trained on photographs that need no download are in `pretrained`.
"""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

WEIGHTS = Path(__file__).resolve().parent.parent / "weights"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

Network = TypeVar("Network", "TinyVGG", "SmallNet")
NetworkT = TypeVar("NetworkT", bound=nn.Module)

# Channels of tiny_vgg's convolutions, and where the size is halved.
_PLAN = (24, 24, "pool", 48, 48, "pool", 96, 96, "pool", 128)


class Backbone(nn.Module):
    """A network that knows how its pictures were standardized.

    Args:
        mean: of the channels R, G, B, for pictures in [0, 1].
        std: likewise.

    Attributes:
        mean: (3,), a buffer that is not part of the state dict.
        std: (3,), likewise.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__()
        _standardise_by(self, mean, std)

    def preprocess(self, images: Tensor) -> Tensor:
        """Standardize pictures as the network's training pictures were.

        Args:
            images: (B, 3, H, W) or (3, H, W), RGB, floating point, in [0, 1].

        Returns:
            (B, 3, H, W), on the device and in the dtype of `mean`; B is 1 for a single
            picture. The size stays as it is.

        Raises:
            ValueError: `images` has another shape or dtype, or leaves [0, 1].
        """
        _require_pictures(images)
        images = images.to(self.mean).reshape(-1, *images.shape[-3:])
        return (images - self.mean[:, None, None]) / self.std[:, None, None]


class TinyVGG(Backbone):
    """A VGG of seven convolutions of 3 x 3, laid out as torchvision lays out its own.

    Args:
        num_classes: K, at least 1.

    Attributes:
        features: convolutions, ReLUs and poolings, numbered as they come; from
            (B, 3, H, W) to (B, 128, H // 8, W // 8).
        classifier: a linear layer on the mean over positions.
        mean: (3,), what pictures in [0, 1] are standardized by.
        std: (3,), likewise.
        classes: the names of the K classes; empty for weights without a card.

    Raises:
        ValueError: `num_classes` is not a whole number >= 1.

    Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale
        Image Recognition, ICLR 2015, for the layout; the sizes are this book's.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__((0.5,) * 3, (0.25,) * 3)
        _require_classes(num_classes)
        layers, inputs = [], 3
        for step in _PLAN:
            if step == "pool":
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(inputs, step, 3, padding=1), nn.ReLU()]
            nn.init.kaiming_normal_(layers[-2].weight, nonlinearity="relu")
            nn.init.zeros_(layers[-2].bias)
            inputs = step
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, num_classes)
        self.classes: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: (B, 3, H, W), standardized, H and W at least 8.

        Returns:
            (B, K), logits.
        """
        return self.classifier(self.features(images).mean((2, 3)))


class SmallNet(Backbone):
    """Four strided convolutions with batch normalization: quick on small pictures.

    Args:
        num_classes: K, at least 1.

    Attributes:
        features: from (B, 3, H, W) to (B, 96, H // 8, W // 8), not negative.
        classifier: a linear layer on the mean over positions.
        mean: (3,), what pictures in [0, 1] are standardized by.
        std: (3,), likewise.
        classes: the names of the K classes; empty for weights without a card.

    Raises:
        ValueError: `num_classes` is not a whole number >= 1.

    Source: the definition.
    """

    def __init__(self, num_classes: int) -> None:
        super().__init__((0.5,) * 3, (0.25,) * 3)
        _require_classes(num_classes)
        layers, inputs = [], 3
        for channels, side, stride in ((24, 5, 2), (48, 3, 2), (64, 3, 1), (96, 3, 2)):
            layers += [
                nn.Conv2d(inputs, channels, side, stride, side // 2, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(),
            ]
            inputs = channels
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(inputs, num_classes)
        self.classes: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: (B, 3, H, W), standardized, H and W at least 8.

        Returns:
            (B, K), logits.
        """
        return self.classifier(self.features(images).mean((2, 3)))


def tiny_vgg(weights: str | Path | None = "bundled") -> TinyVGG:
    """The network of this book for textures and creatures, in evaluation mode.

    Args:
        weights: "bundled" for those that ship with the book; the path of another
            `.safetensors` file with its card `.json` beside it; None for random ones.

    Returns:
        The network. With weights None it has one class.

    Raises:
        ValueError: the weights or their card are missing, broken, do not fit each
            other by their digest, or are of another network.
    """
    return with_weights(TinyVGG, "tiny_vgg", weights)


def small_net(weights: str | Path | None = "bundled") -> SmallNet:
    """The network of this book for aircraft, in evaluation mode.

    The bundled weights have learned to tell families of airliners, and were never told
    a variant.

    Args:
        weights: as for `tiny_vgg`.

    Returns:
        The network. With weights None it has one class.

    Raises:
        ValueError: as for `tiny_vgg`.
    """
    return with_weights(SmallNet, "small_net", weights)


def vgg19(weights: str | None = "imagenet") -> torchvision.models.VGG:
    """Torchvision's VGG-19, in evaluation mode.

    Args:
        weights: "imagenet", which are downloaded once (0.5 GB), or None for random
            ones.

    Returns:
        The network, with buffers `mean` and `std`.

    Raises:
        ValueError: `weights` is something else.
        ConnectionError: they could not be downloaded, or came broken.
    """
    models = torchvision.models
    return _imagenet(models.vgg19, models.VGG19_Weights.IMAGENET1K_V1, weights)


def resnet18(weights: str | None = "imagenet") -> torchvision.models.ResNet:
    """Torchvision's ResNet-18, in evaluation mode.

    Args:
        weights: "imagenet", which are downloaded once (45 MB), or None for random
            ones.

    Returns:
        The network, with buffers `mean` and `std`.

    Raises:
        ValueError: `weights` is something else.
        ConnectionError: they could not be downloaded, or came broken.
    """
    models = torchvision.models
    return _imagenet(models.resnet18, models.ResNet18_Weights.IMAGENET1K_V1, weights)


def he_initialized(network: NetworkT, generator: torch.Generator | None) -> NetworkT:
    """Draw the weights of convolutions and linear layers anew; biases become 0.

    Args:
        network: it is changed; normalization layers are left as they are.
        generator: dice; None for torch's own.

    Returns:
        The same network.

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, equation 10.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(
                layer.weight, nonlinearity="relu", generator=generator
            )
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return network


def _require_pictures(images: Tensor) -> None:
    """Refuse what is not one RGB picture or several.

    Args:
        images: should be (B, 3, H, W) or (3, H, W), floating point, in [0, 1].

    Raises:
        ValueError: it is not; rounding may leave the range by 1e-4.
    """
    if (
        images.dim() not in (3, 4)
        or images.shape[-3] != 3
        or not images.is_floating_point()
    ):
        raise ValueError(
            "images must be (B, 3, H, W) or (3, H, W) and floating point, got "
            f"{tuple(images.shape)}, {images.dtype}"
        )
    if not ((images >= -1e-4) & (images <= 1 + 1e-4)).all():
        raise ValueError(
            f"images must lie in [0, 1], got [{images.min():g}, {images.max():g}]"
        )


def _require_classes(num_classes: int) -> None:
    if not isinstance(num_classes, int) or num_classes < 1:
        raise ValueError(
            f"num_classes must be a whole number >= 1, got {num_classes!r}"
        )


def with_weights(kind: type[Network], name: str, weights: str | Path | None) -> Network:
    """A network of a class of this book, with bundled, other or random weights.

    Args:
        kind: called with the number of classes.
        name: of the bundled weights.
        weights: "bundled", a file with its card beside it, or None for random ones.

    Returns:
        The network, in evaluation mode. With weights None it has one class.

    Raises:
        ValueError: the weights or their card are missing, broken, do not fit each
            other by their digest, or are of another network.
    """
    if weights is None:
        return kind(1).eval()
    path = WEIGHTS / f"{name}.safetensors" if weights == "bundled" else Path(weights)
    card = verified_card(path)
    try:
        network = kind(len(card["classes"]))
        network.classes = tuple(card["classes"])
        from safetensors.torch import load_file  # not on every GPU server

        network.load_state_dict(load_file(path))
    except ModuleNotFoundError:
        raise
    except Exception as error:  # safetensors' own error, or keys and shapes of torch's
        raise ValueError(
            f"weights must be those of a {kind.__name__}, got {path}: {error}"
        ) from error
    return network.eval()


def _imagenet(
    build: Callable[[], nn.Module],
    published: torchvision.models.WeightsEnum,
    weights: str | None,
) -> nn.Module:
    if weights not in ("imagenet", None):
        raise ValueError(f"weights must be 'imagenet' or None, got {weights!r}")
    network = build()
    if weights == "imagenet":
        network.load_state_dict(_downloaded(published))
    _standardise_by(network, IMAGENET_MEAN, IMAGENET_STD)
    return network.eval()


def _downloaded(published: torchvision.models.WeightsEnum) -> dict[str, Tensor]:
    """Torchvision's weights, by torch's own cache; the name holds part of a digest."""
    try:
        return published.get_state_dict(
            progress=True, check_hash=True, weights_only=True
        )
    except (URLError, OSError, RuntimeError) as error:
        folder = Path(torch.hub.get_dir()) / "checkpoints"
        raise ConnectionError(
            f"ImageNet weights could not be fetched: {error}\n"
            f"  wanted       {published.url}\n"
            f"  by hand      save that file in {folder} and call this again\n"
            "  no network?  tiny_vgg() ships with the book and needs none"
        ) from error


def _standardise_by(
    network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    # Not persistent: a state dict stays what torchvision publishes.
    network.register_buffer("mean", torch.tensor(mean), persistent=False)
    network.register_buffer("std", torch.tensor(std), persistent=False)


def verified_card(path: Path) -> dict:
    """What a card says of weights, once the digest on it is that of the weights.

    Args:
        path: of the weights, with the card `.json` beside it.

    Returns:
        What is on the card.

    Raises:
        ValueError: weights or card are missing or broken, or do not fit each other.
    """
    card = path.with_suffix(".json")
    try:
        record = json.loads(card.read_text(encoding="utf-8"))
        wanted = record["sha256"]
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"weights must be a file with a card {card.name} beside it, got {path}: "
            f"{error}"
        ) from error
    if found != wanted:
        raise ValueError(
            f"weights must have the digest on their card, {wanted}, but {path} has "
            f"{found}: restore it, or train it anew by `{record.get('command')}`"
        )
    return record
