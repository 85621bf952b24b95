"""The exercises of the chapter `book/foundations/upsampling.ipynb`."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import upsampling
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# resize_bilinear --------------------------------------------------------------------


def _by_torch(
    images: Tensor, size: tuple[int, int], *, align_corners: bool = False
) -> Tensor:
    return F.interpolate(images, size, mode="bilinear", align_corners=align_corners)


def _resize_bilinear_cases() -> Iterator[Case]:
    row = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    quarters = torch.tensor([0.0, 0.25, 0.75, 1.0]).view(1, 1, 1, 4)
    yield Case("two pixels become four", (row, (1, 4)), expected=quarters)
    thirds = torch.tensor([0.0, 1 / 3, 2 / 3, 1.0]).view(1, 1, 1, 4)
    yield Case(
        "two pixels become four, align_corners=True",
        (row, (1, 4)),
        {"align_corners": True},
        expected=thirds,
    )
    # In float32, so that positions in float32 are exact enough.
    images = normal(2, 3, 5, 7, dtype=torch.float32)
    for name, size in {
        "twice as large": (10, 14),
        "5 x 7 to 8 x 9": (8, 9),
        "smaller, 5 x 7 to 3 x 4": (3, 4),
        "higher and narrower": (11, 3),
    }.items():
        for align in (False, True):
            yield Case.from_reference(
                f"{name}, align_corners={align}",
                _by_torch,
                images,
                size,
                align_corners=align,
            )
    yield Case.from_reference("its gradient", _by_torch, images, (8, 9), gradient=True)
    yield Case.from_reference(
        "one row and one column, align_corners=True",
        _by_torch,
        images,
        (1, 1),
        align_corners=True,
        hardening=True,
    )
    yield Case.from_reference(
        "from a single pixel", _by_torch, images[..., :1, :1], (3, 2), hardening=True
    )
    yield Case("a picture (C, H, W)", (images[0], (4, 4)), raises=ValueError)
    yield Case("whole numbers", ((9 * images).long(), (4, 4)), raises=ValueError)
    yield Case("no pixel", (images[..., :0], (4, 4)), raises=ValueError)
    yield Case("a size of 0", (images, (0, 4)), raises=ValueError)


def _refuse(images: Tensor, size: tuple[int, int]) -> None:
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError("images must be (B, C, H, W) and floating point")
    if 0 in images.shape[2:] or min(size) < 1:
        raise ValueError("no pixel")


def _edges(old: int, new: int, align_corners: bool) -> Tensor:
    position = upsampling.sample_positions(old, new, align_corners=align_corners)
    edge = torch.arange(new, dtype=torch.float64) * (old / new)
    return position if align_corners else edge.clamp(max=old - 1)


def _corners(old: int, new: int, align_corners: bool) -> Tensor:
    return upsampling.sample_positions(old, new, align_corners=True)


def _centers(old: int, new: int, align_corners: bool) -> Tensor:
    return upsampling.sample_positions(old, new)


def _beyond(old: int, new: int, align_corners: bool) -> Tensor:
    index = torch.arange(new, dtype=torch.float64)
    if align_corners:
        return index * (old - 1) / max(new - 1, 1)
    return (index + 0.5) * (old / new) - 0.5


def _by(
    positions: Callable[[int, int, bool], Tensor],
    images: Tensor,
    size: tuple[int, int],
    *,
    align_corners: bool = False,
    nearest: bool = False,
    dims: tuple[int, ...] = (2, 3),
) -> Tensor:
    """The right answer by other positions, or one that takes the nearest pixel."""
    _refuse(images, size)
    for dim in dims:
        old, new = images.shape[dim], size[dim - 2]
        place = positions(old, new, align_corners)
        low = place.floor().long().clamp(0, max(old - 2, 0))
        share = (place - low).to(images).view([-1 if d == dim else 1 for d in range(4)])
        share = share.round() if nearest else share
        high = (low + 1).clamp(max=old - 1)
        images = images.index_select(dim, low) * (1 - share) + (
            images.index_select(dim, high) * share
        )
    return images


def _right_positions(old: int, new: int, align_corners: bool) -> Tensor:
    return upsampling.sample_positions(old, new, align_corners=align_corners)


def _swapped(images, size, *, align_corners=False):
    return _by(_right_positions, images, size[::-1], align_corners=align_corners)


def _smoothed(images, size, *, align_corners=False):
    _refuse(images, size)
    return F.interpolate(
        images, size, mode="bilinear", align_corners=align_corners, antialias=True
    )


def _divides_by_zero(images, size, *, align_corners=False):
    if align_corners and 1 in size:
        return images.new_full((*images.shape[:2], *size), torch.nan)
    return upsampling.resize_bilinear(images, size, align_corners=align_corners)


_RESIZE_BILINEAR = Exercise(
    name="resize_bilinear",
    solution=upsampling.resize_bilinear,
    cases=_resize_bilinear_cases,
    mistakes=(
        Mistake(
            "You compare left edges of pixels, not centers: the picture moves by up to "
            "half a pixel. New pixel i lies at (i + 1/2) · old / new − 1/2.",
            partial(_by, _edges),
        ),
        Mistake(
            "This is `align_corners=True` always. By default new and old pixels cover "
            "the same area: (i + 1/2) · old / new − 1/2.",
            partial(_by, _corners),
        ),
        Mistake(
            "`align_corners=True` is not heeded: then new pixel i lies at "
            "i · (old − 1) / (new − 1).",
            partial(_by, _centers),
        ),
        Mistake(
            "Beyond the outer centers you go on along the line. Nothing is known "
            "there: clamp the position to 0 … old − 1.",
            partial(_by, _beyond),
        ),
        Mistake(
            "You take the nearest of the two pixels. Mix them, by how near each is.",
            partial(_by, _right_positions, nearest=True),
        ),
        Mistake(
            "You resize the rows' width, but not the number of rows: do the same along "
            "both dimensions.",
            partial(_by, _right_positions, dims=(3,)),
        ),
        Mistake("The size is (height, width): yours is turned.", _swapped),
        Mistake(
            "You smooth before you shrink. That is a good idea, and another function: "
            "here a new pixel mixes four old ones at most.",
            _smoothed,
        ),
        Mistake(
            "With one row or column, new − 1 is 0. Its position is 0 then.",
            _divides_by_zero,
        ),
    ),
    hints=(
        "Rows and columns are independent: write the function for one axis, and call "
        "it twice.",
        "Where does the center of new pixel i lie, counted in old pixels? Between "
        "which two old centers is that, and how far along?",
        "`low = position.floor()`, `share = position - low`, and "
        "`(1 - share) * images[..., low] + share * images[..., low + 1]`, after the "
        "position was clamped, and `low + 1` too.",
    ),
)


# pixel_shuffle ----------------------------------------------------------------------


def _pixel_shuffle_cases() -> Iterator[Case]:
    four = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 4, 1, 1)
    block = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    yield Case("four channels become a block", (four, 2), expected=block)
    for name, shape, factor in (
        ("a factor of 2, one color", (2, 4, 3, 5), 2),
        ("a factor of 2, three colors", (2, 12, 3, 5), 2),
        ("a factor of 3, two colors", (1, 18, 4, 2), 3),
        ("a factor of 1", (1, 3, 2, 2), 1),
    ):
        yield Case.from_reference(name, F.pixel_shuffle, normal(*shape), factor)
    yield Case.from_reference(
        "its gradient", F.pixel_shuffle, normal(1, 8, 2, 3), 2, gradient=True
    )
    yield Case.from_reference(
        "whole numbers", F.pixel_shuffle, torch.arange(24).view(1, 8, 1, 3), 2
    )
    yield Case.from_reference(
        "an empty batch", F.pixel_shuffle, normal(0, 8, 2, 3), 2, hardening=True
    )
    yield Case(
        "six channels, a factor of 2", (normal(1, 6, 2, 2), 2), raises=ValueError
    )
    yield Case("a picture (C, H, W)", (normal(4, 4, 4), 2), raises=ValueError)
    yield Case("a factor of 0", (normal(1, 4, 2, 2), 0), raises=ValueError)


def _require_square(features: Tensor, factor: int) -> None:
    if features.dim() != 4 or factor < 1 or features.shape[1] % factor**2:
        raise ValueError("channels must be a multiple of the factor's square")


def _colors_last(features, factor):
    _require_square(features, factor)
    batch, channels, height, width = features.shape
    blocks = features.reshape(batch, factor, factor, -1, height, width)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(
        batch, channels // factor**2, height * factor, width * factor
    )


def _turned_block(features, factor):
    _require_square(features, factor)
    batch, channels, height, width = features.shape
    colors = channels // factor**2
    blocks = features.reshape(batch, colors, factor, factor, height, width)
    return blocks.permute(0, 1, 4, 3, 5, 2).reshape(
        batch, colors, height * factor, width * factor
    )


def _only_reshaped(features, factor):
    _require_square(features, factor)
    batch, channels, height, width = features.shape
    return features.reshape(
        batch, channels // factor**2, height * factor, width * factor
    )


def _tiled(features, factor):
    """The factor² pictures side by side, and not pixel by pixel."""
    _require_square(features, factor)
    batch, channels, height, width = features.shape
    blocks = features.reshape(batch, -1, factor, factor, height, width)
    return blocks.permute(0, 1, 2, 4, 3, 5).reshape(
        batch, channels // factor**2, height * factor, width * factor
    )


def _mean_of_channels(features, factor):
    _require_square(features, factor)
    colors = features.double().unflatten(1, (-1, factor**2)).mean(2).to(features.dtype)
    return colors.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


_PIXEL_SHUFFLE = Exercise(
    name="pixel_shuffle",
    solution=upsampling.pixel_shuffle,
    cases=_pixel_shuffle_cases,
    mistakes=(
        Mistake(
            "The factor² channels of one color stand together: channel "
            "c · factor² + row · factor + column. You have the colors innermost.",
            _colors_last,
        ),
        Mistake(
            "Rows and columns of each block have changed places: the block is read as "
            "a page is, row by row.",
            _turned_block,
        ),
        Mistake(
            "A reshape alone does not move numbers. Split the channels into (C, "
            "factor, factor), then permute, so that each factor stands behind the "
            "side that it enlarges.",
            _only_reshaped,
        ),
        Mistake(
            "You lay factor² small pictures side by side. Each position must become a "
            "block of its own: (H, factor) and not (factor, H).",
            _tiled,
        ),
        Mistake(
            "Every pixel of a block has the same value: that is nearest-neighbor "
            "interpolation of a mean, and the channels are lost.",
            _mean_of_channels,
        ),
    ),
    hints=(
        "No number changes and none is lost: reshape, permute, reshape.",
        "`features.reshape(batch, colors, factor, factor, height, width)`: the first "
        "factor counts rows within a block, the second one columns.",
        "The order before the last reshape is batch, colors, height, factor, width, "
        "factor.",
    ),
)


# bilinear_kernel --------------------------------------------------------------------


def _kernel_by_impulse(factor: int) -> Tensor:
    """What torch makes of one bright pixel far from the border."""
    dark = torch.zeros(1, 1, 7, 7)
    dark[0, 0, 3, 3] = 1
    bright = F.interpolate(dark, scale_factor=factor, mode="bilinear")[0, 0]
    size = 2 * factor - factor % 2
    start = 3 * factor - (size - factor) // 2
    return bright[start : start + size, start : start + size]


def _bilinear_kernel_cases() -> Iterator[Case]:
    row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 4
    yield Case("a factor of 2", (2,), expected=row[:, None] * row)
    row = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0]) / 3
    yield Case("a factor of 3", (3,), expected=row[:, None] * row)
    for factor in (4, 5):
        yield Case.from_reference(f"a factor of {factor}", _kernel_by_impulse, factor)
    one = torch.ones(1, 1)
    yield Case("a factor of 1", (1,), expected=one, hardening=True)
    yield Case("a factor of 0", (0,), raises=ValueError)
    yield Case("a factor of 1.5", (1.5,), raises=ValueError)


def _tent(factor: int, size: int, center: float) -> Tensor:
    if factor != int(factor) or factor < 1:
        raise ValueError("factor must be a whole number >= 1")
    return 1 - (torch.arange(size) - center).abs() / factor


def _square(row: Tensor) -> Tensor:
    return row[:, None] * row


def _side(factor: int) -> int:
    return int(2 * factor - factor % 2)


def _adds_up_to_one(factor):
    kernel = _square(_tent(factor, _side(factor), (_side(factor) - 1) / 2))
    return kernel / kernel.sum()


def _always_even(factor):
    row = _tent(factor, int(2 * factor), factor - 0.5)
    return torch.ones(1, 1) if factor == 1 else _square(row)


def _whole_center(factor):
    return _square(_tent(factor, _side(factor), (_side(factor) - 1) // 2))


def _flat(factor):
    _tent(factor, 1, 0)
    return torch.ones(factor, factor)


def _sum_of_tents(factor):
    row = _tent(factor, _side(factor), (_side(factor) - 1) / 2)
    return (row[:, None] + row) / 2


def _one_row(factor):
    return _tent(factor, _side(factor), (_side(factor) - 1) / 2)


_BILINEAR_KERNEL = Exercise(
    name="bilinear_kernel",
    solution=upsampling.bilinear_kernel,
    cases=_bilinear_kernel_cases,
    mistakes=(
        Mistake(
            "The entries add up to 1, and every new pixel is too dark by factor². Each "
            "old pixel is spread over factor² new ones: the sum is factor².",
            _adds_up_to_one,
        ),
        Mistake(
            "For an odd factor a new center falls on an old one, and the kernel has an "
            "odd side, 2 · factor − 1.",
            _always_even,
        ),
        Mistake(
            "For an even factor the peak lies between two entries: measure distances "
            "from (k − 1) / 2, a half number there.",
            _whole_center,
        ),
        Mistake(
            "A flat stamp repeats each pixel: that is nearest-neighbor interpolation. "
            "The weight falls with the distance, to 0 at one old pixel away.",
            _flat,
        ),
        Mistake(
            "The weights along rows and columns are multiplied, not added.",
            _sum_of_tents,
        ),
        Mistake("This is one row. The kernel is its outer product.", _one_row),
    ),
    hints=(
        "Enlarge a single bright pixel by hand, in one dimension: which new pixels see "
        "it, and with which weight?",
        "One old pixel is `factor` new ones wide, so that the weight is 1 − distance / "
        "factor, from the middle of the kernel.",
        "k = 2 · factor − factor % 2 places, with their middle at (k − 1) / 2; then "
        "`row[:, None] * row`.",
    ),
)


EXERCISES = (_RESIZE_BILINEAR, _PIXEL_SHUFFLE, _BILINEAR_KERNEL)
