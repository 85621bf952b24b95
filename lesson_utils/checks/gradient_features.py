"""The exercises of the chapter `book/foundations/gradient_features.ipynb`."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lesson_utils import gradient_features
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# image_gradients --------------------------------------------------------------------


def _differences(image: Tensor) -> tuple[Tensor, Tensor]:
    """By a loop over pixels."""
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    rows, columns = image.shape
    for i in range(rows):
        for j in range(columns):
            if 0 < j < columns - 1:
                x[i, j] = image[i, j + 1] - image[i, j - 1]
            if 0 < i < rows - 1:
                y[i, j] = image[i + 1, j] - image[i - 1, j]
    return x, y


def _image_gradients_cases() -> Iterator[Case]:
    ramp = torch.tensor([[0.0, 1.0, 4.0, 9.0]] * 3)
    expected = torch.tensor([[0.0, 4.0, 8.0, 0.0]] * 3), torch.zeros(3, 4)
    yield Case("brighter to the right", (ramp,), expected=expected)
    yield Case("brighter downward", (ramp.T,), expected=(expected[1].T, expected[0].T))
    image = uniform(6, 9)
    yield Case("a random image", (image,), expected=_differences(image))
    yield Case("more dark than light", (-image,), expected=_differences(-image))
    narrow = uniform(5, 2)
    yield Case("two columns", (narrow,), expected=_differences(narrow), hardening=True)
    bytes_ = torch.tensor([[0, 200, 10], [0, 0, 0]], dtype=torch.uint8)
    yield Case("an image of bytes", (bytes_,), raises=ValueError)


def _floating(image: Tensor) -> Tensor:
    if not image.is_floating_point():
        raise ValueError("floating point")
    return image


def _inner(image):
    _floating(image)
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    x[:, 1:-1] = image[:, 2:] - image[:, :-2]
    y[1:-1] = image[2:] - image[:-2]
    return x, y


def _halved(image):
    return tuple(each / 2 for each in _inner(image))


def _one_sided_borders(image):
    x, y = _inner(image)
    x[:, 0], x[:, -1] = image[:, 1] - image[:, 0], image[:, -1] - image[:, -2]
    y[0], y[-1] = image[1] - image[0], image[-1] - image[-2]
    return x, y


def _as_torch_does(image):
    y, x = torch.gradient(_floating(image))
    return x, y


def _rows_first(image):
    return _inner(image)[::-1]


def _neighbors(image):
    _floating(image)
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    x[:, :-1] = image[:, 1:] - image[:, :-1]
    y[:-1] = image[1:] - image[:-1]
    return x, y


def _reversed(image):
    return tuple(-each for each in _inner(image))


def _rolled(image):
    _floating(image)
    return tuple(image.roll(-1, d) - image.roll(1, d) for d in (1, 0))


def _only_inside(image):
    return tuple(each[1:-1, 1:-1] for each in _inner(image))


def _bytes_too(image):
    return _inner(image.float()) if image.dtype == torch.uint8 else _inner(image)


_IMAGE_GRADIENTS = Exercise(
    name="image_gradients",
    solution=gradient_features.image_gradients,
    cases=_image_gradients_cases,
    mistakes=(
        Mistake("Do not halve: the mask is -1, 0, 1.", _halved),
        Mistake(
            "This is `torch.gradient`, which halves, and goes on at the border with "
            "one neighbor. Here nothing is halved, and the border is 0.",
            _as_torch_does,
        ),
        Mistake(
            "In the first and last column (or row) a neighbor is missing: the "
            "difference there is 0, not one to the pixel itself.",
            _one_sided_borders,
        ),
        Mistake("The two are swapped: x first, which runs along a row.", _rows_first),
        Mistake(
            "This is the difference to the next pixel. Take that of the neighbors on "
            "both sides, and leave the pixel itself out.",
            _neighbors,
        ),
        Mistake("The sign is turned: right less left, lower less upper.", _reversed),
        Mistake(
            "`roll` brings the other side of the picture in: 0 at the border.", _rolled
        ),
        Mistake("The border is cut off: keep the shape, with 0 there.", _only_inside),
        Mistake(
            "Bytes wrap round when they are subtracted (0 - 200 is 56), so whole "
            "numbers are refused: raise a `ValueError`.",
            _bytes_too,
        ),
    ),
    hints=(
        "Two slices of the image, one shifted by two pixels against the other.",
        "`image[:, 2:] - image[:, :-2]` is the inside of the first; write it into "
        "zeros.",
    ),
)


# orientation_histogram --------------------------------------------------------------


def _votes(x: Tensor, y: Tensor, cell_size: int = 8, num_bins: int = 9) -> Tensor:
    """By a loop over pixels."""
    rows, columns = x.shape[0] // cell_size, x.shape[1] // cell_size
    result = torch.zeros(rows, columns, num_bins, dtype=torch.float64)
    for i in range(rows * cell_size):
        for j in range(columns * cell_size):
            angle = math.degrees(math.atan2(y[i, j].item(), x[i, j].item())) % 180
            k = min(int(angle / (180 / num_bins)), num_bins - 1)
            size = math.hypot(x[i, j].item(), y[i, j].item())
            result[i // cell_size, j // cell_size, k] += size / cell_size**2
    return result.to(x.dtype)


def _orientation_histogram_cases() -> Iterator[Case]:
    x = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
    y = torch.tensor([[4.0, 1.0], [0.0, -2.0]])
    by_hand = torch.tensor([[[3.0, 5.0, 0.0, 3.0, 0.0, 0.0]]]) / 4
    yield Case("one cell", (x, y), {"cell_size": 2, "num_bins": 6}, expected=by_hand)
    for seed, (height, width), options in (
        (1, (8, 16), {}),
        (2, (6, 4), {"cell_size": 2, "num_bins": 6}),
        (3, (7, 8), {"cell_size": 3, "num_bins": 12}),
    ):
        x, y = normal(height, width, seed=seed), normal(height, width, seed=seed + 9)
        name = f"{height} x {width} pixels, {options or 'the usual settings'}"
        yield Case(name, (x, y), options, expected=_votes(x, y, **options))
    flat = torch.zeros(4, 4)
    options = {"cell_size": 2, "num_bins": 9}
    yield Case(
        "no gradient", (flat, flat), options, expected=torch.zeros(2, 2, 9),
        hardening=True,
    )  # fmt: skip
    yield Case(
        "no whole cell", (flat, flat), {}, expected=torch.zeros(0, 0, 9), hardening=True
    )
    yield Case("two shapes", (flat, torch.zeros(4, 1)), options, raises=ValueError)
    wrong = {"cell_size": 0, "num_bins": 9}
    yield Case("cells of 0 pixels", (flat, flat), wrong, raises=ValueError)


def _polled(
    x, y, cell_size, num_bins, *, angle=None, weight=None, span=180, place=None,
    mean=True, refuse=True, whole=True,
):  # fmt: skip
    """Votes in the usual way, but for what the options say."""
    if refuse and (x.shape != y.shape or cell_size < 1):
        raise ValueError("shape")
    angle = torch.rad2deg(torch.atan2(y, x)) % 180 if angle is None else angle
    weight = torch.hypot(x, y) if weight is None else weight
    bins = angle / (span / num_bins) if place is None else place
    bins = bins.long().clamp(0, num_bins - 1)
    ones = torch.nn.functional.one_hot(bins, num_bins) * weight[..., None]
    ones = ones.to(x.dtype)
    if not whole:
        pad = (0, 0, 0, -x.shape[1] % cell_size, 0, -x.shape[0] % cell_size)
        ones = torch.nn.functional.pad(ones, pad)
    rows, columns = ones.shape[0] // cell_size, ones.shape[1] // cell_size
    ones = ones[: rows * cell_size, : columns * cell_size]
    cells = ones.reshape(rows, cell_size, columns, cell_size, num_bins)
    return cells.mean((1, 3)) if mean else cells.sum((1, 3))


def _sums(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    return _polled(gradient_x, gradient_y, cell_size, num_bins, mean=False)


def _counts(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    weight = torch.ones_like(gradient_x)
    return _polled(gradient_x, gradient_y, cell_size, num_bins, weight=weight)


def _full_circle(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    angle = torch.rad2deg(torch.atan2(gradient_y, gradient_x)) % 360
    return _polled(gradient_x, gradient_y, cell_size, num_bins, angle=angle, span=360)


def _swapped(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    return _polled(gradient_y, gradient_x, cell_size, num_bins)


def _nearest(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    angle = torch.rad2deg(torch.atan2(gradient_y, gradient_x)) % 180
    place = (angle / (180 / num_bins)).round() % num_bins
    return _polled(gradient_x, gradient_y, cell_size, num_bins, place=place)


def _squares(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    weight = gradient_x**2 + gradient_y**2
    return _polled(gradient_x, gradient_y, cell_size, num_bins, weight=weight)


def _bins_first(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    return _polled(gradient_x, gradient_y, cell_size, num_bins).permute(2, 0, 1)


def _negative_angles(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    angle = torch.rad2deg(torch.atan2(gradient_y, gradient_x))
    return _polled(gradient_x, gradient_y, cell_size, num_bins, angle=angle)


def _partial_cells(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    return _polled(gradient_x, gradient_y, cell_size, num_bins, whole=False)


def _any_shape(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    gradient_x, gradient_y = torch.broadcast_tensors(gradient_x, gradient_y)
    return _polled(gradient_x, gradient_y, max(cell_size, 1), num_bins, refuse=False)


_ORIENTATION_HISTOGRAM = Exercise(
    name="orientation_histogram",
    solution=gradient_features.orientation_histogram,
    cases=_orientation_histogram_cases,
    mistakes=(
        Mistake("Divide by the number of the cell's pixels: a mean, no sum.", _sums),
        Mistake(
            "Each pixel counts alike here. It votes with its magnitude, so that flat "
            "places have no say.",
            _counts,
        ),
        Mistake(
            "These are directions, over 360 degrees. Orientations lie in [0, 180): "
            "take the angle modulo 180.",
            _full_circle,
        ),
        Mistake("`atan2` takes y first, then x.", _swapped),
        Mistake(
            "You round to the nearest edge of a bin. Bin 0 goes from 0 up to 180 / n "
            "degrees, so round down.",
            _nearest,
        ),
        Mistake("The magnitude is the root of the sum of squares.", _squares),
        Mistake("The bins belong into the last dimension.", _bins_first),
        Mistake(
            "Negative angles end up in bin 0: take the angle modulo 180 first.",
            _negative_angles,
        ),
        Mistake("What fills no whole cell is left out.", _partial_cells),
        Mistake(
            "Two shapes that do not agree, or cells without a pixel, are a mistake "
            "made elsewhere: raise a `ValueError`.",
            _any_shape,
        ),
    ),
    hints=(
        "Each pixel has a cell, a bin, and a magnitude to vote with.",
        "`torch.rad2deg(torch.atan2(gradient_y, gradient_x)) % 180` is the "
        "orientation; divided by 180 / n and rounded down it is the bin.",
        "For each bin: the magnitudes where the pixel's bin is this one, 0 elsewhere; "
        "then the mean over cells, by `reshape(R, c, C, c).mean((1, 3))`.",
    ),
)


# normalize_blocks -------------------------------------------------------------------


def _block_by_block(histogram: Tensor, block_size: int = 2) -> Tensor:
    rows, columns, bins = histogram.shape
    shape = rows - block_size + 1, columns - block_size + 1
    result = torch.zeros(*shape, block_size, block_size, bins, dtype=histogram.dtype)
    for i in range(shape[0]):
        for j in range(shape[1]):
            block = histogram[i : i + block_size, j : j + block_size]
            block = block / math.sqrt(block.square().sum().item() + 1e-10)
            block = block.clamp(max=0.2)
            result[i, j] = block / math.sqrt(block.square().sum().item() + 1e-10)
    return result


def _normalize_blocks_cases() -> Iterator[Case]:
    close = {"rtol": 1e-4, "atol": 2e-5}
    cells = torch.tensor([[[3.0], [4.0]], [[0.0], [0.0]]])
    half = math.sqrt(0.5)
    expected = torch.tensor([[half], [half], [0.0], [0.0]]).view(1, 1, 2, 2, 1)
    yield Case("one block of four cells", (cells,), expected=expected, **close)
    for seed, shape, size in ((1, (4, 5, 9), 2), (2, (3, 3, 4), 1), (3, (5, 4, 6), 3)):
        cells = uniform(*shape, seed=seed)
        yield Case(
            f"{shape[0]} x {shape[1]} cells, blocks of {size}",
            (cells,),
            {"block_size": size},
            expected=_block_by_block(cells, size),
            **close,
        )
    nothing = torch.zeros(2, 2, 3)
    yield Case(
        "no gradient", (nothing,), expected=torch.zeros(1, 1, 2, 2, 3), hardening=True
    )
    yield Case("too few cells", (torch.ones(1, 4, 9),), raises=ValueError)


def _blocked(histogram, block_size, *, step=1, normalize=None):
    if min(histogram.shape[:2]) < block_size:
        raise ValueError("cells")
    blocks = histogram.unfold(0, block_size, step).unfold(1, block_size, step)
    blocks = blocks.permute(0, 1, 3, 4, 2)
    return (normalize or _hys)(blocks)


def _length(blocks, dims=(-3, -2, -1)):
    return (blocks.square().sum(dims, keepdim=True) + 1e-10).sqrt()


def _hys(blocks):
    blocks = (blocks / _length(blocks)).clamp(max=0.2)
    return blocks / _length(blocks)


def _once(histogram, *, block_size=2):
    return _blocked(histogram, block_size, normalize=lambda b: b / _length(b))


def _not_again(histogram, *, block_size=2):
    return _blocked(
        histogram, block_size, normalize=lambda b: (b / _length(b)).clamp(max=0.2)
    )


def _by_sum(histogram, *, block_size=2):
    def divide(b):
        return b / (b.sum((-3, -2, -1), keepdim=True) + 1e-5)

    return _blocked(
        histogram, block_size, normalize=lambda b: divide(divide(b).clamp(max=0.2))
    )


def _each_cell(histogram, *, block_size=2):
    def divide(b):
        return b / _length(b, (-1,))

    return _blocked(
        histogram, block_size, normalize=lambda b: divide(divide(b).clamp(max=0.2))
    )


def _apart(histogram, *, block_size=2):
    return _blocked(histogram, block_size, step=block_size)


def _clips_first(histogram, *, block_size=2):
    return _blocked(histogram, block_size, normalize=lambda b: _hys(b.clamp(max=0.2)))


def _without_epsilon(histogram, *, block_size=2):
    def divide(b):
        return b / b.square().sum((-3, -2, -1), keepdim=True).sqrt()

    return _blocked(
        histogram, block_size, normalize=lambda b: divide(divide(b).clamp(max=0.2))
    )


def _few_cells(histogram, *, block_size=2):
    size = min(block_size, *histogram.shape[:2])
    return _blocked(histogram, size)


_NORMALIZE_BLOCKS = Exercise(
    name="normalize_blocks",
    solution=gradient_features.normalize_blocks,
    cases=_normalize_blocks_cases,
    mistakes=(
        Mistake("That is L2. Cut at 0.2 and normalize once more.", _once),
        Mistake(
            "After the cut the length is no longer 1: normalize again.", _not_again
        ),
        Mistake("Divide by the length, not by the sum: L2, not L1.", _by_sum),
        Mistake(
            "Each cell has a length of its own here. It is the block that has one, "
            "over all of its cells and bins.",
            _each_cell,
        ),
        Mistake("Blocks overlap: a new one begins at every cell.", _apart),
        Mistake(
            "Normalize first, then cut: 0.2 is a part of a length of 1.", _clips_first
        ),
        Mistake(
            "A block without gradients is 0 / 0. Add the square of a small epsilon "
            "under the root.",
            _without_epsilon,
        ),
        Mistake(
            "With fewer cells than a block has there is no block: raise a "
            "`ValueError`.",
            _few_cells,
        ),
    ),
    hints=(
        "First cut the blocks out, then give each the length 1, twice.",
        "`histogram.unfold(0, b, 1).unfold(1, b, 1)` has the shape (R', C', n, b, b); "
        "`permute` brings the bins to the end.",
        "Divide by `(blocks.square().sum((-3, -2, -1), keepdim=True) + 1e-10).sqrt()`, "
        "`clamp(max=0.2)`, and divide again.",
    ),
)


EXERCISES = (_IMAGE_GRADIENTS, _ORIENTATION_HISTOGRAM, _NORMALIZE_BLOCKS)
