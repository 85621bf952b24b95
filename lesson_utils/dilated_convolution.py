"""Dilated convolution: kernels with holes, and which pixels a stack of them misses.

The module of the chapter `book/foundations/dilated_convolution.ipynb`. A rate of 1 is
ordinary convolution; at rate r the inputs of one window lie r apart. Convolution is
meant as in torch: the kernel is not flipped.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lesson_utils.common.require import require_shape, require_whole, size_pair


def dilated_conv1d(signal: Tensor, kernel: Tensor, dilation: int = 1) -> Tensor:
    """A kernel with holes slid along a signal: y[i] = sum over k of w[k] x[i + r k].

    Args:
        signal: (N,).
        kernel: (K,), of the dtype of the signal.
        dilation: the rate r, how far apart the inputs of one window lie.

    Returns:
        (N - r (K - 1),), wherever the whole window lies inside the signal.

    Raises:
        ValueError: another shape, a rate that is no whole number from 1 on, or a window
            that is longer than the signal.

    Source: the definition; Yu and Koltun, Multi-Scale Context Aggregation by Dilated
        Convolutions, ICLR 2016, section 2, where the kernel is flipped.
    """
    require_shape("signal", signal, "N", floating=True)
    require_shape("kernel", kernel, "K", floating=True)
    require_whole("dilation", dilation)
    outputs = len(signal) - dilation * (len(kernel) - 1)
    if not len(kernel) or outputs < 1:
        raise ValueError(
            f"kernel must fit into the signal, got {len(kernel)} weights at rate "
            f"{dilation} for {len(signal)} values"
        )
    moved = [signal[k * dilation : k * dilation + outputs] for k in range(len(kernel))]
    return kernel @ torch.stack(moved)  # (K,) times (K, outputs)


def dilate_kernel(weight: Tensor, dilation: int | tuple[int, int]) -> Tensor:
    """A kernel with its holes written out as zeros.

    An ordinary convolution with the result is the dilated one with `weight`.

    Args:
        weight: (..., H, W), such as that of an `nn.Conv2d`.
        dilation: the rate, for both axes or for rows and columns.

    Returns:
        (..., r (H - 1) + 1, r (W - 1) + 1), in the weight's dtype, on its device.

    Raises:
        ValueError: fewer than two axes, an empty kernel, or a rate that is no whole
            number from 1 on.

    Source: the definition.
    """
    require_shape("weight", weight, "... H W")
    down, across = size_pair("dilation", dilation)
    height, width = weight.shape[-2:]
    if not height or not width:
        raise ValueError(f"weight must not be empty, got shape {tuple(weight.shape)}")
    size = (down * (height - 1) + 1, across * (width - 1) + 1)
    dilated = weight.new_zeros((*weight.shape[:-2], *size))
    dilated[..., ::down, ::across] = weight
    return dilated


def coverage(rates: Sequence[int], kernel_size: int = 3) -> Tensor:
    """On how many paths each input of a stack's field reaches the output.

    Each layer doubles, trebles, ... the paths, and moves them apart by its rate: the
    counts are a convolution of one kernel of ones after another.

    Args:
        rates: of the layers, in any order.
        kernel_size: of all of them.

    Returns:
        (R,), int64, along one axis, R the size of the field: 0 where an input is never
        used. Its sum is `kernel_size` to the power of the number of layers.

    Raises:
        ValueError: a rate or the size is no whole number from 1 on, or there are more
            paths than int64 can count.

    Source: the definition.
    """
    require_whole("kernel_size", kernel_size)
    for rate in rates:
        require_whole("rates", rate)
    if kernel_size ** len(rates) >= 2**63:
        raise ValueError(f"rates must be fewer, got {len(rates)}")
    counts = torch.ones(1, dtype=torch.int64)  # the output itself
    for rate in rates:
        wider = counts.new_zeros(len(counts) + rate * (kernel_size - 1))
        for number in range(kernel_size):
            wider[number * rate : number * rate + len(counts)] += counts
        counts = wider
    return counts


def is_gap_free(rates: Sequence[int], kernel_size: int = 3) -> bool:
    """Whether a stack of dilated convolutions uses every input within its field.

    Args:
        rates: of the layers, in any order.
        kernel_size: of all of them.

    Returns:
        False if an input between the first and the last one is never used.

    Raises:
        ValueError: as for `coverage`.

    Source: the definition. Wang et al. 2018 give a rule for it: `hdc_distance`.
    """
    return bool((coverage(rates, kernel_size) > 0).all())


def hdc_distance(rates: Sequence[int]) -> int:
    """The largest distance between two inputs that the second layer's kernel meets.

    The rule of hybrid dilated convolution asks that it be at most the kernel's size.

    Args:
        rates: of the layers, from the picture on; two at least.

    Returns:
        The paper's M₂, by M_i = max(M_{i+1} - 2 r_i, 2 r_i - M_{i+1}, r_i) from
        M_n = r_n.

    Raises:
        ValueError: fewer than two rates, or one that is no whole number from 1 on.

    Source: Wang et al., Understanding Convolution for Semantic Segmentation, WACV 2018,
        section 3.2, where the middle term is written M_{i+1} - 2 (M_{i+1} - r_i).
    """
    for rate in rates:
        require_whole("rates", rate)
    if len(rates) < 2:
        raise ValueError(f"rates must be two or more, got {list(rates)}")
    distance = rates[-1]
    for rate in reversed(rates[1:-1]):
        distance = max(distance - 2 * rate, 2 * rate - distance, rate)
    return distance


def segmenter(
    rates: Sequence[int], *, num_classes: int, channels: int = 16, pooled: bool = False
) -> nn.Sequential:
    """A small network that gives every pixel a class, by convolutions at many rates.

    A convolution of 3 x 3 at rate 1, one for each of the rates, each followed by batch
    normalization and a ReLU, and a convolution of 1 x 1. The rates change no weight's
    shape: whatever they are, the networks have equally many weights.

    Args:
        rates: of the convolutions, in order.
        num_classes: K.
        channels: of all maps in between.
        pooled: whether pictures are halved behind the first layer, and the result is
            made twice as large again.

    Returns:
        From pictures (B, 3, H, W) to logits (B, K, H, W); H and W even where pooled.

    Raises:
        ValueError: a rate or a number that is no whole number from 1 on.

    Source: this book's, after the networks of Wang et al. 2018.
    """
    for name, value in (("num_classes", num_classes), ("channels", channels)):
        require_whole(name, value)
    layers: list[nn.Module] = []
    for place, rate in enumerate((1, *rates)):
        require_whole("rates", rate)
        inputs = channels if place else 3
        # As much padding as the rate: the maps keep their size.
        layers += [
            nn.Conv2d(inputs, channels, 3, padding=rate, dilation=rate, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
        ]
        if pooled and place == 0:
            layers.append(nn.MaxPool2d(2))
    layers.append(nn.Conv2d(channels, num_classes, 1))
    if pooled:
        layers.append(nn.Upsample(scale_factor=2, mode="bilinear"))
    return nn.Sequential(*layers)
