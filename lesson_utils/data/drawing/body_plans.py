"""The body plans of `creatures`: each function draws its numbers and returns a Sketch.

Units are those of `_sprites`: x right, y down, a creature about two units high. Plans
seen from the front are mirror images about x = 0; the others look to the left.
"""

from math import pi
from random import Random

from lesson_utils.data.drawing.anatomy import Face, Sketch
from lesson_utils.data.drawing.growths import Anchor
from lesson_utils.data.drawing.sprites import (
    ACCENT,
    BODY,
    INK,
    LIGHT,
    LINE,
    SPARK,
    Ellipse,
    Part,
    Polygon,
    curve,
    mirrored,
)


def _limb(*controls: tuple[float, float, float], ramp: int = BODY) -> Part:
    return Part(curve(*controls), ramp)


def _ball(
    x: float, y: float, rx: float, ry: float, *, ramp: int = BODY, **turn
) -> Part:
    return Part(Ellipse(x, y, rx, ry, **turn), ramp)


def _web(*corners: tuple[float, float], ramp: int = ACCENT) -> Part:
    return Part(Polygon(corners), ramp)


def _pair(x: float, y: float, lean: float, size: float) -> tuple[Anchor, Anchor]:
    """An anchor on either side of the middle, leaning outwards."""
    return Anchor(-x, y, -lean, size), Anchor(x, y, lean, size)


def biped(dice: Random) -> Sketch:
    """A large head on a small body, two arms, two feet."""
    head_w, head_h = dice.uniform(0.5, 0.7), dice.uniform(0.42, 0.54)
    waist, height = dice.uniform(0.32, 0.46), dice.uniform(0.34, 0.46)
    hand_x, hand_y = waist + dice.uniform(0.12, 0.32), dice.uniform(-0.05, 0.55)
    elbow = (waist + 0.12, 0.3, 0.13)
    arm = _limb((waist * 0.6, 0.2, 0.13), elbow, (hand_x, hand_y, 0.14))
    foot = _ball(waist * 0.6, height * 1.85, dice.uniform(0.17, 0.23), 0.13)
    return Sketch(
        behind=mirrored([arm]),
        trunk=[
            _ball(0, height * 0.9, waist, height, taper=dice.uniform(0, 0.35)),
            _ball(0, -head_h * 0.85, head_w, head_h, taper=dice.uniform(0, 0.25)),
            *mirrored([foot]),
        ],
        face=Face(0, -head_h * 0.78, head_w * 0.92),
        ears=_pair(head_w * 0.68, -head_h * 1.45, 0.45, dice.uniform(0.3, 0.45)),
        crown=Anchor(0, -head_h * 1.75, 0, dice.uniform(0.4, 0.6)),
        back=_pair(waist * 0.8, height * 0.5, 1.2, 0.55),
        belly=Ellipse(0, height, waist * 0.65, height * 0.75),
        ground=height * 1.85 + 0.13,
    )


def golem(dice: Random) -> Sketch:
    """Wide shoulders, heavy fists and a head sunk between them."""
    shoulder, fist = dice.uniform(0.55, 0.7), dice.uniform(0.2, 0.28)
    head, reach = dice.uniform(0.36, 0.46), shoulder + 0.2
    elbow = (shoulder + 0.35, 0.0, 0.16)
    arm = _limb((shoulder * 0.8, -0.05, 0.2), elbow, (reach, 0.55, 0.15))
    leg = _limb((0.25, 0.5, 0.2), (0.3, 0.8, 0.2), (0.32, 0.92, 0.22))
    return Sketch(
        behind=mirrored([leg]),
        trunk=[
            _ball(0, 0.25, shoulder, 0.55, taper=dice.uniform(-0.4, -0.1)),
            _ball(0, -0.38, head * 1.2, head),
        ],
        front=mirrored([arm, _ball(reach, 0.62, fist, fist)]),
        face=Face(0, -0.35, head * 1.15),
        ears=_pair(head * 0.8, -0.38 - head * 0.6, 0.5, 0.32),
        crown=Anchor(0, -0.38 - head * 0.9, 0, dice.uniform(0.4, 0.55)),
        back=_pair(shoulder * 0.8, -0.15, 0.6, 0.48),
        belly=Ellipse(0, 0.35, shoulder * 0.6, 0.35),
        ground=1.12,
    )


