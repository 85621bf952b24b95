"""Drawings of computational graphs: what was made from what, from left to right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Maker(Protocol):
    """The operation that made a value."""

    name: str
    inputs: tuple[Value, ...]


class Value(Hashable, Protocol):
    """A value that knows what made it: a chapter's own class."""

    data: np.ndarray
    creator: Maker | None


def draw_graph(
    axis: Axes,
    order: Sequence[Value],
    *,
    names: Mapping[Value, str] | None = None,
    text: Callable[[Value], str] | None = None,
    fontsize: float = 8,
) -> None:
    """Draw a graph from left to right: boxes are values, circles operations.

    Args:
        axis: matplotlib axes.
        order: all values of the graph, inputs before what they make; the last is the
            one to end with. A value has `data`, an array of any shape (...), and
            `creator`, None or an operation with `name` and `inputs`.
        names: what is written into a box above its text.
        text: gives the text of a box; by default the value or, of an array, the shape.
        fontsize: in points.

    Source: our own layout; a box stands one column left of the first that uses it.
    """
    names, places = names or {}, _places(order)
    box = {"boxstyle": "round,pad=0.3", "facecolor": "white", "edgecolor": "#333333"}
    circle = {"boxstyle": "circle,pad=0.2", "facecolor": "#cfe3f1", "edgecolor": "none"}
    line = {"color": "#777777", "lw": 1.2, "zorder": 1}
    centered = {"ha": "center", "va": "center", "color": "#222222"}
    centered["fontsize"] = fontsize
    for value, (x, y) in places.items():
        lines = [names.get(value, ""), (text or _number_or_shape)(value)]
        label = "\n".join(line for line in lines if line)
        axis.text(x, y, label, bbox=box, zorder=3, **centered)
        if value.creator is not None:
            axis.plot([x - 0.5, x], [y, y], **line)
            axis.text(x - 0.5, y, value.creator.name, bbox=circle, zorder=4, **centered)
            for part in value.creator.inputs:
                axis.plot(*zip(places[part], (x - 0.5, y), strict=True), **line)
    rows = [y for _, y in places.values()]
    axis.set(xlim=(-0.5 - max(-x for x, _ in places.values()), 0.5))
    axis.set(ylim=(min(rows) - 0.6, max(rows) + 0.6))
    axis.axis("off")


def _places(order: Sequence[Value]) -> dict[Value, tuple[float, float]]:
    """Column (0 for the last, to the left of it -1, ...) and row of each value."""
    columns = {order[-1]: 0}
    users: dict[Value, list[Value]] = {order[-1]: []}
    for value in reversed(order):
        for part in value.creator.inputs if value.creator else ():
            columns[part] = min(columns.get(part, 0), columns[value] - 1)
            users.setdefault(part, []).append(value)
    rows: dict[Value, float] = {}
    for column in range(0, min(columns.values()) - 1, -1):
        members = [value for value in columns if columns[value] == column]
        # Near what uses it, and in the order in which it was used.
        wish = {v: np.mean([rows[u] for u in users[v]] or [0.0]) for v in members}
        members.sort(key=lambda v: -wish[v])
        middle = np.mean(list(wish.values()))
        for place, value in enumerate(members):
            rows[value] = middle + (len(members) - 1) / 2 - place
    return {value: (columns[value], rows[value]) for value in columns}


def _number_or_shape(value: Value) -> str:
    data = value.data
    return f"{data:.4g}" if data.ndim == 0 else str(data.shape)
