"""What `creatures` puts on a body plan: a face and a marking.

Units are those of `_sprites`: x right, y down, a creature about two units high.
"""

from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

from lesson_utils.data.drawing.growths import Anchor, place
from lesson_utils.data.drawing.sprites import (
    ACCENT,
    BASE,
    BELLY,
    BODY,
    CHEEK,
    EYE,
    INK,
    IRIS,
    LIGHT,
    LINE,
    MOUTH,
    SPARK,
    Ellipse,
    Part,
    Polygon,
    Shape,
    curve,
)


class Face(NamedTuple):
    """Where a face goes: its middle, half its width, and how far it is turned.

    `turn` is 0 for a face seen from the front, 1 for a profile with one eye.
    """

    x: float
    y: float
    width: float
    turn: float = 0.0


@dataclass(frozen=True)
class Sketch:
    """A body plan carried out: parts from back to front, and where the rest goes.

    Attributes:
        behind: what the trunk hides: tail, wings, far limbs.
        trunk: body and head; markings change these and what is behind.
        front: what lies over the marked trunk.
        face: where the face goes.
        ears: one anchor an ear.
        crown: what grows on the head.
        back: what grows on the back, or on both sides.
        tail: the tail's tip, if there is a tail.
        belly: what the belly marking covers.
        ground: the y that the feet stand on.
    """

    trunk: list[Part]
    face: Face
    ears: tuple[Anchor, ...]
    crown: Anchor
    belly: Ellipse
    ground: float
    behind: list[Part] = field(default_factory=list)
    front: list[Part] = field(default_factory=list)
    back: tuple[Anchor, ...] = ()
    tail: Anchor | None = None


class Oval(NamedTuple):
    """A piece of an eye, in units of the eye's radii.

    `gaze` is how far it moves where the eye looks; `tilt` turns its outer end down.
    """

    ramp: int
    tone: int
    u: float
    v: float
    width: float
    height: float
    gaze: float = 0.0
    tilt: float = 0.0
    line: bool = False
    over: int = 0


_WHITE = Oval(EYE, LIGHT, 0, 0, 1.15, 1.25, line=True)
_PUPIL = Oval(INK, LINE, 0, 0.05, 0.6, 0.8, gaze=1)
_SHINE = Oval(EYE, LIGHT, -0.22, -0.35, 0.32, 0.3, gaze=1)

# From back to front.
EYES = {
    "round": (_WHITE, _PUPIL, _SHINE),
    "bead": (Oval(INK, LINE, 0, 0, 0.8, 1), _SHINE),
    "slit": (
        _WHITE._replace(ramp=IRIS),
        Oval(INK, LINE, 0, 0, 0.28, 0.95, gaze=1),
        _SHINE,
    ),
    "large": (
        Oval(INK, LINE, 0, 0, 1.15, 1.4),
        Oval(IRIS, BASE, 0, 0.5, 0.75, 0.6),
        Oval(INK, LINE, 0, 0.1, 0.5, 0.65),
        Oval(EYE, LIGHT, -0.3, -0.5, 0.42, 0.42),
    ),
    "angry": (
        _WHITE,
        _PUPIL,
        _SHINE,
        Oval(INK, LINE, 0, -0.95, 1.45, 0.42, tilt=-0.42),
    ),
    "sleepy": (
        _WHITE,
        Oval(BODY, LIGHT, 0, -1.1, 1.6, 1, over=EYE),
        Oval(INK, LINE, 0, 0.4, 0.5, 0.5, gaze=1),
        Oval(INK, LINE, 0, -0.1, 1.2, 0.22),
    ),
    "happy": (),  # an arch, which ovals do not make
}

# Pieces as in `GROWTHS`, in units of the mouth's half width; v points up.
MOUTHS = {
    "smile": ((INK, LINE, ((-0.8, 0.1, 0.1), (0, -0.7, 0.1), (0.8, 0.1, 0.1))),),
    "flat": ((INK, LINE, ((-0.5, -0.1, 0.1), (0.5, -0.1, 0.1))),),
    "cat": (
        (INK, LINE, ((-0.9, 0, 0.1), (-0.5, -0.7, 0.1), (0, 0, 0.1))),
        (INK, LINE, ((0, 0, 0.1), (0.5, -0.7, 0.1), (0.9, 0, 0.1))),
    ),
    "open": (
        (MOUTH, None, ((0, -0.3, 0.65),)),
        (MOUTH, LIGHT, ((-0.1, -0.55, 0.28), (0.1, -0.55, 0.28))),
    ),
    "fangs": (
        (EYE, LIGHT, ((-0.8, 0), (-0.3, 0), (-0.5, -0.8))),
        (EYE, LIGHT, ((0.8, 0), (0.3, 0), (0.5, -0.8))),
        (INK, LINE, ((-0.9, 0, 0.1), (0, -0.35, 0.1), (0.9, 0, 0.1))),
    ),
    "muzzle": (
        (BELLY, None, ((-0.4, -0.1, 0.9), (0.4, -0.1, 0.9))),
        (INK, LINE, ((-0.12, 0.3, 0.28), (0.12, 0.3, 0.28))),
        (INK, LINE, ((-0.5, -0.3, 0.1), (0, -0.6, 0.1), (0.5, -0.3, 0.1))),
    ),
    "beak": ((SPARK, None, ((-2.3, -0.4), (0.3, 0.8), (0.4, -0.8))),),
    "none": (),
}

