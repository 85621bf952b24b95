"""Drawn sprites of small monsters: a stand-in for Pokémon that needs no download."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import pi
from random import Random

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_whole
from lesson_utils.data.drawing.anatomy import (
    EYES,
    MARKINGS,
    MOUTHS,
    Sketch,
    draw_face,
    draw_marking,
)
from lesson_utils.data.drawing.body_plans import PLANS, SIDE_VIEWS
from lesson_utils.data.drawing.creature_types import BODY_COLORS, IRISES, TYPES
from lesson_utils.data.drawing.growths import Anchor, grow
from lesson_utils.data.drawing.sprites import (
    BASE,
    BODY,
    EYE,
    IRIS,
    LINE,
    OUTLINE,
    Part,
    paint,
)

BODY_PLANS = tuple(PLANS)  # names of ways to be built
COLOR_NAMES = tuple(BODY_COLORS)  # words for the colors of bodies

_NAME_OF_PALETTE = {
    palette: name for name, palettes in BODY_COLORS.items() for palette in palettes
}
# A bird has a beak, and nobody else has one.
_MOUTHS = tuple(mouth for mouth in MOUTHS if mouth != "beak")


@dataclass(frozen=True)
class Attributes:
    """What a creature was drawn with.

    Attributes:
        type: one of `Creatures.classes`.
        plan: its body plan, such as "biped" or "fish".
        palette: one of the type's palettes.
        marking: one of eight, such as "stripes", or "plain".
        eyes: their style, such as "round" or "sleepy".
        iris: the color of the eyes; some styles do not show it.
        mouth: its style, such as "smile", or "none".
        ears: their style, horns and fins among them, or "none".
        growth: what grows on its head, back or tail, such as "flame".
        cheeks: whether they are colored.
    """

    type: str
    plan: str
    palette: str
    marking: str
    eyes: str
    iris: str
    mouth: str
    ears: str
    growth: str
    cheeks: bool


@dataclass(frozen=True)
class Creature:
    """A creature with everything that is known about it.

    Attributes:
        image: (3, S, S), float32, in [0, 1], on white.
        label: position of the type in the data set's `classes`.
        mask: (S, S), bool, true on the creature, its outline included.
        attributes: what it was drawn with.
        color: (3,), float32, RGB in [0, 1], of its body where the light is even.
        color_name: the word for its palette's body color, out of `COLOR_NAMES`.
    """

    image: Tensor
    label: int
    mask: Tensor
    attributes: Attributes
    color: Tensor
    color_name: str


class Creatures(Dataset):
    """Small monsters on white, drawn when asked for: the same index, the same creature.

    A creature depends on `seed` and its index alone: not on `num_images`, nor on the
    order or the process it is drawn in, nor on any global random state. `image_size`
    changes how finely it is drawn.

    Args:
        num_images: how many; at least 1.
        seed: another seed, other creatures.
        image_size: S, pixels of each side, 16 to 256.
        types: names out of `Creatures.classes`; None for all of them. Others change
            the creatures.
        plans: names out of `BODY_PLANS`; None for all of them. Others change the
            creatures.

    Attributes:
        classes: the names of the types, in the order of the labels.
        plans: those that are drawn.

    Raises:
        ValueError: an argument that is no whole number or out of its range, no type or
            plan, one that does not exist, or one named twice.
    """

    classes = tuple(TYPES)

    def __init__(
        self,
        num_images: int,
        *,
        seed: int = 0,
        image_size: int = 64,
        types: Sequence[str] | None = None,
        plans: Sequence[str] | None = None,
    ) -> None:
        require_whole("num_images", num_images)
        require_whole("seed", seed, minimum=None)
        require_whole("image_size", image_size, 16, 256)
        if types is not None:
            _require_names("types", types, Creatures.classes)
            self.classes = tuple(types)
        if plans is not None:
            _require_names("plans", plans, BODY_PLANS)
        self.plans = BODY_PLANS if plans is None else tuple(plans)
        self.num_images = num_images
        self.seed = seed
        self.image_size = image_size

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One creature.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.

        Returns:
            The image, (3, S, S), float32, in [0, 1], on white; and the label, the
            position of its type in `classes`.

        Raises:
            IndexError: the index is out of range.
        """
        indices, colors, attributes = self._draw(index)
        return _image(indices, colors), self.classes.index(attributes.type)

    def describe(self, index: int) -> Creature:
        """A creature with its mask and its attributes.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.

        Returns:
            The record; its image and label are those of `creatures[index]`.

        Raises:
            IndexError: the index is out of range.
        """
        indices, colors, attributes = self._draw(index)
        return Creature(
            image=_image(indices, colors),
            label=self.classes.index(attributes.type),
            mask=torch.from_numpy(indices > 0),
            attributes=attributes,
            color=torch.from_numpy(colors[:, 4 * BODY + BASE].copy()),
            color_name=_NAME_OF_PALETTE[attributes.palette],
        )

    def sprite(self, index: int) -> Tensor:
        """A creature with transparency, to paste on a background.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.

        Returns:
            (4, S, S), float32, in [0, 1]: red, green, blue, and an alpha of 1 on the
            creature and 0 off it, where the color is white.

        Raises:
            IndexError: the index is out of range.
        """
        creature = self.describe(index)
        return torch.cat([creature.image, creature.mask[None].float()])

    def view(self, index: int, number: int) -> Tensor:
        """The same creature again, in another pose and in other light.

        Its limbs and its size have moved a little, it may be mirrored, and the light's
        place, strength and color are others. What `Attributes` says is as it was.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.
            number: which view, from 0; none is the picture `creatures[index]`.

        Returns:
            (3, S, S), float32, in [0, 1], on white.

        Raises:
            IndexError: the index is out of range.
            ValueError: `number` is no whole number >= 0.
        """
        require_whole("number", number, 0)
        seed = f"{self.seed} {self._position(index)}"
        own, moved = _Moved(seed), Random(f"{seed} view {number}")
        attributes = _draw_lots(own, self.classes, self.plans)
        own.moved = moved
        indices = paint(
            _assemble(attributes, own),
            self.image_size,
            fill=moved.uniform(0.75, 0.97),
            light_angle=moved.uniform(0.1, 0.9) * pi,
            flip=moved.random() < 0.5,
        )
        table = _color_table(attributes.type, attributes.palette, attributes.iris)
        strength = moved.uniform(0.45, 1.1)
        cast = np.float32([[strength * moved.uniform(0.8, 1.2)] for _ in "RGB"])
        table = np.minimum(table * cast, 1)
        table[:, :4] = 1  # the background stays white
        return _image(indices, table)

    def _draw(self, index: int) -> tuple[np.ndarray, np.ndarray, Attributes]:
        """Color indices (S, S), the color table (3, num_colours), attributes."""
        dice = Random(f"{self.seed} {self._position(index)}")
        attributes = _draw_lots(dice, self.classes, self.plans)
        indices = paint(
            _assemble(attributes, dice),
            self.image_size,
            fill=dice.uniform(0.88, 0.97),
            light_angle=dice.uniform(0.6, 0.83) * pi,
            flip=attributes.plan in SIDE_VIEWS and dice.random() < 0.3,
        )
        return indices, _colors(attributes, dice), attributes

    def _position(self, index: int) -> int:
        position = operator.index(index)
        if position < 0:
            position += self.num_images
        if not 0 <= position < self.num_images:
            raise IndexError(
                f"index {index} is out of range for {self.num_images} images"
            )
        return position


