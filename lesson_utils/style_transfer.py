"""Style transfer: a picture with the content of one and the style of another.

The module of the chapter `book/generating/style_transfer.ipynb`. Pictures are
(3, H, W), floating point, in [0, 1]; networks see them standardized, (1, 3, H, W).
A layer is called by its name in the backbone's `features`, an `nn.Sequential`:
"relu4_1" in `vgg16_features`, "12" in `tiny_vgg` and in torchvision's networks.
"""

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lesson_utils.common.require import (
    require_choice,
    require_not_negative,
    require_positive,
    require_shape,
    require_unit_range,
    require_whole,
)
from lesson_utils.common.training import require_finite

VGG16_LAYERS = {
    "content_layers": ("relu4_1",),
    "style_layers": ("relu1_1", "relu2_1", "relu3_1", "relu4_1"),
}
# Convolutions before their ReLU, at all five depths of the network.
TINY_VGG_LAYERS = {
    "content_layers": ("12",),
    "style_layers": ("0", "2", "5", "7", "10"),
}


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
    _require_batch("features", features)
    rows = features.flatten(2)  # (B, C, H·W)
    return rows @ rows.transpose(1, 2) / rows[0].numel()


def channel_statistics(features: Tensor) -> Tensor:
    """What instance normalization takes out: each channel's mean and variance.

    Args:
        features: (B, C, H, W), floating point, H and W at least 1.

    Returns:
        (B, 2, C): the means, then the biased variances, over positions.

    Raises:
        ValueError: `features` is not such a tensor.

    Source: Li et al., Demystifying Neural Style Transfer, IJCAI 2017, who take the
        deviation in place of the variance.
    """
    _require_batch("features", features)
    var, mean = torch.var_mean(features, (2, 3), correction=0)
    return torch.stack([mean, var], dim=1)


def content_loss(features: Tensor, target: Tensor) -> Tensor:
    """How far features are from those of the content picture, place by place.

    Args:
        features: (B, C, H, W), of the picture that is made.
        target: the same shape; no gradient flows to it.

    Returns:
        (): the mean squared difference divided by the mean square of `target`; 1 for
        features that are all 0.

    Raises:
        ValueError: the shapes differ.

    Source: Gatys et al., 2016, equation 1, but for the division, which lets one weight
        serve every layer and every network.
    """
    return _relative_error("features", features, target)


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
        (): the mean squared difference divided by the mean square of `target`; 1 for a
        statistic that is all 0.

    Raises:
        ValueError: the shapes of the two statistics differ.

    Source: Gatys et al., 2016, equation 4, for one layer, but for the division.
    """
    return _relative_error("statistic of features", statistic(features), target)


def total_variation_loss(images: Tensor) -> Tensor:
    """How much neighboring pixels differ.

    Args:
        images: (B, C, H, W), floating point, H and W at least 1.

    Returns:
        (): half the sum of two means, of the absolute difference of each
        pixel and the one on its right, and of each and the one below. A direction
        without neighbors counts 0.

    Raises:
        ValueError: `images` is not such a tensor.

    Source: Rudin et al., Nonlinear Total Variation Based Noise Removal Algorithms,
        Physica D 1992, for the idea; Zhang et al., Dive into Deep Learning, for this
        form.
    """
    _require_batch("images", images)
    steps = [images.diff(dim=dim).abs() for dim in (2, 3)]
    return sum(step.mean() if step.numel() else step.sum() for step in steps) / 2


def preprocess(image: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Standardize a picture the way a network's training pictures were.

    Args:
        image: (C, H, W), floating point, in [0, 1].
        mean: (C,), of each channel.
        std: (C,), of each channel, positive.

    Returns:
        (1, C, H, W), on the device and in the dtype of `mean`.

    Raises:
        ValueError: `image` is not a picture in [0, 1] of as many channels as `mean`, or
            a deviation is not positive.

    Source: the definition.
    """
    if not (std > 0).all():
        raise ValueError(f"std must be positive, got {std.tolist()}")
    require_shape("image", image, "C H W", floating=True, C=len(mean))
    require_unit_range("image", image)
    return ((image.to(mean) - mean[:, None, None]) / std[:, None, None])[None]


