"""Style transfer: a picture with the content of one and the style of another.

The module of the chapter `book/generating/style_transfer.ipynb`. Pictures are
(3, H, W), floating point, in [0, 1]; networks see them standardised, (1, 3, H, W).
A layer is named by its number in the backbone's `features`, which is a Sequential of
convolutions, ReLUs and poolings, such as `tiny_vgg`'s and torchvision's VGG's.
"""

import copy
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lesson_utils.common.training import require_finite

# Convolutions, all of them before their ReLU. Those of VGG-19 are the d2l book's:
# conv1_1, conv2_1, conv3_1, conv4_1 and conv5_1 for style, conv4_4 for content.
TINY_VGG_LAYERS = {"content_layers": (12,), "style_layers": (0, 2, 5, 7, 10)}
VGG19_LAYERS = {"content_layers": (25,), "style_layers": (0, 5, 10, 19, 28)}


def gram_matrix(features: Tensor) -> Tensor:
    """Which channels are active together, wherever in the picture that is.

    Args:
        features: (B, C, H, W), floating point, H and W at least 1.

    Returns:
        (B, C, C), symmetric: the sum over positions of the product of two channels,
        divided by C · H · W.

    Raises:
        ValueError: `features` is not such a tensor.

    Source: Gatys et al., Image Style Transfer Using Convolutional Neural Networks,
        CVPR 2016, equation 3, which does not divide.
    """
    _check_batch("features", features)
    rows = features.flatten(2)  # (B, C, H·W)
    return rows @ rows.transpose(1, 2) / rows[0].numel()


def channel_statistics(features: Tensor) -> Tensor:
    """What instance normalisation takes out: each channel's mean and variance.

    Args:
        features: (B, C, H, W), floating point, H and W at least 1.

    Returns:
        (B, 2, C): the means, then the biased variances, over positions.

    Raises:
        ValueError: `features` is not such a tensor.

    Source: Li et al., Demystifying Neural Style Transfer, IJCAI 2017, who take the
        deviation in place of the variance.
    """
    _check_batch("features", features)
    var, mean = torch.var_mean(features, (2, 3), correction=0)
    return torch.stack([mean, var], dim=1)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """How far features are from those of the content picture, place by place.

    Args:
        features: (B, C, H, W), of the picture that is made.
        target: the same shape; no gradient flows to it.

    Returns:
        (), the mean squared difference.

    Raises:
        ValueError: the shapes differ.

    Source: Gatys et al., 2016, equation 1, with a mean for half the sum.
    """
    return _mean_squared_difference("features", features, target)


def style_loss(
    features: Tensor,
    target: Tensor,
    *,
    statistic: Callable[[Tensor], Tensor] = gram_matrix,
) -> Tensor:
    """How far the statistic of features is from that of the style picture.

    Args:
        features: (B, C, H, W), of the picture that is made, of any height and width.
        target: `statistic` of the style picture's features, (B, C, C) for
            `gram_matrix`; no gradient flows to it.
        statistic: what of the features counts as style.

    Returns:
        (), the mean squared difference.

    Raises:
        ValueError: the shapes of the two statistics differ.

    Source: Gatys et al., 2016, equation 4, for one layer, up to a constant factor.
    """
    return _mean_squared_difference(
        "statistic of features", statistic(features), target
    )


def total_variation_loss(images: Tensor) -> Tensor:
    """How much neighbouring pixels differ.

    Args:
        images: (B, C, H, W), floating point, H and W at least 1.

    Returns:
        (): half the sum of two means, of the absolute difference of each
        pixel and the one on its right, and of each and the one below. A direction
        without neighbours counts 0.

    Raises:
        ValueError: `images` is not such a tensor.

    Source: Rudin et al., Nonlinear Total Variation Based Noise Removal Algorithms,
        Physica D 1992, for the idea; Zhang et al., Dive into Deep Learning, for this
        form.
    """
    _check_batch("images", images)
    steps = [images.diff(dim=dim).abs() for dim in (2, 3)]
    return sum(step.mean() if step.numel() else step.sum() for step in steps) / 2


