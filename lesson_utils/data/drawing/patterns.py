"""Families of procedural patterns: height maps in [0, 1] that `textures` colors.

A pattern is a function of a random generator and of coordinates `u`, `v`: arrays of one
shape, in cells, so that whole numbers are the corners of a pattern's cells. It returns
an array of that shape. What varies within a family is drawn from the generator;
rotation, zoom and warp are in the coordinates already.
"""

from collections.abc import Callable

import numpy as np
from numpy import ndarray
from numpy.random import Generator

Pattern = Callable[[Generator, ndarray, ndarray], ndarray]
FAMILIES: dict[str, Pattern] = {}
_LATTICE = 64  # noise repeats after so many cells; pictures show far fewer


def _family(pattern: Pattern) -> Pattern:
    FAMILIES[pattern.__name__] = pattern
    return pattern


# What the patterns are made of --------------------------------------------------------


def smoothstep(t: ndarray) -> ndarray:
    """From 0 to 1 without a corner, for t in [0, 1]; clipped outside."""
    t = np.clip(t, 0, 1)
    return t * t * (3 - 2 * t)


def step(values: ndarray, edge: float | ndarray, width: float = 0.08) -> ndarray:
    """0 below the edge, 1 above, over a soft border."""
    return smoothstep((values - edge) / width + 0.5)


def wave(t: ndarray) -> ndarray:
    """A sine of period 1, in [0, 1]."""
    return 0.5 + 0.5 * np.sin(2 * np.pi * t)


def triangle(t: ndarray) -> ndarray:
    """A triangle wave of period 1, in [0, 1], 0 at whole numbers."""
    return 2 * np.abs(t - np.floor(t + 0.5))


