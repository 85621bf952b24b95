"""Drawn vehicles with a map of their parts and a sentence that describes them."""

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lesson_utils.common.require import require_choice, require_whole
from lesson_utils.data.drawing.vehicle_builds import KINDS
from lesson_utils.data.drawing.vehicle_painter import PAINTS, paint_vehicle
from lesson_utils.data.drawing.vehicle_scenery import GROUNDS, TIMES
from lesson_utils.data.drawing.vehicle_shapes import PARTS

COLOR_NAMES = tuple(PAINTS)
KIND_NAMES = tuple(KINDS)
PART_NAMES = PARTS  # of the map, in the order of its numbers
PART_COLORS = (  # red, green and blue of each part, where a map is shown as a picture
    (0.80, 0.87, 0.93),
    (0.62, 0.62, 0.55),
    (0.85, 0.37, 0.30),
    (0.45, 0.70, 0.85),
    (0.20, 0.20, 0.24),
    (1.00, 0.84, 0.30),
    (0.95, 0.62, 0.45),
    (0.55, 0.55, 0.60),
    (0.62, 0.47, 0.30),
)
TIME_NAMES = tuple(TIMES)
GROUND_NAMES = tuple(GROUNDS)
VIEWS = ("side", "three-quarter")
HELD_OUT = frozenset(  # a color and a kind that training never shows together
    {
        ("purple", "car"),
        ("green", "van"),
        ("orange", "bus"),
        ("white", "pickup"),
        ("yellow", "truck"),
        ("black", "tractor"),
        ("blue", "fire engine"),
    }
)

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")


@dataclass(frozen=True)
class VehicleAttributes:
    """What a vehicle was drawn with.

    Attributes:
        kind: one of `KIND_NAMES`.
        color: one of `COLOR_NAMES`.
        windows: how many side windows it has.
        extra: "a stripe", "a roof rack", "a ladder", or None.
        load: "sand", "logs", "boxes", "hay", or None.
        time: one of `TIME_NAMES`.
        ground: one of `GROUND_NAMES`.
        view: one of `VIEWS`; the sentence does not tell it.
        faces_left: whether it is mirrored; the sentence does not tell it.
    """

    kind: str
    color: str
    windows: int
    extra: str | None
    load: str | None
    time: str
    ground: str
    view: str
    faces_left: bool


@dataclass(frozen=True)
class Vehicle:
    """A vehicle with everything that is known about it.

    Attributes:
        image: (3, S, S), float32, in [0, 1].
        parts: (S, S), int64, of each pixel the number of its part in `PART_NAMES`.
        caption: the sentence.
        attributes: what it was drawn with.
    """

    image: Tensor
    parts: Tensor
    caption: str
    attributes: VehicleAttributes


class Vehicles(Dataset):
    """Cars, vans, buses, pickups, trucks, tractors and fire engines, drawn when asked.

    A vehicle depends on `seed`, `held_out` and its index alone: not on `num_images`,
    nor on the order or the process it is drawn in. `image_size` changes how finely it
    is drawn.

    Args:
        num_images: how many; at least 1.
        seed: another seed, other vehicles.
        image_size: S, pixels of each side, 16 to 512.
        held_out: False for what may be trained on; True for the colors and kinds in
            `HELD_OUT` only, which the others never show together.

    Raises:
        ValueError: an argument that is no whole number or out of its range.
    """

    def __init__(
        self,
        num_images: int,
        *,
        seed: int = 0,
        image_size: int = 96,
        held_out: bool = False,
    ) -> None:
        require_whole("num_images", num_images)
        require_whole("seed", seed, minimum=None)
        require_whole("image_size", image_size, 16, 512)
        self.num_images = num_images
        self.seed = seed
        self.image_size = image_size
        self.held_out = held_out

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, str]:
        """One vehicle.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.

        Returns:
            The image, (3, S, S), float32, in [0, 1]; the map of its parts, (S, S),
            int64; and the sentence.

        Raises:
            IndexError: the index is out of range.
        """
        vehicle = self.describe(index)
        return vehicle.image, vehicle.parts, vehicle.caption

    def describe(self, index: int) -> Vehicle:
        """A vehicle with its attributes.

        Args:
            index: 0 to `num_images` - 1; a negative one counts from the end.

        Returns:
            The record; image, map and sentence are those of `vehicles[index]`.

        Raises:
            IndexError: the index is out of range.
        """
        position = operator.index(index)
        if position < 0:
            position += self.num_images
        if not 0 <= position < self.num_images:
            raise IndexError(
                f"index {index} is out of range for {self.num_images} images"
            )
        dice = Random(f"{self.seed} {self.held_out} {position}")
        return _drawn(_draw_lots(dice, self.held_out), dice, self.image_size)


def draw_vehicle(
    attributes: VehicleAttributes, *, seed: int = 0, image_size: int = 96
) -> Vehicle:
    """A vehicle as one asks for it: a red one, say, and the same in blue.

    Args:
        attributes: what to draw.
        seed: of the place, the scenery and the small differences; the same attributes
            but for their color and the same seed give the same map.
        image_size: S, pixels of each side, 16 to 512.

    Returns:
        The record.

    Raises:
        ValueError: an attribute that does not exist or that the kind does not have, or
            a size that is out of range.
    """
    require_whole("seed", seed, minimum=None)
    require_whole("image_size", image_size, 16, 512)
    _require_attributes(attributes)
    return _drawn(attributes, Random(f"{seed} asked for"), image_size)


