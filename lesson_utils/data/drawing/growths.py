"""What grows on `creatures`: ears, flames, leaves, crystals, as a table of shapes."""

from math import cos, sin
from typing import NamedTuple

from lesson_utils.data.drawing.sprites import (
    ACCENT,
    BASE,
    BELLY,
    BODY,
    EYE,
    INK,
    LIGHT,
    LINE,
    SPARK,
    Ellipse,
    Part,
    Polygon,
    Shape,
    curve,
)


class Anchor(NamedTuple):
    """A place where something grows: `angle` is clockwise from straight up."""

    x: float
    y: float
    angle: float
    size: float

    def at(self, u: float, v: float) -> tuple[float, float]:
        """The point `u` sizes to the right and `v` sizes out, seen along the angle."""
        c, s = self.size * cos(self.angle), self.size * sin(self.angle)
        return self.x + u * c + v * s, self.y + u * s - v * c


Piece = tuple[int, int | None, tuple[tuple[float, ...], ...]]

# What grows on anchors, back to front: (ramp, tone or None for shaded, points). A
# point is (u, v) of a polygon's corner or (u, v, radius) of a curve's control disc.
GROWTHS = {
    "flame": (
        (SPARK, None, ((0, -0.1, 0.3), (0.55, 0.5, 0.42), (-0.15, 1.25, 0.02))),
        (SPARK, None, ((-0.2, 0.1, 0.2), (-0.55, 0.3, 0.16), (-0.45, 0.8, 0.02))),
        (BELLY, LIGHT, ((0, 0, 0.12), (0.2, 0.3, 0.2), (-0.05, 0.7, 0.03))),
    ),
    "ember crest": (
        (SPARK, None, ((-0.3, -0.1, 0.2), (-0.5, 0.2, 0.2), (-0.6, 0.75, 0.02))),
        (SPARK, None, ((0.3, -0.1, 0.2), (0.5, 0.2, 0.2), (0.6, 0.75, 0.02))),
        (SPARK, None, ((0, -0.1, 0.25), (0.1, 0.4, 0.25), (0, 1.1, 0.02))),
    ),
    "fin": (
        (ACCENT, None, ((-0.5, 0), (-0.55, 0.6), (0, 0.4), (0, -0.1))),
        (ACCENT, None, ((0.5, 0), (0.55, 0.6), (0, 0.4), (0, -0.1))),
        (ACCENT, None, ((-0.25, -0.1), (-0.1, 0.95), (0.1, 0.95), (0.25, -0.1))),
    ),
    "droplet": (
        (SPARK, None, ((0, 0.3, 0.34), (0, 0.5, 0.3), (0.1, 1.2, 0.02))),
        (EYE, LIGHT, ((-0.1, 0.4, 0.1),)),
    ),
    "leaf": (
        (SPARK, None, ((0, -0.1, 0.04), (0.5, 0.5, 0.5), (0.1, 1.25, 0.02))),
        (SPARK, LINE, ((0, 0, 0.04), (0.35, 0.5, 0.04), (0.1, 0.95, 0.02))),
    ),
    "two leaves": (
        (SPARK, None, ((0, 0, 0.06), (-0.3, 0.7, 0.42), (-0.95, 0.7, 0.02))),
        (SPARK, None, ((0, 0, 0.06), (0.3, 0.7, 0.42), (0.95, 0.7, 0.02))),
    ),
    "flower": (
        (ACCENT, None, ((-0.38, 0.3, 0.3),)),
        (ACCENT, None, ((0.38, 0.3, 0.3),)),
        (ACCENT, None, ((-0.25, 0.75, 0.3),)),
        (ACCENT, None, ((0.25, 0.75, 0.3),)),
        (ACCENT, None, ((0, 0.1, 0.28),)),
        (BELLY, None, ((0, 0.45, 0.25),)),
    ),
    "bolt": (
        (SPARK, BASE, ((-0.3, 0.5), (0.1, 1.35), (0.6, 1.35), (0.25, 0.5))),
        (SPARK, BASE, ((-0.05, -0.15), (0.1, -0.15), (0.6, 0.7), (-0.1, 0.7))),
        (SPARK, LIGHT, ((-0.1, 0.6), (0.2, 1.2), (0.35, 1.2), (0.1, 0.6))),
    ),
    "sparks": (
        (SPARK, BASE, ((-0.25, -0.1), (-0.9, 0.7), (0.15, 0.1))),
        (SPARK, BASE, ((0.25, -0.1), (0.9, 0.7), (-0.15, 0.1))),
        (SPARK, BASE, ((-0.3, -0.1), (0, 1.2), (0.3, -0.1))),
    ),
    "crystals": (
        (SPARK, None, ((-0.3, -0.1), (-0.6, 0.5), (-0.5, 0.8), (-0.1, 0.4), (0, -0.1))),
        (SPARK, None, ((0.3, -0.1), (0.6, 0.5), (0.5, 0.8), (0.1, 0.4), (0, -0.1))),
        (
            SPARK,
            None,
            ((-0.2, -0.1), (-0.25, 0.75), (0, 1.2), (0.25, 0.75), (0.2, -0.1)),
        ),
    ),
    "snow cap": (
        (EYE, None, ((-0.5, 0, 0.22),)),
        (EYE, None, ((0.5, 0, 0.22),)),
        (EYE, None, ((0, 0.12, 0.42),)),
        (EYE, None, ((0.05, 0.6, 0.18),)),
    ),
    "boulders": (
        (SPARK, None, ((-0.6, -0.2), (-0.65, 0.3), (-0.3, 0.5), (0, 0.2), (0, -0.2))),
        (SPARK, None, ((0.6, -0.2), (0.65, 0.2), (0.35, 0.45), (0, 0.2), (0, -0.2))),
        (SPARK, None, ((-0.3, -0.2), (-0.3, 0.5), (0, 0.8), (0.3, 0.55), (0.3, -0.2))),
    ),
    "plates": (
        (SPARK, None, ((-0.3, -0.1), (-0.4, 0.5), (0, 1.0), (0.4, 0.5), (0.3, -0.1))),
    ),
    "spikes": (
        (SPARK, None, ((-0.45, -0.15), (-0.55, 0.6), (-0.1, -0.15))),
        (SPARK, None, ((0.45, -0.15), (0.55, 0.6), (0.1, -0.15))),
        (SPARK, None, ((-0.22, -0.15), (0, 0.95), (0.22, -0.15))),
    ),
    "bubbles": (
        (SPARK, None, ((-0.35, 0.1, 0.25),)),
        (SPARK, None, ((0.35, 0.2, 0.3),)),
        (SPARK, None, ((0, 0.55, 0.34),)),
    ),
    "curl": (
        (
            SPARK,
            None,
            ((0, -0.1, 0.25), (0.2, 1.0, 0.24), (-0.9, 0.9, 0.2), (-0.4, 0.35, 0.1)),
        ),
    ),
    "bow": (
        (SPARK, None, ((0, 0.25), (-0.75, 0.65), (-0.75, -0.15))),
        (SPARK, None, ((0, 0.25), (0.75, 0.65), (0.75, -0.15))),
        (SPARK, None, ((0, 0.25, 0.2),)),
    ),
    "star": (
        (SPARK, BASE, ((-0.1, -0.1), (-0.1, 0.5), (0.1, 0.5), (0.1, -0.1))),
        (SPARK, BASE, ((-0.65, 0.75), (0, 1.0), (0.65, 0.75), (0, 0.5))),
        (SPARK, BASE, ((-0.25, 0.75), (0, 1.45), (0.25, 0.75), (0, 0.05))),
        (SPARK, LIGHT, ((-0.2, 0.75), (0, 0.95), (0.2, 0.75), (0, 0.55))),
    ),
    "gauze wings": (
        (EYE, None, ((-0.1, 0, 0.08), (-0.9, 0.3, 0.5), (-0.9, 1.3, 0.2))),
        (EYE, None, ((0.1, 0, 0.08), (0.9, 0.3, 0.5), (0.9, 1.3, 0.2))),
    ),
    "wisp": (
        (
            SPARK,
            None,
            ((0, -0.1, 0.3), (0.7, 0.5, 0.36), (-0.7, 0.9, 0.2), (0.2, 1.3, 0.02)),
        ),
    ),
    "feelers": (
        (INK, LINE, ((-0.1, -0.1, 0.06), (-0.15, 0.7, 0.06), (-0.55, 0.9, 0.06))),
        (INK, LINE, ((0.1, -0.1, 0.06), (0.15, 0.7, 0.06), (0.55, 0.9, 0.06))),
        (SPARK, None, ((-0.6, 0.95, 0.2),)),
        (SPARK, None, ((0.6, 0.95, 0.2),)),
    ),
    "horn": ((SPARK, None, ((0, -0.1, 0.25), (0, 0.5, 0.16), (-0.15, 1.0, 0.02))),),
    "round ear": (
        (BODY, None, ((0, 0.35, 0.45),)),
        (ACCENT, None, ((0, 0.38, 0.24),)),
    ),
    "pointed ear": (
        (BODY, None, ((-0.5, -0.2), (-0.1, 1.0), (0.5, -0.2))),
        (ACCENT, None, ((-0.2, 0.1), (-0.08, 0.75), (0.25, 0.1))),
    ),
    "long ear": (
        (BODY, None, ((0, -0.2, 0.18), (-0.15, 0.9, 0.4), (0.1, 1.9, 0.08))),
        (ACCENT, BASE, ((0, 0.4, 0.08), (-0.1, 0.9, 0.18), (0.05, 1.4, 0.06))),
    ),
    "tipped ear": (
        (BODY, None, ((0, -0.2, 0.2), (-0.1, 0.7, 0.32), (0.15, 1.6, 0.04))),
        (ACCENT, None, ((0.0, 0.9, 0.24), (0.05, 1.2, 0.16), (0.15, 1.6, 0.04))),
    ),
    "floppy ear": ((ACCENT, None, ((0, 0.1, 0.2), (0.7, 0.7, 0.3), (1.1, -0.7, 0.3))),),
    "curved horn": (
        (BELLY, None, ((0, -0.2, 0.3), (0.7, 0.3, 0.24), (0.1, 1.2, 0.02))),
    ),
    "ear fin": (
        (ACCENT, None, ((-0.3, 0), (-0.5, 0.8), (0.1, 0.7), (0.2, 0))),
        (ACCENT, None, ((-0.2, -0.1), (0.3, 0.9), (0.7, 0.3), (0.3, -0.2))),
    ),
    "tuft": (
        (ACCENT, None, ((0, -0.2, 0.25), (0.1, 0.4, 0.2), (0.5, 0.8, 0.02))),
        (ACCENT, None, ((0, -0.2, 0.25), (-0.1, 0.5, 0.2), (-0.1, 1.0, 0.02))),
    ),
    "none": (),
}


def grow(name: str, anchor: Anchor) -> list[Part]:
    """The parts of one of `GROWTHS`, standing on an anchor."""
    return place(GROWTHS[name], anchor)


def place(pieces: tuple[Piece, ...], anchor: Anchor) -> list[Part]:
    """Pieces on an anchor; where it leans to the left, the mirror image of the right.

    Args:
        pieces: (ramp, tone or None for shaded, points), as in `GROWTHS`.
        anchor: where, which way and how large.
    """
    side = -1 if anchor.angle < 0 else 1
    parts = []
    for ramp, tone, points in pieces:
        placed = [
            (*anchor.at(side * u, v), *(radius * anchor.size for radius in rest))
            for u, v, *rest in points
        ]
        parts.append(Part(_shape_of(placed), ramp, tone, line=tone is None))
    return parts


def _shape_of(points: list[tuple[float, ...]]) -> Shape:
    """A polygon of corners (x, y), a curve of discs (x, y, radius), or one disc."""
    if len(points[0]) == 2:
        return Polygon(tuple(points))
    if len(points) > 1:
        return curve(*points)
    x, y, radius = points[0]
    return Ellipse(x, y, radius, radius)
