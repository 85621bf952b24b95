"""What stands round a vehicle: sky, sun or moon, clouds, hills and the ground."""

from math import sin
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw

Color = tuple[float, ...]


class Time(NamedTuple):
    """A time of day.

    Attributes:
        above: the color of the sky overhead.
        horizon: the color of the sky over the hills.
        light: what the colors of things are multiplied by.
        sun: the color of the sun or of the moon.
    """

    above: Color
    horizon: Color
    light: Color
    sun: Color


TIMES = {
    "by day": Time(
        (0.42, 0.68, 0.95), (0.86, 0.94, 0.99), (1.0, 1.0, 1.0), (1.0, 0.96, 0.78)
    ),
    "at dusk": Time(
        (0.36, 0.28, 0.52), (0.98, 0.62, 0.36), (0.92, 0.72, 0.66), (1.0, 0.89, 0.59)
    ),
    "at night": Time(
        (0.04, 0.07, 0.2), (0.2, 0.26, 0.46), (0.55, 0.58, 0.74), (0.93, 0.93, 0.86)
    ),
}
GROUNDS = {
    "a road": (0.45, 0.45, 0.48),
    "grass": (0.42, 0.62, 0.3),
    "sand": (0.88, 0.78, 0.56),
    "snow": (0.93, 0.95, 0.98),
}


def to_bytes(color: Color, shade: float = 1.0) -> tuple[int, ...]:
    """A color of shares as one of bytes, multiplied by `shade`."""
    return tuple(max(0, min(255, round(255 * shade * share))) for share in color)


def lit(color: Color, light: Color) -> Color:
    """A color in a colored light: their product."""
    return tuple(share * strength for share, strength in zip(color, light, strict=True))


def paint_scenery(
    image: Image.Image, dice: Random, time: str, ground: str, edge: int
) -> None:
    """Paint sky, hills and ground over the whole of a square picture.

    Args:
        image: the picture; painted in place.
        dice: lots for clouds, hills and pebbles.
        time: a key of `TIMES`.
        ground: a key of `GROUNDS`.
        edge: the row where the ground begins, in pixels.
    """
    draw = ImageDraw.Draw(image)
    _sky(image, draw, dice, time, edge)
    _hills(draw, dice, TIMES[time], image.width, edge)
    _ground(image, draw, dice, lit(GROUNDS[ground], TIMES[time].light), ground, edge)


def _fade(image: Image.Image, colors: np.ndarray, top: int) -> None:
    """Rows of one color each, (rows, 3), from `top` downwards."""
    rows = np.clip(255 * colors, 0, 255).astype(np.uint8)[:, None]
    strip = Image.fromarray(rows)
    size = image.width, len(rows)
    image.paste(strip.resize(size, Image.Resampling.NEAREST), (0, top))


def _sky(
    image: Image.Image, draw: ImageDraw.ImageDraw, dice: Random, time: str, edge: int
) -> None:
    side = image.width
    above, horizon, _, sun = TIMES[time]
    share = np.linspace(0, 1, edge)[:, None] ** 1.3
    _fade(image, (1 - share) * np.array(above) + share * np.array(horizon), 0)
    for _ in range(18 if time == "at night" else 0):
        x, y = dice.random() * side, dice.random() * 0.55 * side
        draw.ellipse((x, y, x + side / 140, y + side / 140), (220, 220, 235))
    x, y, r = dice.uniform(0.1, 0.9) * side, dice.uniform(0.08, 0.2) * side, 0.05 * side
    if time == "at dusk":
        y, r = edge - 0.02 * side, 0.075 * side
    draw.ellipse((x - r, y - r, x + r, y + r), to_bytes(sun))
    for _ in range(3 if time == "by day" else 0):
        left, low = dice.uniform(-0.1, 0.9) * side, dice.uniform(0.12, 0.42) * side
        for number, size in enumerate((0.035, 0.055, 0.04)):
            x, r = left + 0.05 * number * side, size * side
            draw.ellipse((x - 1.3 * r, low - r, x + 1.3 * r, low + 0.6 * r), "white")


def _hills(
    draw: ImageDraw.ImageDraw, dice: Random, time: Time, side: int, edge: int
) -> None:
    """Two ranges, the far one paler: the more air, the more of the sky's color."""
    for color, air, height in (
        ((0.2, 0.34, 0.36), 0.55, 0.16),
        ((0.16, 0.3, 0.24), 0.28, 0.08),
    ):
        phase, speed = dice.uniform(0, 6), dice.uniform(1.5, 3.5)
        line = []
        for i in range(25):
            wave = sin(phase + speed * i / 8) * sin(0.7 * phase + i / 5)
            y = edge - height * side * (0.55 + 0.45 * wave)
            line.append((i / 24 * side, y))
        mixed = tuple(
            (1 - air) * a + air * b for a, b in zip(color, time.horizon, strict=True)
        )
        half = tuple(0.4 + 0.6 * share for share in time.light)
        draw.polygon([(0, side), *line, (side, side)], to_bytes(lit(mixed, half)))


def _ground(
    image: Image.Image,
    draw: ImageDraw.ImageDraw,
    dice: Random,
    color: Color,
    ground: str,
    edge: int,
) -> None:
    side = image.width
    _fade(image, np.linspace(0.86, 1.06, side - edge)[:, None] * np.array(color), edge)
    unit = side / 288
    for _ in range(26):  # blades of grass or pebbles, larger where they are near
        x, y = dice.random() * side, dice.uniform(edge + 4 * unit, side)
        length = (2 + 7 * (y - edge) / (side - edge)) * unit
        tone = dice.choice((0.86, 1.1))
        if ground == "grass":
            draw.line((x, y, x + unit, y - length), to_bytes(color, tone), 2)
        else:
            length *= 3 if ground == "a road" else 1
            pebble = (x, y, x + length, y + length / 4)
            draw.ellipse(pebble, to_bytes(color, 0.5 + tone / 2))
    if ground == "a road":
        y, shift = 0.93 * side, dice.random() * 0.25 * side
        for number in range(-1, 5):
            x, top = number * 0.25 * side + shift, y - 5 * unit
            right, slant = x + 0.13 * side, 0.02 * side
            dash = [(x, y), (x + slant, top), (right, top), (right - slant, y)]
            draw.polygon(dash, to_bytes(color, 1.75))