def blob(dice: Random) -> Sketch:
    """A drop of jelly that is all face."""
    width, height = dice.uniform(0.7, 0.95), dice.uniform(0.62, 0.85)
    hand = _ball(width * 0.95, height * 0.3, 0.18, 0.13, angle=-0.5)
    return Sketch(
        behind=mirrored([_ball(width * 0.45, height * 0.9, 0.25, 0.14)]),
        trunk=[_ball(0, 0, width, height, taper=dice.uniform(0.1, 0.45))],
        front=mirrored([hand]) if dice.random() < 0.6 else [],
        face=Face(0, height * dice.uniform(-0.1, 0.15), width * 0.75),
        ears=_pair(width * 0.45, -height * 0.7, 0.35, dice.uniform(0.32, 0.42)),
        crown=Anchor(0, -height * 0.92, 0, dice.uniform(0.45, 0.65)),
        back=_pair(width * 0.8, -height * 0.2, 1.0, 0.45),
        belly=Ellipse(0, height * 0.65, width * 0.6, height * 0.35),
        ground=height,
    )


def phantom(dice: Random) -> Sketch:
    """A floating sheet with a ragged hem."""
    width, height = dice.uniform(0.55, 0.7), dice.uniform(0.55, 0.7)
    hem = [
        _limb((x, 0.3, 0.22), (x, 0.6, 0.2), (x * 1.1, tip, 0.04))
        for x, tip in ((0.75 * width, 0.95), (0.28 * width, 1.1))
    ]
    hand = (width + 0.3, dice.uniform(-0.2, 0.4), 0.1)
    arm = _limb((width * 0.8, 0.1, 0.15), (width + 0.2, 0.2, 0.13), hand)
    return Sketch(
        behind=mirrored([arm, *hem]),
        trunk=[_ball(0, 0, width * 1.02, height, taper=dice.uniform(0, 0.2))],
        face=Face(0, -0.08, width * 0.85),
        ears=_pair(width * 0.6, -height * 0.7, 0.4, dice.uniform(0.3, 0.42)),
        crown=Anchor(0, -height * 0.9, 0, dice.uniform(0.45, 0.65)),
        back=_pair(width * 0.85, -height * 0.25, 1.1, 0.45),
        belly=Ellipse(0, height * 0.6, width * 0.5, height * 0.35),
        ground=1.1,
    )


def beetle(dice: Random) -> Sketch:
    """A shell with a seam, six legs and a head below it."""
    width, height = dice.uniform(0.55, 0.7), dice.uniform(0.5, 0.62)
    head, knee = dice.uniform(0.38, 0.48), width + 0.2
    legs = [
        _limb((width * 0.6, y, 0.1), (knee, y - 0.15, 0.09), (knee + 0.1, tip, 0.06))
        for y, tip in ((-0.4, -0.6), (-0.1, 0.05), (0.2, 0.6))
    ]
    seam = Part(Ellipse(0, -0.28, 0.03, height * 0.95), ACCENT, LINE, line=False)
    return Sketch(
        behind=mirrored(legs),
        trunk=[
            _ball(0, -0.28, width, height, taper=dice.uniform(0, 0.25)),
            seam,
            _ball(0, 0.4, head * 1.15, head),
        ],
        face=Face(0, 0.4, head * 1.1),
        ears=_pair(head * 0.9, 0.15, 0.9, 0.3),
        crown=Anchor(0, -0.28 - height * 0.9, 0, dice.uniform(0.4, 0.5)),
        back=_pair(width * 0.6, -0.28 - height * 0.6, 0.7, 0.4),
        belly=Ellipse(0, -0.4, width * 0.7, height * 0.6),
        ground=0.7,
    )


