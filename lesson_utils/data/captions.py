"""Scenes of two drawn creatures, and the one sentence that is true of each.

The grammar: "a COLOR KIND PLACE a COLOR KIND", as in "a red beetle to the left of a
blue crab". The larger creature is named first. The place says where its center lies,
seen from the smaller one's. So each scene has exactly one right sentence.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.random import Generator
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_choice, require_whole
from lesson_utils.common.sentences import SPECIAL
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.drawing.creature_types import BODY_COLORS, TYPES
from lesson_utils.data.photographs import photograph

COLORS = ("red", "yellow", "green", "blue", "purple", "pink")
KINDS = ("beetle", "crab", "bat", "bird", "fish", "snake")
PLACES = ("to the left of", "to the right of", "above", "below")
SPLITS = ("train", "seen", "unseen place", "unseen pair")
WORDS = (
    *SPECIAL,
    "a",
    *COLORS,
    *KINDS,
    *("to", "the", "left", "right", "of", "above", "below"),
)

_PLANS = {**{kind: kind for kind in KINDS}, "snake": "serpent"}
_LARGE, _SMALL = (0.46, 0.54), (0.32, 0.38)  # longer sides, as shares of the picture's
_BACKGROUNDS = ("brick", "grass", "gravel", "hubble_deep_field", "moon", "china")
_BACKGROUND_SIDE = 160  # of what backgrounds are cut from
_SPRITES = {"train": 60, "test": 20}  # creatures of each color and kind
_SPRITE_SIDE = 64  # that creatures are drawn at, before they are scaled


@dataclass(frozen=True)
class CaptionedScene:
    """A scene, its sentence, and what is known about it.

    Attributes:
        image: (3, S, S), float32, in [0, 1].
        caption: the sentence.
        boxes: (2, 4), xyxy, as shares of the side: of the creature that is named first,
            and of the other one.
        subject: color and kind of the creature that is named first.
        place: one of `PLACES`.
        other: color and kind of the other creature.
    """

    image: Tensor
    caption: str
    boxes: Tensor
    subject: tuple[str, str]
    place: str
    other: tuple[str, str]


class CaptionedScenes(Dataset):
    """Scenes of two creatures, each with its sentence.

    What never occurs in the split "train": one color of each kind, whoever it is said
    of (`held_out_pair`), and a sixth of the other combinations of color, kind and place
    of the creature that is named first (`held_out_place`). "seen" has new creatures and
    no such combination; in "unseen place" and "unseen pair" the creature that is named
    first is one. A scene depends on the arguments but for `num_images`, and on its
    index alone. The creatures of "train" are others than those of the rest.

    Args:
        num_images: N.
        split: one of `SPLITS`.
        seed: another seed, other scenes.
        image_size: S, the side of the pictures, in pixels, 48 to 512.

    Raises:
        ValueError: a number that is no whole number or out of its range, or a split
            that does not exist.
    """

    def __init__(
        self,
        num_images: int,
        split: str = "train",
        *,
        seed: int = 0,
        image_size: int = 64,
    ) -> None:
        require_whole("num_images", num_images)
        require_choice("split", split, SPLITS)
        require_whole("seed", seed, 0)
        require_whole("image_size", image_size, 48, 512)
        self.num_images, self.split = num_images, split
        self.seed, self.image_size = seed, image_size
        pairs = [(c, k) for c in COLORS for k in KINDS]
        self._others = [pair for pair in pairs if not held_out_pair(*pair)]
        wanted = {"unseen pair": (True, None), "unseen place": (False, True)}
        pair, place = wanted.get(split, (False, False))
        self._subjects = [
            (c, k, p)
            for c, k in pairs
            for p in PLACES
            if held_out_pair(c, k) == pair
            and (place is None or held_out_place(c, k, p) == place)
        ]

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, str]:
        """A scene and its sentence.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The picture, (3, S, S), float32, in [0, 1], and the sentence.

        Raises:
            IndexError: there is no such picture.
        """
        scene = self.describe(index)
        return scene.image, scene.caption

    def describe(self, index: int) -> CaptionedScene:
        """A scene with all that is known about it.

        Args:
            index: from 0, or negative, from the end.

        Returns:
            The record; its image and caption are those of `scenes[index]`.

        Raises:
            IndexError: there is no such picture.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f"index must be within {len(self)} pictures, got {index}")
        index %= len(self)
        rng = np.random.default_rng((self.seed, SPLITS.index(self.split), index))
        color, kind, place = self._subjects[rng.integers(len(self._subjects))]
        others = [pair for pair in self._others if pair != (color, kind)]
        other = others[rng.integers(len(others))]
        bank = "train" if self.split == "train" else "test"
        sprites = [
            _resized(
                _sprite(bank, *pair, int(rng.integers(_SPRITES[bank]))),
                rng.uniform(*sides) * self.image_size,
                mirrored=rng.random() < 0.5,
            )
            for pair, sides in (((color, kind), _LARGE), (other, _SMALL))
        ]
        canvas = _background(rng, self.image_size)
        corners = _corners(rng, place, sprites, self.image_size)
        boxes = [_paste(canvas, *each) for each in zip(sprites, corners, strict=True)]
        return CaptionedScene(
            image=canvas,
            caption=caption((color, kind), place, other),
            boxes=torch.tensor(boxes, dtype=torch.float32) / self.image_size,
            subject=(color, kind),
            place=place,
            other=other,
        )


