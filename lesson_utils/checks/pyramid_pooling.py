"""The checks of the chapter `book/attention/pyramid_pooling.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import ops

from lesson_utils import pyramid_pooling
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# bin_edges --------------------------------------------------------------------------


def _seen_by_torch(size: int, m: int) -> Tensor:
    """The first and the last pixel that each bin of torch's adaptive pooling sees."""
    row = torch.arange(float(size)).view(1, 1, size)
    last = F.adaptive_max_pool1d(row, m).flatten()
    first = -F.adaptive_max_pool1d(-row, m).flatten()
    return torch.stack([first, last + 1], dim=1).long()


def _largest(bin_edges: Callable, row: Tensor, m: int) -> Tensor:
    """The edges are whole numbers, so that they can cut."""
    return torch.stack([row[start:end].max() for start, end in bin_edges(len(row), m)])


def _edges_cases() -> Iterator[Case]:
    by_hand = torch.tensor([[0, 2], [1, 4], [3, 6], [5, 7]])
    yield Case("7 pixels, 4 bins", (7, 4), expected=by_hand, same_dtype=False)
    for size, m in ((8, 4), (5, 1), (13, 3), (10, 4), (11, 6)):
        yield Case.from_reference(
            f"{size} pixels, {m} bins", _seen_by_torch, size, m, same_dtype=False
        )
    yield Case.from_reference(
        "3 pixels, 4 bins", _seen_by_torch, 3, 4, hardening=True, same_dtype=False
    )
    for size, m in ((29, 7), (58, 14), (62, 14)):  # 7 · (29 / 7) is above 29
        yield Case.from_reference(
            f"{size} pixels, {m} bins, exactly", _seen_by_torch, size, m,
            hardening=True, same_dtype=False,
        )  # fmt: skip
    row = torch.tensor([3, 9, 4, 1, 5])
    yield Case(
        "bins cut from a row", (row, 2), expected=torch.tensor([9, 5]), call=_largest,
        hardening=True,
    )  # fmt: skip
    yield Case("no pixel", (0, 2), raises=ValueError)
    yield Case("no bin", (4, 0), raises=ValueError)
    yield Case("4.5 pixels", (4.5, 2), raises=ValueError)


