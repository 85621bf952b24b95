"""Pictures, maps of their parts, and sentences, from a folder of your own."""

from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_whole
from lesson_utils.data.sprite_folder import SUFFIXES
from lesson_utils.data.vehicles import PART_NAMES

_ONE_CHANNEL = ("1", "L", "P")  # modes of pictures that hold a number a pixel


class MapFolder(Dataset):
    """Pictures in `folder/images`, maps in `folder/maps`, words in `captions.txt`.

    A picture `images/<name>.jpg` (or .png, .webp, …) has a map `maps/<name>.png` of the
    same size, whose pixels are numbers of parts, gray or of a palette; and a line
    `<name><TAB><sentence>` in `captions.txt`, in UTF-8, whose sentence may be empty.
    Items are those of `vehicles.Vehicles`, so that the same code trains on both.

    All is looked at once, when the folder is opened: what does not fit together is
    refused by its name. Pictures are read when they are asked for.

    Args:
        folder: holds `images`, `maps` and `captions.txt`.
        image_size: S. Pictures are scaled to S x S by the mean over what a pixel
            covers, maps by the nearest pixel, whatever shape they have.
        parts: names of the parts 0, 1, … of the maps; by default those of the book's
            vehicles.

    Attributes:
        names: of the pictures, without endings, sorted: the order of the items.
        captions: their sentences.
        parts: as given.

    Raises:
        OSError: there is no `captions.txt`, or a picture or a map cannot be read.
        ValueError: there is no picture; two of one name; a picture without a map or a
            sentence; a map or a sentence without a picture; a map that has another size
            than its picture, more than one channel, or a part beyond `parts`; a line
            that is none; or `image_size` is not a whole number >= 1.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        image_size: int,
        parts: Sequence[str] | None = None,
    ) -> None:
        require_whole("image_size", image_size)
        folder = Path(folder)
        self.image_size = image_size
        self.parts = tuple(PART_NAMES if parts is None else parts)
        self._images = _pictures(folder / "images")
        self._maps = {path.stem: path for path in (folder / "maps").glob("*.png")}
        captions = _captions(folder / "captions.txt")
        self.names = sorted(self._images)
        for rule, missing in (
            (
                "images must each have a map maps/<name>.png",
                self._images.keys() - self._maps.keys(),
            ),
            (
                "maps must each have a picture images/<name>",
                self._maps.keys() - self._images.keys(),
            ),
            (
                "images must each have a line in captions.txt",
                self._images.keys() - captions.keys(),
            ),
            (
                "captions.txt must name pictures of images",
                captions.keys() - self._images.keys(),
            ),
        ):
            if missing:
                raise ValueError(f"{rule}, got {_some(missing)}")
        self.captions = [captions[name] for name in self.names]
        look = partial(_require_fitting, num_parts=len(self.parts))
        with ThreadPoolExecutor() as pool:  # decoding lets go of Python's lock
            pairs = ((self._images[name], self._maps[name]) for name in self.names)
            list(pool.map(lambda pair: look(*pair), pairs))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str]:
        """A picture, the map of its parts, and its sentence.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The picture, (3, S, S), float32, in [0, 1]; the map, (S, S), int64; and the
            sentence.

        Raises:
            IndexError: there is no such picture.
            OSError: it cannot be read any more.
        """
        from PIL import Image

        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        name, size = self.names[index], (self.image_size,) * 2
        with Image.open(self._images[name]) as file:
            picture = file.convert("RGB").resize(size, Image.Resampling.BOX)
        with Image.open(self._maps[name]) as file:
            numbers = file.resize(size, Image.Resampling.NEAREST)
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        parts = torch.from_numpy(np.array(numbers)).long()
        return image, parts, self.captions[index]


def _pictures(folder: Path) -> dict[str, Path]:
    """The picture files of a folder by their names."""
    found: dict[str, Path] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise ValueError(
                f"images must have names of their own, got {found[path.stem].name} and "
                f"{path.name}"
            )
        found[path.stem] = path
    if not found:
        raise ValueError(
            f"folder must hold pictures as images/<name>.png, got none in "
            f"{str(folder)!r}"
        )
    return found


def _captions(table: Path) -> dict[str, str]:
    """The sentences by the names of their pictures."""
    found: dict[str, str] = {}
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        name, tab, sentence = line.partition("\t")
        if not (name and tab) or name in found:
            rule = "name each picture once" if name in found else "be <name><TAB>…"
            raise ValueError(f"captions.txt must {rule}, got {line!r} in line {number}")
        found[name] = sentence.strip()
    return found


def _require_fitting(image: Path, parts: Path, *, num_parts: int) -> None:
    """Refuse a map of another size than its picture's, or of unknown parts."""
    from PIL import Image

    with Image.open(image) as picture, Image.open(parts) as numbers:
        if picture.size != numbers.size:
            raise ValueError(
                f"maps must be as large as their pictures, got {numbers.size} for "
                f"{picture.size} pixels in {parts.name}"
            )
        if numbers.mode not in _ONE_CHANNEL:
            raise ValueError(
                f"maps must have one channel, the number of a pixel's part, got mode "
                f"{numbers.mode} in {parts.name}"
            )
        largest = int(np.array(numbers).max())
    if largest >= num_parts:
        raise ValueError(
            f"maps must be of parts from 0 to {num_parts - 1}, got {largest} in "
            f"{parts.name}"
        )


def _some(names: Collection[str], most: int = 5) -> str:
    some = ", ".join(sorted(names)[:most])
    return some + (f" and {len(names) - most} more" if len(names) > most else "")
