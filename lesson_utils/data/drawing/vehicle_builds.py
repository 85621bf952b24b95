"""The kinds of vehicles: how each is built from blocks, wheels and what it carries."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from lesson_utils.data.drawing.vehicle_details import (
    cargo,
    doors,
    ladder,
    lamps,
    low_front,
    rack,
    tall_front,
)
from lesson_utils.data.drawing.vehicle_shapes import (
    BODY,
    DOOR,
    LIGHT,
    TRIM,
    WINDOW,
    Block,
    Build,
    Shape,
    Wheel,
    box,
    rounded,
    row,
)


@dataclass(frozen=True)
class Kind:
    """A kind of vehicle.

    Attributes:
        build: draws one: of lots, a number of windows, extras and a load.
        windows: the numbers of side windows that there are.
        extras: what it may have; None stands for nothing.
        loads: what it may carry; None stands for nothing.
    """

    build: Callable[[Random, int, str | None, str | None], Build]
    windows: tuple[int, ...]
    extras: tuple[str | None, ...] = (None,)
    loads: tuple[str | None, ...] = (None,)


def _car(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof, back = dice.uniform(1.4, 1.52), dice.choice([-2.0, -1.55, -1.3])
    deck = 1.0 if back > -1.9 else 1.1
    outline = [
        (-2.1, 0.3),
        (-2.16, 0.86),
        (-2.05, deck),
        (back, deck + 0.03),
        (back + 0.5, roof),
        (0.25, roof + 0.02),
        (1.0, 1.02),
        (1.85, 0.88),
        (2.13, 0.72),
        (2.15, 0.3),
    ]
    low = ((back + 0.12, 1.03), (0.88, 1.03))
    high = ((back + 0.55, roof - 0.1), (0.2, roof - 0.08))
    side = [
        Shape(TRIM, "dark", box(-2.13, 0.26, 2.15, 0.4)),
        *doors([-0.85, 0.1, 0.95] if windows > 1 else [-0.3, 0.95], 0.44, 0.97),
        *row(WINDOW, "glass", low, high, windows, 0.05),
        *lamps(-2.16, 2.14, 0.66),
    ]
    if extra == "a stripe":
        side.insert(0, Shape(TRIM, "stripe", box(-2.14, 0.62, 2.13, 0.76)))
    top = rack(back + 0.6, 0.2, roof + 0.02) if extra == "a roof rack" else []
    block = Block(outline, glass=(5,), side=side, front=low_front(), on_top=top)
    return Build([block], [Wheel(-1.3, 0.37), Wheel(1.33, 0.37)], 1.7)


def _van(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof, nose = dice.uniform(2.0, 2.3), dice.uniform(1.15, 1.3)
    outline = [
        (-2.45, 0.36),
        (-2.5, 1.0),
        (-2.4, roof - 0.04),
        (-2.2, roof),
        (0.85, roof),
        (1.15, roof - 0.1),
        (1.8, nose),
        (2.42, nose - 0.2),
        (2.5, 0.8),
        (2.5, 0.36),
    ]
    low, high = roof - 0.86, roof - 0.24
    strip = ((-2.3, low), (1.5, low)), ((-2.25, high), (1.08, high))
    side = [
        Shape(TRIM, "dark", box(-2.5, 0.32, 2.5, 0.48)),
        *doors([-0.45, 0.65], 0.52, low - 0.06),
        *doors([0.65, 1.55], 0.52, low - 0.06),
        *row(WINDOW, "glass", *strip, windows, 0.06),
        *lamps(-2.5, 2.48, 0.84, 0.16),
    ]
    if extra == "a stripe":
        side.insert(0, Shape(TRIM, "stripe", box(-2.48, 0.72, 2.46, 0.92)))
    top = rack(-1.9, 0.7, roof) if extra == "a roof rack" else []
    front = low_front(0.48, 0.26)
    block = Block(outline, glass=(5,), side=side, front=front, on_top=top)
    return Build([block], [Wheel(-1.55, 0.4), Wheel(1.6, 0.4)], 1.9)


def _bus(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof = dice.uniform(2.75, 2.95)
    outline = [
        (-3.5, 0.42),
        (-3.54, roof - 0.2),
        (-3.35, roof),
        (3.2, roof),
        (3.45, roof - 0.15),
        (3.56, 0.42),
    ]
    low, high = 1.45, roof - 0.35
    side = [
        Shape(TRIM, "dark", box(-3.5, 0.36, 3.55, 0.5)),
        Shape(BODY, "paint", box(2.3, 0.5, 3.2, high + 0.08), 0.62),
        Shape(DOOR, "glass", box(2.36, 0.56, 2.73, high), 0.9),
        Shape(DOOR, "glass", box(2.79, 0.56, 3.14, high), 0.9),
        *row(
            WINDOW,
            "glass",
            ((-3.35, low), (2.2, low)),
            ((-3.35, high), (2.2, high)),
            windows,
            0.06,
        ),
        *lamps(-3.54, 3.54, 0.7, 0.18),
    ]
    if extra == "a stripe":
        side.insert(0, Shape(TRIM, "stripe", box(-3.52, 0.95, 3.52, 1.22)))
    top = rack(-2.6, 1.6, roof) if extra == "a roof rack" else []
    block = Block(outline, side=side, front=tall_front(0.42), on_top=top)
    return Build([block], [Wheel(-2.25, 0.48), Wheel(1.75, 0.48)], 2.3)


def _pickup(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof, start = dice.uniform(1.62, 1.75), -0.62 if windows > 1 else -0.2
    floor, rim = 0.75, 1.1
    bed = Block(
        box(-2.6, 0.42, start, rim),
        side=[
            Shape(TRIM, "dark", box(-2.6, 0.38, start, 0.5)),
            Shape(LIGHT, "tail", box(-2.58, 0.75, -2.44, 1.02)),
            Shape(BODY, "paint", box(-2.6, rim - 0.1, start, rim), 1.12),
        ],
    )
    cab = Block(
        [
            (start, 0.42),
            (start, 1.1),
            (start + 0.12, roof),
            (0.75, roof + 0.02),
            (1.32, 1.14),
            (2.35, 1.04),
            (2.55, 0.86),
            (2.58, 0.42),
        ],
        glass=(3,),
        side=[
            Shape(TRIM, "dark", box(start, 0.38, 2.58, 0.5)),
            *doors([start + 0.08, 1.25], 0.54, 1.08),
            *row(
                WINDOW,
                "glass",
                ((start + 0.12, 1.14), (1.2, 1.14)),
                ((start + 0.2, roof - 0.1), (0.72, roof - 0.1)),
                windows,
                0.05,
            ),
            Shape(LIGHT, "lamp", box(2.36, 0.76, 2.55, 0.9)),
        ],
        front=low_front(0.5, 0.26),
    )
    if extra == "a stripe":
        bed.side.insert(0, Shape(TRIM, "stripe", box(-2.6, 0.66, start, 0.84)))
        cab.side.insert(0, Shape(TRIM, "stripe", box(start, 0.66, 2.55, 0.84)))
    bed.on_top = cargo(load, -2.5, start - 0.05, floor)
    return Build([bed, cab], [Wheel(-1.65, 0.43), Wheel(1.65, 0.43)], 1.85)


def _truck(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof = dice.uniform(2.45, 2.65)
    floor = 1.02
    bed = Block(
        box(-3.6, 0.62, 1.35, floor),
        color="dark",
        part=TRIM,
        side=[Shape(LIGHT, "tail", box(-3.58, 0.7, -3.42, 0.96))],
        on_top=cargo(load, -3.5, 1.05, floor),
    )
    blocks = [bed]
    if load is None:
        hold = Block(
            box(-3.6, floor, 1.2, dice.uniform(2.8, 3.05)),
            color="panel",
            side=[
                Shape(BODY, "panel", box(x, floor, x + 0.06, 2.8), 0.84)
                for x in (-2.6, -1.6, -0.6, 0.4)
            ],
        )
        if extra == "a stripe":
            hold.side.append(Shape(TRIM, "stripe", box(-3.6, 1.7, 1.2, 2.1)))
        blocks.append(hold)
    else:
        blocks.append(Block(box(1.1, floor, 1.25, 1.95), color="dark", part=TRIM))
    cab = Block(
        [
            (1.4, 0.5),
            (1.4, roof - 0.1),
            (1.55, roof),
            (2.7, roof),
            (3.0, roof - 0.2),
            (3.28, 1.3),
            (3.32, 0.5),
        ],
        side=[
            Shape(TRIM, "dark", box(1.4, 0.46, 3.32, 0.66)),
            *doors([1.65, 2.85], 0.72, 1.42),
            *row(
                WINDOW,
                "glass",
                ((1.62, 1.5), (3.02, 1.5)),
                ((1.62, roof - 0.28), (2.8, roof - 0.28)),
                windows,
                0.05,
            ),
            Shape(LIGHT, "lamp", box(3.08, 0.78, 3.28, 1.0)),
        ],
        glass=(4,),
        front=low_front(0.3, 0.3),
    )
    if extra == "a stripe":
        cab.side.insert(0, Shape(TRIM, "stripe", box(1.4, 1.0, 3.28, 1.22)))
    blocks.append(cab)
    wheels = [Wheel(-2.6, 0.5), Wheel(-1.5, 0.5), Wheel(2.25, 0.5)]
    return Build(blocks, wheels, 2.3)


def _tractor(dice: Random, windows: int, extra: str | None, load: str | None) -> Build:
    roof = dice.uniform(2.35, 2.55)
    hood = Block(
        [(-0.2, 0.62), (-0.2, 1.45), (1.55, 1.36), (1.8, 1.2), (1.82, 0.62)],
        side=[
            Shape(TRIM, "dark", box(0.4, 0.8, 1.5, 0.95)),
            Shape(TRIM, "dark", box(0.4, 1.05, 1.5, 1.18)),
            Shape(LIGHT, "lamp", box(1.58, 0.98, 1.78, 1.16)),
        ],
        front=low_front(0.45, 0.3),
    )
    cab = Block(
        [
            (-1.3, 0.75),
            (-1.35, 1.3),
            (-1.2, roof),
            (0.05, roof),
            (0.25, 1.4),
            (0.2, 0.75),
        ],
        glass=(3,),
        side=[
            *row(
                WINDOW,
                "glass",
                ((-1.22, 1.4), (0.15, 1.4)),
                ((-1.1, roof - 0.16), (0.0, roof - 0.16)),
                windows,
                0.06,
            ),
            *doors([-0.6, 0.12], 0.8, 1.36),
            Shape(LIGHT, "tail", box(-1.34, 1.02, -1.22, 1.2)),
        ],
    )
    if extra == "a stripe":
        hood.side.append(Shape(TRIM, "stripe", box(-0.2, 1.22, 1.6, 1.32)))
    hood.on_top = [Shape(TRIM, "dark", box(0.85, 1.36, 0.97, 2.1))]
    wheels = [Wheel(-0.95, 0.86, 0.6, "hub"), Wheel(1.3, 0.48, 0.6, "hub")]
    trailer = []
    if load is not None:
        trailer = [
            Block(
                box(-4.4, 0.72, -1.75, 0.95),
                color="wood",
                part=TRIM,
                side=[Shape(LIGHT, "tail", box(-4.38, 0.76, -4.24, 0.92))],
                on_top=cargo(load, -4.3, -1.85, 0.95),
            ),
            Block(box(-1.75, 0.74, -1.2, 0.84), color="dark", part=TRIM),
        ]
        wheels.append(Wheel(-3.2, 0.4))
    return Build([*trailer, cab, hood], wheels, 1.7)


def _fire_engine(
    dice: Random, windows: int, extra: str | None, load: str | None
) -> Build:
    roof = dice.uniform(2.35, 2.55)
    rear = Block(
        box(-3.5, 0.55, 0.95, 2.15),
        side=[
            Shape(TRIM, "dark", box(-3.5, 0.5, 0.95, 0.66)),
            *row(
                DOOR,
                "chrome",
                ((-3.35, 0.78), (0.8, 0.78)),
                ((-3.35, 1.72), (0.8, 1.72)),
                4,
                0.05,
            ),
            Shape(TRIM, "white", box(-3.5, 1.82, 0.95, 1.98)),
            Shape(LIGHT, "tail", box(-3.48, 0.68, -3.36, 0.95)),
        ],
    )
    cab = Block(
        [
            (0.95, 0.5),
            (0.95, roof),
            (2.75, roof),
            (3.0, roof - 0.18),
            (3.3, 1.35),
            (3.34, 0.5),
        ],
        glass=(3,),
        side=[
            Shape(TRIM, "dark", box(0.95, 0.46, 3.34, 0.62)),
            *doors([1.1, 2.0, 2.95] if windows > 1 else [1.4, 2.95], 0.66, 1.36),
            Shape(TRIM, "white", box(0.95, 1.38, 3.28, 1.48)),
            *row(
                WINDOW,
                "glass",
                ((1.1, 1.54), (3.05, 1.54)),
                ((1.1, roof - 0.22), (2.8, roof - 0.22)),
                windows,
                0.05,
            ),
            Shape(LIGHT, "lamp", box(3.1, 0.74, 3.32, 0.98)),
        ],
        front=low_front(0.32, 0.3),
    )
    beacon = rounded(box(1.6, roof, 2.15, roof + 0.26), 0.1)
    cab.on_top = [Shape(LIGHT, "beacon", beacon)]
    if extra == "a ladder":
        rear.on_top = ladder(-3.7, 1.5, 2.15)
    return Build([rear, cab], [Wheel(-2.4, 0.5), Wheel(2.2, 0.5)], 2.3)


_CARRIED = (None, "sand", "logs", "boxes", "hay")
KINDS = {
    "car": Kind(_car, (1, 2, 3), (None, "a stripe", "a roof rack")),
    "van": Kind(_van, (2, 3, 4), (None, "a stripe", "a roof rack")),
    "bus": Kind(_bus, (4, 5, 6), (None, "a stripe", "a roof rack")),
    "pickup": Kind(_pickup, (1, 2), (None, "a stripe"), _CARRIED),
    "truck": Kind(_truck, (1, 2), (None, "a stripe"), _CARRIED),
    "tractor": Kind(_tractor, (1, 2), (None, "a stripe"), _CARRIED),
    "fire engine": Kind(_fire_engine, (1, 2, 3), (None, "a ladder")),
}
