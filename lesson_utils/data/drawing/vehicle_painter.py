"""Paints vehicles: a picture and, by the same strokes, the map of its parts."""

from random import Random

import numpy as np
from PIL import Image, ImageDraw

from lesson_utils.data.drawing.vehicle_scenery import (
    GROUNDS,
    TIMES,
    lit,
    paint_scenery,
    to_bytes,
)
from lesson_utils.data.drawing.vehicle_shapes import (
    BACKGROUND,
    BODY,
    GROUND,
    WHEEL,
    WINDOW,
    Block,
    Build,
    Point,
    Wheel,
    box,
    disk,
)

_FINER = 3  # pixels are drawn so many times finer, then averaged

PAINTS = {
    "red": (0.84, 0.16, 0.14),
    "orange": (0.95, 0.52, 0.12),
    "yellow": (0.96, 0.82, 0.2),
    "green": (0.2, 0.58, 0.28),
    "blue": (0.16, 0.4, 0.82),
    "purple": (0.52, 0.28, 0.68),
    "white": (0.94, 0.94, 0.92),
    "black": (0.17, 0.17, 0.2),
}
_MATERIALS = {
    "glass": (0.56, 0.74, 0.84),
    "tire": (0.12, 0.12, 0.13),
    "rim": (0.78, 0.79, 0.8),
    "hub": (0.95, 0.78, 0.25),
    "lamp": (1.0, 0.95, 0.7),
    "tail": (0.86, 0.1, 0.1),
    "beacon": (0.2, 0.45, 1.0),
    "chrome": (0.8, 0.82, 0.84),
    "dark": (0.22, 0.23, 0.26),
    "white": (0.95, 0.95, 0.94),
    "panel": (0.9, 0.9, 0.87),
    "leather": (0.5, 0.3, 0.18),
    "sand": (0.86, 0.72, 0.45),
    "bark": (0.42, 0.28, 0.18),
    "wood": (0.8, 0.62, 0.4),
    "card": (0.76, 0.58, 0.38),
    "hay": (0.9, 0.78, 0.36),
}
_SHINING = {"lamp", "beacon"}  # these are not darkened by the night


class _Canvas:
    """Polygons in meters, drawn into a picture and a map at once."""

    def __init__(self, size: int, scale: float, origin: Point, mirrored: bool) -> None:
        self.size, self.scale, self.origin = size * _FINER, scale * _FINER, origin
        self.mirrored = mirrored
        self.image = Image.new("RGB", (self.size, self.size))
        self.parts = Image.new("L", (self.size, self.size), BACKGROUND)
        self.draw = ImageDraw.Draw(self.image)
        self.draw_part = ImageDraw.Draw(self.parts)

    def fill(self, points: list[Point], part: int, color: tuple) -> None:
        left, bottom = self.origin[0] * self.size, self.origin[1] * self.size
        corners = [(left + x * self.scale, bottom - y * self.scale) for x, y in points]
        if self.mirrored:
            corners = [(self.size - x, y) for x, y in corners]
        self.draw.polygon(corners, fill=color)
        self.draw_part.polygon(corners, fill=part)