class _Moved(Random):
    """Dice that fall as those of a seed, but for lengths and angles, which move."""

    moved: Random | None = None

    def uniform(self, a: float, b: float) -> float:
        """The seed's number, moved by up to a third of the range, and kept in it."""
        value = super().uniform(a, b)
        if self.moved is None:
            return value
        shift = self.moved.uniform(-1, 1) * (b - a) / 3
        return min(max(value + shift, min(a, b)), max(a, b))


def _require_names(kind: str, names: Sequence[str], known: tuple[str, ...]) -> None:
    if not names or len(set(names)) < len(names) or not set(names) <= set(known):
        raise ValueError(
            f"{kind} must name at least one of {', '.join(known)}, and none twice, got "
            f"{names!r}"
        )


def _draw_lots(
    dice: Random, types: tuple[str, ...], plans: tuple[str, ...]
) -> Attributes:
    """Every choice between names, the types equally likely."""
    type_name = dice.choice(types)
    kind = TYPES[type_name]
    usual = tuple(plan for plan in kind.plans if plan in plans) or plans
    plan = dice.choice(usual if dice.random() < 0.6 else plans)
    return Attributes(
        type=type_name,
        plan=plan,
        palette=dice.choice(tuple(kind.palettes)),
        marking=dice.choice(tuple(MARKINGS)),
        eyes=dice.choice(tuple(EYES)),
        iris=dice.choice(tuple(IRISES)),
        mouth="beak" if plan == "bird" else dice.choice(_MOUTHS),
        ears=dice.choice(kind.ears),
        growth=dice.choice(kind.growths),
        cheeks=dice.random() < 0.35,
    )