def _wrong_edges(size: int, m: int, *, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    if not (isinstance(size, int) and isinstance(m, int) and min(size, m) >= 1):
        raise ValueError("whole numbers >= 1")
    window, step, rest = -(-size // m), size // m, size % m
    if way == "not more than pixels" and m > size:
        raise ValueError("more bins than pixels")
    if way == "as many as pixels":
        m = min(size, m)
    pairs = {
        "one-based": lambda i: (i * size // m + 1, -(-(i + 1) * size // m)),
        "length": lambda i: (i * size // m, -(-(i + 1) * size // m) - i * size // m),
        "plus 1": lambda i: (i * size // m, (i + 1) * size // m + 1),
        "plus 1, clipped": lambda i: (
            i * size // m,
            min((i + 1) * size // m + 1, size),
        ),
        "equal length": lambda i: (i * size // m, i * size // m + window),
        "equal, clipped": lambda i: (
            i * size // m,
            min(i * size // m + window, size),
        ),
        "start of steps": lambda i: (i * step, -(-(i + 1) * size // m)),
        "steps of ceil": lambda i: (i * window, (i + 1) * window),
        "not rounded": lambda i: (i * size / m, (i + 1) * size / m),
        "divided first": lambda i: (
            math.floor(i * (size / m)),
            math.ceil((i + 1) * (size / m)),
        ),
        "spaced": lambda i: (  # as numpy.linspace has it, whose last is exact
            math.floor(i * (size / m)),
            size if i == m - 1 else math.ceil((i + 1) * (size / m)),
        ),
        "in float32": lambda i: (
            int((torch.arange(m + 1) * (size / m))[i].floor()),
            int((torch.arange(m + 1) * (size / m))[i + 1].ceil()),
        ),
        "longer first": lambda i: (
            i * step + min(i, rest),
            (i + 1) * step + min(i + 1, rest),
        ),
        "rounded down": lambda i: (i * size // m, (i + 1) * size // m),
        "rounded": lambda i: (round(i * size / m), round((i + 1) * size / m)),
        "rounded up": lambda i: (-(-i * size // m), -(-(i + 1) * size // m)),
        "window": lambda i: (i * step, i * step + window),
        "step": lambda i: (i * step, (i + 1) * step),
        "step, rest": lambda i: (i * step, size if i == m - 1 else (i + 1) * step),
        "chunks": lambda i: (min(i * window, size), min((i + 1) * window, size)),
        "last": lambda i: (i * size // m, -(-(i + 1) * size // m) - 1),
    }
    if way not in pairs:
        edges = pyramid_pooling.bin_edges(size, m)
        return edges.double() if way == "floats" else edges
    return torch.tensor([pairs[way](i) for i in range(m)])


_PLUS_ONE = (
    "floor + 1 is the ceil only where the division leaves something over. Where a "
    "border is whole, your bin ends one pixel too late."
)
_LENGTH = (
    "Not all bins are ceil(size / m) long. Compute each end from its own border, "
    "(i + 1) · size / m, rounded up."
)
_FLOATING = (
    "In floating point i · (size / m) may come out just above the whole number that it "
    "is, and its ceil is one too many. Compute in whole numbers."
)
_FEWER = (
    "There may be more bins than pixels: then they share, and m rows are due as ever."
)
_APART = (
    "Your bins never share a pixel. Here a pixel that a border runs through belongs to "
    "both bins: the start is rounded down, the end is rounded *up*."
)
_BIN_EDGES = Exercise(
    name="bin_edges",
    solution=pyramid_pooling.bin_edges,
    cases=_edges_cases,
    mistakes=(
        Mistake(_APART, partial(_wrong_edges, way="rounded down")),
        Mistake(_APART, partial(_wrong_edges, way="rounded")),
        Mistake(_APART, partial(_wrong_edges, way="rounded up")),
        Mistake(_APART, partial(_wrong_edges, way="longer first")),
        Mistake(
            "A window of ceil(size / m) at steps of floor(size / m): the first bins "
            "are fine, but the last pixels may be in no bin at all. Compute each "
            "border from i · size / m.",
            partial(_wrong_edges, way="window"),
        ),
        Mistake(
            "All your bins have floor(size / m) pixels, so that what is left over at "
            "the end is in none. Compute each border from i · size / m.",
            partial(_wrong_edges, way="step"),
        ),
        Mistake(
            "The last bin takes all that is left over. Compute each border from "
            "i · size / m, so that bins are as even as they can be.",
            partial(_wrong_edges, way="step, rest"),
        ),
        Mistake(
            "These are torch.chunk's pieces, of ceil(size / m) each: the last ones are "
            "shorter, or there are fewer than m. Compute each border from i · size / "
            "m.",
            partial(_wrong_edges, way="chunks"),
        ),
        Mistake(
            "The second number is that of the last pixel. Asked for is the one *after* "
            "it, so that `row[start:end]` is the bin.",
            partial(_wrong_edges, way="last"),
        ),
        Mistake(
            "The first pixel is number 0; your starts count from 1.",
            partial(_wrong_edges, way="one-based"),
        ),
        Mistake(
            "The second number is how long the bin is. Asked for is where it ends: the "
            "pixel after its last.",
            partial(_wrong_edges, way="length"),
        ),
        Mistake(_PLUS_ONE, partial(_wrong_edges, way="plus 1")),
        Mistake(_PLUS_ONE, partial(_wrong_edges, way="plus 1, clipped")),
        Mistake(_LENGTH, partial(_wrong_edges, way="equal length")),
        Mistake(_LENGTH, partial(_wrong_edges, way="equal, clipped")),
        Mistake(
            "Your ends are right. Starts at steps of floor(size / m) fall behind: "
            "compute them from i · size / m too.",
            partial(_wrong_edges, way="start of steps"),
        ),
        Mistake(
            "Steps of ceil(size / m) run ahead: the last bins leave the row. Compute "
            "each border from i · size / m.",
            partial(_wrong_edges, way="steps of ceil"),
        ),
        Mistake(
            "These are the ideal borders. A pixel cannot be cut: round each start "
            "down and each end up.",
            partial(_wrong_edges, way="not rounded"),
        ),
        Mistake(_FLOATING, partial(_wrong_edges, way="divided first")),
        Mistake(_FLOATING, partial(_wrong_edges, way="spaced")),
        Mistake(_FLOATING, partial(_wrong_edges, way="in float32")),
        Mistake(_FEWER, partial(_wrong_edges, way="not more than pixels")),
        Mistake(_FEWER, partial(_wrong_edges, way="as many as pixels")),
        Mistake(
            "These are floating-point numbers, with which nothing can be cut: "
            "`row[start:end]` wants whole ones. `.long()` makes them.",
            partial(_wrong_edges, way="floats"),
        ),
    ),
    hints=(
        "Border i lies at i · size / m, between pixels or within one.",
        "A bin takes each pixel that it touches: floor for its start, ceil for its "
        "end.",
        "In whole numbers the floor of a / b is `a // b`, and the ceil is `-(-a // "
        "b)`.",
    ),
)


# spatial_pyramid_pool ---------------------------------------------------------------


def _torch_pyramid(features: Tensor, levels=(1, 2, 4)) -> Tensor:
    parts = [F.adaptive_max_pool2d(features, m).flatten(1) for m in levels]
    return torch.cat(parts, dim=1)


def _pyramid_cases() -> Iterator[Case]:
    small = torch.tensor([[[[1.0, 5, 2], [0, 3, 8]], [[9, 1, 1], [2, 7, 4]]]]).double()
    expected = torch.tensor([[8.0, 9, 5, 5, 3, 8, 9, 1, 7, 7]]).double()
    yield Case("2 x 3, by hand", (small, (1, 2)), expected=expected)
    for name, shape, levels in (
        ("8 x 8, which all levels divide", (2, 3, 8, 8), (1, 2, 4)),
        ("7 x 10, which 4 does not divide", (2, 3, 7, 10), (1, 2, 4)),
        ("levels 3 and 2, in this order", (1, 2, 5, 7), (3, 2)),
    ):
        yield Case.from_reference(
            name, _torch_pyramid, normal(*shape, seed=len(name)), levels, gradient=True
        )
    yield Case.from_reference("levels left out", _torch_pyramid, normal(1, 2, 6, 9))
    yield Case.from_reference(
        "all below 0", _torch_pyramid, -1 - normal(1, 2, 5, 6).abs(), hardening=True
    )
    yield Case.from_reference(
        "3 x 2, fewer pixels than bins", _torch_pyramid, normal(2, 2, 3, 2),
        hardening=True,
    )  # fmt: skip
    yield Case("no level", (normal(1, 2, 4, 4), ()), raises=ValueError)
    yield Case("level 0", (normal(1, 2, 4, 4), (1, 0)), raises=ValueError)
    yield Case("a map without rows", (normal(1, 2, 0, 4),), raises=ValueError)


def _pooled(
    features: Tensor, levels, edges: Callable, reduce: Callable = torch.amax
) -> list[Tensor]:
    """(B, C, m, m) for each level."""
    if not levels or min(levels) < 1 or not features.shape[2] * features.shape[3]:
        raise ValueError("no level, a level below 1, or no pixel")
    grids = []
    for m in levels:
        rows, columns = (edges(size, m).tolist() for size in features.shape[2:])
        bins = [
            reduce(features[:, :, top:bottom, left:right], (2, 3))
            for top, bottom in rows
            for left, right in columns
        ]
        grids.append(torch.stack(bins, dim=2).unflatten(2, (m, m)))
    return grids


def _windows(features: Tensor, levels=(1, 2, 4), *, up: bool) -> Tensor:
    """Ordinary max pooling, all windows that fit or the first m."""
    parts = []
    for m in levels:
        if m < 1 or min(features.shape[2:]) < 1:
            raise ValueError("a level below 1, or no pixel")
        step = [size // m for size in features.shape[2:]]
        window = [-(-size // m) for size in features.shape[2:]] if up else step
        bins = F.max_pool2d(features, window, step)
        parts.append((bins if up else bins[:, :, :m, :m]).flatten(1))
    return torch.cat(parts, dim=1)


def _edges_of(size: int) -> Callable:
    """Edges of rows of this size, whatever the size that is asked about."""
    return lambda _, m: pyramid_pooling.bin_edges(size, m)


def _side_by_side(features: Tensor, levels=(1, 2, 4), *, rest: str) -> Tensor:
    """Windows of ceil(size / m) that do not overlap, and what fills up the last."""
    parts = []
    for m in levels:
        if m < 1 or min(features.shape[2:]) < 1:
            raise ValueError("a level below 1, or no pixel")
        window = [-(-size // m) for size in features.shape[2:]]
        lacking = [w * m - s for w, s in zip(window, features.shape[2:], strict=True)]
        maps, padding = features, 0
        if rest == "zeros":
            maps = F.pad(features, (0, lacking[1], 0, lacking[0]))
        elif rest == "around":
            padding = [(more + 1) // 2 for more in lacking]
        bins = F.max_pool2d(maps, window, padding=padding, ceil_mode=rest == "shorter")
        parts.append(bins.flatten(1))
    return torch.cat(parts, dim=1)


def _wrong_pyramid(features: Tensor, levels=(1, 2, 4), *, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    edges, reduce = pyramid_pooling.bin_edges, torch.amax
    if way == "mean":
        reduce = torch.mean
    elif way == "apart":
        edges = partial(_wrong_edges, way="rounded down")
    elif way in ("window", "rounded"):
        edges = partial(_wrong_edges, way=way)
    elif way == "by rows":
        edges = _edges_of(features.shape[2])
    if way == "always 1, 2, 4":
        levels = (1, 2, 4)
    grids = _pooled(features, levels, edges, reduce)
    if way == "places first":
        return torch.cat([grid.permute(0, 2, 3, 1).flatten(1) for grid in grids], 1)
    if way == "channels first":
        return torch.cat([grid.flatten(2) for grid in grids], 2).flatten(1)
    if way == "columns first":
        return torch.cat([grid.mT.flatten(1) for grid in grids], 1)
    if way == "sorted":
        grids = sorted(grids, key=lambda grid: grid.shape[-1])
    if way == "per channel":
        return torch.cat([grid.flatten(2) for grid in grids], 2)
    if way == "pictures joined":
        return torch.cat([grid.flatten() for grid in grids])
    if way == "from 0":
        grids = [grid.clamp(min=0) for grid in grids]
    return torch.cat([grid.flatten(1) for grid in grids], 1)


_CUT_APART = (
    "Your bins are cut apart: where m does not divide the size, neighbors share a row "
    "or a column. Round each end up."
)
_BESIDE = (
    "Your windows of ceil(size / m) stand side by side, and the last are shorter, "
    "filled up or missing. Compute bins from i · size / m: neighbors may share a row."
)
_SPATIAL_PYRAMID_POOL = Exercise(
    name="spatial_pyramid_pool",
    solution=pyramid_pooling.spatial_pyramid_pool,
    cases=_pyramid_cases,
    mistakes=(
        Mistake(
            "This is the mean of each bin. The pyramid takes the maximum.",
            partial(_wrong_pyramid, way="mean"),
        ),
        Mistake(_CUT_APART, partial(_wrong_pyramid, way="apart")),
        Mistake(_CUT_APART, partial(_wrong_pyramid, way="rounded")),
        Mistake(_BESIDE, partial(_side_by_side, rest="shorter")),
        Mistake(_BESIDE, partial(_side_by_side, rest="missing")),
        Mistake(_BESIDE, partial(_side_by_side, rest="around")),
        Mistake(_BESIDE, partial(_side_by_side, rest="zeros")),
        Mistake(
            "Where a whole bin lies below 0, you have 0. Let the maximum begin at −∞, "
            "and cut nothing off.",
            partial(_wrong_pyramid, way="from 0"),
        ),
        Mistake(
            "Your columns are cut where rows should be: their bins depend on W, those "
            "of rows on H.",
            partial(_wrong_pyramid, way="by rows"),
        ),
        Mistake(
            "`levels` is not heeded: you have 1, 2 and 4 whatever it says.",
            partial(_wrong_pyramid, way="always 1, 2, 4"),
        ),
        Mistake(
            "All pictures are in one vector. Each has its own: `flatten(1)` leaves "
            "the batch alone.",
            partial(_wrong_pyramid, way="pictures joined"),
        ),
        Mistake(
            "A window of ceil(size / m) at steps of floor(size / m) leaves out the "
            "last rows and columns of some sizes.",
            partial(_wrong_pyramid, way="window"),
        ),
        Mistake(
            "Of windows of ceil(size / m) at steps of floor(size / m) sometimes more "
            "than m fit, and the vector has another length. Compute bins from i · size "
            "/ m.",
            partial(_windows, up=True),
        ),
        Mistake(
            "Windows of floor(size / m) leave out what is left over at the end. "
            "Compute bins from i · size / m.",
            partial(_windows, up=False),
        ),
        Mistake(
            "The numbers are right and stand in another order: within a level, all "
            "bins of the first channel come first. You have all channels of the first "
            "bin.",
            partial(_wrong_pyramid, way="places first"),
        ),
        Mistake(
            "The numbers are right and stand in another order: all of level 1 comes "
            "first, for all channels. Flatten each level before you join them.",
            partial(_wrong_pyramid, way="channels first"),
        ),
        Mistake(
            "Bins go row by row, as one reads. Yours go down the columns.",
            partial(_wrong_pyramid, way="columns first"),
        ),
        Mistake(
            "The levels come in the order in which they are given.",
            partial(_wrong_pyramid, way="sorted"),
        ),
        Mistake(
            "One vector for each picture is asked for, (B, C · Σ m²). Flatten channels "
            "and bins together, level by level.",
            partial(_wrong_pyramid, way="per channel"),
        ),
    ),
    hints=(
        "For each level m, find the m row bins and the m column bins, and take the "
        "maximum of each of the m · m pieces.",
        "`flatten(1)` turns (B, C, m, m) into (B, C · m · m); join these with "
        "`torch.cat(..., dim=1)`.",
    ),
)


# roi_align_box ----------------------------------------------------------------------


def _torchvision_box(features: Tensor, box, output_size: int, *, samples=2) -> Tensor:
    boxes = [torch.tensor([box], dtype=features.dtype)]
    return ops.roi_align(
        features[None], boxes, output_size, 1.0, samples, aligned=True
    )[0]


def _align_cases() -> Iterator[Case]:
    ramp = torch.arange(6.0).double().expand(1, 5, 6)  # the value is the column
    by_hand = torch.tensor([[[1.0, 2.0], [1.0, 2.0]]]).double()
    near = {"rtol": 1e-5, "atol": 1e-6}  # places in float32 will do
    yield Case(
        "columns, one sample", (ramp, (1, 1, 3, 3), 2), {"samples": 1},
        expected=by_hand, **near,
    )  # fmt: skip
    for name, shape, box, m, samples in (
        ("a box of fractions", (2, 6, 7), (1.3, 0.9, 5.2, 4.1), 2, 2),
        ("3 x 3 bins, one sample each", (2, 6, 7), (0.6, 1.7, 6.1, 5.3), 3, 1),
        ("one bin, nine samples", (3, 8, 5), (1.25, 2.5, 3.75, 6.1), 1, 3),
    ):
        yield Case.from_reference(
            name, _torchvision_box, normal(*shape, seed=m), box, m, samples=samples,
            gradient=True, **near,
        )  # fmt: skip
    yield Case.from_reference(
        "samples left out", _torchvision_box, normal(1, 6, 6), (0.7, 1.2, 4.6, 5.3), 2,
        **near,
    )  # fmt: skip
    for name, box in (
        ("a box that leaves the map", (-2.4, 1.1, 3.3, 8.7)),
        ("a box outside of the map", (20, 20, 24, 25)),
        ("a box without area", (2.3, 1.6, 2.3, 1.6)),
    ):
        yield Case.from_reference(
            name, _torchvision_box, normal(2, 5, 6), box, 3, samples=2, hardening=True,
            **near,
        )  # fmt: skip
    features = normal(2, 5, 6)
    yield Case("x2 < x1", (features, (3, 1, 2, 4), 2), raises=ValueError)
    yield Case("y2 < y1", (features, (1, 4, 3, 2), 2), raises=ValueError)
    yield Case(
        "no sample", (features, (1, 1, 2, 4), 2), {"samples": 0}, raises=ValueError
    )
    yield Case("no bin", (features, (1, 1, 2, 4), 0), raises=ValueError)


def _wrong_align(
    features: Tensor, box, output_size: int, *, samples: int = 2, way: str
) -> Tensor:
    """The right answer with one thing wrong."""
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1 or samples < 1 or output_size < 1:
        raise ValueError("a bad box or number")
    if way == "turned":
        x1, y1, x2, y2 = y1, x1, y2, x2
    elif way == "rounded":
        x1, y1, x2, y2 = (round(edge) for edge in box)
    elif way == "outward":
        x1, y1, x2, y2 = (*map(math.floor, box[:2]), *map(math.ceil, box[2:]))
    elif way == "size":
        x2, y2 = x1 + x2, y1 + y2
    elif way == "cut off":
        x1, y1, x2, y2 = (int(edge) for edge in box)
    elif way == "clipped, else 0" and not (x1 < features.shape[2] and x2 > 0):
        return 0 * features[:, :1, :1].expand(-1, output_size, output_size)
    elif way in ("clipped", "clipped, else 0"):
        x1, x2 = (min(max(edge, 0), features.shape[2]) for edge in (x1, x2))
        y1, y2 = (min(max(edge, 0), features.shape[1]) for edge in (y1, y2))
    elif way == "one pixel at least":
        x2, y2 = max(x2, x1 + 1), max(y2, y1 + 1)
    elif way == "never empty" and (x2 == x1 or y2 == y1):
        raise ValueError("a box without area")
    elif way == "empty is 0" and (x2 == x1 or y2 == y1):
        return 0 * features[:, :1, :1].expand(-1, output_size, output_size)
    n = {"one sample": 1, "two samples": 2}.get(way, samples)
    parts = torch.arange(output_size * n) + 0.5
    if way == "starts":
        parts = parts - 0.5
    elif way == "ends":
        parts = output_size * n * torch.linspace(0, 1, output_size * n)
    elif way == "between":  # at (i + 1) / (n + 1) of each bin
        within = torch.arange(1, n + 1) * n / (n + 1)
        parts = (n * torch.arange(output_size)[:, None] + within).flatten()
    half = {"no half": 0.0, "half twice": 1.0, "half added": -0.5}.get(way, 0.5)
    if way == "rounded, maximum":
        return ops.roi_pool(features[None], [features.new_tensor([box])], output_size)[
            0
        ]
    if way == "rounded, mean":
        top, bottom, left, right = (
            *(math.floor(y1), math.ceil(y2)),
            *(math.floor(x1), math.ceil(x2)),
        )
        part = features[:, top:bottom, left:right]
        return F.adaptive_avg_pool2d(part, output_size)
    if way == "resized":
        part = features[None, :, math.floor(y1) : math.ceil(y2)]
        part = part[..., math.floor(x1) : math.ceil(x2)]
        return F.interpolate(part, (output_size,) * 2, mode="bilinear")[0]
    if way == "adaptive":
        boxes = [features.new_tensor([box])]
        return ops.roi_align(features[None], boxes, output_size, 1.0, -1, True)[0]
    weights = []
    for low, high, size in ((y1, y2, features.shape[1]), (x1, x2, features.shape[2])):
        at = low + (high - low) * parts.double() / (output_size * n) - half
        inside = (at >= -1) & (at <= size)
        if way == "nothing outside":
            inside = (at >= 0) & (at <= size - 1)
        elif way == "nowhere 0":
            inside = at == at
        elif way == "fading":
            inside = (at > -1) & (at < size)
            at = torch.where(inside, at, -1)
        if way == "corners":  # grid_sample's other convention
            at = (at + 0.5) * (size - 1) / size
        if way != "fading":
            at = at.clamp(0, size - 1)
        if way in ("nearest", "whole part"):
            at = at.round() if way == "nearest" else at.floor()
        distances = (at[:, None] - torch.arange(size)).abs()
        weights.append(((1 - distances).clamp(min=0) * inside[:, None]).to(features))
    values = weights[0] @ features @ weights[1].T  # (C, m n, m n)
    bins = values.unflatten(2, (output_size, n)).unflatten(1, (output_size, n))
    if way == "maximum":
        return bins.amax((2, 4))
    if way == "sum":
        return bins.sum((2, 4))
    if way == "half a mean":
        return bins.sum((2, 4)) / n
    if way == "not pooled":
        return values
    return bins.mean((2, 4))


_WHOLE = (
    "The box was made whole pixels first. RoIAlign rounds nowhere: bins and samples "
    "lie where the fractions say."
)
_SPACING = (
    "Samples lie in the middle of their parts: with n in a bin of width w they are at "
    "(i + ½) w / n from its start, neither at its start nor at its end."
)
_DIVIDE = "This is the sum of a bin's samples: divide by how many they are, n · n."
_BORDER = (
    "A sample that lies less than a pixel beyond the outer centers is not 0 yet: it "
    "has the value of the border."
)
_CLIPPED = (
    "You clip the box to the map. It keeps its bins and samples, and of those each is "
    "looked at by itself."
)
_NO_AREA = (
    "A box without area has all its samples in one place, and their value: it is "
    "neither refused, nor 0, nor made larger."
)
_ROI_ALIGN_BOX = Exercise(
    name="roi_align_box",
    solution=pyramid_pooling.roi_align_box,
    cases=_align_cases,
    mistakes=(
        Mistake(
            "Half a pixel is missing. The box tells edges; the value of pixel 0 lies "
            "at ½. Take ½ off a sample's place before you look between which pixels it "
            "is.",
            partial(_wrong_align, way="no half"),
        ),
        Mistake(
            "Half a pixel too much was taken off.",
            partial(_wrong_align, way="half twice"),
        ),
        Mistake(_WHOLE, partial(_wrong_align, way="rounded")),
        Mistake(_WHOLE, partial(_wrong_align, way="outward")),
        Mistake(_WHOLE, partial(_wrong_align, way="rounded, maximum")),
        Mistake(_WHOLE, partial(_wrong_align, way="rounded, mean")),
        Mistake(_WHOLE, partial(_wrong_align, way="cut off")),
        Mistake(_WHOLE, partial(_wrong_align, way="resized")),
        Mistake(
            "Half a pixel was added. Take it off: pixel 0 has its center at ½, so a "
            "sample at ½ is at place 0.",
            partial(_wrong_align, way="half added"),
        ),
        Mistake(
            "You take as many samples as a bin has pixels. Here `samples` says how "
            "many.",
            partial(_wrong_align, way="adaptive"),
        ),
        Mistake(
            "A sample more than a pixel beyond the outer centers is 0. Yours has the "
            "value of the border, however far away it is.",
            partial(_wrong_align, way="nowhere 0"),
        ),
        Mistake(
            "x and y have changed places: x1 and x2 are columns, the last dimension.",
            partial(_wrong_align, way="turned"),
        ),
        Mistake(
            "The box is xyxy: its last two numbers are an edge, not width and height.",
            partial(_wrong_align, way="size"),
        ),
        Mistake(_SPACING, partial(_wrong_align, way="starts")),
        Mistake(_SPACING, partial(_wrong_align, way="ends")),
        Mistake(_SPACING, partial(_wrong_align, way="between")),
        Mistake(
            "You take the nearest pixel of each sample. Interpolate between the four "
            "around it.",
            partial(_wrong_align, way="nearest"),
        ),
        Mistake(
            "This is the largest sample of each bin. RoIAlign takes their mean.",
            partial(_wrong_align, way="maximum"),
        ),
        Mistake(_DIVIDE, partial(_wrong_align, way="sum")),
        Mistake(_DIVIDE, partial(_wrong_align, way="half a mean")),
        Mistake(
            "These are the samples. Each bin keeps the mean of its n × n.",
            partial(_wrong_align, way="not pooled"),
        ),
        Mistake(
            "Two samples along each axis, whatever `samples` says.",
            partial(_wrong_align, way="two samples"),
        ),
        Mistake(
            "You take the pixel at the whole part of each place. Interpolate: the next "
            "one counts by what is left over.",
            partial(_wrong_align, way="whole part"),
        ),
        Mistake(
            "With `align_corners=True`, grid_sample takes −1 and 1 for the *centers* "
            "of the outer pixels. Here they are edges: `align_corners=False`.",
            partial(_wrong_align, way="corners"),
        ),
        Mistake(_BORDER, partial(_wrong_align, way="fading")),
        Mistake(_CLIPPED, partial(_wrong_align, way="clipped")),
        Mistake(_CLIPPED, partial(_wrong_align, way="clipped, else 0")),
        Mistake(_NO_AREA, partial(_wrong_align, way="one pixel at least")),
        Mistake(_NO_AREA, partial(_wrong_align, way="never empty")),
        Mistake(_NO_AREA, partial(_wrong_align, way="empty is 0")),
        Mistake(
            "One sample in the middle of each bin, whatever `samples` says.",
            partial(_wrong_align, way="one sample"),
        ),
        Mistake(_BORDER, partial(_wrong_align, way="nothing outside")),
    ),
    hints=(
        "First find where the samples are: output_size · samples places along each "
        "axis, then take ½ off, so that 0 is the center of the first pixel.",
        "Clamp a place into [0, size − 1] before you interpolate, and remember which "
        "places were below −1 or above size: these samples are 0.",
        "Rows and columns come apart: weights of rows (m, H) times the map times "
        "weights of columns (W, m). A pixel's weight in a sample is 1 − distance, not "
        "below 0.",
    ),
)

EXERCISES = (_BIN_EDGES, _SPATIAL_PYRAMID_POOL, _ROI_ALIGN_BOX)
