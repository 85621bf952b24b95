"""Argument checks: one vocabulary for what the book's functions refuse.

Each function looks at one argument and raises a `ValueError` whose message is the
argument's name, the rule, and the value that broke it. Only what torch would silently
compute with is checked; what torch refuses clearly by itself is left to torch. A
boolean is no number here, and neither is NaN.
"""

import math
from collections.abc import Collection, Sequence
from numbers import Integral, Real

import torch
from torch import Tensor

INTEGERS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def require_whole(
    name: str, value: object, minimum: int | None = 1, maximum: int | None = None
) -> None:
    """Refuse what is no whole number of a range: 1.5, True, "3", None.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        minimum: the smallest number that is allowed; None for no bound.
        maximum: the largest one, beside a minimum; None for no bound.

    Raises:
        ValueError: it is not.
    """
    low = -math.inf if minimum is None else minimum
    high = math.inf if maximum is None else maximum
    if _is_whole(value) and low <= value <= high:
        return
    rule = "" if minimum is None else f" >= {minimum}"
    rule = rule if maximum is None else f" from {minimum} to {maximum}"
    raise ValueError(f"{name} must be a whole number{rule}, got {value!r}")


def size_pair(name: str, value: object, minimum: int = 1) -> tuple[int, int]:
    """A picture's height and width, from one number for both or from two.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        minimum: the smallest number that is allowed.

    Returns:
        Height and width.

    Raises:
        ValueError: it is neither a whole number nor a tuple or list of two.
    """
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(_is_whole(n) and n >= minimum for n in pair):
        raise ValueError(
            f"{name} must be a whole number >= {minimum} or two, got {value!r}"
        )
    return pair


def require_finite_number(name: str, value: object) -> None:
    """Refuse what is no finite number.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Raises:
        ValueError: it is not.
    """
    if not math.isfinite(_number(value)):
        raise ValueError(f"{name} must be a finite number, got {value!r}")


def require_positive(name: str, value: object) -> None:
    """Refuse what is no finite number above 0.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Raises:
        ValueError: it is not.
    """
    if not 0 < _number(value) < math.inf:
        raise ValueError(f"{name} must be finite and above 0, got {value!r}")


def require_not_negative(name: str, value: object) -> None:
    """Refuse what is no finite number from 0 on.

    Args:
        name: the argument's name, for the message.
        value: the argument.

    Raises:
        ValueError: it is not.
    """
    if not 0 <= _number(value) < math.inf:
        raise ValueError(f"{name} must be finite and not negative, got {value!r}")


def require_share(name: str, value: object, interval: str = "[0, 1]") -> None:
    """Refuse what lies outside an interval, which is a part of [0, 1] as a rule.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        interval: as it is written in mathematics: "(0, 1]" leaves 0 out.

    Raises:
        ValueError: it does.
    """
    low, high = (float(end) for end in interval[1:-1].split(","))
    number = _number(value)
    above = low < number or (interval[0] == "[" and low == number)
    below = number < high or (interval[-1] == "]" and number == high)
    if not (above and below):
        raise ValueError(f"{name} must lie in {interval}, got {value!r}")