def _assemble(attributes: Attributes, dice: Random) -> list[Part]:
    """All parts of a creature, from back to front."""
    sketch = PLANS[attributes.plan](dice)
    eye_size = dice.uniform(0.28, 0.4)
    growths = [
        part
        for anchor in _growth_anchors(sketch, dice)
        for part in grow(attributes.growth, anchor)
    ]
    ears = [part for anchor in sketch.ears for part in grow(attributes.ears, anchor)]
    return [
        *growths,
        *ears,
        *sketch.behind,
        *sketch.trunk,
        *draw_marking(attributes.marking, sketch, dice),
        *sketch.front,
        *draw_face(
            sketch.face,
            attributes.eyes,
            attributes.mouth,
            cheeks=attributes.cheeks,
            eye_size=eye_size,
        ),
    ]


def _growth_anchors(sketch: Sketch, dice: Random) -> list[Anchor]:
    """Where the type's growth stands: one or two of crown, back and tail."""
    tail = [sketch.tail] if sketch.tail else []
    sites = [site for site in ([sketch.crown], list(sketch.back), tail) if site]
    dice.shuffle(sites)
    return [anchor for site in sites[: dice.choice((1, 1, 2))] for anchor in site]


def _image(indices: np.ndarray, colors: np.ndarray) -> Tensor:
    """Look the color indices (S, S) up in the table: (3, S, S)."""
    return torch.from_numpy(colors.take(indices, axis=1))


def _rgb(code: str) -> np.ndarray:
    return np.array([int(code[k : k + 2], 16) for k in (0, 2, 4)]) / 255


def _ramp(code: str) -> np.ndarray:
    """Four tones of a color, (4, 3): its shadows are bluer, its light is yellower."""
    base = _rgb(code)
    line, shadow = base * (0.42, 0.36, 0.45), base * (0.76, 0.72, 0.82)
    light = base + 0.42 * (np.array((1, 1, 0.92)) - base)
    return np.stack([line, shadow, base, light])


@cache
def _color_table(type_name: str, palette: str, iris: str) -> np.ndarray:
    """What the painter's indices stand for: (3, num_colours), in [0, 1]."""
    codes = TYPES[type_name].palettes[palette]
    fixed = ("ffffff", IRISES[iris], "282028", "c04858", "f08888")  # EYE ... CHEEK
    table = np.concatenate(
        [np.ones((4, 3)), *(_ramp(code) for code in (*codes, *fixed))]
    )
    table[[4 * EYE + LINE, 4 * IRIS + LINE]] = _rgb("282028")
    table[OUTLINE] = 0.2 * _rgb(codes[0])
    return np.ascontiguousarray(table.T, dtype=np.float32)


def _colors(attributes: Attributes, dice: Random) -> np.ndarray:
    """The color table with each creature's own cast, (3, num_colours)."""
    table = _color_table(attributes.type, attributes.palette, attributes.iris)
    cast = np.float32([[dice.uniform(0.92, 1.06)] for _ in "RGB"])
    table = np.minimum(table * cast, 1)
    table[:, :4] = 1  # the background stays white
    return table