def paint_vehicle(
    build: Build,
    size: int,
    dice: Random,
    *,
    paint: str,
    time: str,
    ground: str,
    three_quarter: bool,
    mirrored: bool,
) -> tuple[np.ndarray, np.ndarray]:
    """A picture of a vehicle and the map of its parts.

    Args:
        build: how it is built.
        size: S, the side of the picture, in pixels.
        dice: lots for the place, the scenery and small changes of the colors.
        paint: a key of `PAINTS`.
        time: a key of `TIMES`.
        ground: a key of `GROUNDS`.
        three_quarter: whether front and roof are seen, too.
        mirrored: whether it faces left.

    Returns:
        The picture, (S, S, 3), uint8, and the map, (S, S), uint8, of `PARTS`.
    """
    depth = (0.0, 0.0)
    if three_quarter:
        depth = (0.5 * build.width, 0.27 * build.width)
    points = [p for block in build.blocks for p in block.outline]
    shapes = [shape for block in build.blocks for shape in block.on_top]
    points += [p for shape in shapes for p in shape.points]
    left, right = min(x for x, _ in points), max(x for x, _ in points) + depth[0]
    top = max(y for _, y in points) + depth[1]
    share = dice.uniform(0.8, 0.92)
    scale = min(share * size / (right - left), 0.66 * size / top)
    floor = dice.uniform(0.78, 0.84)
    middle = 0.5 + dice.uniform(-0.5, 0.5) * (0.94 - (right - left) * scale / size)
    origin = (middle - (left + right) / 2 * scale / size, floor)
    canvas = _Canvas(size, scale, origin, mirrored)
    palette = _palette(dice, paint, time)
    edge = round((floor - dice.uniform(0.1, 0.16)) * canvas.size)
    paint_scenery(canvas.image, dice, time, ground, edge)
    canvas.draw_part.rectangle((0, edge, canvas.size, canvas.size), GROUND)
    _shadow(canvas, build, depth, ground, time)
    if time == "at night":
        _beam(canvas, build, depth, ground)
    _vehicle(canvas, build, depth, palette)
    image = np.array(canvas.image.reduce(_FINER))
    parts = np.asarray(canvas.parts)[_FINER // 2 :: _FINER, _FINER // 2 :: _FINER]
    return image, parts.copy()


def _palette(dice: Random, paint: str, time: str) -> dict[str, tuple[float, ...]]:
    light = TIMES[time].light
    colors = _MATERIALS | {"paint": PAINTS[paint]}
    colors["stripe"] = (0.95, 0.95, 0.94) if paint != "white" else (0.84, 0.16, 0.14)
    if time == "at night":
        colors["glass"] = (1.6, 1.3, 0.75) if dice.random() < 0.6 else (0.4, 0.5, 0.6)
    elif time == "at dusk":
        colors["glass"] = (0.62, 0.6, 0.72)
    tint = [dice.uniform(-0.035, 0.035) for _ in "RGB"]
    colors["paint"] = tuple(c + t for c, t in zip(colors["paint"], tint, strict=True))
    return {
        name: color if name in _SHINING else lit(color, light)
        for name, color in colors.items()
    }


def _shadow(
    canvas: _Canvas, build: Build, depth: Point, ground: str, time: str
) -> None:
    xs = [x for block in build.blocks for x, _ in block.outline]
    left, right = min(xs), max(xs)
    color = lit(GROUNDS[ground], TIMES[time].light)
    dx, dy = depth[0] or 0.1, depth[1] or 0.12
    points = [
        (left - 0.1, -0.08),
        (left - 0.1 + dx, dy),
        (right + 0.1 + dx, dy),
        (right + 0.1, -0.08),
    ]
    canvas.fill(points, GROUND, to_bytes(color, 0.55))


def _beam(canvas: _Canvas, build: Build, depth: Point, ground: str) -> None:
    """What the head lamps light on the ground."""
    start = max(x for block in build.blocks for x, _ in block.outline)
    dx, dy = depth[0] or 0.1, depth[1] or 0.12
    for reach, strength in ((3.2, 0.72), (1.9, 0.9)):
        points = [
            (start, 0.0),
            (start + dx, dy),
            (start + dx + reach, dy + 0.05),
            (start + 0.9 * reach, -0.3),
        ]
        warm = lit(GROUNDS[ground], (1.0, 0.93, 0.75))
        canvas.fill(points, GROUND, to_bytes(warm, strength))


def _vehicle(canvas: _Canvas, build: Build, depth: Point, palette: dict) -> None:
    dx, dy = depth
    if dx:
        for wheel in build.wheels:
            hub = disk(wheel.x + 0.92 * dx, wheel.radius + 0.92 * dy, wheel.radius, 0.9)
            canvas.fill(hub, WHEEL, to_bytes(palette["tire"]))
    for block in build.blocks:
        _block(canvas, block, depth, palette)
        for shape in block.on_top:
            points = [(x + 0.45 * dx, y + 0.45 * dy) for x, y in shape.points]
            canvas.fill(points, shape.part, to_bytes(palette[shape.color], shape.shade))
    for wheel in build.wheels:
        _wheel(canvas, wheel, palette)


def _block(canvas: _Canvas, block: Block, depth: Point, palette: dict) -> None:
    """Roof and front by drawing the outline out in depth; then the side."""
    dx, dy = depth
    color = palette[block.color]
    edges = list(zip(block.outline, block.outline[1:], strict=False))
    if dx:
        for i, (a, b) in enumerate(edges):
            nx, ny = a[1] - b[1], b[0] - a[0]
            if nx * dx + ny * dy <= 0:
                continue
            length = (nx * nx + ny * ny) ** 0.5
            shade = 1.0 + 0.16 * ny / length - 0.16 * abs(nx) / length
            face = [a, (a[0] + dx, a[1] + dy), (b[0] + dx, b[1] + dy), b]
            canvas.fill(face, block.part, to_bytes(color, shade))
            if i in block.glass:
                glass = [_at(a, b, depth, s, t) for s, t in box(0.08, 0.08, 0.92, 0.92)]
                canvas.fill(glass, WINDOW, to_bytes(palette["glass"], 1.08))
            if i == len(edges) - 1:
                for shape in block.front:
                    points = [_at(a, b, depth, s, t) for s, t in box(*shape.place)]
                    tone = to_bytes(palette[shape.color], shape.shade)
                    canvas.fill(points, shape.part, tone)
    canvas.fill(block.outline, block.part, to_bytes(color))
    low = min(y for _, y in block.outline)
    high = max(y for _, y in block.outline)
    if block.part == BODY and high - low > 0.4:  # lighter towards the light
        sill = low + 0.35 * (high - low)
        lower = [(x, min(y, sill)) for x, y in block.outline]
        canvas.fill(lower, block.part, to_bytes(color, 0.86))
    for shape in block.side:
        canvas.fill(
            shape.points, shape.part, to_bytes(palette[shape.color], shape.shade)
        )
        if shape.color == "glass":
            _reflection(canvas, shape.points, shape.part, palette)


def _at(top: Point, bottom: Point, depth: Point, s: float, t: float) -> Point:
    """A point of a face, at shares s of its depth and t of its height."""
    x = bottom[0] + t * (top[0] - bottom[0]) + s * depth[0]
    return x, bottom[1] + t * (top[1] - bottom[1]) + s * depth[1]


def _reflection(canvas: _Canvas, points: list[Point], part: int, palette: dict) -> None:
    """A light corner on a pane."""
    (x1, y1), (x2, y2), (x3, _), (x4, _) = points
    ends = (x2 + 0.55 * (x3 - x2), y2), (x1 + 0.15 * (x4 - x1), y1)
    corner = [(x1, y1), (x2, y2), *ends]
    canvas.fill(corner, part, to_bytes(palette["glass"], 1.14))


def _wheel(canvas: _Canvas, wheel: Wheel, palette: dict) -> None:
    x, r = wheel.x, wheel.radius
    arch = [(p, q) for p, q in disk(x, r, 1.22 * r) if q >= r - 0.1 * r]
    canvas.fill(arch, BODY, to_bytes(palette["tire"], 0.7))
    canvas.fill(disk(x, r, r), WHEEL, to_bytes(palette["tire"], 1.15))
    rim, color = wheel.rim * r, palette[wheel.color]
    canvas.fill(disk(x, r, rim), WHEEL, to_bytes(color))
    canvas.fill(disk(x, r, 0.5 * rim), WHEEL, to_bytes(color, 0.7))
    canvas.fill(disk(x, r, 0.22 * rim), WHEEL, to_bytes(palette["tire"], 2))
