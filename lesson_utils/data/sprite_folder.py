"""Sprites from a folder of folders of pictures, one folder a class."""

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_whole

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")


class SpriteFolder(Dataset):
    """The pictures below `folder/<class>/`, on white, square, decoded once.

    A picture that cannot be read is left out; a warning names such files, and
    `unreadable` lists them all.

    Args:
        folder: holds one folder a class.
        image_size: S, the side of the pictures, in pixels. A picture that is not
            square is first filled up with white.

    Attributes:
        classes: the names of the folders that hold a picture, sorted.
        paths: the picture files that were read, in the order of the items.
        unreadable: the files that were not.

    Raises:
        ValueError: there is no such folder, no picture in it could be read, or
            `image_size` is not a whole number >= 1.
    """

    def __init__(self, folder: str | Path, *, image_size: int = 64) -> None:
        require_whole("image_size", image_size)
        folder = Path(folder)
        files = sorted(
            path for path in folder.glob("*/*") if path.suffix.lower() in SUFFIXES
        )
        with ThreadPoolExecutor() as pool:  # decoding lets go of Python's lock
            decoded = list(pool.map(lambda path: _read(path, image_size), files))
        pairs = list(zip(files, decoded, strict=True))
        self.unreadable = [path for path, pixels in pairs if pixels is None]
        self.paths = [path for path, pixels in pairs if pixels is not None]
        if not self.paths:
            raise ValueError(
                f"folder must hold pictures as <class>/<name>.png, got {str(folder)!r} "
                f"with {len(files)} such files, none of them readable"
            )
        if self.unreadable:
            warnings.warn(_names(self.unreadable), stacklevel=2)
        self.classes = sorted({path.parent.name for path in self.paths})
        number = {name: index for index, name in enumerate(self.classes)}
        self._labels = [number[path.parent.name] for path in self.paths]
        pixels = np.stack([p for _, p in pairs if p is not None])  # (N, S, S, 3)
        # Bytes, not floats: 40,000 sprites of 64 x 64 are 0.5 GB instead of 2.
        self._pixels = torch.from_numpy(pixels).permute(0, 3, 1, 2)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A picture and its class.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            (3, S, S), float32, in [0, 1], and the number of its class in `classes`.

        Raises:
            IndexError: there is no such picture.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        return self._pixels[index].float() / 255, self._labels[index]


def _read(path: Path, size: int) -> np.ndarray | None:
    """(S, S, 3), uint8, on white; None if the file is no whole picture."""
    from PIL import Image

    try:
        with Image.open(path) as file:
            picture = file.convert("RGBA")  # palettes and their transparency, too
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None
    side = max(picture.size)
    canvas = Image.new("RGBA", (side, side), "white")
    corner = ((side - picture.width) // 2, (side - picture.height) // 2)
    canvas.alpha_composite(picture, corner)
    return np.asarray(canvas.convert("RGB").resize((size, size), Image.BICUBIC))


def _names(paths: list[Path], most: int = 5) -> str:
    some = ", ".join(str(path) for path in paths[:most])
    more = f" and {len(paths) - most} more" if len(paths) > most else ""
    return f"{len(paths)} pictures could not be read and are left out: {some}{more}"