# The ramp of each marking.
MARKINGS = {
    "plain": BODY,
    "belly": BELLY,
    "stripes": ACCENT,
    "spots": ACCENT,
    "mask": BELLY,
    "socks": ACCENT,
    "two-tone": BELLY,
    "blaze": ACCENT,
}


def draw_face(
    face: Face, eyes: str, mouth: str, *, cheeks: bool, eye_size: float
) -> list[Part]:
    """Eyes, cheeks and a mouth.

    Args:
        face: where.
        eyes: one of `EYES`.
        mouth: one of `MOUTHS`.
        cheeks: whether there are any.
        eye_size: an eye's radius as a share of the face's `width`.
    """
    r = face.width * eye_size
    gap = max(face.width * 0.46, r * 1.3)
    middle = face.x - face.turn * face.width * 0.45
    far = 1 - 0.4 * face.turn  # how much perspective narrows the averted side
    sides = ((1, 1), (-1, far)) if face.turn < 1 else ((1, 1),)
    lips = Anchor(middle, face.y + r * 1.5, 0, face.width * 0.3)
    parts = place(MOUTHS[mouth], lips)
    for side, narrow in sides:
        x = middle + side * gap * narrow
        # The pupils look a little inwards, or where the head is turned to.
        look = -0.15 * side * (1 - face.turn) - 0.3 * face.turn
        parts += _draw_eye(x, face.y, r * narrow, r, eyes, look, side)
        if cheeks:
            x = middle + side * gap * narrow * 1.45
            cheek = Ellipse(x, face.y + r * 1.35, r * 0.55 * narrow, r * 0.4)
            parts.append(Part(cheek, CHEEK, BASE, line=False))
    return parts


def _draw_eye(
    x: float, y: float, rx: float, ry: float, style: str, look: float, side: int
) -> list[Part]:
    """One eye, `side` -1 for the left one; `look` moves its pupil, in units of rx."""
    if style == "happy":
        low, thick = y + 0.35 * ry, 0.2 * ry
        arch = curve(
            (x - rx, low, thick), (x, y - 1.3 * ry, thick), (x + rx, low, thick)
        )
        return [Part(arch, INK, LINE, line=False)]
    return [
        Part(
            Ellipse(
                x + (oval.u + oval.gaze * look) * rx,
                y + oval.v * ry,
                oval.width * rx,
                oval.height * ry,
                oval.tilt * side,
            ),
            oval.ramp,
            oval.tone,
            oval.line,
            oval.over,
        )
        for oval in EYES[style]
    ]


def draw_marking(marking: str, sketch: Sketch, dice: Random) -> list[Part]:
    """A marking of `MARKINGS`: parts that recolor the body and keep its shading."""
    return [
        Part(shape, MARKINGS[marking], over=BODY)
        for shape in _marking_shapes(marking, sketch, dice)
    ]


def _marking_shapes(marking: str, sketch: Sketch, dice: Random) -> list[Shape]:
    """Where a marking lies."""
    belly, face = sketch.belly, sketch.face
    if marking == "belly":
        return [belly]
    if marking == "mask":
        return [Ellipse(face.x - face.turn * 0.1, face.y, face.width, face.width * 0.5)]
    if marking == "blaze":
        x = face.x - 0.45 * face.turn * face.width
        return [Ellipse(x, face.y - face.width * 0.5, face.width * 0.2, face.width)]
    if marking == "socks":
        return [_below(sketch.ground - 0.28)]
    if marking == "two-tone":
        return [_below(belly.y)]
    if marking == "spots":
        radii = (0.17, 0.15, 0.13, 0.12, 0.11, 0.1)
        return [
            Ellipse(dice.uniform(-0.6, 0.6), dice.uniform(-0.9, 0.7), r, r)
            for r in radii
        ]
    if marking == "stripes":
        step, tilt = dice.uniform(0.28, 0.36), dice.uniform(-0.2, 0.2)
        return [Ellipse(0, -1.2 + k * step, 1.5, step * 0.22, tilt) for k in range(7)]
    return []


def _below(y: float) -> Polygon:
    return Polygon(((-3, y), (3, y), (3, 3), (-3, 3)))