def require_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuse what is none of the words that are known.

    Args:
        name: the argument's name, for the message.
        value: the argument.
        choices: the words.

    Raises:
        ValueError: it is none of them.
    """
    if value not in choices:
        known = ", ".join(map(str, choices))
        raise ValueError(f"{name} must be one of {known}, got {value!r}")


def require_floating(name: str, values: Tensor) -> None:
    """Refuse a tensor of whole numbers or booleans.

    Args:
        name: the argument's name, for the message.
        values: any shape.

    Raises:
        ValueError: it is not floating point.
    """
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {values.dtype}")


def require_shape(
    name: str, values: Tensor, shape: str, *, floating: bool = False, **sizes: int
) -> None:
    """Refuse a tensor of another shape, before it is broadcast by accident.

    Args:
        name: the argument's name, for the message.
        values: any shape.
        shape: names and numbers of the dimensions, such as "B 3 H W"; the first may be
            "..." for any number of them.
        floating: whether the tensor must be floating point, too.
        **sizes: what named dimensions have to be.

    Raises:
        ValueError: the number of dimensions or one of the sizes is another.
    """
    wanted = shape.split()
    free = wanted[0] == "..."
    ends = wanted[1:] if free else wanted
    fits = values.dim() >= len(ends) if free else values.dim() == len(ends)
    for name_or_size, size in zip(reversed(ends), reversed(values.shape), strict=False):
        want = int(name_or_size) if name_or_size.isdigit() else sizes.get(name_or_size)
        fits &= want is None or want == size
    if fits and (values.is_floating_point() or not floating):
        return
    named = ", ".join(str(sizes.get(each, each)) for each in wanted)
    named += "," * (len(wanted) == 1)
    kind = ", floating point" if floating else ""
    raise ValueError(
        f"{name} must be ({named}){kind}, got {tuple(values.shape)} of {values.dtype}"
    )


def require_unit_range(name: str, values: Tensor, low: float = 0.0) -> None:
    """Refuse values outside [0, 1], such as pictures of 0 … 255 held as floats.

    Args:
        name: the argument's name, for the message.
        values: any shape.
        low: the lower end: -1 for what a tanh puts out.

    Raises:
        ValueError: a value lies outside, or is NaN.
    """
    if not values.numel():
        return
    least, largest = values.detach().aminmax()
    if not (least >= low and largest <= 1):  # false for NaN, too
        raise ValueError(
            f"{name} must lie in [{low:g}, 1], got [{least:g}, {largest:g}]"
        )


def require_images(name: str, images: Tensor, shape: str = "B 3 H W") -> None:
    """Refuse what is no batch of pictures: bytes, or floating point in [0, 1].

    Args:
        name: the argument's name, for the message.
        images: (B, 3, H, W), or as `shape` says.
        shape: as for `require_shape`.

    Raises:
        ValueError: another shape or type, or a value outside [0, 1].
    """
    require_shape(name, images, shape)
    if images.dtype == torch.uint8:
        return
    if not images.is_floating_point():
        raise ValueError(
            f"{name} must be uint8, or floating point in [0, 1], got {images.dtype}"
        )
    if images.numel():
        least, largest = images.detach().aminmax()
        if not (least >= 0 and largest <= 1):  # false for NaN, too
            raise ValueError(
                f"{name} must lie in [0, 1], or be uint8, got [{least:g}, {largest:g}]"
            )


def require_picture(image: Tensor) -> None:
    """Refuse what is no picture and no batch of pictures.

    Args:
        image: (C, H, W) or (B, C, H, W), floating point.

    Raises:
        ValueError: it is not (C, H, W) or (B, C, H, W), floating point and not empty.
    """
    if image.dim() not in (3, 4) or not image.is_floating_point() or 0 in image.shape:
        raise ValueError(
            "image must be (C, H, W) or (B, C, H, W), floating point and not empty, "
            f"got {tuple(image.shape)} of {image.dtype}"
        )


def require_colors(images: Tensor) -> None:
    """Refuse what is no color picture, nor a batch of them.

    Args:
        images: (3, H, W) or (B, 3, H, W), floating point.

    Raises:
        ValueError: it is not (3, H, W) or (B, 3, H, W) with values in [0, 1].
    """
    require_picture(images)
    if images.shape[-3] != 3:
        raise ValueError(f"images must have 3 channels, got {tuple(images.shape)}")
    require_unit_range("images", images)


def require_crop(crop: Sequence[int], height: float, width: float) -> tuple[int, ...]:
    """A crop as four whole numbers.

    Args:
        crop: (4,), x1, y1, x2, y2 in whole pixels, by their edges.
        height: H of the picture, in pixels.
        width: W, in pixels.

    Returns:
        x1, y1, x2, y2.

    Raises:
        ValueError: the crop is empty, leaves the picture, or is not whole.
    """
    numbers = tuple(crop)
    whole = len(numbers) == 4 and all(isinstance(n, int) for n in numbers)
    if whole:
        x1, y1, x2, y2 = numbers
        whole = 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    if not whole:
        raise ValueError(
            f"crop must be whole numbers with 0 <= x1 < x2 <= {width} and "
            f"0 <= y1 < y2 <= {height}, got {crop}"
        )
    return numbers


def require_boxes(name: str, boxes: Tensor) -> None:
    """Refuse what is no xyxy box.

    Args:
        name: the argument's name, for the message.
        boxes: (..., N, 4), floating point or whole numbers.

    Raises:
        ValueError: `boxes` is no such tensor, or one of the boxes is not finite, or
            has x2 < x1 or y2 < y1 (cxcywh boxes often do).
    """
    number = boxes.is_floating_point() or boxes.dtype in INTEGERS
    if not number or boxes.dim() < 2 or boxes.shape[-1] != 4:
        raise ValueError(
            f"{name} must be numbers (..., N, 4), got {boxes.dtype} and shape "
            f"{tuple(boxes.shape)}"
        )
    # NaN compares false, so that this finds it, too; infinity has to be looked for.
    good = (boxes[..., 2:] >= boxes[..., :2]).all(-1) & boxes.isfinite().all(-1)
    if not good.all():
        raise ValueError(
            f"{name} must be finite xyxy with x1 <= x2 and y1 <= y2, got "
            f"{boxes[~good][0].tolist()}"
        )


def require_boxes_within(boxes: Tensor, height: float, width: float) -> None:
    """Refuse boxes that leave a picture.

    Args:
        boxes: (N, 4), xyxy in pixels, by their edges.
        height: H, in pixels.
        width: W, in pixels.

    Raises:
        ValueError: boxes are not (N, 4), or one is not within 0 <= x1 <= x2 <= W and
            0 <= y1 <= y2 <= H.
    """
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4), got shape {tuple(boxes.shape)}")
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    inside = (x1 >= 0) & (x1 <= x2) & (x2 <= width)
    inside &= (y1 >= 0) & (y1 <= y2) & (y2 <= height)  # false for NaN, too
    if not inside.all():
        raise ValueError(
            f"boxes must have 0 <= x1 <= x2 <= {width} and 0 <= y1 <= y2 <= {height}, "
            f"got {boxes[~inside][0].tolist()}"
        )


def require_box_labels(
    name: str, labels: Tensor, number: int, num_classes: int
) -> None:
    """Refuse what does not say of each picture what is in it, and where.

    Args:
        name: the argument's name, for the message.
        labels: (B, M, 5): class from 0, or -1 for padding, and a box.
        number: B, at least 1.
        num_classes: K; classes are below it.

    Raises:
        ValueError: another shape, no picture, or a class beyond K.
    """
    if number < 1 or labels.dim() != 3 or labels.shape[::2] != (number, 5):
        raise ValueError(
            f"{name} must be (B, M, 5), one for each of B >= 1 images, got "
            f"{tuple(labels.shape)} for {number}"
        )
    classes = labels[..., 0]
    if classes.numel() and not classes.max() < num_classes:
        raise ValueError(
            f"{name} must be of classes below {num_classes}, got "
            f"{classes.max().item():g}"
        )


def require_labels(name: str, labels: Tensor, number: int, num_classes: int) -> None:
    """Refuse what is not one class for each sample.

    Args:
        name: the argument's name, for the message.
        labels: (N,), of any type of whole numbers.
        number: N; of none, any shape (0,) will do.
        num_classes: K; labels run from 0 to K - 1.

    Raises:
        ValueError: another shape or type, or a label out of range.
    """
    if labels.shape != (number,):
        raise ValueError(
            f"{name} must be ({number},), one for each sample, got "
            f"{tuple(labels.shape)}"
        )
    if labels.dtype not in INTEGERS:
        raise ValueError(f"{name} must be whole numbers, got {labels.dtype}")
    if number and not (labels.min() >= 0 and labels.max() < num_classes):
        raise ValueError(
            f"{name} must lie in [0, {num_classes - 1}], got "
            f"[{labels.min()}, {labels.max()}]"
        )


def require_probabilities(name: str, values: Tensor) -> None:
    """Refuse what is no distribution along the last dimension.

    Args:
        name: the argument's name, for the message.
        values: (..., K).

    Raises:
        ValueError: not floating point, a value is negative or NaN, or the values of a
            row do not add up to 1 within a thousandth (half precision: a hundredth).
    """
    require_floating(name, values)
    slack = 1e-2 if values.dtype in (torch.float16, torch.bfloat16) else 1e-3
    sums = values.detach().float().sum(dim=-1)
    if not ((values >= 0).all() and ((sums - 1).abs() <= slack).all()):
        raise ValueError(
            f"{name} must be probabilities: not negative, each row adding up to 1, got "
            f"rows that add up to {sums.min():g} … {sums.max():g}"
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool)


def _number(value: object) -> float:
    """The value as a number; NaN, which no rule accepts, for what is none."""
    if isinstance(value, Tensor) and not value.dim() and value.dtype != torch.bool:
        value = value.item()
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    return math.nan
