"""Pictures with boxes, from a folder as d2l publishes its banana data set."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_whole

_COLUMNS = ("img_name", "label", "xmin", "ymin", "xmax", "ymax")


class DetectionFolder(Dataset):
    """Pictures in `folder/images`, and their boxes in pixels in `folder/label.csv`.

    Items are those of `scenes.Scenes`, so that the same code trains on both.

    Args:
        folder: holds `label.csv`, whose lines are img_name, label, xmin, ymin, xmax,
            ymax; a picture of several objects has several lines.
        classes: names of the labels 0, 1, …
        image_size: S; pictures are scaled to S x S.

    Attributes:
        classes: as given.

    Raises:
        FileNotFoundError: there is no `label.csv`.
        ValueError: its columns are others, it has no line, a number in it is none, a
            label has no name, or `image_size` is not a whole number >= 1.
    """

    def __init__(
        self, folder: str | Path, *, classes: Sequence[str], image_size: int = 256
    ) -> None:
        require_whole("image_size", image_size)
        self.classes, self.image_size = tuple(classes), image_size
        self._images = Path(folder) / "images"
        table = Path(folder) / "label.csv"
        with table.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise ValueError(
                    f"label.csv must have the columns {', '.join(_COLUMNS)}, got "
                    f"{reader.fieldnames} in {str(table)!r}"
                )
            objects: dict[str, list[tuple[float, ...]]] = {}
            for row in reader:
                objects.setdefault(row["img_name"], []).append(
                    _numbers(row, len(self.classes), table)
                )
        if not objects:
            raise ValueError(
                f"label.csv must name a picture, got none in {str(table)!r}"
            )
        self._items = list(objects.items())

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        """A picture and what is in it.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The picture, (3, S, S), float32, in [0, 1]; boxes, (N, 4), float32, xyxy as
            shares of the sides; and labels, (N,), int64.

        Raises:
            IndexError: there is no such picture.
            OSError: it cannot be read.
        """
        from PIL import Image

        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        name, rows = self._items[index]
        with Image.open(self._images / name) as file:
            width, height = file.size
            picture = file.convert("RGB").resize((self.image_size,) * 2, Image.BILINEAR)
        image = torch.from_numpy(np.array(picture)).permute(2, 0, 1).float() / 255
        table = torch.tensor(rows)  # (N, 5)
        sides = torch.tensor([width, height, width, height])
        return image, table[:, 1:] / sides, table[:, 0].long()


def _numbers(row: dict[str, str], num_classes: int, table: Path) -> tuple[float, ...]:
    """Label and box of a line."""
    try:
        numbers = tuple(float(row[column]) for column in _COLUMNS[1:])
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"label.csv must hold numbers, got {row} in {str(table)!r}"
        ) from error
    if numbers[0] not in range(num_classes):
        raise ValueError(
            f"label.csv must hold labels 0 to {num_classes - 1}, got {row['label']} in "
            f"{str(table)!r}"
        )
    return numbers
