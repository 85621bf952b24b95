"""Shapes and a painter: what `creatures` draws with.

A sprite is a list of `Part`s, painted one over another. Shapes live in a plane of
their own, x to the right and y down, in units of about half a creature; the painter
scales the whole list into the frame. A painted sprite is an array of color
indices, `4 * ramp + tone`: a ramp is one material in four tones (0 line, 1 shadow,
2 base, 3 light), and index 0 is the background.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from math import comb, cos, hypot, pi, sin, sqrt
from typing import NamedTuple

import numpy as np

BODY, ACCENT, BELLY, SPARK, EYE, IRIS, INK, MOUTH, CHEEK = range(1, 10)
LINE, SHADOW, BASE, LIGHT = range(4)
OUTLINE = 4 * INK + LINE

# Where a shape's middle is 0 and its edge at 1, brightness is (1.2 * distance towards
# the light) - (distance from the middle) ** 2. Equal brightness makes circles about a
# point between the middle and the light: a highlight there, a crescent of shadow.
SHADOW_BELOW, LIGHT_ABOVE = -0.95, 0.14

Bounds = tuple[float, float, float, float]
Light = tuple[float, float]
Sample = tuple[np.ndarray, np.ndarray | None]


class Ellipse(NamedTuple):
    """An ellipse, turned by `angle`; `taper` > 0 widens its lower end to a pear."""

    x: float
    y: float
    rx: float
    ry: float
    angle: float = 0.0
    taper: float = 0.0

    def mirrored(self) -> "Ellipse":
        """The shape on the other side of x = 0."""
        return self._replace(x=-self.x, angle=-self.angle)

    def bounds(self) -> Bounds:
        """The box around the shape: x1, y1, x2, y2."""
        c, s, rx = cos(self.angle), sin(self.angle), self.rx
        if self.taper:
            t = self.taper  # the row where (1 + t v) sqrt(1 - v^2) is largest
            v = (sqrt(1 + 8 * t * t) - 1) / (4 * t)
            rx *= (1 + t * v) * sqrt(1 - v * v)
        w, h = hypot(rx * c, self.ry * s), hypot(rx * s, self.ry * c)
        return self.x - w, self.y - h, self.x + w, self.y + h

    def sample(self, x: np.ndarray, y: np.ndarray, light: Light | None) -> Sample:
        """Distance and brightness at each pixel.

        Args:
            x: (W,), where the columns lie.
            y: (H, 1), where the rows lie.
            light: a unit vector towards the light, or None to leave brightness out.

        Returns:
            About the distance to the edge, negative inside, exact where it is 0; and
            the brightness, or None without a light. Both (H, W).
        """
        c, s = cos(self.angle), sin(self.angle)
        dx, dy = x - self.x, y - self.y
        u, v = dx * (1 / self.rx), dy * (1 / self.ry)
        if self.angle:
            u = dx * (c / self.rx) + dy * (s / self.rx)
            v = dy * (c / self.ry) - dx * (s / self.ry)
        if self.taper:
            u = u / (1 + self.taper * v)
        uu, vv = u * u, v * v
        # (d^2 - 1) / 2 is d - 1 to first order at the edge, without a square root.
        distance = (uu + (vv - 1)) * (0.5 * min(self.rx, self.ry))
        if light is None:
            return distance, None
        lu = 1.2 * (light[0] * c + light[1] * s)
        lv = 1.2 * (light[1] * c - light[0] * s)
        return distance, (u * lu - uu) + (v * lv - vv)


class Curve(NamedTuple):
    """A row of discs along a Bezier curve: limbs, tails, leaves, flames.

    `discs` is (N, 3): x, y and radius of each disc.
    """

    discs: np.ndarray

    def mirrored(self) -> "Curve":
        """The shape on the other side of x = 0."""
        return Curve(self.discs * np.float32([-1, 1, 1]))

    def bounds(self) -> Bounds:
        """The box around the shape: x1, y1, x2, y2."""
        centers, radii = self.discs[:, :2], self.discs[:, 2:]
        x1, y1 = np.minimum.reduce(centers - radii).tolist()
        x2, y2 = np.maximum.reduce(centers + radii).tolist()
        return x1, y1, x2, y2

    def sample(self, x: np.ndarray, y: np.ndarray, light: Light | None) -> Sample:
        """Distance and brightness at each pixel, as `Ellipse.sample`."""
        px, py, r = self.discs.T[..., None]  # each (N, 1)
        down, across = y.T - py, x - px  # (N, H), (N, W)
        scale = 1 / float(r[len(r) // 2, 0])
        distance = _least_power(down, across, r) * (0.5 * scale)
        if light is None:
            return distance, None
        down, across = down - (0.6 * light[1]) * r, across - (0.6 * light[0]) * r
        return distance, _least_power(down, across, r) * (-scale * scale) - 0.64


def _least_power(down: np.ndarray, across: np.ndarray, r: np.ndarray) -> np.ndarray:
    """Squared distance to a disc's center less its squared radius, the least of all.

    Args:
        down: (N, H), from each center to each row.
        across: (N, W), from each center to each column.
        r: (N, 1), the radii.

    Returns:
        (H, W), below 0 inside the discs' union.
    """
    power = (down * down - r * r)[:, :, None] + (across * across)[:, None]
    return np.minimum.reduce(power)


class Polygon(NamedTuple):
    """A convex polygon: ears, crystals, fins. `corners` in order, either way round."""

    corners: tuple[tuple[float, float], ...]

    def mirrored(self) -> "Polygon":
        """The shape on the other side of x = 0."""
        return Polygon(tuple((-x, y) for x, y in self.corners))

    def bounds(self) -> Bounds:
        """The box around the shape: x1, y1, x2, y2."""
        xs, ys = zip(*self.corners, strict=True)
        return min(xs), min(ys), max(xs), max(ys)

    def sample(self, x: np.ndarray, y: np.ndarray, light: Light | None) -> Sample:
        """Distance and brightness at each pixel, as `Ellipse.sample`."""
        corners = self.corners
        edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
        area = sum(ax * by - bx * ay for (ax, ay), (bx, by) in edges)
        lines = []  # nx, ny, offset: a normal pointing outwards
        for (ax, ay), (bx, by) in edges:
            length = hypot(bx - ax, by - ay) * (1 if area > 0 else -1)
            nx, ny = (by - ay) / length, (ax - bx) / length
            lines.append((nx, ny, -ax * nx - ay * ny))
        nx, ny, offset = np.float32(lines).T[..., None]  # each (E, 1)
        across, down = nx * x, ny * y.T + offset
        distance = np.maximum.reduce(down[:, :, None] + across[:, None])
        if light is None:
            return distance, None
        x1, y1, x2, y2 = self.bounds()
        reach = 3 / (x2 - x1 + y2 - y1)
        toward = (x - (x1 + x2) / 2) * (reach * light[0])
        return distance, toward + (y - (y1 + y2) / 2) * (reach * light[1]) - 0.25


Shape = Ellipse | Curve | Polygon


class Part(NamedTuple):
    """A shape and how to paint it.

    Attributes:
        shape: where.
        ramp: which material.
        tone: None for shading by the light, or one tone for the whole shape.
        line: whether to draw its edge in the ramp's line tone.
        over: 0 to paint over anything; a ramp to change only pixels of that ramp,
            their tones kept (a marking follows the shading under it).
    """

    shape: Shape
    ramp: int
    tone: int | None = None
    line: bool = True
    over: int = 0


@lru_cache
def _bernstein(num_controls: int, num_points: int) -> np.ndarray:
    t = np.linspace(0, 1, num_points)
    degree = num_controls - 1
    terms = [
        comb(degree, k) * t**k * (1 - t) ** (degree - k) for k in range(num_controls)
    ]
    return np.stack(terms, axis=1).astype(np.float32)


def curve(*controls: tuple[float, float, float]) -> Curve:
    """The Bezier curve of these control discs.

    Args:
        controls: x, y and radius of each; the ends are met, those between attract.
    """
    length = sum(
        hypot(bx - ax, by - ay) for (ax, ay, _), (bx, by, _) in pairwise(controls)
    )
    spacing = 0.04 + 0.35 * sum(radius for _, _, radius in controls) / len(controls)
    num_discs = 4 + int(length / spacing)
    discs = _bernstein(len(controls), num_discs) @ np.float32(controls)
    # About a pixel at 64 x 64: a thinner tip would break up.
    np.maximum(discs[:, 2], 0.036, out=discs[:, 2])
    return Curve(discs)


def mirrored(parts: Sequence[Part]) -> list[Part]:
    """The parts, and their mirror images in x = 0 after them."""
    return [*parts, *(part._replace(shape=part.shape.mirrored()) for part in parts)]


def paint(
    parts: Sequence[Part],
    size: int,
    *,
    fill: float = 0.94,
    light_angle: float = 0.75 * pi,
    flip: bool = False,
) -> np.ndarray:
    """Paint parts one over another, scaled to the frame and centered in it.

    Args:
        parts: from the back to the front.
        size: pixels of each side.
        fill: share of the frame's longer side that the sprite takes.
        light_angle: where the light comes from, in radians from the right,
            counter-clockwise: the default is the upper left.
        flip: whether to mirror the sprite (the light stays).

    Returns:
        (size, size), uint8 color indices, 0 where there is nothing.
    """
    boxes = [part.shape.bounds() for part in parts]
    x1, y1, x2, y2 = _union(
        box for box, part in zip(boxes, parts, strict=True) if not part.over
    )
    pixel = max(x2 - x1, y2 - y1) / (fill * size)
    left = (x1 + x2 - size * pixel) / 2
    top = (y1 + y2 - size * pixel) / 2
    steps = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(pixel)
    x, y = steps + np.float32(left), steps[:, None] + np.float32(top)
    light = (cos(light_angle) * (-1 if flip else 1), -sin(light_angle))
    # Below 32 pixels lines inside the sprite would leave no room for color.
    line_width = pixel * max(1.0, size / 64) if size >= 32 else 0.0
    indices = np.zeros((size, size), np.uint8)
    for part, (x1, y1, x2, y2) in zip(parts, boxes, strict=True):
        columns = slice(max(0, int((x1 - left) / pixel)), int((x2 - left) / pixel) + 1)
        rows = slice(max(0, int((y1 - top) / pixel)), int((y2 - top) / pixel) + 1)
        _paint_part(
            part, indices[rows, columns], x[columns], y[rows], light, line_width
        )
    _finish(indices, max(1, round(size / 64)))
    return np.ascontiguousarray(indices[:, ::-1]) if flip else indices


def _union(boxes: Iterable[Bounds]) -> Bounds:
    x1, y1, x2, y2 = zip(*boxes, strict=True)
    return min(x1), min(y1), max(x2), max(y2)


def _paint_part(
    part: Part,
    target: np.ndarray,
    x: np.ndarray,
    y: np.ndarray,
    light: Light,
    line_width: float,
) -> None:
    """Paint one part into `target`, the (H, W) piece of the canvas around it."""
    shaded = part.tone is None and not part.over
    distance, brightness = part.shape.sample(x, y, light if shaded else None)
    inside = distance < 0
    if part.over:
        inside &= target >> 2 == part.over
        change = np.uint8(4 * (part.ramp - part.over) % 256)  # may wrap round
        np.copyto(target, target + change, where=inside)
        return
    if shaded:
        color = (brightness > SHADOW_BELOW).view(np.uint8)
        color += brightness > LIGHT_ABOVE
        color += np.uint8(4 * part.ramp + SHADOW)
    else:
        color = np.uint8(4 * part.ramp + part.tone)
    np.copyto(target, color, where=inside)
    if part.line:
        inside &= distance > -line_width
        np.copyto(target, np.uint8(4 * part.ramp + LINE), where=inside)


def _finish(indices: np.ndarray, width: int) -> None:
    """Remove single pixels that touch nothing and outline the rest, on its inside."""
    padded = np.zeros(np.add(indices.shape, 2 * width), bool)
    padded[width:-width, width:-width] = indices > 0
    above, below = padded[: -2 * width, width:-width], padded[2 * width :, width:-width]
    left, right = padded[width:-width, : -2 * width], padded[width:-width, 2 * width :]
    edge = ~(above & below & left & right) & padded[width:-width, width:-width]
    indices[edge] = OUTLINE
    indices[~(above | below | left | right)] = 0
