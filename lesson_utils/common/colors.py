"""Colors of pictures: gray, and how to change brightness, contrast, saturation and hue.

Pictures are (3, H, W), or batches (B, 3, H, W) in which each picture may have its own
factor; floating point, in [0, 1].
"""

import math

import torch
from torch import Tensor

from lesson_utils.common.require import require_colors, require_share

# Of a segmentation: the background, and kinds that stay apart for color-blind eyes.
CLASS_COLORS = ("#e8e5de", "#d55e00", "#0072b2", "#009e73", "#e69f00")


def paint_classes(classes: Tensor) -> Tensor:
    """A map of classes as a picture, in the colors of `CLASS_COLORS`.

    Args:
        classes: (..., H, W), int64, from 0 to 4.

    Returns:
        (..., 3, H, W), float32, in [0, 1].

    Raises:
        ValueError: a class has no color.

    Source: the colors are Okabe and Ito's.
    """
    if classes.numel() and not 0 <= classes.min() <= classes.max() < len(CLASS_COLORS):
        raise ValueError(
            f"classes must lie in [0, {len(CLASS_COLORS) - 1}], got "
            f"[{classes.min()}, {classes.max()}]"
        )
    colors = torch.tensor(
        [
            [int(color[k : k + 2], 16) / 255 for k in (1, 3, 5)]
            for color in CLASS_COLORS
        ],
        dtype=torch.float32,
    )
    return colors.to(classes.device)[classes].movedim(-1, -3)


def to_gray(images: Tensor) -> Tensor:
    """The lightness of each pixel, as the eye weighs red, green and blue.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].

    Returns:
        (1, H, W) or (B, 1, H, W).

    Raises:
        ValueError: another shape, or a value outside [0, 1].

    Source: ITU-R BT.601, in the digits of
        `torchvision.transforms.v2.functional.rgb_to_grayscale`.
    """
    require_colors(images)
    weights = images.new_tensor([0.2989, 0.587, 0.114])[:, None, None]
    return (images * weights).sum(dim=-3, keepdim=True)


def adjust_brightness(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 changes nothing, 2 is twice as bright.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_brightness` returns the same.
    """
    return _blend(images, images.new_zeros(()), factor)


def adjust_contrast(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend with the picture's mean gray: 0 is flat, 1 changes nothing.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_contrast` returns the same.
    """
    return _blend(images, to_gray(images).mean(dim=(-2, -1), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend each pixel with its own gray: 0 is gray, 1 changes nothing.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_saturation` returns the same.
    """
    return _blend(images, to_gray(images), factor)


def adjust_hue(images: Tensor, shift: float | Tensor) -> Tensor:
    """Turn the color circle: 0.5 takes each color to the opposite one.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        shift: in turns, in [-0.5, 0.5]; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a shift out of its range.

    Source: Smith, Color Gamut Transform Pairs, SIGGRAPH 1978, for hue, saturation and
        value; `torchvision.transforms.v2.functional.adjust_hue` returns the same.
    """
    require_colors(images)
    shift = _factor("shift", shift, images, -0.5, 0.5)
    hue, saturation, value = _rgb_to_hsv(images).split(1, dim=-3)
    return _hsv_to_rgb(torch.cat([(hue + shift) % 1, saturation, value], dim=-3))


def color_jitter(
    images: Tensor,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue at random, in random order.

    Args:
        images: (3, H, W), or (B, 3, H, W) with factors for each picture and one order.
        brightness: b in [0, 1]; the factor is uniform in [1 - b, 1 + b].
        contrast: likewise.
        saturation: likewise.
        hue: h in [0, 0.5]; the shift is uniform in [-h, h].
        generator: where the numbers come from.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a strength out of range.

    Source: `torchvision.transforms.v2.ColorJitter`; Howard, Some Improvements on Deep
        CNN Based Image Classification, arXiv:1312.5402.
    """
    require_colors(images)
    parts = (
        ("brightness", adjust_brightness, brightness, 1),
        ("contrast", adjust_contrast, contrast, 1),
        ("saturation", adjust_saturation, saturation, 1),
        ("hue", adjust_hue, hue, 0),
    )
    for name, _, strength, middle in parts:
        require_share(name, strength, "[0, 1]" if middle else "[0, 0.5]")
    for index in torch.randperm(len(parts), generator=generator).tolist():
        _, adjust, strength, middle = parts[index]
        if strength:
            low, high = middle - strength, middle + strength
            drawn = torch.rand(images.shape[:-3], generator=generator)
            images = adjust(images, low + (high - low) * drawn)
    return images


def _blend(images: Tensor, other: Tensor, factor: float | Tensor) -> Tensor:
    """A mixture of factor * images and (1 - factor) * other, within [0, 1]."""
    require_colors(images)
    factor = _factor("factor", factor, images, 0, math.inf)
    return (factor * images + (1 - factor) * other).clamp(0, 1)


def _rgb_to_hsv(images: Tensor) -> Tensor:
    """Hue in turns (red 0, green 1/3, blue 2/3), saturation, value: each in [0, 1]."""
    red, green, blue = images.unbind(dim=-3)
    value = images.amax(dim=-3)
    chroma = value - images.amin(dim=-3)
    step = chroma + (chroma == 0)  # gray: 0 / 1 instead of 0 / 0
    sixths = torch.where(
        value == red,
        (green - blue) / step,
        torch.where(value == green, (blue - red) / step + 2, (red - green) / step + 4),
    )
    return torch.stack([sixths / 6 % 1, chroma / (value + (value == 0)), value], dim=-3)


def _hsv_to_rgb(images: Tensor) -> Tensor:
    hue, saturation, value = images.split(1, dim=-3)  # each (..., 1, H, W)
    # How far round the circle each channel is from where it begins to fade, in sixths.
    start = images.new_tensor([5, 3, 1])[:, None, None]
    distance = (start + 6 * hue) % 6
    missing = torch.minimum(distance, 4 - distance).clamp(0, 1)
    return (value - value * saturation * missing).clamp(0, 1)


def _factor(
    name: str, value: float | Tensor, images: Tensor, low: float, high: float
) -> Tensor:
    """The factor in a shape that meets its pictures, or a ValueError."""
    factor = torch.as_tensor(value, dtype=images.dtype)
    if factor.shape not in ((), images.shape[:-3]):
        raise ValueError(
            f"{name} must be a number or one for each picture, got shape "
            f"{tuple(factor.shape)} for images {tuple(images.shape)}"
        )
    within = (factor >= low) & (factor <= high) & factor.isfinite()
    if not within.all():
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")
    return factor[..., None, None, None].to(images.device)  # (1, 1, 1) or (B, 1, 1, 1)
