"""What vehicles are drawn from: outlines in meters, from the side, the front at right.

x runs to the front, y upwards, and the ground is at y = 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import cos, hypot, pi, sin
from typing import NamedTuple

Point = tuple[float, float]
Rectangle = tuple[float, float, float, float]  # left, bottom, right, top

PARTS = (
    "background",
    "ground",
    "body",
    "window",
    "wheel",
    "light",
    "door",
    "trim",
    "load",
)
BACKGROUND, GROUND, BODY, WINDOW, WHEEL, LIGHT, DOOR, TRIM, LOAD = range(len(PARTS))


class Shape(NamedTuple):
    """A filled outline on the side of a vehicle, or above it.

    Attributes:
        part: one of `PARTS`, by its number.
        color: a key of the palette, such as "paint" or "glass".
        points: its corners, in meters.
        shade: what the color is multiplied by.
    """

    part: int
    color: str
    points: Sequence[Point]
    shade: float = 1.0


class FrontShape(NamedTuple):
    """A rectangle on the front of a block.

    Attributes:
        part: one of `PARTS`, by its number.
        color: a key of the palette.
        place: left, bottom, right and top, as shares of the front.
        shade: what the color is multiplied by.
    """

    part: int
    color: str
    place: Rectangle
    shade: float = 1.0


class Wheel(NamedTuple):
    """A wheel: where its hub stands and how large it is, in meters."""

    x: float
    radius: float
    rim: float = 0.55  # as a share of the radius
    color: str = "rim"


@dataclass
class Block:
    """A solid of one cross section: its side, drawn out in depth.

    Attributes:
        outline: corners, from the lower rear over the top to the lower front.
        color: of its side, roof and front, a key of the palette.
        part: of the same.
        glass: numbers of the edges of `outline` that are windscreens.
        side: what lies on the side, the lowest first.
        front: what lies on the front, which is the last edge of `outline`.
        on_top: what stands on it, in the middle of the width: a rack, a load.
    """

    outline: list[Point]
    color: str = "paint"
    part: int = BODY
    glass: tuple[int, ...] = ()
    side: list[Shape] = field(default_factory=list)
    front: list[FrontShape] = field(default_factory=list)
    on_top: list[Shape] = field(default_factory=list)


@dataclass
class Build:
    """A whole vehicle.

    Attributes:
        blocks: the rear ones first.
        wheels: those of the near side.
        width: of the vehicle, in meters.
    """

    blocks: list[Block]
    wheels: list[Wheel]
    width: float


def box(left: float, bottom: float, right: float, top: float) -> list[Point]:
    """The corners of an upright rectangle, from the lower left over the top."""
    return [(left, bottom), (left, top), (right, top), (right, bottom)]


def rounded(points: Sequence[Point], radius: float, steps: int = 3) -> list[Point]:
    """An outline whose corners are rounded by parabolas."""
    result = []
    for i, (x, y) in enumerate(points):
        ends = []
        for other in (points[i - 1], points[(i + 1) % len(points)]):
            dx, dy = other[0] - x, other[1] - y
            share = min(0.45, radius / max(hypot(dx, dy), 1e-6))
            ends.append((x + share * dx, y + share * dy))
        (x1, y1), (x2, y2) = ends
        for step in range(steps + 1):
            t = step / steps
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
            result.append((a * x1 + b * x + c * x2, a * y1 + b * y + c * y2))
    return result


def disk(x: float, y: float, radius: float, squeeze: float = 1.0) -> list[Point]:
    """A circle, or an ellipse that is narrower than it is high."""
    return [
        (x + squeeze * radius * cos(pi * i / 12), y + radius * sin(pi * i / 12))
        for i in range(24)
    ]


def band(
    lower: tuple[Point, Point], upper: tuple[Point, Point], first: float, last: float
) -> list[Point]:
    """The part between two shares of the length of a strip, say of a row of windows.

    Args:
        lower: the rear and the front end of its lower edge.
        upper: likewise of its upper edge.
        first: where the part begins, 0 at the rear.
        last: where it ends, 1 at the front.
    """

    def at(edge: tuple[Point, Point], share: float) -> Point:
        (x1, y1), (x2, y2) = edge
        return x1 + share * (x2 - x1), y1 + share * (y2 - y1)

    return [at(lower, first), at(upper, first), at(upper, last), at(lower, last)]


def row(
    part: int,
    color: str,
    lower: tuple[Point, Point],
    upper: tuple[Point, Point],
    number: int,
    gap: float = 0.08,
) -> list[Shape]:
    """Equal shapes side by side in a strip; `gap` is a pillar, in shares of a shape."""
    ends = [((i + gap) / number, (i + 1 - gap) / number) for i in range(number)]
    return [Shape(part, color, band(lower, upper, *pair)) for pair in ends]
