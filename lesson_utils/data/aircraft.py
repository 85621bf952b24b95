"""Drawn airliners whose variants differ in small parts: a fine-grained problem."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_choice, require_whole
from lesson_utils.data.drawing.aircraft import draw_aircraft
from lesson_utils.data.drawing.airframes import AIRFRAMES

LEVELS = ("variant", "family", "manufacturer")


@dataclass(frozen=True)
class Airliner:
    """An aircraft with everything that is known about it.

    Attributes:
        image: (3, S, S), float32, in [0, 1].
        variant: such as "737-300".
        family: such as "Boeing 737".
        manufacturer: such as "Boeing".
        num_windows: of the long row.
        parts: the box of each visible part, such as "windows", "doors", "engines" or
            "tip" (of the wing): (4,), xyxy, as shares of the side. For looking and
            for measuring; nothing is trained on them.
    """

    image: Tensor
    variant: str
    family: str
    manufacturer: str
    num_windows: int
    parts: dict[str, Tensor]


class Aircraft(Dataset):
    """Side views of airliners, under changing paint, light, pose, size and background.

    A picture depends on `seed`, `num_variants`, `image_size` and its index alone; it is
    drawn when it is asked for. Variants take turns: index i is of variant i modulo
    their number. What tells two variants of a family apart is a few pixels: windows,
    doors, the tips of the wings, the engines, the fin, antennas, or the length.

    Args:
        num_images: N.
        seed: another seed, other pictures.
        image_size: S, the side of the pictures, in pixels, 32 to 512.
        num_variants: how many variants, families one after another; 2 to 24. The first
            two are the 737-300 and the 737-400, which differ in their windows alone.
        annotation_level: what the labels are: "variant", "family" or "manufacturer".

    Attributes:
        classes: the names of the labels.
        variants: the names of the variants.
        families: of each variant, the number of its family, in order of appearance.

    Raises:
        ValueError: a number that is no whole number or out of its range, or another
            level.
    """

    def __init__(
        self,
        num_images: int,
        *,
        seed: int = 0,
        image_size: int = 96,
        num_variants: int = len(AIRFRAMES),
        annotation_level: str = "variant",
    ) -> None:
        for name, value, low, high in (
            ("num_images", num_images, 1, 2**31),
            ("seed", seed, 0, 2**31),
            ("image_size", image_size, 32, 512),
            ("num_variants", num_variants, 2, len(AIRFRAMES)),
        ):
            require_whole(name, value, low, high)
        require_choice("annotation_level", annotation_level, LEVELS)
        self.num_images, self.seed, self.image_size = num_images, seed, image_size
        self._names = list(AIRFRAMES)[:num_variants]
        self.variants = tuple(variant for *_, variant in self._names)
        self.families = _numbered([family for _, family, _ in self._names])[0]
        chosen = LEVELS[::-1].index(annotation_level)
        self._labels, self.classes = _numbered([name[chosen] for name in self._names])

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """An aircraft and its label.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            (3, S, S), float32, in [0, 1], and the number of its class in `classes`.

        Raises:
            IndexError: there is no such picture.
        """
        record = self.describe(index)
        return record.image, self._labels[self.variants.index(record.variant)]

    def describe(self, index: int) -> Airliner:
        """An aircraft with its names at all levels and the boxes of its parts.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The record; its image is that of `aircraft[index]`.

        Raises:
            IndexError: there is no such picture.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        index %= len(self)
        name = self._names[index % len(self._names)]
        rng = np.random.default_rng((self.seed, index))
        return _drawn(name, rng, self.image_size)


def airliner(variant: str, *, seed: int = 0, image_size: int = 96) -> Airliner:
    """One aircraft of a variant. Two of one seed differ in nothing but the variant.

    Args:
        variant: such as "737-300".
        seed: another seed, other paint, light, pose and background.
        image_size: S, the side of the picture, in pixels, 32 to 512.

    Returns:
        The record.

    Raises:
        ValueError: no such variant, or a number that is no whole number or out of its
            range.
    """
    require_whole("seed", seed, 0, 2**31)
    require_whole("image_size", image_size, 32, 512)
    for name in AIRFRAMES:
        if name[2] == variant:
            return _drawn(name, np.random.default_rng(seed), image_size)
    known = ", ".join(name for *_, name in AIRFRAMES)
    raise ValueError(f"variant must be one of {known}, got {variant!r}")


def _drawn(name: tuple[str, str, str], rng: np.random.Generator, size: int) -> Airliner:
    pixels, boxes = draw_aircraft(rng, AIRFRAMES[name], size)
    manufacturer, family, variant = name
    return Airliner(
        image=torch.from_numpy(pixels).permute(2, 0, 1).float() / 255,
        variant=variant,
        family=family,
        manufacturer=manufacturer,
        num_windows=AIRFRAMES[name].windows,
        parts={part: torch.tensor(box) for part, box in boxes.items()},
    )


def _numbered(names: list[str]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Each name's number, and the different names in order of appearance."""
    different = list(dict.fromkeys(names))
    return tuple(different.index(name) for name in names), tuple(different)
