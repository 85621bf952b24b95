"""Masks of simple shapes: rectangles, disks, and polygons that somebody drew.

A pixel's center lies at integer coordinates, x runs to the right and y down. A pixel
belongs to a shape if its center lies in it or on its edge.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from lesson_utils.common.require import require_not_negative, require_whole


def rectangle_mask(height: int, width: int, box: Sequence[float] | Tensor) -> Tensor:
    """A mask that keeps the pixels of a box.

    Args:
        height: H, in pixels.
        width: W, in pixels.
        box: (4,), xyxy in pixels, both ends included; it may reach past the picture.

    Returns:
        (H, W), boolean.

    Raises:
        ValueError: the box is not four finite numbers with x1 <= x2 and y1 <= y2, or
            H or W is not positive.

    Source: the definition.
    """
    x, y = _pixel_centers(height, width)
    x1, y1, x2, y2 = _finite("box", box, (4,)).tolist()
    if x2 < x1 or y2 < y1:
        raise ValueError(
            f"box must be xyxy with x1 <= x2, y1 <= y2, got {(x1, y1, x2, y2)}"
        )
    return (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)


def disk_mask(
    height: int, width: int, center: Sequence[float] | Tensor, radius: float
) -> Tensor:
    """A mask that keeps the pixels at most `radius` away from a point.

    Args:
        height: H, in pixels.
        width: W, in pixels.
        center: (2,), x and y in pixels.
        radius: in pixels; at 0 only a center at integers keeps a pixel, its own.

    Returns:
        (H, W), boolean.

    Raises:
        ValueError: the center is not two finite numbers, the radius is negative or
            not finite, or H or W is not positive.

    Source: the definition.
    """
    x, y = _pixel_centers(height, width)
    cx, cy = _finite("center", center, (2,)).tolist()
    require_not_negative("radius", radius)
    return (x - cx) ** 2 + (y - cy) ** 2 <= radius**2


def polygon_mask(
    height: int, width: int, points: Sequence[Sequence[float]] | Tensor
) -> Tensor:
    """A mask that keeps the pixels in or on a polygon, by the even-odd rule.

    A ray to the right of a pixel crosses the outline an odd number of times if the
    pixel is inside. Where the outline crosses itself, what is enclosed twice is out.

    Args:
        height: H, in pixels.
        width: W, in pixels.
        points: (N, 2), the corners' x and y in pixels, N >= 3, in order round the
            outline; the last is joined to the first.

    Returns:
        (H, W), boolean.

    Raises:
        ValueError: fewer than three points, points not (N, 2) and finite, or H or W
            is not positive.

    Source: Shimrat, Algorithm 112: Position of point relative to polygon, CACM 1962.
    """
    x, y = _pixel_centers(height, width)
    corners = _finite("points", points, (None, 2)).tolist()
    if len(corners) < 3:
        raise ValueError(f"points must be at least 3, got {len(corners)}")
    inside = torch.zeros(height, width, dtype=torch.bool)
    outline = torch.zeros_like(inside)
    for (x1, y1), (x2, y2) in zip(corners, corners[1:] + corners[:1], strict=True):
        # Twice the signed area of the triangle start, end, pixel: its side of the edge.
        side = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)  # (H, W)
        inside ^= ((y1 <= y) != (y2 <= y)) & ((side > 0) == (y2 > y1))
        columns = (min(x1, x2) <= x) & (x <= max(x1, x2))  # (1, W)
        rows = (min(y1, y2) <= y) & (y <= max(y1, y2))  # (H, 1)
        outline |= (side == 0) & columns & rows
    return inside | outline


def _pixel_centers(height: int, width: int) -> tuple[Tensor, Tensor]:
    """The pixel centers' x (1, W) and y (H, 1), in float64."""
    require_whole("height", height)
    require_whole("width", width)
    x = torch.arange(width, dtype=torch.float64)[None]
    y = torch.arange(height, dtype=torch.float64)[:, None]
    return x, y


def _finite(
    name: str, value: Sequence | Tensor, shape: tuple[int | None, ...]
) -> Tensor:
    """The value as a float64 tensor of the shape asked for (None: any length)."""
    tensor = torch.as_tensor(value, dtype=torch.float64).cpu()
    fits = tensor.dim() == len(shape) and all(
        want in (None, got) for want, got in zip(shape, tensor.shape, strict=True)
    )
    if not fits or not tensor.isfinite().all():
        wanted = "(" + ", ".join("N" if n is None else str(n) for n in shape) + ")"
        raise ValueError(f"{name} must be {wanted} finite numbers, got {value}")
    return tensor
