"""Textures drawn by rule: families of patterns under varied color and light."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_choice, require_whole, size_pair
from lesson_utils.data.drawing.patterns import FAMILIES as _PATTERNS
from lesson_utils.data.drawing.patterns import noise

FAMILIES = tuple(_PATTERNS)


class Textures(Dataset):
    """Textures of many families, each picture with its own colors, zoom and light.

    A picture depends on `seed`, its index, `image_size` and `families` alone; it is
    drawn when it is asked for. Families take turns: index i is of family i modulo their
    number.

    Args:
        num_images: N.
        seed: another seed, other pictures.
        image_size: S, the side of the pictures, in pixels, at least 8.
        families: names out of `FAMILIES`; None for all of them.

    Attributes:
        classes: the names of the families, in the order of the labels.

    Raises:
        ValueError: a number that is no whole number or too small, no family, one that
            does not exist, or one named twice.
    """

    def __init__(
        self,
        num_images: int,
        *,
        seed: int = 0,
        image_size: int = 64,
        families: Sequence[str] | None = None,
    ) -> None:
        for name, value, least in (
            ("num_images", num_images, 1),
            ("seed", seed, 0),
            ("image_size", image_size, 8),
        ):
            require_whole(name, value, least)
        self.classes = FAMILIES if families is None else tuple(families)
        for family in self.classes:
            _require_family(family)
        if not self.classes or len(set(self.classes)) < len(self.classes):
            raise ValueError(
                f"families must name at least one, and none twice, got {families!r}"
            )
        self.num_images, self.seed, self.image_size = num_images, seed, image_size

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A texture and its family.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            (3, S, S), float32, in [0, 1], and the number of its family in `classes`.

        Raises:
            IndexError: there is no such picture.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        index %= len(self)
        label = index % len(self.classes)
        rng = np.random.default_rng((self.seed, index))
        return _draw(rng, self.classes[label], (self.image_size,) * 2), label


def texture(family: str, *, size: int | tuple[int, int] = 64, seed: int = 0) -> Tensor:
    """One picture of a family.

    Args:
        family: one of `FAMILIES`.
        size: the side, or (H, W), in pixels, at least 8.
        seed: another seed, another picture.

    Returns:
        (3, H, W), float32, in [0, 1].

    Raises:
        ValueError: no such family, or a size or seed that is no whole number or too
            small.
    """
    _require_family(family)
    sides = size_pair("size", size, 8)
    require_whole("seed", seed, 0)
    return _draw(np.random.default_rng((seed, FAMILIES.index(family))), family, sides)


def _require_family(family: str) -> None:
    require_choice("family", family, FAMILIES)


def _draw(rng: Generator, family: str, size: tuple[int, int]) -> Tensor:
    u, v = _coordinates(rng, size)
    height = np.clip(_PATTERNS[family](rng, u, v), 0, 1)
    image = _lit(rng, _colored(rng, height), height)
    return torch.from_numpy(image.astype(np.float32)).permute(2, 0, 1).contiguous()


def _coordinates(
    rng: Generator, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels as cells: zoomed, turned, shifted, a little warped."""
    across = rng.uniform(3.5, 7)  # cells along the shorter side
    y, x = np.mgrid[: size[0], : size[1]] * (across / min(size))
    angle = rng.uniform(0, 2 * math.pi)
    shift = rng.uniform(0, 20, 2)
    u = math.cos(angle) * x + math.sin(angle) * y + shift[0]
    v = math.cos(angle) * y - math.sin(angle) * x + shift[1]
    warp = rng.uniform(0, 0.35)
    return u + warp * noise(rng, u / 2, v / 2), v + warp * noise(rng, u / 2, v / 2)


def _colored(rng: Generator, height: np.ndarray) -> np.ndarray:
    """(H, W, 3): the height as a place on a ramp of two to four colors."""
    count = rng.integers(2, 5)
    # Lightness rises or falls along the ramp, so that the pattern stays visible.
    light = np.linspace(*rng.uniform((0.05, 0.6), (0.4, 1.0)), count)
    light = light if rng.random() < 0.5 else light[::-1]
    hue = rng.uniform() + np.cumsum(rng.uniform(-0.2, 0.2, count))
    strength = rng.uniform(0.1, 0.9, count)
    turn = 2 * np.pi * (hue[:, None] + np.array([0, 1 / 3, 2 / 3]))  # (count, 3)
    tint = 0.5 + 0.5 * np.cos(turn)
    colors = light[:, None] * (1 - strength[:, None] * tint)
    stops = np.linspace(0, 1, count)
    return np.stack([np.interp(height, stops, c) for c in colors.T], axis=-1)


def _lit(rng: Generator, image: np.ndarray, height: np.ndarray) -> np.ndarray:
    """Relief from one side, light that falls off over the picture, sensor noise."""
    rows, columns = height.shape
    down, right = np.gradient(height)
    angle, relief = rng.uniform(0, 2 * math.pi), rng.uniform(0, 0.8)
    slope = math.cos(angle) * right + math.sin(angle) * down
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    fall = rng.uniform(-0.25, 0.25, 2)
    light = (rng.uniform(0.75, 1.15) + fall[0] * x + fall[1] * y) * (1 + relief * slope)
    grain = rng.normal(0, rng.uniform(0, 0.03), image.shape)
    return np.clip(image * light[..., None] + grain, 0, 1)
