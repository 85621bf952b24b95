"""Receptive fields: which pixels of the input an output of a network depends on.

The module of the chapter `book/foundations/receptive_field.ipynb`. Lengths are pixels
of the input, pixel 0 has its center at 0. A layer is described along one axis and works
alike on both; a box is xyxy, x2 and y2 one behind the last pixel, so that
`image[:, y1:y2, x1:x2]` is what is in it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_finite_number,
    require_shape,
    require_whole,
    size_pair,
)

# What looks at one pixel alone, and so changes no field.
_POINTWISE = (nn.ReLU, nn.ReLU6, nn.BatchNorm2d, nn.Dropout, nn.Dropout2d, nn.Identity)
_WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


@dataclass(frozen=True)
class Layer:
    """A convolution or a pooling, along one axis.

    Args:
        kernel: how many inputs it multiplies or compares.
        stride: how far apart its windows lie.
        padding: the zeros put before and behind the input: one number for both, or two.
        dilation: how far apart the inputs of one window lie, 1 for neighbors.

    Raises:
        ValueError: kernel, stride or dilation is no whole number from 1 on, or padding
            neither a whole number from 0 on nor two of them.

    Source: the definition, as torch's `Conv2d` names it.
    """

    kernel: int
    stride: int = 1
    padding: int | tuple[int, int] = 0
    dilation: int = 1

    def __post_init__(self) -> None:
        for name in ("kernel", "stride", "dilation"):
            require_whole(name, getattr(self, name))
        size_pair("padding", self.padding, 0)

    @property
    def span(self) -> int:
        """From the first input of a window to its last, both included.

        Returns:
            The kernel, or more where it is dilated.
        """
        return self.dilation * (self.kernel - 1) + 1

    @property
    def pads(self) -> tuple[int, int]:
        """The padding before and behind.

        Returns:
            Two whole numbers.
        """
        return size_pair("padding", self.padding, 0)


class Field(NamedTuple):
    """What the outputs of a layer see of the input, along one axis.

    Attributes:
        size: pixels from the first one that an output sees to the last one.
        jump: how far apart the fields of two neighboring outputs lie.
        start: the center of the first output's field: 0 is the center of pixel 0, and
            halves lie between two pixels.

    Source: Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural
        Networks, Distill 2019.
    """

    size: int
    jump: int
    start: float


def receptive_field(layers: Sequence[Layer]) -> list[Field]:
    """The field of each layer's outputs, from the picture upward.

    Args:
        layers: from the picture on.

    Returns:
        For each layer, in order, the size, jump and start of its outputs' fields.

    Source: Araujo, Norris and Sim, Computing Receptive Fields of Convolutional Neural
        Networks, Distill 2019.
    """
    size, jump, start, fields = 1, 1, 0.0, []  # a pixel sees itself
    for layer in layers:
        start += ((layer.span - 1) / 2 - layer.pads[0]) * jump
        size += (layer.span - 1) * jump
        jump *= layer.stride
        fields.append(Field(size, jump, start))
    return fields


def receptive_field_top_down(layers: Sequence[Layer]) -> int:
    """How many pixels one output of the last layer sees, from the top downward.

    Args:
        layers: from the picture on.

    Returns:
        The size that `receptive_field` gives for the last layer; 1 without layers.

    Source: the recursion of Araujo, Norris and Sim, Distill 2019.
    """
    size = 1  # one output
    for layer in reversed(layers):
        size = (size - 1) * layer.stride + layer.span
    return size


def output_size(layers: Sequence[Layer], size: int) -> int:
    """How many outputs there are along one axis.

    Args:
        layers: from the picture on.
        size: of the picture along that axis.

    Returns:
        At least 1.

    Raises:
        ValueError: `size` is no whole number from 1 on, or a window does not fit.

    Source: the definition.
    """
    require_whole("size", size)
    for place, layer in enumerate(layers):
        left = size + sum(layer.pads) - layer.span
        if left < 0:
            raise ValueError(
                f"size must leave room for every window, got {size} at layer {place}, "
                f"whose windows span {layer.span}"
            )
        size = left // layer.stride + 1
    return size


def pixel_region(
    layers: Sequence[Layer], index: int | tuple[int, int], size: int | tuple[int, int]
) -> tuple[tuple[int, int, int, int], float]:
    """The part of a picture that one output sees, and how much of its field is padding.

    Args:
        layers: from the picture on.
        index: the output's row and column, or one number for both.
        size: the picture's height and width, or one number for both.

    Returns:
        The field cut off at the picture's edges, xyxy in whole pixels, and the share of
        the whole field that was cut off, in [0, 1). No pixel outside of the box reaches
        the output. Without area, and with a share of 1, where all of it is padding.

    Raises:
        ValueError: there is no such output, or the picture is too small for a window.

    Source: the definition.
    """
    index, size = size_pair("index", index, 0), size_pair("size", size)
    field = receptive_field(layers)[-1] if layers else Field(1, 1, 0.0)
    ends = []
    for place, pixels in zip(index, size, strict=True):
        outputs = output_size(layers, pixels)
        if place >= outputs:
            raise ValueError(f"index must be below {outputs}, got {place}")
        first = round(field.start + place * field.jump - (field.size - 1) / 2)
        ends.append([min(max(end, 0), pixels) for end in (first, first + field.size)])
    (y1, y2), (x1, x2) = ends
    return (x1, y1, x2, y2), 1 - (x2 - x1) * (y2 - y1) / field.size**2


def same_padding(
    size: int, kernel: int, stride: int = 1, dilation: int = 1
) -> tuple[int, int]:
    """TensorFlow's SAME: the zeros that make size / stride outputs, rounded up.

    Args:
        size: of the layer's input along one axis.
        kernel: of the layer, as for `Layer`.
        stride: likewise.
        dilation: likewise.

    Returns:
        The padding before and behind. An odd one out goes behind.

    Raises:
        ValueError: a number is no whole number from 1 on.

    Source: TensorFlow's documentation of `tf.nn`, notes on padding.
    """
    require_whole("size", size)
    span = Layer(kernel, stride, 0, dilation).span
    missing = max((math.ceil(size / stride) - 1) * stride + span - size, 0)
    return missing // 2, missing - missing // 2


def layers_of(network: nn.Module) -> list[Layer]:
    """The layers of a network that is a plain chain of convolutions and pools.

    Args:
        network: an `nn.Sequential`, which may hold others. ReLU, batch normalization
            and dropout look at one pixel each, and are passed over.

    Returns:
        The layers, from the picture on.

    Raises:
        ValueError: a part is anything else (a residual block, a linear layer, a
            subclass of a convolution, which may pad by itself), or treats the two axes
            differently, or pads with something other than zeros, or rounds sizes up.

    Source: the definition.
    """
    if type(network) is nn.Sequential:
        return [layer for part in network for layer in layers_of(part)]
    if isinstance(network, _POINTWISE):
        return []
    kind = type(network).__name__
    if type(network) not in _WINDOWS:
        raise ValueError(f"network must be convolutions and pools in a row, got {kind}")
    if getattr(network, "padding_mode", "zeros") != "zeros":
        raise ValueError(f"network must pad with zeros, got {network.padding_mode}")
    if getattr(network, "ceil_mode", False):
        raise ValueError(f"network must round sizes down, got {kind} with ceil_mode")
    names = ("kernel_size", "stride", "dilation")
    kernel, stride, dilation = (_one_axis(network, name) for name in names)
    if network.padding == "same":  # of torch, for stride 1
        return [Layer(kernel, 1, same_padding(kernel, kernel, 1, dilation), dilation)]
    padding = 0 if network.padding == "valid" else _one_axis(network, "padding")
    return [Layer(kernel, stride, padding, dilation)]


def _one_axis(module: nn.Module, name: str) -> int:
    """A setting that is the same on both axes; 1 where a module has none."""
    value = getattr(module, name, 1)
    ends = set(value) if isinstance(value, tuple) else {value}
    if len(ends) > 1:
        raise ValueError(f"{name} must be the same on both axes, got {value}")
    return ends.pop()


def effective_receptive_field(
    network: Callable[[Tensor], Tensor],
    shape: tuple[int, int, int],
    *,
    images: Tensor | None = None,
    index: tuple[int, int] | None = None,
    repeats: int = 16,
    generator: torch.Generator | None = None,
) -> Tensor:
    """How strongly each pixel moves the outputs at one position: gradients, squared.

    Of the channels at the position a mixture with random signs is taken, and its
    gradient squared and summed over the colors. The mean over many mixtures is the sum
    of the squared gradients of all channels.

    Args:
        network: from (B, C, H, W) to (B, K, H', W').
        shape: C, H and W of its input.
        images: (B, C, H, W), on which gradients are taken; random ones if left out.
        index: the position's row and column; the middle if left out.
        repeats: mixtures for each picture.
        generator: dice.

    Returns:
        (H, W), not negative, the share of each pixel: the sum is 1. All 0 where no
        pixel moves the outputs.

    Raises:
        ValueError: the result has no rows and columns, or none of this index; images
            are of another shape.

    Source: Luo et al., Understanding the Effective Receptive Field, NeurIPS 2016, who
        take the mean of gradients and their deviation; the squares are this book's.
    """
    require_whole("repeats", repeats)
    if images is None:
        images = torch.randn(8, *shape, generator=generator)
    names = dict(zip("CHW", shape, strict=True))
    require_shape("images", images, "B C H W", floating=True, **names)
    pixels = images.detach().clone().requires_grad_()
    outputs = network(pixels)
    require_shape("the network's result", outputs, "B K H W")
    row, column = index or (outputs.shape[2] // 2, outputs.shape[3] // 2)
    require_whole("index[0]", row, 0, outputs.shape[2] - 1)
    require_whole("index[1]", column, 0, outputs.shape[3] - 1)
    channels = outputs[:, :, row, column]  # (B, K)
    energy = torch.zeros_like(pixels[0, 0])
    for _ in range(repeats):
        signs = torch.randint(0, 2, channels.shape, generator=generator)
        mixture = (channels * (2 * signs - 1).to(channels)).sum()
        (slope,) = torch.autograd.grad(mixture, pixels, retain_graph=True)
        energy += slope.square().sum((0, 1))
    total = energy.sum()
    return energy / total if total > 0 else energy


def effective_size(shares: Tensor) -> float:
    """The side of the square that is spread as far as a map of shares.

    Pixels that lie evenly over n places of a row have the variance (n² − 1) / 12. This
    is solved for n, with the mean of the variances down and across.

    Args:
        shares: (H, W), not negative, of any sum above 0.

    Returns:
        In pixels: 1 for a single pixel, n for an even square of n times n.

    Raises:
        ValueError: it is no such map.

    Source: the variance of a discrete uniform distribution, solved for its length.
    """
    require_shape("shares", shares, "H W", floating=True)
    total = shares.sum().item()
    require_finite_number("the sum of shares", total)
    if total <= 0 or shares.min() < 0:
        raise ValueError(f"shares must not be negative, with a sum > 0, got {total:g}")
    variances = []
    for axis in (0, 1):
        along = shares.double().sum(1 - axis) / shares.double().sum()
        place = torch.arange(len(along), device=along.device, dtype=along.dtype)
        mean = (along * place).sum()
        variances.append((along * (place - mean).square()).sum().item())
    return math.sqrt(1 + 12 * sum(variances) / 2)


def choose_kernels(field: int, budget: int) -> list[int]:
    """The shallowest stack of plain convolutions of a wanted field and few weights.

    Args:
        field: an odd number of pixels, at least 3, that is to be met exactly.
        budget: the most weights, for each pair of channels: the sum of the kernels'
            squares.

    Returns:
        The kernels, odd and at least 3, the largest first. There are as few layers as
        the budget allows, and of those stacks it is the one with the fewest weights.

    Raises:
        ValueError: the field is even or below 3, or even 3 x 3 everywhere is too much.

    Source: the definition.
    """
    require_whole("field", field, 3)
    if field % 2 == 0:
        raise ValueError(f"field must be odd, as kernels are, got {field}")
    steps = (field - 1) // 2  # each layer takes at least one
    for depth in range(1, steps + 1):
        each, more = divmod(steps, depth)  # squares add up to least if all are alike
        kernels = more * [2 * each + 3] + (depth - more) * [2 * each + 1]
        if sum(kernel**2 for kernel in kernels) <= budget:
            return kernels
    raise ValueError(f"budget must be at least {9 * steps} for {field}, got {budget}")
