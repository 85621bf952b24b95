"""Upsampling: where new pixels come from.

The module of the chapter `book/foundations/upsampling.ipynb`. Images and feature maps
are (B, C, H, W), in any range, and a size is (height, width) in pixels. The center of
pixel i of a row lies at i, and the pixel covers the stretch from i - 1/2 to i + 1/2.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.colors import to_gray
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    INTEGERS,
    require_shape,
    require_whole,
    size_pair,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run

# Photographs that no network of the chapter is trained on.
HELD_OUT = ("astronaut", "chelsea", "coffee", "flower", "rocket")


def resize_nearest(images: Tensor, size: int | Sequence[int]) -> Tensor:
    """Resize by taking, for each new pixel, the old one that its center lies in.

    Args:
        images: (B, C, H, W), any dtype.
        size: the new height and width; one number for both.

    Returns:
        (B, C, h, w) for a size of (h, w), values and dtype of `images`.

    Raises:
        ValueError: `images` is not (B, C, H, W) with at least one pixel, or `size` is
            not one or two whole numbers >= 1.

    Source: the definition; torch calls it "nearest-exact" (its "nearest" takes the
        pixel that the new one's left edge lies in).
    """
    _require_pixels(images)
    for dim, number in zip((2, 3), size_pair("size", size), strict=True):
        old = images.shape[dim]
        # Whole numbers: (2 i + 1) / (2 number) of the way, without a rounding error.
        index = torch.arange(number, device=images.device)
        index = (2 * index + 1) * old // (2 * number)
        images = images.index_select(dim, index)
    return images


def resize_bilinear(
    images: Tensor, size: int | Sequence[int], *, align_corners: bool = False
) -> Tensor:
    """Resize by drawing straight lines between pixel centers, along each axis.

    Nothing is smoothed before a picture shrinks, so that it aliases there.

    Args:
        images: (B, C, H, W), floating point.
        size: the new height and width; one number for both.
        align_corners: False: new and old pixels cover the same area. True: the
            centers of the corner pixels coincide, new and old.

    Returns:
        (B, C, h, w) for a size of (h, w), in the range of `images`.

    Raises:
        ValueError: `images` is not (B, C, H, W), floating point and with at least one
            pixel, or `size` is not one or two whole numbers >= 1.

    Source: the definition, with torch's names of the two conventions.
    """
    _require_pixels(images, floating=True)
    for dim, number in zip((3, 2), size_pair("size", size)[::-1], strict=True):
        if number != images.shape[dim]:
            images = _interpolate(images, dim, number, align_corners)
    return images


def sample_positions(old: int, new: int, *, align_corners: bool = False) -> Tensor:
    """Where the new pixels of a row lie between the old ones.

    Args:
        old: pixels of the row before.
        new: pixels of the row after.
        align_corners: as for `resize_bilinear`.

    Returns:
        (new,), float64, in [0, old - 1]: 1.25 is a quarter of the way from the center
        of pixel 1 to that of pixel 2. Beyond the outer centers nothing is known, and
        the outer pixel is taken.

    Raises:
        ValueError: `old` or `new` is not a whole number >= 1.

    Source: the definition.
    """
    require_whole("old", old)
    require_whole("new", new)
    index = torch.arange(new, dtype=torch.float64)
    if align_corners:
        return index * ((old - 1) / (new - 1) if new > 1 else 0)
    return ((index + 0.5) * (old / new) - 0.5).clamp(0, old - 1)


def pixel_shuffle(features: Tensor, factor: int) -> Tensor:
    """Lay the channels of each position out as a block of pixels.

    Args:
        features: (B, C * factor², H, W), any dtype; the factor² channels of one color
            stand together, in the order in which a page is read.
        factor: r, how much higher and wider the result is.

    Returns:
        (B, C, factor * H, factor * W).

    Raises:
        ValueError: `features` is not (B, C, H, W), `factor` is not a whole number
            >= 1, or the channels are no multiple of its square.

    Source: Shi et al., Real-Time Single Image and Video Super-Resolution Using an
        Efficient Sub-Pixel Convolutional Neural Network, CVPR 2016.
    """
    require_shape("features", features, "B C H W")
    require_whole("factor", factor)
    batch, channels, height, width = features.shape
    if channels % factor**2:
        raise ValueError(
            f"features must have a multiple of {factor**2} channels, got {channels}"
        )
    colors = channels // factor**2
    blocks = features.reshape(batch, colors, factor, factor, height, width)
    images = blocks.permute(0, 1, 4, 2, 5, 3)  # (B, C, H, factor, W, factor)
    return images.reshape(batch, colors, height * factor, width * factor)


def pixel_unshuffle(images: Tensor, factor: int) -> Tensor:
    """Make each block of pixels the channels of one position: undo `pixel_shuffle`.

    Args:
        images: (B, C, factor * H, factor * W), any dtype.
        factor: r, how much lower and narrower the result is.

    Returns:
        (B, C * factor², H, W).

    Raises:
        ValueError: `images` is not (B, C, H, W), `factor` is not a whole number >= 1,
            or height or width is no multiple of it.

    Source: Shi et al., CVPR 2016, read backwards.
    """
    require_shape("images", images, "B C H W")
    require_whole("factor", factor)
    batch, channels, height, width = images.shape
    if height % factor or width % factor:
        raise ValueError(
            f"images must have sides that are multiples of {factor}, got "
            f"{height} x {width}"
        )
    low, narrow = height // factor, width // factor
    blocks = images.reshape(batch, channels, low, factor, narrow, factor)
    blocks = blocks.permute(0, 1, 3, 5, 2, 4)  # (B, C, factor, factor, H, W)
    return blocks.reshape(batch, channels * factor**2, low, narrow)


def max_unpool(values: Tensor, indices: Tensor, size: int | Sequence[int]) -> Tensor:
    """Put the maxima of a max pooling back where they were found, and 0 elsewhere.

    Args:
        values: (B, C, h, w), any dtype.
        indices: (B, C, h, w), int64: where each value goes in its channel, counted
            row by row, as `max_pool2d(..., return_indices=True)` returns them. Where
            windows overlapped, several values may go to one place; they are equal.
        size: the height H and the width W before the pooling; one number for both.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: `values` is not (B, C, H, W), `indices` has another shape or is not
            of whole numbers, an index is below 0 or not below H * W, or `size` is not
            one or two whole numbers >= 1.

    Source: Zeiler and Fergus, Visualizing and Understanding Convolutional Networks,
        ECCV 2014.
    """
    require_shape("values", values, "B C H W")
    height, width = size_pair("size", size)
    if indices.shape != values.shape or indices.dtype not in INTEGERS:
        raise ValueError(
            f"indices must be whole numbers of the shape {tuple(values.shape)}, got "
            f"{tuple(indices.shape)} of {indices.dtype}"
        )
    if indices.numel() and not (indices.min() >= 0 and indices.max() < height * width):
        raise ValueError(
            f"indices must be from 0 to {height * width - 1} for {height} x {width} "
            f"pixels, got {int(indices.min())} to {int(indices.max())}"
        )
    empty = values.new_zeros(*values.shape[:2], height * width)
    filled = empty.scatter(2, indices.long().flatten(2), values.flatten(2))
    return filled.unflatten(2, (height, width))


def bilinear_kernel(factor: int) -> Tensor:
    """The stamp with which a transposed convolution of this stride interpolates.

    With `stride=factor` and `padding=(len(kernel) - factor) // 2` it does what
    `resize_bilinear` does, but for the border, where zeros are mixed in.

    Args:
        factor: how much higher and wider the picture becomes.

    Returns:
        (k, k), float32, k = 2 * factor - factor % 2; a pyramid whose entries add up to
        factor².

    Raises:
        ValueError: `factor` is not a whole number >= 1.

    Source: the initialization of Long et al., Fully Convolutional Networks for Semantic
        Segmentation, CVPR 2015.
    """
    require_whole("factor", factor)
    size = 2 * factor - factor % 2
    places = torch.arange(size) - (size - 1) / 2
    tent = 1 - places.abs() / factor  # (k,)
    return tent[:, None] * tent


class ESPCN(nn.Module):
    """A super-resolver that works on the small picture and enlarges at the very end.

    Args:
        factor: r, how much higher and wider the result is.
        width: channels of the first layer; the second has half as many.

    Attributes:
        features: two convolutions, from (B, 1, H, W) to (B, width // 2, H, W).
        head: the last convolution, to (B, factor², H, W).

    Raises:
        ValueError: `factor` is not a whole number >= 1, or `width` not one >= 2.

    Source: Shi et al., CVPR 2016, with ReLU for tanh. Here the network
        learns what a bicubic enlargement lacks, and not the whole picture.
    """

    def __init__(self, factor: int = 3, *, width: int = 64) -> None:
        super().__init__()
        require_whole("factor", factor)
        require_whole("width", width, 2)
        self.factor = factor
        self.features = nn.Sequential(
            nn.Conv2d(1, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(width, width // 2, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Conv2d(width // 2, factor**2, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """What to add to pictures of one channel, enlarged by `enlarge`.

        Args:
            images: (B, 1, H, W), in [0, 1].

        Returns:
            (B, 1, factor * H, factor * W), around 0.
        """
        return pixel_shuffle(self.head(self.features(images)), self.factor)


def shrink(images: Tensor, factor: int) -> Tensor:
    """The small pictures that a super-resolver starts from: smoothed, then sampled.

    Args:
        images: (B, C, factor * H, factor * W), in [0, 1].
        factor: how much lower and narrower the result is.

    Returns:
        (B, C, H, W), in [0, 1].

    Raises:
        ValueError: `images` is not (B, C, H, W) and floating point, `factor` is not a
            whole number >= 1, or height or width is no multiple of it.

    Source: the bicubic convolution of Keys, 1981, stretched by the factor, as torch
        and Pillow have it.
    """
    require_shape("images", images, "B C H W", floating=True)
    require_whole("factor", factor)
    height, width = images.shape[2:]
    if height % factor or width % factor:
        raise ValueError(
            f"images must have sides that are multiples of {factor}, got "
            f"{height} x {width}"
        )
    size = (height // factor, width // factor)
    wide = at_least_float32(images)  # on a CPU torch smooths no half precision
    small = F.interpolate(wide, size, mode="bicubic", antialias=True)
    return small.clamp(0, 1).to(images.dtype)


def enlarge(images: Tensor, factor: int, network: nn.Module | None = None) -> Tensor:
    """Pictures made larger: bicubic, and with a network what it adds to that.

    A picture in color has the details of its lightness added to each channel: the eye
    sees little detail in color, and so the network has learned none.

    Args:
        images: (B, 1, H, W) or (B, 3, H, W), in [0, 1].
        factor: how much higher and wider the result is.
        network: from (B, 1, H, W) to (B, 1, factor * H, factor * W); None for none.

    Returns:
        (B, C, factor * H, factor * W), around [0, 1].

    Raises:
        ValueError: `images` has another shape, or is not floating point, or `factor` is
            not a whole number >= 1.

    Source: Shi et al., CVPR 2016, where lightness alone is learned, too.
    """
    require_shape("images", images, "B C H W", floating=True)
    require_whole("factor", factor)
    size = [factor * side for side in images.shape[2:]]
    smooth = F.interpolate(images, size, mode="bicubic", align_corners=False)
    if network is None:
        return smooth
    return smooth + network(to_gray(images) if images.shape[1] == 3 else images)


def train(
    network: nn.Module,
    crops: Tensor,
    *,
    factor: int = 3,
    steps: int = 400,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a network what enlarged pictures lack, by the squared error.

    Args:
        network: as for `enlarge`; trained in place.
        crops: (N, 1, S, S), uint8, pieces of pictures of one channel, S a multiple of
            `factor`.
        factor: how much the network enlarges.
        steps: batches of training.
        batch_size: pieces a step.
        learning_rate: Adam's, in the first half; then it falls to 0.
        seed: of the order.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` and `shrink` have it, or `crops` is not (N, 1, S, S).
        FloatingPointError: the loss is no longer a number.

    Source: Shi et al., CVPR 2016.
    """
    require_shape("crops", crops, "N 1 S S")
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    run = Run(
        network,
        optimizer,
        number=len(crops),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=hold_then_fall,
        **run,
    )
    for _ in run:
        (large,) = run.batch(crops)
        large = large / 255
        enlarged = enlarge(shrink(large, factor), factor, run.network)
        run.learn(loss=F.mse_loss(enlarged, large))
    return run.history


def super_resolver() -> ESPCN:
    """The book's own network that enlarges photographs three times.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.super_resolver`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "super_resolver.safetensors"
    verified_card(path)
    network = ESPCN(3)
    network.load_state_dict(load_file(path))  # float16, to float32
    return network.eval()


def _interpolate(images: Tensor, dim: int, number: int, align_corners: bool) -> Tensor:
    """One axis of `resize_bilinear`."""
    old = images.shape[dim]
    position = sample_positions(old, number, align_corners=align_corners)
    low = position.floor().long().clamp(max=max(old - 2, 0))
    weight = (position - low).to(images)  # of the next pixel
    low = low.to(images.device)
    high = (low + 1).clamp(max=old - 1)
    if dim == 3:  # along a row a gather copies ten times as fast as index_select
        shape = (*images.shape[:3], number)
        before, after = (images.gather(3, i.expand(shape)) for i in (low, high))
    else:
        before, after = (images.index_select(dim, i) for i in (low, high))
        weight = weight[:, None]
    return before.lerp_(after, weight)  # in place: one large array less


def _require_pixels(images: Tensor, *, floating: bool = False) -> None:
    require_shape("images", images, "B C H W", floating=floating)
    if 0 in images.shape[2:]:
        raise ValueError(
            f"images must have at least one pixel, got {tuple(images.shape)}"
        )