def crab(dice: Random) -> Sketch:
    """A broad body between two raised claws, on four legs."""
    width, height = dice.uniform(0.55, 0.7), dice.uniform(0.46, 0.58)
    claw, x, y = dice.uniform(0.26, 0.34), width + 0.22, dice.uniform(-0.75, -0.3)
    arm = _limb((width * 0.8, 0, 0.12), (x + 0.1, 0.2, 0.12), (x, y + 0.1, 0.12))
    notch = ((x - 0.02, y), (x - claw * 0.6, y - claw), (x - 0.02, y - claw * 1.2))
    legs = [
        _limb((width * 0.5, 0.25, 0.12), (foot, 0.5, 0.11), (foot, 0.85, 0.07))
        for foot in (width * 1.15, width * 0.55)
    ]
    return Sketch(
        behind=mirrored([*legs, arm]),
        trunk=[_ball(0, 0, width, height, taper=dice.uniform(-0.2, 0.2))],
        front=mirrored(
            [
                _ball(x, y - claw * 0.3, claw * 0.85, claw, ramp=ACCENT),
                Part(Polygon(notch), INK, LINE, line=False),
            ]
        ),
        face=Face(0, -0.02, width * 0.8),
        ears=_pair(width * 0.5, -height * 0.75, 0.3, 0.3),
        crown=Anchor(0, -height * 0.9, 0, dice.uniform(0.45, 0.6)),
        back=_pair(width * 0.6, -height * 0.65, 0.4, 0.38),
        belly=Ellipse(0, height * 0.6, width * 0.6, height * 0.4),
        ground=0.9,
    )


def bat(dice: Random) -> Sketch:
    """A round body between two spread wings."""
    body, top = dice.uniform(0.5, 0.62), dice.uniform(-0.75, -0.35)
    tip = body + dice.uniform(0.35, 0.5)
    wrist, low = tip * 0.75, top + dice.uniform(0.7, 0.9)
    wing = [
        _web((0.2, -0.2), (wrist, top), (wrist * 0.95, low), (0.3, 0.25)),
        _web(
            (wrist * 0.95, top), (tip, top + 0.2), (tip, low + 0.1), (wrist, low - 0.2)
        ),
        _limb((0.3, -0.1, 0.09), (tip * 0.5, top, 0.07), (wrist, top, 0.06)),
        _limb((wrist, top, 0.06), (tip, top, 0.06), (tip, low, 0.05)),
    ]
    return Sketch(
        behind=mirrored(wing),
        trunk=[_ball(0, 0, body, body * dice.uniform(0.95, 1.2))],
        front=mirrored([_ball(0.22, body * 1.05, 0.15, 0.12)]),
        face=Face(0, -0.03, body * 0.95),
        ears=_pair(body * 0.6, -body * 0.7, 0.4, dice.uniform(0.35, 0.5)),
        crown=Anchor(0, -body * 0.9, 0, dice.uniform(0.4, 0.55)),
        belly=Ellipse(0, body * 0.6, body * 0.6, body * 0.4),
        ground=body * 1.15,
    )


def sprout(dice: Random) -> Sketch:
    """A bulb with leaves for hands and roots for feet."""
    width, height = dice.uniform(0.5, 0.66), dice.uniform(0.52, 0.66)
    leaf = [(width * 0.8, 0.25, 0.06), (width + 0.25, 0.3, 0.24)]
    leaf.append((width + dice.uniform(0.35, 0.5), dice.uniform(-0.3, 0.15), 0.03))
    roots = [
        _limb(
            (x, height * 0.6, 0.16), (x, height, 0.13), (x * 1.4, height * 1.25, 0.07)
        )
        for x in (0.7 * width, 0.25 * width)
    ]
    return Sketch(
        behind=mirrored([_limb(*leaf, ramp=SPARK), *roots]),
        trunk=[_ball(0, 0, width, height, taper=dice.uniform(0.3, 0.55))],
        face=Face(0, 0.15, width * 0.9),
        ears=_pair(width * 0.4, -height * 0.75, 0.5, dice.uniform(0.3, 0.4)),
        crown=Anchor(0, -height * 0.9, 0, dice.uniform(0.5, 0.75)),
        back=_pair(width * 0.6, -height * 0.4, 0.9, 0.4),
        belly=Ellipse(0, height * 0.65, width * 0.7, height * 0.35),
        ground=height * 1.25,
    )