def held_out_pair(color: str, kind: str) -> bool:
    """Whether no training scene has a creature of this color and kind.

    Args:
        color: one of `COLORS`.
        kind: one of `KINDS`.

    Returns:
        True for one color of each kind, such as the red beetle.

    Source: the definition.
    """
    return COLORS.index(color) == KINDS.index(kind)


def held_out_place(color: str, kind: str, place: str) -> bool:
    """Whether no training sentence begins with this color, kind and place.

    Args:
        color: one of `COLORS`.
        kind: one of `KINDS`.
        place: one of `PLACES`.

    Returns:
        True for every sixth combination.

    Source: the definition.
    """
    number = COLORS.index(color) + KINDS.index(kind) + PLACES.index(place)
    return number % 6 == 0


def caption(subject: tuple[str, str], place: str, other: tuple[str, str]) -> str:
    """The sentence of the grammar.

    Args:
        subject: color and kind of what is named first.
        place: one of `PLACES`.
        other: color and kind of the other creature.

    Returns:
        Such as "a red beetle above a blue crab".

    Source: the definition.
    """
    return f"a {' '.join(subject)} {place} a {' '.join(other)}"


def stack_captions(data: CaptionedScenes) -> tuple[Tensor, list[str], Tensor]:
    """All of a data set in memory, a byte for each color of a pixel.

    Args:
        data: N scenes of S x S pixels.

    Returns:
        The pictures, (N, 3, S, S), uint8; the N sentences; the boxes, (N, 2, 4), xyxy,
        as shares of the side.

    Source: the definition.
    """
    scenes = [data.describe(index) for index in range(len(data))]
    images = torch.stack([(scene.image * 255).round().byte() for scene in scenes])
    boxes = torch.stack([scene.boxes for scene in scenes])
    return images, [scene.caption for scene in scenes], boxes


def single_creatures(
    num_images: int, *, seed: int = 0, image_size: int = 40
) -> tuple[Tensor, Tensor]:
    """Pictures of one creature each, as large as in scenes of 64 pixels: to learn from.

    Args:
        num_images: N.
        seed: another seed, other pictures.
        image_size: S, in pixels, at least 36.

    Returns:
        The pictures, (N, 3, S, S), uint8; and color and kind, (N, 2), int64, positions
        in `COLORS` and `KINDS`. The creatures are those of the split "train".

    Raises:
        ValueError: a number that is no whole number or out of its range.

    Source: the definition.
    """
    require_whole("num_images", num_images)
    require_whole("seed", seed, 0)
    require_whole("image_size", image_size, 36, 512)
    pairs = [(c, k) for c in COLORS for k in KINDS if not held_out_pair(c, k)]
    images, labels = [], []
    for index in range(num_images):
        rng = np.random.default_rng((seed, len(SPLITS), index))
        color, kind = pairs[rng.integers(len(pairs))]
        sprite = _resized(
            _sprite("train", color, kind, int(rng.integers(_SPRITES["train"]))),
            rng.uniform(_SMALL[0], _LARGE[1]) * 64,
            mirrored=rng.random() < 0.5,
        )
        canvas = _background(rng, image_size)
        corner = [int(rng.integers(0, image_size - n + 1)) for n in sprite.shape[1:]]
        _paste(canvas, sprite, (corner[0], corner[1]))
        images.append((canvas * 255).round().byte())
        labels.append((COLORS.index(color), KINDS.index(kind)))
    return torch.stack(images), torch.tensor(labels)


