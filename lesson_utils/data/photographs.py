"""Photographs that ship inside scikit-image: real pictures without a download."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Shipped in scikit-image's wheel, under a licence that lets anyone use them;
# book/datasets.md lists who took them. Anything else there wants a download.
NAMES = (
    "astronaut",
    "brick",
    "camera",
    "cell",
    "chelsea",
    "clock",
    "coffee",
    "coins",
    "grass",
    "gravel",
    "hubble_deep_field",
    "moon",
    "page",
    "rocket",
    "text",
)


def photograph(name: str, *, size: int | tuple[int, int] | None = None) -> Tensor:
    """A photograph from scikit-image's shipped pictures.

    Args:
        name: one of `NAMES`, such as "astronaut", "chelsea" (a cat), "coffee" or
            "rocket".
        size: None for the picture as it is; a whole number for the length of the
            shorter side, the aspect kept; (H, W) to fill exactly that many pixels,
            what does not fit being cut off evenly on both sides.

    Returns:
        (3, H, W), float32, in [0, 1]; grey pictures have three equal channels.

    Raises:
        ValueError: no such photograph, or a size that is not whole numbers >= 1.
    """
    import skimage.data  # slow to import, and not every chapter needs a photograph

    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    pixels = torch.from_numpy(getattr(skimage.data, name)())
    if pixels.dim() == 2:
        pixels = pixels[..., None].expand(-1, -1, 3)
    image = pixels.permute(2, 0, 1).float().div(255).contiguous()
    return image if size is None else _fit(image, size)


def _fit(image: Tensor, size: int | tuple[int, int]) -> Tensor:
    """Resize (3, H, W) as `photograph` says, smoothing before it shrinks."""
    numbers = size if isinstance(size, tuple) and len(size) == 2 else (size,)
    if not all(isinstance(n, int) and n > 0 for n in numbers):
        raise ValueError(f"size must be a whole number >= 1 or two, got {size!r}")
    height, width = image.shape[1:]
    if isinstance(size, int):
        scale = size / min(height, width)
        target = (round(height * scale), round(width * scale))
    else:
        # The smallest picture of this aspect that covers the size asked for.
        scale = max(size[0] / height, size[1] / width)
        target = (
            max(size[0], round(height * scale)),
            max(size[1], round(width * scale)),
        )
    resized = F.interpolate(
        image[None], target, mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)
    if isinstance(size, int):
        return resized
    top, left = (target[0] - size[0]) // 2, (target[1] - size[1]) // 2
    return resized[:, top : top + size[0], left : left + size[1]].contiguous()