def quadruped(dice: Random) -> Sketch:
    """Four legs, a raised head and a tail, walking to the left."""
    length, depth = dice.uniform(0.48, 0.62), dice.uniform(0.32, 0.4)
    head, leg = dice.uniform(0.4, 0.5), dice.uniform(0.28, 0.42)
    head_x, head_y = -length * 0.85, -depth - head * dice.uniform(0.1, 0.35)
    tail_x, tail_y = length + dice.uniform(0.3, 0.4), dice.uniform(-0.75, -0.3)
    tail_tip = (tail_x, tail_y, dice.uniform(0.05, 0.12))
    floor = depth * 0.6 + leg
    legs = [
        _limb((x, depth * 0.3, 0.17), (x, floor * 0.7, 0.13), (x - 0.03, floor, 0.14))
        for x in (-0.45 * length, 0.85 * length, -0.75 * length, 0.5 * length)
    ]
    return Sketch(
        behind=[
            _limb((length * 0.7, 0, 0.15), (tail_x, 0.1, 0.11), tail_tip),
            *legs[:2],
        ],
        trunk=[
            _ball(0, 0, length, depth),
            *legs[2:],
            _ball(head_x, head_y, head * 1.1, head, taper=dice.uniform(0, 0.2)),
        ],
        face=Face(head_x, head_y + head * 0.05, head, 0.35),
        ears=(
            Anchor(head_x - head * 0.5, head_y - head * 0.7, -0.45, head * 0.8),
            Anchor(head_x + head * 0.65, head_y - head * 0.65, 0.45, head * 0.8),
        ),
        crown=Anchor(head_x + 0.08, head_y - head * 0.85, 0.1, 0.45),
        back=(
            Anchor(length * 0.15, -depth * 0.85, 0.1, 0.42),
            Anchor(length * 0.65, -depth * 0.75, 0.4, 0.4),
        ),
        tail=Anchor(tail_x, tail_y, dice.uniform(0, 0.5), dice.uniform(0.4, 0.55)),
        belly=Ellipse(-length * 0.1, depth * 0.8, length * 0.8, depth * 0.5),
        ground=floor + 0.14,
    )


def bird(dice: Random) -> Sketch:
    """A plump body and a folded wing, standing turned to the left."""
    width, height = dice.uniform(0.46, 0.58), dice.uniform(0.5, 0.6)
    head, wing_x = dice.uniform(0.4, 0.5), width + dice.uniform(-0.1, 0.15)
    head_x, head_y = -width * 0.35, -height - head * 0.2
    tail = [
        _limb(
            (width * 0.5, 0.2, 0.12),
            (width, 0.2, 0.14),
            (width + out, y, 0.05),
            ramp=ACCENT,
        )
        for out, y in ((0.3, 0.05), (0.35, 0.35))
    ]
    legs = [
        _limb(
            (x, height * 0.8, 0.06),
            (x, height * 1.1, 0.06),
            (x - 0.1, height * 1.3, 0.07),
            ramp=SPARK,
        )
        for x in (-0.2, 0.16)
    ]
    wing_tip = (wing_x, dice.uniform(-0.4, 0.4), 0.05)
    shoulder = (width * 0.15, -0.15, 0.16)
    return Sketch(
        behind=[*tail, *legs],
        trunk=[
            _ball(0, 0, width, height, angle=-0.35),
            _ball(head_x, head_y, head * 1.05, head),
        ],
        front=[_limb(shoulder, (width * 0.6, 0.0, 0.26), wing_tip, ramp=ACCENT)],
        face=Face(head_x + head * 0.1, head_y, head * 0.95, 0.45),
        ears=(Anchor(head_x + head * 0.5, head_y - head * 0.7, 0.6, 0.32),),
        crown=Anchor(head_x, head_y - head * 0.85, 0.1, dice.uniform(0.4, 0.55)),
        back=(Anchor(width * 0.7, -height * 0.45, 0.9, 0.4),),
        tail=Anchor(width + 0.2, 0.2, 1.3, 0.45),
        belly=Ellipse(-width * 0.45, height * 0.3, width * 0.55, height * 0.6),
        ground=height * 1.35,
    )


