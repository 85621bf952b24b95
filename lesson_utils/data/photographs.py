"""Photographs out of scikit-image and scikit-learn: real pictures, no download."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.packaged_files import require_package
from lesson_utils.common.require import require_whole

# Shipped in scikit-image's wheel; book/datasets.md lists who took them, and on which
# terms they may be used. Anything else there wants a download, or is drawn.
_SCIKIT_IMAGE = (
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
    "immunohistochemistry",
    "microaneurysms",
    "moon",
    "motorcycle",
    "page",
    "retina",
    "rocket",
    "text",
)
_SCIKIT_LEARN = ("china", "flower")  # shipped in its wheel

NAMES = tuple(sorted(_SCIKIT_IMAGE + _SCIKIT_LEARN))


def photograph(name: str, *, size: int | tuple[int, int] | None = None) -> Tensor:
    """A photograph out of scikit-image's or scikit-learn's package.

    Args:
        name: one of `NAMES`, such as "astronaut", "chelsea" (a cat), "coffee" or
            "flower".
        size: None for the picture as it is; a whole number for the length of the
            shorter side, the aspect kept; (H, W) to fill exactly that many pixels,
            what does not fit being cut off evenly on both sides.

    Returns:
        (3, H, W), float32, in [0, 1]; gray pictures have three equal channels.

    Raises:
        ValueError: no such photograph, or a size that is not whole numbers >= 1.
        ModuleNotFoundError: it ships inside scikit-learn, which is not installed.
    """
    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, got {name!r}")
    pixels = torch.from_numpy(_pixels(name))
    if pixels.dim() == 2:
        pixels = pixels[..., None].expand(-1, -1, 3)
    image = pixels.permute(2, 0, 1).float().div(255).contiguous()
    return image if size is None else _fit(image, size)


def random_crops(
    names: Sequence[str], number: int, *, size: int, seed: int = 0
) -> Tensor:
    """Square pieces of photographs, from random places.

    Args:
        names: of photographs, each of `NAMES`; every piece's is drawn anew.
        number: N, of pieces.
        size: S, in pixels of the photographs as they are.
        seed: of the choice.

    Returns:
        (N, 3, S, S), uint8.

    Raises:
        ValueError: no name is given, one is unknown, `number` or `size` is not a whole
            number >= 1, or a photograph is smaller than `size`.
    """
    require_whole("number", number)
    require_whole("size", size)
    images = [(255 * photograph(name)).round().byte() for name in names]
    if not images:
        raise ValueError("names must hold at least one name, got none")
    for name, image in zip(names, images, strict=True):
        if min(image.shape[1:]) < size:
            raise ValueError(
                f"size must be at most {min(image.shape[1:])} for {name}, got {size}"
            )
    dice = torch.Generator().manual_seed(seed)
    crops = torch.empty(number, 3, size, size, dtype=torch.uint8)
    for crop in crops:
        image = images[torch.randint(len(images), (), generator=dice)]
        top, left = (
            int(torch.randint(side - size + 1, (), generator=dice))
            for side in image.shape[1:]
        )
        crop.copy_(image[:, top : top + size, left : left + size])
    return crops


def _pixels(name: str) -> np.ndarray:
    """(H, W) or (H, W, 3), bytes."""
    if name in _SCIKIT_LEARN:
        require_package("sklearn", "scikit-learn")
        from sklearn.datasets import load_sample_image

        return load_sample_image(f"{name}.jpg").copy()  # theirs is read-only
    import skimage.data  # slow to import, and not every chapter needs a photograph

    if name == "motorcycle":
        return skimage.data.stereo_motorcycle()[0]  # what the left camera saw
    return getattr(skimage.data, name)()


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