def caption_of(attributes: VehicleAttributes) -> str:
    """The sentence that describes a vehicle.

    Args:
        attributes: what it was drawn with.

    Returns:
        Such as "a red van with three windows and a roof rack, at dusk, on grass".
    """
    article = "an" if attributes.color[0] in "aeiou" else "a"
    number = _NUMBERS[attributes.windows]
    window = "window" if attributes.windows == 1 else "windows"
    extra = f" and {attributes.extra}" if attributes.extra else ""
    load = f", carrying {attributes.load}" if attributes.load else ""
    return (
        f"{article} {attributes.color} {attributes.kind} with {number} {window}"
        f"{extra}{load}, {attributes.time}, on {attributes.ground}"
    )


def parse_caption(text: str) -> dict[str, str | int | None]:
    """What a sentence asks for: the way back from `caption_of`.

    Args:
        text: a sentence, in large or small letters, with or without commas; words that
            are not known are passed over.

    Returns:
        "color", "kind", "windows", "extra", "load", "time" and "ground", each as in
        `VehicleAttributes`, or None where the sentence does not say it.

    Source: the definition.
    """
    # Whole words between spaces, so that "car" is not found in "carrying".
    plain = f" {' '.join(text.lower().replace(',', ' ').split())} "
    loads = {load for kind in KINDS.values() for load in kind.loads if load}
    extras = {extra for kind in KINDS.values() for extra in kind.extras if extra}
    looked_for: dict[str, Mapping] = {
        "color": {name: name for name in COLOR_NAMES},
        "kind": {name: name for name in KIND_NAMES},
        "windows": {
            f"{word} {window}": number
            for number, word in enumerate(_NUMBERS)
            for window in ("window", "windows")
        },
        "extra": {name: name for name in extras},
        "load": {f"carrying {name}": name for name in loads},
        "time": {name: name for name in TIME_NAMES},
        "ground": {f"on {name}": name for name in GROUND_NAMES},
    }
    return {
        name: next((of[said] for said in of if f" {said} " in plain), None)
        for name, of in looked_for.items()
    }


def _all_words() -> tuple[str, ...]:
    fixed = ["a", "an", "with", "and", "carrying", "on", "window", "windows"]
    kinds = [word for name in KINDS for word in name.split()]
    extras = [e for kind in KINDS.values() for e in kind.extras if e]
    loads = [load for kind in KINDS.values() for load in kind.loads if load]
    phrases = [*extras, *loads, *TIMES, *GROUNDS]
    words = [word for phrase in phrases for word in phrase.split()]
    return tuple(sorted({*fixed, *kinds, *words, *PAINTS, *_NUMBERS[1:]}))


WORDS = _all_words()  # all that occur in captions, in alphabetical order


def _draw_lots(dice: Random, held_out: bool) -> VehicleAttributes:
    while True:
        name = dice.choice(KIND_NAMES)
        kind = KINDS[name]
        color = dice.choice(COLOR_NAMES)
        if held_out:
            color, name = dice.choice(sorted(HELD_OUT))
            kind = KINDS[name]
        elif (color, name) in HELD_OUT:
            continue
        return VehicleAttributes(
            kind=name,
            color=color,
            windows=dice.choice(kind.windows),
            extra=dice.choice(kind.extras),
            load=dice.choice(kind.loads),
            time=dice.choice(TIME_NAMES),
            ground=dice.choice(GROUND_NAMES),
            view=dice.choice(VIEWS),
            faces_left=dice.random() < 0.5,
        )


def _drawn(attributes: VehicleAttributes, dice: Random, size: int) -> Vehicle:
    image, parts = paint_vehicle(
        KINDS[attributes.kind].build(
            dice, attributes.windows, attributes.extra, attributes.load
        ),
        size,
        dice,
        paint=attributes.color,
        time=attributes.time,
        ground=attributes.ground,
        three_quarter=attributes.view == "three-quarter",
        mirrored=attributes.faces_left,
    )
    return Vehicle(
        image=torch.from_numpy(image).permute(2, 0, 1).float() / 255,
        parts=torch.from_numpy(parts).long(),
        caption=caption_of(attributes),
        attributes=attributes,
    )


def _require_attributes(attributes: VehicleAttributes) -> None:
    require_choice("attributes.kind", attributes.kind, KIND_NAMES)
    kind = KINDS[attributes.kind]
    allowed: Mapping[str, tuple] = {
        "color": COLOR_NAMES,
        "windows": kind.windows,
        "extra": kind.extras,
        "load": kind.loads,
        "time": TIME_NAMES,
        "ground": GROUND_NAMES,
        "view": VIEWS,
        "faces_left": (False, True),
    }
    for name, choices in allowed.items():
        require_choice(f"attributes.{name}", getattr(attributes, name), choices)