def noise(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    """Value noise: random numbers at the corners of cells, smooth between."""
    lattice = rng.random((_LATTICE, _LATTICE))
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    s, t = smoothstep(u - i), smoothstep(v - j)
    i, j = i % _LATTICE, j % _LATTICE
    k, m = (i + 1) % _LATTICE, (j + 1) % _LATTICE
    near = lattice[i, j] * (1 - s) + lattice[k, j] * s
    far = lattice[i, m] * (1 - s) + lattice[k, m] * s
    return near * (1 - t) + far * t


def octaves(
    rng: Generator, u: ndarray, v: ndarray, *, count: int = 4, ridged: bool = False
) -> ndarray:
    """Noise at doubling frequencies and halving strength."""
    total, weight = np.zeros_like(u), 0.0
    for octave in range(count):
        layer = noise(rng, u * 2**octave, v * 2**octave)
        layer = 1 - np.abs(2 * layer - 1) if ridged else layer
        total += layer / 2**octave
        weight += 1 / 2**octave
    return total / weight


def cells(
    rng: Generator, u: ndarray, v: ndarray, *, jitter: float = 0.9
) -> tuple[ndarray, ndarray, ndarray]:
    """One point a cell: how far the nearest is, the second, and the nearest's shade."""
    shifts = rng.random((_LATTICE, _LATTICE, 2)) * jitter + (1 - jitter) / 2
    shades = rng.random((_LATTICE, _LATTICE))
    i, j = np.floor(u).astype(int), np.floor(v).astype(int)
    first, second = np.full(u.shape, np.inf), np.full(u.shape, np.inf)
    shade = np.zeros_like(u)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            p, q = (i + di) % _LATTICE, (j + dj) % _LATTICE
            distance = np.hypot(
                i + di + shifts[p, q, 0] - u, j + dj + shifts[p, q, 1] - v
            )
            closer = distance < first
            second = np.where(closer, first, np.minimum(second, distance))
            shade = np.where(closer, shades[p, q], shade)
            first = np.where(closer, distance, first)
    return first, second, shade


def shades(rng: Generator, i: ndarray, j: ndarray) -> ndarray:
    """A random number for each cell (i, j)."""
    table = rng.random((_LATTICE, _LATTICE))
    return table[i.astype(int) % _LATTICE, j.astype(int) % _LATTICE]


def _centered(t: ndarray) -> ndarray:
    """Within its cell, from -0.5 to 0.5."""
    return t - np.floor(t) - 0.5


def _brick(
    rng: Generator, u: ndarray, v: ndarray, *, aspect: float, offset: float
) -> ndarray:
    """Rows of bricks, each a little another shade, joints at 0."""
    row = np.floor(v)
    along = u / aspect + offset * row
    joint = rng.uniform(0.04, 0.1)
    x = (0.5 - np.abs(_centered(along))) * aspect
    y = 0.5 - np.abs(_centered(v))
    inside = step(np.minimum(x, y), joint)
    return inside * (0.45 + 0.55 * shades(rng, np.floor(along), row))


# Noise --------------------------------------------------------------------------------


@_family
def smooth_noise(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return noise(rng, u, v)


@_family
def clouds(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return smoothstep(1.6 * octaves(rng, u / 2, v / 2, count=5) - 0.3)


@_family
def ridges(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return octaves(rng, u / 2, v / 2, ridged=True) ** 2


@_family
def sand(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return 0.6 * rng.random(u.shape) + 0.4 * noise(rng, u * 2, v * 2)


@_family
def camouflage(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    levels = rng.integers(3, 5)
    height = smoothstep(1.8 * octaves(rng, u / 1.5, v / 1.5, count=3) - 0.4)
    return np.floor(height * levels * 0.999) / (levels - 1)


@_family
def rust(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    patch = step(octaves(rng, u / 2, v / 2, count=5), 0.5, 0.1)
    return 0.7 * patch + 0.3 * noise(rng, u * 6, v * 6)


@_family
def marble(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    veins = wave(u / 2 + rng.uniform(1, 2) * octaves(rng, u / 2, v / 2, count=5))
    return veins ** rng.uniform(0.3, 0.6)


@_family
def contours(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height = octaves(rng, u / 2.5, v / 2.5, count=2)
    return step(triangle(height * rng.uniform(6, 10)), 0.3, 0.2)


@_family
def zebra(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    bend = 1.5 * octaves(rng, u / 3, v / 3, count=2)
    return step(wave(u / 1.5 + bend), 0.5, 0.25)


@_family
def leopard(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, _, _ = cells(rng, u, v, jitter=0.7)
    near = near + 0.25 * (noise(rng, u * 3, v * 3) - 0.5)
    ring = step(near, 0.18) * step(-near, -0.36)
    return 0.75 - 0.75 * ring - 0.3 * step(-near, -0.18)


@_family
def fur(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    bend = noise(rng, u / 3, v / 3)
    return octaves(rng, u * 5 + 2 * bend, v * 0.7 + bend, count=2)


@_family
def water(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height = np.zeros_like(u)
    for _ in range(6):
        angle, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.1)
        along = np.cos(angle) * u + np.sin(angle) * v
        height += np.sin(2 * np.pi * speed * along + rng.uniform(0, 6))
    return smoothstep(0.5 + height / 6)


# Lines --------------------------------------------------------------------------------


@_family
def stripes(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return step(triangle(u), rng.uniform(0.3, 0.7), 0.1)


@_family
def soft_stripes(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return wave(u)


@_family
def uneven_stripes(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return shades(rng, np.floor(u * 2), np.zeros_like(u))


@_family
def wavy_stripes(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    bend = rng.uniform(0.3, 0.6) * np.sin(2 * np.pi * v / rng.uniform(1.5, 3))
    return step(triangle(u + bend), 0.5, 0.15)


@_family
def chevrons(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return step(triangle(u + triangle(v / 2)), 0.5, 0.12)


@_family
def grid(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    width = rng.uniform(0.15, 0.3)
    return np.maximum(step(-triangle(u), -width), step(-triangle(v), -width))


@_family
def plaid(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    first = shades(rng, np.floor(3 * u) % 7, np.zeros_like(u))
    second = shades(rng, np.floor(3 * v) % 7, np.ones_like(u))
    return (first + second) / 2


@_family
def gingham(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return (step(triangle(u), 0.5) + step(triangle(v), 0.5)) / 2


@_family
def crosshatch(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    lines = [triangle(2 * u + 0.3 * noise(rng, u, v)), triangle(2 * v), triangle(u + v)]
    dark = sum(step(-line, -0.25, 0.2) for line in lines)
    return 1 - dark / 3


@_family
def scratches(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height = np.zeros_like(u)
    for _ in range(5):
        angle = rng.uniform(0, np.pi)
        across = np.cos(angle) * u + np.sin(angle) * v
        along = np.cos(angle) * v - np.sin(angle) * u
        cut = noise(rng, across * 5, along / 3)
        height = np.maximum(height, step(cut, 0.85, 0.1))
    return height


@_family
def rings(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return step(wave(np.hypot(u - u.mean(), v - v.mean())), 0.5, 0.3)


@_family
def spiral(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = u - u.mean(), v - v.mean()
    turn = np.arctan2(y, x) / (2 * np.pi)
    return step(wave(np.hypot(x, y) + rng.choice((-1, 1, 2)) * turn), 0.5, 0.3)


@_family
def rays(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    turn = np.arctan2(v - v.mean(), u - u.mean()) / (2 * np.pi)
    return step(wave(turn * rng.integers(7, 14)), 0.5, 0.3)


@_family
def wood(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    bend = octaves(rng, u / 2, v / 8, count=3)
    grain = noise(rng, u * 8, v / 2)
    return 0.75 * ((u + 2 * bend) % 1) + 0.25 * grain


@_family
def planks(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    board = _brick(rng, v, u, aspect=4, offset=rng.uniform(0.3, 0.7))
    return board * (0.8 + 0.2 * noise(rng, u * 8, v))


@_family
def interference(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height = np.zeros_like(u)
    for _ in range(2):
        x, y = rng.uniform(-1, 6, 2)
        height += wave(np.hypot(u - x, v - y) * 1.2) / 2
    return height


# Tiles --------------------------------------------------------------------------------


@_family
def checkers(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return (np.floor(u) + np.floor(v)) % 2


@_family
def argyle(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    tall = v / 1.7
    diamonds = (np.floor(u + tall) + np.floor(u - tall)) % 2
    line = step(-np.minimum(triangle(u + tall + 0.5), triangle(u - tall + 0.5)), -0.1)
    return 0.7 * diamonds + 0.3 * line


@_family
def bricks(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return _brick(rng, u, v * 1.5, aspect=rng.uniform(2, 3), offset=0.5)


@_family
def tiles(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    return _brick(rng, u, v, aspect=1, offset=0)


@_family
def herringbone(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = 2 * u, 2 * v
    i, j = np.floor(x), np.floor(y)
    # Four cells to the right and one up is the same place of the pattern.
    place = (i - j) % 4
    flat = place < 2
    along = np.where(flat, x - i + place, y - j + 3 - place)
    across = np.where(flat, y - j, x - i)
    edge = np.minimum(np.minimum(along, 2 - along), np.minimum(across, 1 - across))
    shade = shades(rng, np.where(flat, i - place, i), np.where(flat, j, j - 3 + place))
    return step(edge, 0.1) * (0.4 + 0.6 * shade)


@_family
def basket(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    flat = (np.floor(u) + np.floor(v)) % 2 == 0
    strands = rng.integers(2, 4)
    across, along = np.where(flat, v, u), np.where(flat, u, v)
    return triangle(across * strands) * (0.5 + 0.5 * triangle(along))


@_family
def cloth(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = 3 * u, 3 * v
    over = (np.floor(x) + np.floor(y)) % 2 == 0
    return np.where(
        over,
        0.5 + 0.5 * np.sin(np.pi * (x % 1)) * (y % 1 > 0.12),
        0.55 * np.sin(np.pi * (y % 1)) * (x % 1 > 0.12),
    )


@_family
def twill(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    thread = np.sin(np.pi * ((4 * u) % 1))
    return step((np.floor(4 * u) + 4 * v) % 4 / 4, 0.5, 0.15) * 0.7 + 0.3 * thread


@_family
def knit(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x = _centered(2 * u)
    stitch = 2 * v + 1.2 * np.abs(x)
    return (
        triangle(stitch) * (0.5 + 0.5 * np.cos(2 * np.pi * x) ** 2) * (np.abs(x) > 0.06)
    )


@_family
def honeycomb(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    y = v / 0.866
    row = np.floor(y)
    candidates = []
    for r in (row, row + 1):
        x = _centered(u + 0.5 * (r % 2) + 0.5)
        candidates.append(np.hypot(x, (y - r) * 0.866))
    near = np.minimum(*candidates)
    return step(-near, -rng.uniform(0.42, 0.5), 0.1)


@_family
def triangles(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    y = v / 0.866
    x = u - 0.5 * y
    up = (x % 1 + y % 1) < 1
    return 0.6 * up + 0.4 * shades(rng, np.floor(x) + 31 * up, np.floor(y))


@_family
def roof(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    row = np.floor(2 * v)
    x = _centered(u + 0.5 * (row % 2))
    fall = (2 * v) % 1
    return (1 - fall) * (0.4 + 0.6 * np.cos(np.pi * x))


@_family
def scales(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height, y = np.zeros_like(u), 2 * v
    top = np.floor(y)
    # Paint from the row that lies lowest to the one on top of the others.
    for r in (top - 1, top, top + 1):
        x = _centered(u + 0.5 * (r % 2))
        distance = np.hypot(x, (y - r) / 2)
        height = np.where(distance < 0.5, 1 - 1.6 * distance, height)
    return np.clip(height, 0, 1)


@_family
def arcs(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    """Truchet's tiles: two quarter circles a cell, turned at random."""
    x, y = u % 1, v % 1
    x = np.where(shades(rng, np.floor(u), np.floor(v)) < 0.5, x, 1 - x)
    near = np.minimum(
        np.abs(np.hypot(x, y) - 0.5), np.abs(np.hypot(1 - x, 1 - y) - 0.5)
    )
    return step(-near, -rng.uniform(0.1, 0.18))


@_family
def maze(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = (2 * u) % 1, (2 * v) % 1
    x = np.where(shades(rng, np.floor(2 * u), np.floor(2 * v)) < 0.5, x, 1 - x)
    return step(np.abs(x - y), 0.22, 0.15)


# Dots and pieces ----------------------------------------------------------------------


@_family
def polka_dots(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    row = np.floor(v)
    near = np.hypot(_centered(u + 0.5 * (row % 2)), _centered(v))
    return step(-near, -rng.uniform(0.2, 0.36))


@_family
def bubbles(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, _, shade = cells(rng, u, v, jitter=0.5)
    radius = 0.15 + 0.3 * shade
    ring = step(near, radius * 0.75) * step(-near, -radius)
    return ring + 0.35 * step(-near, -radius * 0.75)


@_family
def speckles(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, _, shade = cells(rng, u * 2, v * 2)
    return step(-near, -0.12 - 0.25 * shade)


@_family
def stars(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = _centered(u), _centered(v)
    turn = np.arctan2(y, x) * 5 / (2 * np.pi) + rng.uniform(0, 1)
    return step(0.18 + 0.2 * (1 - triangle(turn)) - np.hypot(x, y), 0)


@_family
def crosses(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    x, y = np.abs(_centered(u)), np.abs(_centered(v))
    arm, width = rng.uniform(0.32, 0.42), rng.uniform(0.08, 0.14)
    upright = step(-x, -width) * step(-y, -arm)
    return np.maximum(upright, step(-y, -width) * step(-x, -arm))


@_family
def confetti(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    height = np.zeros_like(u)
    for layer in range(2):
        x, y = 1.5 * u + 0.37 * layer, 1.5 * v + 0.61 * layer
        angle = 2 * np.pi * shades(rng, np.floor(x), np.floor(y))
        s, t = _centered(x), _centered(y)
        along = np.cos(angle) * s + np.sin(angle) * t
        across = np.cos(angle) * t - np.sin(angle) * s
        piece = step(-np.abs(along), -0.32) * step(-np.abs(across), -0.1)
        height = np.maximum(height, piece * (0.5 + 0.5 * layer))
    return height


@_family
def mosaic(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, second, shade = cells(rng, u * 1.5, v * 1.5)
    return step(second - near, 0.08) * (0.3 + 0.7 * shade)


@_family
def cracks(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    bend = 0.3 * noise(rng, u * 3, v * 3)
    near, second, _ = cells(rng, u + bend, v + bend)
    return step(second - near, rng.uniform(0.05, 0.12), 0.1)


@_family
def pebbles(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, second, shade = cells(rng, u * 1.3, v * 1.3, jitter=0.7)
    return smoothstep((second - near) * 2.2) * (0.5 + 0.5 * shade)


@_family
def leather(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, second, _ = cells(rng, u * 2.5, v * 2.5)
    return smoothstep((second - near) * 2.5) * 0.8 + 0.2 * noise(rng, u, v)


@_family
def terrazzo(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    near, second, shade = cells(rng, u * 1.5, v * 1.5)
    return step(second - near, 0.28) * (shade > 0.45) * (0.5 + 0.5 * shade)


@_family
def chain(rng: Generator, u: ndarray, v: ndarray) -> ndarray:
    first = np.abs(np.hypot(_centered(u), _centered(v)) - 0.38)
    second = np.abs(np.hypot(_centered(u + 0.5), _centered(v + 0.5)) - 0.38)
    return step(-np.minimum(first, second), -0.08)