def fish(dice: Random) -> Sketch:
    """A round fish with a tail fin, swimming to the left, one eye seen."""
    length, depth = dice.uniform(0.6, 0.76), dice.uniform(0.5, 0.66)
    x, spread = length * 0.75, dice.uniform(0.45, 0.6)
    fins = [
        _web((x, 0), (x + 0.45, -spread), (x + 0.38, 0.02)),
        _web((x, 0), (x + 0.45, spread), (x + 0.38, -0.02)),
        _web((-0.25, -depth * 0.8), (0.2, -depth - 0.35), (0.45, -depth * 0.5)),
        _web((-0.1, depth * 0.8), (0.25, depth + 0.25), (0.35, depth * 0.6)),
    ]
    side_fin = [(0.05, 0.15, 0.09), (0.3, 0.2, 0.2), (0.45, 0.42, 0.04)]
    return Sketch(
        behind=fins,
        trunk=[_ball(0, 0, length, depth)],
        front=[_limb(*side_fin, ramp=ACCENT)],
        face=Face(-length * 0.52, -0.08, depth * 0.72, 1),
        ears=(Anchor(0.1, -depth * 0.9, 0.3, 0.35),),
        crown=Anchor(-length * 0.35, -depth * 0.85, -0.3, dice.uniform(0.4, 0.5)),
        back=(Anchor(length * 0.3, -depth * 0.8, 0.4, 0.45),),
        tail=Anchor(x + 0.3, 0, pi / 2, 0.4),
        belly=Ellipse(-0.1, depth * 0.75, length * 0.8, depth * 0.45),
        ground=depth,
    )


def serpent(dice: Random) -> Sketch:
    """A body in a bend with its head up, looking to the left."""
    head, thick = dice.uniform(0.38, 0.48), dice.uniform(0.2, 0.27)
    sway, end_x = dice.uniform(0.7, 1.0), dice.uniform(0.75, 0.95)
    end_y, bend = dice.uniform(0.0, 0.4), (-0.35, 0.72, thick)
    tail = _limb(
        (-0.3, 0.72, thick),
        (0.5, 0.85, thick),
        (end_x, 0.9, 0.12),
        (end_x, end_y, 0.05),
    )
    neck = _limb(
        (-0.25, -0.5, thick), (sway, -0.3, thick), (sway * 0.6, 0.6, thick * 1.1), bend
    )
    return Sketch(
        behind=[tail],
        trunk=[
            neck,
            _ball(-0.3, -0.55, head * 1.1, head * 0.92, taper=dice.uniform(0, 0.25)),
        ],
        face=Face(-0.34, -0.55, head, 0.4),
        ears=(
            Anchor(-0.58, -0.55 - head * 0.6, -0.5, 0.32),
            Anchor(0.0, -0.55 - head * 0.6, 0.5, 0.32),
        ),
        crown=Anchor(-0.28, -0.55 - head * 0.8, 0.05, dice.uniform(0.4, 0.5)),
        back=(
            Anchor(sway * 0.55 + thick * 0.6, 0.0, 1.4, 0.4),
            Anchor(0.25, -0.5, 0.5, 0.35),
        ),
        tail=Anchor(
            end_x, end_y + 0.03, dice.uniform(-0.3, 0.4), dice.uniform(0.38, 0.5)
        ),
        belly=Ellipse(-0.2, 0.35, 0.5, 0.9, angle=0.2),
        ground=0.95,
    )


