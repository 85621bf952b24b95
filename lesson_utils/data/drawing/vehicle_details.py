"""Details that several vehicles share: fronts, lamps, doors, racks and loads."""

from itertools import pairwise

from lesson_utils.data.drawing.vehicle_shapes import (
    BODY,
    DOOR,
    LIGHT,
    LOAD,
    TRIM,
    WINDOW,
    FrontShape,
    Shape,
    box,
    disk,
    rounded,
)


def low_front(lamps: float = 0.42, high: float = 0.2) -> list[FrontShape]:
    """Grille, bumper and lamps of a low front."""
    top = lamps + high
    return [
        FrontShape(TRIM, "dark", (0.24, lamps, 0.76, top)),
        FrontShape(LIGHT, "lamp", (0.05, lamps, 0.21, top)),
        FrontShape(LIGHT, "lamp", (0.79, lamps, 0.95, top)),
        FrontShape(TRIM, "chrome", (0.0, 0.04, 1.0, 0.22), 0.8),
    ]


def tall_front(share: float = 0.5) -> list[FrontShape]:
    """A front that is mostly windscreen: of a bus, say."""
    return [
        FrontShape(WINDOW, "glass", (0.08, share, 0.92, 0.9)),
        FrontShape(TRIM, "dark", (0.25, 0.17, 0.75, share - 0.18)),
        FrontShape(LIGHT, "lamp", (0.06, 0.2, 0.22, 0.32)),
        FrontShape(LIGHT, "lamp", (0.78, 0.2, 0.94, 0.32)),
        FrontShape(TRIM, "chrome", (0.0, 0.0, 1.0, 0.1), 0.8),
    ]


def lamps(rear: float, front: float, y: float, size: float = 0.13) -> list[Shape]:
    """A tail lamp and a head lamp, as the side shows them."""
    return [
        Shape(LIGHT, "tail", box(rear + 0.02, y, rear + 0.16, y + size * 1.5)),
        Shape(LIGHT, "lamp", box(front - 0.2, y, front - 0.02, y + size)),
    ]


def doors(edges: list[float], bottom: float, top: float) -> list[Shape]:
    """Doors between neighbors of `edges`, each with a handle."""
    shapes = []
    for left, right in pairwise(edges):
        panel = box(left + 0.03, bottom, right - 0.03, top)
        handle = box(left + 0.1, top - 0.16, left + 0.3, top - 0.1)
        shapes += [
            Shape(BODY, "paint", box(left, bottom - 0.03, right, top), 0.62),
            Shape(DOOR, "paint", rounded(panel, 0.08), 1.05),
            Shape(TRIM, "chrome", handle),
        ]
    return shapes


def rack(left: float, right: float, y: float) -> list[Shape]:
    """A roof rack with luggage, a trunk and a bag."""
    length = right - left
    trunk = box(left + 0.12 * length, y + 0.14, left + 0.56 * length, y + 0.56)
    bag = box(left + 0.6 * length, y + 0.14, left + 0.9 * length, y + 0.42)
    feet = [left + 0.08 * length, left + 0.5 * length, left + 0.9 * length]
    return [
        *(Shape(TRIM, "dark", box(x, y - 0.04, x + 0.09, y + 0.12)) for x in feet),
        Shape(TRIM, "leather", rounded(trunk, 0.08)),
        Shape(TRIM, "leather", rounded(bag, 0.12), 1.5),
        Shape(TRIM, "chrome", box(left, y + 0.08, right, y + 0.17), 0.9),
    ]


def cargo(load: str | None, left: float, right: float, floor: float) -> list[Shape]:
    """What lies on a flat bed, between two walls."""
    middle, length = (left + right) / 2, right - left
    if load == "sand":
        heap = [
            (left + 0.08, floor),
            (middle - 0.28 * length, floor + 0.38),
            (middle, floor + 0.62),
            (middle + 0.26 * length, floor + 0.4),
            (right - 0.08, floor),
        ]
        return [Shape(LOAD, "sand", rounded(heap, 0.25))]
    if load == "logs":
        radius = min(0.24, length / 9)
        places = [
            (left + length * (i + 0.5 + 0.5 * level) / 4, radius * (1 + 1.75 * level))
            for level in range(3)
            for i in range(4 - level)
        ]
        return [
            Shape(LOAD, color, disk(x, floor + y, share * radius))
            for x, y in places
            for color, share in (("bark", 1.0), ("wood", 0.72))
        ]
    if load == "boxes":
        sides = (0.3, 0.36, 0.3)
        heights = (0.5, 0.85, 0.62)
        shapes, x = [], left + 0.06
        for share, height, shade in zip(sides, heights, (1.0, 0.88, 1.08), strict=True):
            end = x + share * length
            tape = (x + end) / 2
            shapes += [
                Shape(LOAD, "card", box(x, floor, end - 0.05, floor + height), shade),
                Shape(
                    LOAD,
                    "card",
                    box(tape - 0.06, floor, tape + 0.02, floor + height),
                    0.7 * shade,
                ),
            ]
            x = end
        return shapes
    if load == "hay":
        radius = min(0.5, length / 4.2)
        return [
            Shape(LOAD, "hay", disk(x, floor + radius, share * radius), shade)
            for x in (middle - 1.02 * radius, middle + 1.02 * radius)
            for share, shade in ((1.0, 0.85), (0.8, 1.05), (0.55, 0.85), (0.3, 1.05))
        ]
    return []


def ladder(left: float, right: float, y: float) -> list[Shape]:
    """A ladder on two stands."""
    rungs = [left + 0.1 + 0.5 * i for i in range(int(2 * (right - left)))]
    return [
        *(Shape(TRIM, "dark", box(x, y, x + 0.3, y + 0.2)) for x in (-3.2, -0.6)),
        *(Shape(TRIM, "chrome", box(x, y + 0.2, x + 0.07, y + 0.5)) for x in rungs),
        Shape(TRIM, "chrome", box(left, y + 0.18, right, y + 0.27)),
        Shape(TRIM, "chrome", box(left, y + 0.43, right, y + 0.52)),
    ]
