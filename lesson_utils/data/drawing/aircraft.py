"""Draws an airliner from the side: its parts as polygons, its paint, light and sky.

Coordinates are in fuselage heights: x from the nose to the tail, y up from the middle
of the fuselage. A `View` turns them into pixels of the canvas.
"""

import colorsys
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from lesson_utils.data.drawing.airframes import Airframe

FINER = 3  # the canvas is drawn this much finer than the picture, which softens edges

Color = tuple[float, float, float]
Box = tuple[float, float, float, float]
Points = np.ndarray | Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Paint:
    """What an airline and the weather do to an aircraft.

    Attributes:
        body: color of the upper fuselage.
        belly: color below the belly line.
        accent: color of the fin, the stripe and the rear.
        engine: color of the engines.
        glass: color of the windows.
        belly_line: height of the belly line.
        stripe: height of the stripe; None for none.
        rear: where the accent begins, as a share of the length.
        contrast: of light from above, 0 for none.
    """

    body: Color
    belly: Color
    accent: Color
    engine: Color
    glass: Color
    belly_line: float
    stripe: float | None
    rear: float
    contrast: float


class View:
    """A pose: where points of the aircraft are in the picture, and how to draw there.

    Args:
        rng: the dice.
        frame: whose length has to fit.
        canvas: of `FINER` times the picture's size.
    """

    def __init__(self, rng: Generator, frame: Airframe, canvas: Image.Image) -> None:
        self.draw = ImageDraw.Draw(canvas)
        self.side = canvas.width
        pitch = math.radians(rng.uniform(-9, 9))
        shorter = rng.uniform(0.86, 1.0)  # seen a little from the front or from behind
        mirrored = -1 if rng.random() < 0.5 else 1
        scale = self.side * rng.uniform(0.8, 0.98) / (frame.length + 0.4)
        turn = np.array(
            [[math.cos(pitch), math.sin(pitch)], [-math.sin(pitch), math.cos(pitch)]]
        )
        # Rows: x and y of a point; y points down in pictures.
        self.matrix = turn @ np.diag([shorter * mirrored, -1.0]) * scale
        corners = np.array([(0, -1.1), (0, 1.9), (frame.length + 0.4, 1.9)])
        corners = np.vstack([corners, (frame.length + 0.4, -1.1)]) @ self.matrix.T
        low, high = -corners.min(0), self.side - corners.max(0)
        # Anywhere it fits; where it does not, in the middle.
        share = rng.uniform(0.1, 0.9, 2)
        self.offset = np.where(low < high, low + share * (high - low), (low + high) / 2)
        self.boxes: dict[str, list[np.ndarray]] = {}

    def polygon(self, points: Points, color: Color, part: str = "") -> None:
        """Fill a polygon, and count it as part of `part` if that is named."""
        there = np.asarray(points) @ self.matrix.T + self.offset
        self.draw.polygon(there.ravel().tolist(), _bytes(color))
        if part:
            self.boxes.setdefault(part, []).append(there)

    def outline(self, points: Points, color: Color) -> None:
        """Draw a closed line of about a pixel's width."""
        there = np.asarray(points) @ self.matrix.T + self.offset
        path = np.concatenate([there, there[:1]]).ravel().tolist()
        self.draw.line(path, _bytes(color), width=max(1, self.side // 220))

    def part_boxes(self) -> dict[str, Box]:
        """The box of each named part, xyxy, as shares of the picture."""
        result = {}
        for part, polygons in self.boxes.items():
            points = np.clip(np.vstack(polygons) / self.side, 0, 1)
            result[part] = (*points.min(0).tolist(), *points.max(0).tolist())
        return result


def draw_aircraft(
    rng: Generator, frame: Airframe, size: int
) -> tuple[np.ndarray, dict[str, Box]]:
    """An aircraft in the sky or on the ground.

    Args:
        rng: the dice.
        frame: the variant.
        size: S, the picture's side, in pixels.

    Returns:
        The picture, (S, S, 3), uint8, and the boxes of its parts, xyxy as shares.
    """
    canvas = _sky(rng, size)
    view, paint = View(rng, frame, canvas), _paint(rng)
    gear_down = rng.random() < 0.5
    if frame.engines == "three":
        _nacelle(view, paint, frame.length - 1.75, 0.78, 1.5, 0.42)
    _fin(view, frame, paint)
    if gear_down:
        _gear(view, frame)
    _fuselage(view, frame, paint)
    _roof(view, frame, paint)
    _openings(view, frame, paint)
    _stabilizer(view, frame, paint)
    _wing(view, frame, paint)
    _engines(view, frame, paint)
    pixels = np.asarray(canvas.reduce(FINER), dtype=np.float32)
    grain = rng.normal(0, rng.uniform(1, 6), (size, size, 1))
    pixels = pixels * rng.uniform(0.8, 1.08) + grain
    return np.clip(pixels, 0, 255).astype(np.uint8), view.part_boxes()


def _bytes(color: Color) -> tuple[int, int, int]:
    return tuple(min(255, max(0, round(255 * value))) for value in color)


def _shade(color: Color, factor: float) -> Color:
    return tuple(value * factor for value in color)


def _hue(rng: Generator, saturation: tuple, value: tuple) -> Color:
    return colorsys.hsv_to_rgb(
        rng.uniform(), rng.uniform(*saturation), rng.uniform(*value)
    )


def _paint(rng: Generator) -> Paint:
    light = rng.uniform(0.82, 0.98)
    white = (light, light, light * rng.uniform(0.96, 1.03))
    accent = _hue(rng, (0.5, 1), (0.3, 0.9))
    body = white if rng.random() < 0.75 else _hue(rng, (0.15, 0.6), (0.7, 0.95))
    gray = rng.uniform(0.5, 0.8)
    return Paint(
        body=body,
        belly=((gray,) * 3, body, accent)[rng.integers(3)],
        accent=accent,
        engine=((0.8, 0.8, 0.82), accent, body)[rng.integers(3)],
        glass=_shade((0.16, 0.19, 0.26), rng.uniform(0.6, 1.4)),
        belly_line=rng.uniform(-0.42, -0.15),
        stripe=rng.uniform(-0.1, -0.02) if rng.random() < 0.4 else None,
        rear=rng.uniform(0.74, 1.1),
        contrast=rng.uniform(0.15, 0.6),
    )


def _sky(rng: Generator, size: int) -> Image.Image:
    """A canvas of sky with clouds, half of the time above some ground."""
    hue, low = rng.uniform(0.5, 0.68), rng.uniform(0.75, 1.0)
    saturation = rng.uniform(0, 0.6)
    high = low * rng.uniform(0.6, 1.0)
    fade = np.linspace(0, 1, size)[:, None, None]
    top = np.array(colorsys.hsv_to_rgb(hue, saturation, high))
    bottom = np.array(colorsys.hsv_to_rgb(hue + rng.uniform(-0.4, 0), 0.2, low))
    sky = np.broadcast_to(top * (1 - fade) + bottom * fade, (size, size, 3)).copy()
    clouds = _smooth(rng, size, int(rng.integers(3, 8)))[..., None]
    sky += (np.clip(clouds, 0, 1) * rng.uniform(-0.25, 0.45)) * (1 - sky)
    if rng.random() < 0.5:
        start = int(size * rng.uniform(0.6, 0.95))
        ground = np.array(_hue(rng, (0.05, 0.35), (0.3, 0.65)))
        fields = 0.06 * _smooth(rng, size, 6) + 0.04 * _smooth(rng, size, size // 3)
        sky[start:] = ground * (1 + fields[start:, :, None])
        _add_skyline(rng, sky, start)
    pixels = (np.clip(sky, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels).resize((FINER * size,) * 2, Image.BILINEAR)


def _smooth(rng: Generator, size: int, cells: int) -> np.ndarray:
    """Smooth noise, (S, S), about -1 to 1."""
    coarse = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.BICUBIC))


def _add_skyline(rng: Generator, sky: np.ndarray, start: int) -> None:
    """Hangars and trees along the horizon."""
    size = len(sky)
    color = np.array(_hue(rng, (0.05, 0.4), (0.2, 0.7)))
    for _ in range(int(rng.integers(0, 6))):
        left, width = int(rng.uniform(0, size)), int(size * rng.uniform(0.04, 0.25))
        height = int(size * rng.uniform(0.02, 0.1))
        piece = color * rng.uniform(0.7, 1.2)
        sky[start - height : start, left : left + width] = piece


def _profile(frame: Airframe) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the fuselage ends above and below, at points from nose to tail."""
    length = frame.length
    x = np.concatenate(
        [np.linspace(0, 1.1, 14) ** 1.6 / 1.1**0.6, np.linspace(1.2, length, 40)]
    )
    nose = np.sqrt(np.clip(1 - (1 - np.clip(x / 1.15, 0, 1)) ** 2, 0, None))
    top = -0.1 + 0.6 * nose
    bottom = -0.1 - 0.4 * nose
    tail = np.clip((x - (length - 2.4)) / 2.4, 0, 1)
    bottom = bottom + 0.72 * tail**1.5
    top = top - 0.14 * np.clip((x - (length - 1.0)) / 1.0, 0, 1) ** 2
    if frame.hump:
        rise = np.clip((x - 0.25) / 0.75, 0, 1)
        fall = np.clip((frame.hump + 0.8 - x) / 0.8, 0, 1)
        smooth = (rise * rise * (3 - 2 * rise)) * (fall * fall * (3 - 2 * fall))
        top = top + 0.3 * smooth
    return x, top, bottom


def _fuselage(view: View, frame: Airframe, paint: Paint) -> None:
    """Level bands, each with its own light, as on a cylinder lit from above."""
    profile = _profile(frame)
    edges = np.linspace(-0.5, 0.5 + 0.3 * bool(frame.hump), 9).tolist()
    for levels in pairwise(edges):
        middle = sum(levels) / 2
        light = 1 + paint.contrast * (min(middle, 0.4) - 0.15)
        base = paint.belly if middle < paint.belly_line else paint.body
        _band(view, profile, levels, _shade(base, light))
        # The accent begins along a slanted line, the same in all bands.
        rear = tuple(frame.length * paint.rear - 1.2 * level for level in levels)
        _band(view, profile, levels, _shade(paint.accent, light), start=rear)
    if paint.stripe is not None:
        levels = paint.stripe - 0.05, paint.stripe + 0.05
        _band(view, profile, levels, paint.accent, start=(0.2, 0.2))
    cockpit = 0.33 + 0.3 * bool(frame.hump)
    glass = [(0.42, cockpit - 0.17), (0.5, cockpit), (0.86, cockpit + 0.04)]
    view.polygon([*glass, (0.86, cockpit - 0.15)], paint.glass, "cockpit")
    x, top, bottom = profile
    outline = [*zip(x, top, strict=True), *zip(x[::-1], bottom[::-1], strict=True)]
    view.outline(outline, _shade(paint.body, 0.55))


def _band(
    view: View,
    profile: tuple[np.ndarray, np.ndarray, np.ndarray],
    levels: tuple[float, float],
    color: Color,
    *,
    start: tuple[float, float] = (0.0, 0.0),
) -> None:
    """The part of the fuselage between two levels, behind `start` at each of them."""
    x, top, bottom = profile
    if max(start) >= x[-1]:
        return
    edges = []
    for level, first in zip(levels, start, strict=True):
        behind = int(x.searchsorted(first, side="right"))
        edge = np.empty((1 + len(x) - behind, 2))
        edge[0, 0], edge[1:, 0] = first, x[behind:]
        low, high = np.interp(first, x, bottom), np.interp(first, x, top)
        edge[0, 1] = min(max(level, low), high)
        np.minimum(np.maximum(level, bottom[behind:]), top[behind:], out=edge[1:, 1])
        edges.append(edge)
    view.polygon(np.concatenate([edges[0], edges[1][::-1]]), color)


def _rectangle(x: float, y: float, width: float, height: float) -> list:
    """Corners around a middle, cut a little at the corners."""
    w, h = width / 2, height / 2
    cut = 0.3 * min(w, h)
    return [
        (x - w, y - h + cut),
        (x - w + cut, y - h),
        (x + w - cut, y - h),
        (x + w, y - h + cut),
        (x + w, y + h - cut),
        (x + w - cut, y + h),
        (x - w + cut, y + h),
        (x - w, y + h - cut),
    ]


def _openings(view: View, frame: Airframe, paint: Paint) -> None:
    """Windows, the same distance apart in all aircraft, doors and small exits."""
    pitch, row = 0.27, 0.14
    start = 1.42
    doors = [share * frame.length for share in frame.doors]
    for number in range(frame.windows):
        shape = _rectangle(start + number * pitch, row, 0.15, 0.2)
        view.polygon(shape, paint.glass, "windows")
    if frame.hump:
        for number in range(round((frame.hump - 1.1) / pitch)):
            shape = _rectangle(1.2 + number * pitch, 0.56, 0.13, 0.14)
            view.polygon(shape, paint.glass, "upper deck")
    edge = _shade(paint.body, 0.45)
    for x in doors:
        shape = _rectangle(x, 0.04, 0.3, 0.56)
        view.polygon(shape, paint.body, "doors")
        view.outline(shape, edge)
        view.polygon(_rectangle(x, 0.16, 0.09, 0.12), paint.glass)
    for number in range(frame.exits):
        shape = _rectangle(0.47 * frame.length + 0.3 * number, 0.1, 0.22, 0.34)
        view.polygon(shape, _shade(paint.body, 0.93), "exits")
        view.outline(shape, edge)


def _roof(view: View, frame: Airframe, paint: Paint) -> None:
    """Antennas: blades behind each other."""
    for number in range(frame.antennas):
        x = 0.36 * frame.length + 0.55 * number
        blade = [(x, 0.46), (x + 0.12, 0.74), (x + 0.24, 0.74), (x + 0.24, 0.46)]
        if x > frame.hump + 0.8:
            view.polygon(blade, _shade(paint.body, 0.5), "antennas")


def _fin(view: View, frame: Airframe, paint: Paint) -> None:
    end = frame.length
    front = end - 3.0 if frame.dorsal else end - 2.0
    ridge = [(front, 0.42), (end - 1.62, 0.72)] if frame.dorsal else [(front, 0.42)]
    points = [*ridge, (end - 0.72, 1.8), (end - 0.12, 1.8), (end - 0.35, 0.3)]
    view.polygon(points, paint.accent, "fin")
    view.outline(points, _shade(paint.accent, 0.6))


def _stabilizer(view: View, frame: Airframe, paint: Paint) -> None:
    end, y = frame.length, 1.76 if frame.tail == "T" else 0.22
    gray = _shade((0.7, 0.71, 0.74), 0.9)
    points = [(end - 1.15, y), (end - 0.3, y - 0.05), (end + 0.3, y + 0.1)]
    points.append((end - 0.02, y + 0.14))
    view.polygon(points, gray, "stabiliser")
    view.outline(points, _shade(gray, 0.6))


def _wing(view: View, frame: Airframe, paint: Paint) -> None:
    root = _wing_root(frame)
    gray = (0.66, 0.67, 0.7)
    tip_x, tip_y = root + 2.35, -0.02
    if frame.tips == "raked":
        tip_x += 0.45
        tip = [(tip_x, tip_y + 0.07)]
    else:
        tip = [(tip_x + 0.32, tip_y), (tip_x, tip_y + 0.05)]
    points = [(root, -0.28), (root + 1.45, -0.4), *tip]
    view.polygon(points, gray, "wing")
    view.outline(points, _shade(gray, 0.6))
    up = [(tip_x, tip_y), (tip_x + 0.36, tip_y)]
    if frame.tips == "winglet":
        blade = [*up, (tip_x + 0.6, tip_y + 0.52), (tip_x + 0.42, tip_y + 0.52)]
        view.polygon(blade, paint.accent, "tip")
    elif frame.tips == "fence":
        view.polygon([*up, (tip_x + 0.52, tip_y + 0.28)], paint.accent, "tip")
        view.polygon([*up, (tip_x + 0.52, tip_y - 0.22)], paint.accent, "tip")
    else:
        view.boxes["tip"] = [np.asarray([*up, *tip]) @ view.matrix.T + view.offset]


def _wing_root(frame: Airframe) -> float:
    return (0.46 if frame.engines == "rear" else 0.36) * frame.length


def _engines(view: View, frame: Airframe, paint: Paint) -> None:
    root, size = _wing_root(frame), frame.engine_size
    if frame.engines == "rear":
        _nacelle(view, paint, frame.length - 2.9, 0.2, 1.2 * size, 0.38 * size)
        return
    _nacelle(view, paint, root - 0.15, -0.66, 0.95 * size, 0.42 * size)
    if frame.engines == "two":
        _nacelle(view, paint, root + 0.95, -0.5, 0.9 * size, 0.38 * size)


def _nacelle(
    view: View, paint: Paint, x: float, y: float, length: float, diameter: float
) -> None:
    """An engine from its intake at x; darker below."""
    r = diameter / 2
    body = [(x, y + 0.85 * r), (x + 0.25 * length, y + r), (x + length, y + 0.45 * r)]
    body += [(px, 2 * y - py) for px, py in reversed(body)]
    view.polygon(body, paint.engine, "engines")
    lower = [(x, y), (x, y - 0.85 * r), (x + 0.25 * length, y - r)]
    lower += [(x + length, y - 0.45 * r), (x + length, y)]
    view.polygon(lower, _shade(paint.engine, 0.75))
    view.polygon(_rectangle(x + 0.05, y, 0.1, 1.7 * r), (0.3, 0.3, 0.33))
    view.outline(body, _shade(paint.engine, 0.5))


def _gear(view: View, frame: Airframe) -> None:
    """Nose and main wheels, which say nothing about the variant."""
    rubber = (0.12, 0.12, 0.13)
    for x in (0.95, 0.52 * frame.length):
        view.polygon(_rectangle(x, -0.62, 0.07, 0.5), (0.5, 0.5, 0.52))
        for wheel in (x - 0.14, x + 0.14):
            view.polygon(_rectangle(wheel, -0.92, 0.24, 0.24), rubber)