def dragon(dice: Random) -> Sketch:
    """Upright on two legs with a heavy tail, turned to the left; some have wings."""
    waist, head = dice.uniform(0.38, 0.48), dice.uniform(0.4, 0.5)
    head_y, reach = -0.4 - head * 0.5, dice.uniform(-0.1, 0.25)
    end_x, end_y = waist + dice.uniform(0.4, 0.6), dice.uniform(0.0, 0.45)
    tail = _limb((0.2, 0.55, 0.22), (end_x, 0.85, 0.16), (end_x, end_y, 0.06))
    arms = [
        _limb((x, -0.02, 0.12), (x - 0.15, 0.15, 0.11), (x - 0.26, reach, 0.1))
        for x in (waist * 0.5, -waist * 0.5)
    ]
    feet = [_ball(x, 0.82, 0.21, 0.14) for x in (0.26, -0.24)]
    wing = [
        _web((0.1, 0.2), (0.5, -0.8), (0.72, -0.3), (0.5, 0.1)),
        _web((0.5, -0.8), (1.05, -0.55), (1.0, -0.2), (0.68, -0.3)),
        _limb((0.1, 0.1, 0.08), (0.25, -0.6, 0.07), (0.5, -0.8, 0.06)),
        _limb((0.5, -0.8, 0.06), (0.8, -0.8, 0.05), (1.05, -0.5, 0.04)),
    ]
    return Sketch(
        behind=[*(wing if dice.random() < 0.4 else []), tail, arms[0], feet[0]],
        trunk=[
            _ball(0, 0.25, waist, 0.6, taper=dice.uniform(0.0, 0.3)),
            _ball(-0.08, head_y, head * 1.12, head, taper=dice.uniform(0.05, 0.25)),
            feet[1],
        ],
        front=[arms[1]],
        face=Face(-0.1, head_y + 0.03, head, 0.35),
        ears=(
            Anchor(-0.38, head_y - head * 0.7, -0.45, 0.34),
            Anchor(0.22, head_y - head * 0.7, 0.45, 0.34),
        ),
        crown=Anchor(-0.05, head_y - head * 0.85, 0.1, 0.48),
        back=(Anchor(waist * 0.7, 0.0, 1.0, 0.5), Anchor(waist * 0.9, 0.4, 1.3, 0.4)),
        tail=Anchor(
            end_x, end_y + 0.03, dice.uniform(-0.1, 0.4), dice.uniform(0.45, 0.62)
        ),
        belly=Ellipse(-waist * 0.3, 0.35, waist * 0.62, 0.45),
        ground=0.96,
    )


def snail(dice: Random) -> Sketch:
    """A soft foot under a coiled shell, crawling to the left."""
    shell, head = dice.uniform(0.5, 0.62), dice.uniform(0.36, 0.45)
    head_x, head_y = -0.55, dice.uniform(-0.35, -0.1)
    x, y = 0.25, 0.1 - shell * 0.3
    neck, sole = (head_x, head_y, head * 0.7), (0.3, 0.6, dice.uniform(0.2, 0.26))
    coil = [
        _limb(
            (x - shell * 0.55, y + shell * 0.3, 0.04),
            (x - shell * 0.5, y - shell * 0.9, 0.04),
            (x + shell * 0.9, y - shell * 0.7, 0.04),
            (x + shell * 0.5, y + shell * 0.35, 0.04),
        ),
        _limb(
            (x + shell * 0.5, y + shell * 0.35, 0.04),
            (x + shell * 0.1, y + shell * 0.8, 0.04),
            (x - shell * 0.5, y + shell * 0.1, 0.04),
            (x, y - shell * 0.15, 0.05),
        ),
    ]
    return Sketch(
        trunk=[
            _limb(neck, (-0.5, 0.6, 0.25), sole, (0.95, 0.62, 0.06)),
            _ball(head_x, head_y, head * 1.05, head),
        ],
        front=[
            _ball(x, y, shell, shell, ramp=ACCENT),
            *(Part(part.shape, ACCENT, LIGHT, line=False) for part in coil),
        ],
        face=Face(head_x - 0.02, head_y + 0.02, head, 0.35),
        ears=(
            Anchor(head_x - 0.22, head_y - head * 0.8, -0.3, 0.3),
            Anchor(head_x + 0.22, head_y - head * 0.8, 0.3, 0.3),
        ),
        crown=Anchor(head_x, head_y - head * 0.85, -0.05, 0.42),
        back=(
            Anchor(x, y - shell * 0.9, 0.05, 0.48),
            Anchor(x + shell * 0.65, y - shell * 0.6, 0.8, 0.4),
        ),
        belly=Ellipse(-0.3, 0.65, 0.6, 0.25),
        ground=0.85,
    )


FRONT_VIEWS = {
    plan.__name__: plan
    for plan in (biped, golem, blob, phantom, beetle, crab, bat, sprout)
}
SIDE_VIEWS = {
    plan.__name__: plan for plan in (quadruped, bird, fish, serpent, dragon, snail)
}
PLANS = {**FRONT_VIEWS, **SIDE_VIEWS}