def preprocess(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Standardise a picture the way a network's training pictures were.

    Args:
        image: (C, H, W), floating point, in [0, 1].
        mean: (C,), of each channel.
        std: (C,), of each channel, positive.

    Returns:
        (1, C, H, W), on the device and in the dtype of `mean`.

    Raises:
        ValueError: `image` is not a picture in [0, 1] of as many channels as `mean`.

    Source: the definition.
    """
    if image.dim() != 3 or not image.is_floating_point() or image.shape[0] != len(mean):
        raise ValueError(
            f"image must be ({len(mean)}, H, W) and floating point, got "
            f"{tuple(image.shape)}, {image.dtype}"
        )
    if not image.numel() or not ((image >= -1e-4) & (image <= 1 + 1e-4)).all():
        found = f"[{image.min():g}, {image.max():g}]" if image.numel() else "no pixel"
        raise ValueError(f"image must lie in [0, 1], got {found}")
    return ((image.to(mean) - mean[:, None, None]) / std[:, None, None])[None]


def postprocess(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Undo `preprocess`, and cut off what no screen can show.

    Args:
        images: (1, C, H, W), standardised.
        mean: (C,), as for `preprocess`.
        std: (C,), as for `preprocess`.

    Returns:
        (C, H, W), in [0, 1], without a gradient.

    Raises:
        ValueError: `images` has another shape.

    Source: the definition.
    """
    if images.dim() != 4 or images.shape[:2] != (1, len(mean)):
        raise ValueError(
            f"images must be (1, {len(mean)}, H, W), got {tuple(images.shape)}"
        )
    image = images.detach()[0] * std[:, None, None] + mean[:, None, None]
    return image.clamp(0, 1)


def extract_features(
    layers: nn.Sequential, images: Tensor, numbers: Sequence[int]
) -> list[Tensor]:
    """Run layers in turn, up to the last that is wanted, and keep what some return.

    Args:
        layers: one after another, as in a VGG's `features`.
        images: (B, C, H, W), what goes into the first; it is not changed.
        numbers: of the layers wanted, from 0; at least one.

    Returns:
        For each number that layer's output, (B, C', H', W').

    Raises:
        ValueError: no number, or one that no layer has.

    Source: the definition.
    """
    for number in numbers:
        if not 0 <= number < len(layers):
            raise ValueError(
                f"numbers must be of layers, from 0 to {len(layers) - 1}, got {number}"
            )
    if not len(numbers):
        raise ValueError("numbers must name at least one layer, got none")
    outputs = []
    for layer in layers[: max(numbers) + 1]:
        # torchvision's VGG has in-place ReLUs: each would overwrite what was kept.
        in_place = any(getattr(part, "inplace", False) for part in layer.modules())
        images = layer(images.clone() if in_place else images)
        outputs.append(images)
    return [outputs[number] for number in numbers]


class FeatureExtractor(nn.Module):
    """The first layers of a backbone, frozen, up to the last that is needed.

    Args:
        backbone: a network with `features`, an `nn.Sequential`, and the buffers `mean`
            and `std`, as from `lesson_utils.common.backbones`. It is copied.
        content_layers: numbers of layers in `features`, none twice; may be empty.
        style_layers: likewise; not both may be empty.

    Attributes:
        layers: the copied layers; none takes a gradient in its weights.
        mean: (C,), what pictures are standardised by.
        std: (C,), likewise.

    Raises:
        ValueError: `backbone` is not such a network, there is no such layer, one stands
            there twice, or none is given.

    Source: Gatys et al., 2016, section 2.
    """

    def __init__(
        self,
        backbone: nn.Module,
        content_layers: Iterable[int],
        style_layers: Iterable[int],
    ) -> None:
        super().__init__()
        features = getattr(backbone, "features", None)
        if not isinstance(features, nn.Sequential) or not hasattr(backbone, "mean"):
            raise ValueError(
                "backbone must have `features`, an nn.Sequential, and buffers `mean` "
                f"and `std`, got a {type(backbone).__name__} without them"
            )
        self.content_layers = _layer_numbers("content_layers", content_layers, features)
        self.style_layers = _layer_numbers("style_layers", style_layers, features)
        wanted = self.content_layers + self.style_layers
        if not wanted:
            raise ValueError("content_layers and style_layers must not both be empty")
        self.layers = copy.deepcopy(features[: max(wanted) + 1])
        self.register_buffer("mean", backbone.mean.clone())
        self.register_buffer("std", backbone.std.clone())
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Run the layers once, for content and style together.

        Args:
            images: (B, C, H, W), standardised.

        Returns:
            The outputs (B, C', H', W') of the content layers and of the style layers,
            each in the order in which the layers were given.
        """
        wanted = self.content_layers + self.style_layers
        outputs = extract_features(self.layers, images, wanted)
        split = len(self.content_layers)
        return outputs[:split], outputs[split:]


class SynthesizedImage(nn.Module):
    """A picture that an optimiser can change: a module whose output is its parameter.

    Args:
        start: (1, C, H, W), the picture to begin with; it is copied.

    Source: Zhang et al., Dive into Deep Learning.
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(start.detach().clone())

    def forward(self) -> Tensor:
        """The picture as it is now.

        Returns:
            (1, C, H, W), the parameter itself.
        """
        return self.weight


def transfer(
    content: Tensor,
    style: Tensor,
    *,
    backbone: nn.Module,
    content_layers: Sequence[int] = TINY_VGG_LAYERS["content_layers"],
    style_layers: Sequence[int] = TINY_VGG_LAYERS["style_layers"],
    content_weight: float = 1.0,
    style_weight: float = 1e5,
    tv_weight: float = 1.0,
    num_steps: int = 60,
    learning_rate: float = 0.15,
    start: str | Tensor = "content",
    statistic: Callable[[Tensor], Tensor] = gram_matrix,
    make_optimizer: Callable[..., torch.optim.Optimizer] = torch.optim.Adam,
    generator: torch.Generator | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
    progress: bool = True,
) -> tuple[Tensor, dict[str, list[float]]]:
    """Make a picture with the content of one and the style of another.

    The network stays as it is; the picture's pixels are the only parameter.

    Args:
        content: (3, H, W), in [0, 1].
        style: (3, H', W'), in [0, 1]; its size may be another.
        backbone: see `FeatureExtractor`; its device does the work.
        content_layers: whose features should be those of `content`.
        style_layers: whose `statistic` should be that of `style`.
        content_weight: of the sum of content losses, at least 0.
        style_weight: of the sum of style losses, at least 0.
        tv_weight: of the total variation of the standardised picture, at least 0.
        num_steps: how often the optimiser steps, at least 1.
        learning_rate: the optimiser's, in standardised units (one is a standard
            deviation of the network's training pictures), positive.
        start: "content"; "noise", which is uniform in [0, 1]; or a picture of the
            shape of `content` to go on from.
        statistic: what of the features counts as style: `gram_matrix` or
            `channel_statistics`, or another function of (B, C, H, W).
        make_optimizer: called with a list of parameters and `lr`; its step must take
            a closure, as all of torch's do.
        generator: for the noise, on the CPU; by default torch's global one.
        on_step: called after each step with the number of steps done and the picture,
            (3, H, W) in [0, 1].
        progress: whether to show a bar.

    Returns:
        The picture, (3, H, W) in [0, 1], on the device and in the dtype of `content`;
        and for each of "content", "style", "tv" (without their weights) and "total"
        (with them) one number a step, as it was before that step.

    Raises:
        ValueError: an argument is not as said above.
        FloatingPointError: a loss is no longer a number.

    Source: Gatys et al., Image Style Transfer Using Convolutional Neural Networks,
        CVPR 2016; the total variation is that of Mahendran and Vedaldi, Understanding
        Deep Image Representations by Inverting Them, CVPR 2015.
    """
    weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
    _check_numbers(num_steps, learning_rate, weights)
    extractor = FeatureExtractor(backbone, content_layers, style_layers)
    standard = (extractor.mean, extractor.std)
    with torch.no_grad():
        content_targets, _ = extractor(preprocess(content, *standard))
        _, style_features = extractor(preprocess(style, *standard))
        style_targets = [statistic(features) for features in style_features]
        black, white = (_flat(shade, *standard) for shade in (0.0, 1.0))
    first = _first_picture(start, content, generator)
    synthesized = SynthesizedImage(preprocess(first, *standard))
    optimizer = make_optimizer(list(synthesized.parameters()), lr=learning_rate)
    evaluations: list[dict[str, float]] = []

    def closure() -> Tensor:
        optimizer.zero_grad()
        contents, styles = extractor(synthesized())
        losses = {
            "content": _total(content_loss, contents, content_targets),
            "style": _total(
                partial(style_loss, statistic=statistic), styles, style_targets
            ),
            "tv": total_variation_loss(synthesized()),
        }
        losses["total"] = sum(weight * losses[n] for n, weight in weights.items())
        losses["total"].backward()
        evaluations.append({name: loss.item() for name, loss in losses.items()})
        return losses["total"]

    history: dict[str, list[float]] = {name: [] for name in (*weights, "total")}
    for step in tqdm(range(num_steps), desc="transfer", disable=not progress):
        evaluations.clear()
        optimizer.step(closure)
        for losses in evaluations:
            require_finite(step, **losses)
        for name in history:
            history[name].append(evaluations[0][name])
        with torch.no_grad():  # brighter than white cannot be shown
            synthesized.weight.clamp_(black, white)
        if on_step is not None:
            on_step(step + 1, postprocess(synthesized(), *standard).to(content))
    require_finite(num_steps, picture=synthesized.weight.detach().abs().max())
    return postprocess(synthesized(), *standard).to(content), history


def _total(
    loss: Callable[[Tensor, Tensor], Tensor],
    features: Sequence[Tensor],
    targets: Sequence[Tensor],
) -> Tensor:
    """The sum over layers; 0 where there is none."""
    pairs = zip(features, targets, strict=True)
    return sum((loss(*pair) for pair in pairs), torch.zeros(()))


def _flat(shade: float, mean: Tensor, std: Tensor) -> Tensor:
    """A picture of one pixel of one shade, standardised, (1, C, 1, 1)."""
    return preprocess(mean.new_full((len(mean), 1, 1), shade), mean, std)


def _first_picture(
    start: str | Tensor, content: Tensor, generator: torch.Generator | None
) -> Tensor:
    if isinstance(start, Tensor) and start.shape == content.shape:
        return start
    if isinstance(start, str) and start == "content":
        return content
    if isinstance(start, str) and start == "noise":
        return torch.rand(content.shape, generator=generator)
    found = tuple(start.shape) if isinstance(start, Tensor) else repr(start)
    raise ValueError(
        "start must be 'content', 'noise' or a picture of the shape of content, "
        f"{tuple(content.shape)}, got {found}"
    )


def _layer_numbers(
    name: str, numbers: Iterable[int], features: nn.Sequential
) -> tuple[int, ...]:
    numbers = tuple(numbers)
    for number in numbers:
        if not isinstance(number, int) or not 0 <= number < len(features):
            raise ValueError(
                f"{name} must be numbers of layers from 0 to {len(features) - 1}, got "
                f"{number!r}"
            )
    if len(set(numbers)) < len(numbers):
        raise ValueError(f"{name} must name no layer twice, got {numbers}")
    return numbers


def _mean_squared_difference(name: str, value: Tensor, target: Tensor) -> Tensor:
    # Torch would broadcast one shape to the other, and return a number.
    if value.shape != target.shape:
        raise ValueError(
            f"{name} and target must have one shape, got {tuple(value.shape)} and "
            f"{tuple(target.shape)}"
        )
    return (value - target.detach()).square().mean()


def _check_batch(name: str, batch: Tensor) -> None:
    if batch.dim() != 4 or not batch.is_floating_point() or not batch.numel():
        raise ValueError(
            f"{name} must be (B, C, H, W), floating point and not empty, got "
            f"{tuple(batch.shape)}, {batch.dtype}"
        )


def _check_numbers(
    num_steps: int, learning_rate: float, weights: dict[str, float]
) -> None:
    if not isinstance(num_steps, int) or num_steps < 1:
        raise ValueError(f"num_steps must be a whole number >= 1, got {num_steps!r}")
    if not 0 < learning_rate < math.inf:
        raise ValueError(f"learning_rate must be positive, got {learning_rate}")
    for name, weight in weights.items():
        if not 0 <= weight < math.inf:
            raise ValueError(f"{name}_weight must be at least 0, got {weight}")