@cache
def _sprite(bank: str, color: str, kind: str, number: int) -> Tensor:
    """A creature cut out, (4, h, w): colors times alpha, and alpha."""
    palettes = BODY_COLORS[color]
    types = tuple(t for t, each in TYPES.items() if set(each.palettes) & set(palettes))
    # A hundred tries for each: of no palette fewer than a sixth are of one color.
    drawn = Creatures(
        100 * max(_SPRITES.values()),
        seed=tuple(_SPRITES).index(bank) + 2**33,
        image_size=_SPRITE_SIDE,
        types=types,
        plans=[_PLANS[kind]],
    )
    tries = (drawn.describe(100 * number + k) for k in range(100))
    creature = next(each for each in tries if each.color_name == color)
    rows, columns = (creature.mask.any(d).nonzero()[:, 0] for d in (1, 0))
    # Colors count by alpha; else the white around would bleed into the edges.
    alpha = creature.mask[None].float()
    layers = torch.cat([creature.image * alpha, alpha])
    return layers[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _resized(sprite: Tensor, side: float, *, mirrored: bool) -> Tensor:
    """(4, h, w) with the longer side as given."""
    scale = side / max(sprite.shape[1:])
    size = [max(4, round(length * scale)) for length in sprite.shape[1:]]
    small = F.interpolate(
        sprite[None], size, mode="bilinear", antialias=True, align_corners=False
    )[0].clamp(0, 1)
    return small.flip(-1) if mirrored else small


def _background(rng: Generator, size: int) -> Tensor:
    """A piece of a photograph, (3, S, S), pale, so that creatures stand out."""
    source = _photograph(_BACKGROUNDS[rng.integers(len(_BACKGROUNDS))])
    side = int(rng.integers(_BACKGROUND_SIDE // 2, _BACKGROUND_SIDE + 1))
    top, left = (int(rng.integers(0, length - side + 1)) for length in source.shape[1:])
    piece = source[None, :, top : top + side, left : left + side]
    piece = F.interpolate(
        piece, (size, size), mode="bilinear", antialias=True, align_corners=False
    )[0]
    gray = rng.uniform(0.45, 0.9)
    return (gray + 0.45 * (piece - piece.mean())).clamp(0, 1)


@cache
def _photograph(name: str) -> Tensor:
    return photograph(name, size=_BACKGROUND_SIDE)


def _corners(
    rng: Generator, place: str, sprites: list[Tensor], size: int
) -> list[tuple[int, int]]:
    """Top and left of both: apart along one axis, and less apart along the other."""
    axis = 1 if place in PLACES[2:] else 2  # of (4, h, w): the rows, or the columns
    first, second = sprites
    if place in (PLACES[1], PLACES[3]):  # the larger one comes later on the axis
        first, second = second, first
    one, two = first.shape[axis], second.shape[axis]
    slack = size - one - two
    gap, before = sorted(rng.uniform(0, slack, 2))
    before -= gap
    starts = [round(before), round(before) + one + round(gap)]
    starts[1] = min(starts[1], size - two)
    apart = starts[1] + two / 2 - starts[0] - one / 2
    across = [first.shape[3 - axis], second.shape[3 - axis]]
    middle = rng.uniform(across[0] / 2, size - across[0] / 2)
    low = max(across[1] / 2, middle - 0.6 * apart)
    high = max(low, min(size - across[1] / 2, middle + 0.6 * apart))
    middles = [middle, rng.uniform(low, high)]
    sides = [
        min(max(round(m - length / 2), 0), size - length)
        for m, length in zip(middles, across, strict=True)
    ]
    pairs = list(zip(starts, sides, strict=True))
    pairs = pairs if axis == 1 else [pair[::-1] for pair in pairs]
    return pairs[::-1] if first is not sprites[0] else pairs


def _paste(
    canvas: Tensor, sprite: Tensor, corner: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Lay (4, h, w), colors times alpha, on the canvas; its box in pixels."""
    (top, left), (height, width) = corner, sprite.shape[1:]
    under = canvas[:, top : top + height, left : left + width]
    under *= 1 - sprite[3:]
    under += sprite[:3]
    canvas.clamp_(0, 1)
    return left, top, left + width, top + height