def postprocess(images: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Undo `preprocess`, and cut off what no screen can show.

    Args:
        images: (1, C, H, W), standardized.
        mean: (C,), as for `preprocess`.
        std: (C,), as for `preprocess`.

    Returns:
        (C, H, W), in [0, 1], without a gradient.

    Raises:
        ValueError: `images` has another shape.

    Source: the definition.
    """
    require_shape("images", images, "1 C H W", floating=True, C=len(mean))
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
            and `std`, as from `lesson_utils.common`. It is copied.
        content_layers: names of layers in `features`, none twice; may be empty.
        style_layers: likewise; not both may be empty.

    Attributes:
        layers: the copied layers; none takes a gradient in its weights.
        contents: the numbers of the content layers in `layers`.
        styles: the numbers of the style layers.
        mean: (C,), what pictures are standardized by.
        std: (C,), likewise.

    Raises:
        ValueError: `backbone` is not such a network, there is no such layer, one stands
            there twice, or none is given.

    Source: Gatys et al., 2016, section 2.
    """

    def __init__(
        self,
        backbone: nn.Module,
        content_layers: Iterable[str],
        style_layers: Iterable[str],
    ) -> None:
        super().__init__()
        features = getattr(backbone, "features", None)
        if not isinstance(features, nn.Sequential) or not hasattr(backbone, "mean"):
            raise ValueError(
                "backbone must have `features`, an nn.Sequential, and buffers `mean` "
                f"and `std`, got a {type(backbone).__name__} without them"
            )
        self.contents = _numbers_of("content_layers", content_layers, features)
        self.styles = _numbers_of("style_layers", style_layers, features)
        wanted = self.contents + self.styles
        if not wanted:
            raise ValueError("content_layers and style_layers must not both be empty")
        self.layers = copy.deepcopy(features[: max(wanted) + 1])
        self.register_buffer("mean", backbone.mean.clone())
        self.register_buffer("std", backbone.std.clone())
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Run the layers once, for content and style together.

        Args:
            images: (B, C, H, W), standardized.

        Returns:
            The outputs (B, C', H', W') of the content layers and of the style layers,
            each in the order in which the layers were given.
        """
        wanted = self.contents + self.styles
        outputs = extract_features(self.layers, images, wanted)
        return outputs[: len(self.contents)], outputs[len(self.contents) :]


def transfer(
    content: Tensor,
    style: Tensor,
    *,
    backbone: nn.Module,
    content_layers: Sequence[str] = VGG16_LAYERS["content_layers"],
    style_layers: Sequence[str] = VGG16_LAYERS["style_layers"],
    content_weight: float = 1.0,
    style_weight: float = 1.0,
    tv_weight: float = 0.0,
    num_steps: int = 40,
    start: str | Tensor = "content",
    statistic: Callable[[Tensor], Tensor] = gram_matrix,
    make_optimizer: Callable[..., torch.optim.Optimizer] | None = None,
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
        tv_weight: of the total variation of the standardized picture, at least 0.
        num_steps: how often the optimizer steps, at least 1.
        start: "content"; "noise", which is uniform in [0, 1]; or a picture of the
            shape of `content` to go on from.
        statistic: what of the features counts as style: `gram_matrix` or
            `channel_statistics`, or another function of (B, C, H, W).
        make_optimizer: called with a list of parameters; its step must take a closure,
            as all of torch's do. By default L-BFGS, one iteration a step.
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
        CVPR 2016; Liu and Nocedal, On the Limited Memory BFGS Method for Large Scale
        Optimization, Mathematical Programming 1989, for the optimizer.
    """
    weights = {"content": content_weight, "style": style_weight, "tv": tv_weight}
    for name, weight in weights.items():
        require_not_negative(f"{name}_weight", weight)
    require_whole("num_steps", num_steps)
    extractor = FeatureExtractor(backbone, content_layers, style_layers)
    standard = (extractor.mean, extractor.std)
    with torch.no_grad():
        content_targets, _ = extractor(preprocess(content, *standard))
        _, style_features = extractor(preprocess(style, *standard))
        style_targets = [statistic(features) for features in style_features]
    first = _first_picture(start, content, generator)
    pixels = nn.Parameter(preprocess(first, *standard))
    optimizer = (make_optimizer or lbfgs)([pixels])
    evaluations: list[dict[str, float]] = []
    like_style = partial(style_loss, statistic=statistic)

    def closure() -> Tensor:
        optimizer.zero_grad()
        contents, styles = extractor(pixels)
        losses = {
            "content": _total(content_loss, contents, content_targets),
            "style": _total(like_style, styles, style_targets),
            "tv": total_variation_loss(pixels),
        }
        losses["total"] = sum(weight * losses[n] for n, weight in weights.items())
        evaluations.append({name: loss.item() for name, loss in losses.items()})
        # Each pixel's gradient is tiny, and torch's L-BFGS takes curvature below 1e-10
        # for none: it would stand still.
        scaled = losses["total"] * pixels.numel()
        scaled.backward()
        return scaled

    history: dict[str, list[float]] = {name: [] for name in (*weights, "total")}
    for step in tqdm(range(num_steps), desc="transfer", disable=not progress):
        evaluations.clear()
        optimizer.step(closure)
        require_finite(step, **evaluations[0], picture=pixels.detach().abs().max())
        for name in history:
            history[name].append(evaluations[0][name])
        if on_step is not None:
            on_step(step + 1, postprocess(pixels, *standard).to(content))
    return postprocess(pixels, *standard).to(content), history


def lbfgs(
    parameters: Iterable[nn.Parameter], *, first_move: float = 0.02
) -> torch.optim.LBFGS:
    """L-BFGS that takes one iteration a step, along a line that it searches.

    Args:
        parameters: what is trained.
        first_move: how far the first trial moves a number on average; all later ones
            begin with the step that the curvature suggests.

    Returns:
        The optimizer; its step evaluates the loss once or a few times.

    Raises:
        ValueError: `first_move` is not finite and above 0.

    Source: Liu and Nocedal, 1989, for the step.
    """
    require_positive("first_move", first_move)
    parameters = list(parameters)
    # Torch's first trial moves all numbers together by the rate. A million pixels that
    # share a move of 1 change the loss by less than float32 can hold.
    optimizer = torch.optim.LBFGS(
        parameters,
        lr=first_move * sum(parameter.numel() for parameter in parameters),
        max_iter=1,
        history_size=20,
        tolerance_grad=0,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )
    optimizer.register_step_post_hook(lambda it, *_: it.param_groups[0].update(lr=1.0))
    return optimizer


def _relative_error(name: str, value: Tensor, target: Tensor) -> Tensor:
    # Torch would broadcast one shape to the other, and return a number.
    if value.shape != target.shape:
        raise ValueError(
            f"{name} and target must have one shape, got {tuple(value.shape)} and "
            f"{tuple(target.shape)}"
        )
    target = target.detach()
    size = target.square().mean().clamp(min=torch.finfo(target.dtype).tiny)
    return (value - target).square().mean() / size


def _total(
    loss: Callable[[Tensor, Tensor], Tensor],
    features: Sequence[Tensor],
    targets: Sequence[Tensor],
) -> Tensor:
    """The sum over layers; 0 where there is none."""
    pairs = zip(features, targets, strict=True)
    return sum((loss(*pair) for pair in pairs), torch.zeros(()))


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


def _numbers_of(
    argument: str, names: Iterable[str], layers: nn.Sequential
) -> tuple[int, ...]:
    """Where the layers of these names stand, from 0."""
    names = tuple(names)
    children = [name for name, _ in layers.named_children()]
    for name in names:
        require_choice(argument, name, children)
    if len(set(names)) < len(names):
        raise ValueError(f"{argument} must name no layer twice, got {names}")
    return tuple(children.index(name) for name in names)


def _require_batch(name: str, batch: Tensor) -> None:
    require_shape(name, batch, "B C H W", floating=True)
    if not batch.numel():
        raise ValueError(f"{name} must not be empty, got {tuple(batch.shape)}")
