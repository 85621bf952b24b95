"""The exercises of the chapter `book/foundations/masks.ipynb`."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import masks
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _random_mask(*shape: int, seed: int = 0) -> Tensor:
    return uniform(*shape, seed=seed, dtype=torch.float32) < 0.6


# masked_mean ------------------------------------------------------------------------


def _mean_by_numpy(values: Tensor, mask: Tensor, dim: object = None) -> Tensor:
    hidden = ~mask.expand_as(values).numpy()
    mean = np.ma.array(values.numpy(), mask=hidden).mean(axis=dim)
    return torch.as_tensor(np.ma.getdata(mean))


def _masked_mean_cases() -> Iterator[Case]:
    values = torch.tensor([1.0, 2.0, 3.0, 10.0])
    some = torch.tensor([True, False, True, False])
    yield Case("two of four values", (values, some), expected=torch.tensor(2.0))

    values, mask = normal(3, 6, 5), _random_mask(3, 6, 5)
    mask[0] = True  # no mean along a dimension is without a value
    for dim in (None, 0, (0, 2)):
        expected = _mean_by_numpy(values, mask, dim)
        yield Case(f"dim={dim}", (values, mask), {"dim": dim}, expected=expected)

    plane = _random_mask(6, 5, seed=1)
    for dim in (None, (1, 2)):
        expected = _mean_by_numpy(values, plane, dim)
        name = f"one (6, 5) mask for (3, 6, 5) values, dim={dim}"
        yield Case(name, (values, plane), {"dim": dim}, expected=expected)

    hidden = torch.tensor([math.nan, 4.0, 6.0, math.inf])
    keep = torch.tensor([False, True, True, False])
    yield Case(
        "NaN behind the mask",
        (hidden, keep),
        expected=torch.tensor(5.0),
        hardening=True,
    )
    yield Case.from_reference(
        "its gradient", lambda v, m: v[m].mean(), values, mask, gradient=True
    )
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    yield Case("a mask of nothing", (torch.ones(2, 3), nothing), raises=ValueError)
    row = torch.tensor([[True, True, False], [False, False, False]])
    yield Case(
        "a row of nothing", (torch.ones(2, 3), row), {"dim": 1}, raises=ValueError
    )


def _refuse_empty(count: Tensor) -> Tensor:
    if (count == 0).any():
        raise ValueError("nothing is kept")
    return count


def _divides_by_all(values, mask, dim=None):
    _refuse_empty(mask.expand_as(values).sum(dim))
    return torch.where(mask, values, 0).mean(dim)


def _leaks_nan(values, mask, dim=None):
    count = _refuse_empty(mask.expand_as(values).sum(dim))
    return (values * mask).sum(dim) / count


def _counts_one_channel(values, mask, dim=None):
    return torch.where(mask, values, 0).sum(dim) / _refuse_empty(mask.sum())


def _ignores_dim(values, mask, dim=None):
    return values[mask.expand_as(values)].mean()


def _ignores_mask(values, mask, dim=None):
    return values.mean(dim)


def _empty_is_nan(values, mask, dim=None):
    return torch.where(mask, values, 0).sum(dim) / mask.expand_as(values).sum(dim)


def _empty_is_zero(values, mask, dim=None):
    count = mask.expand_as(values).sum(dim).clamp(min=1)
    return torch.where(mask, values, 0).sum(dim) / count


_MASKED_MEAN = Exercise(
    name="masked_mean",
    solution=masks.masked_mean,
    cases=_masked_mean_cases,
    mistakes=(
        Mistake(
            "You divide by the number of all values. Divide by the number of kept "
            "ones, `mask.sum()`: the zeros are not data.",
            _divides_by_all,
        ),
        Mistake(
            "0 times NaN is NaN: a product lets through what lies behind the mask. "
            "Select with `torch.where(mask, values, 0)`.",
            _leaks_nan,
        ),
        Mistake(
            "You divide by one count for everything. Count along the same `dim` as "
            "you sum, after the mask has taken the shape of the values "
            "(`mask.expand_as(values)`).",
            _counts_one_channel,
        ),
        Mistake("You average over everything, whatever `dim` says.", _ignores_dim),
        Mistake("This is the mean of all values: the mask is not used.", _ignores_mask),
        Mistake(
            "0/0 is NaN, and a NaN is found a hundred lines later. Raise a "
            "`ValueError` where a count is 0.",
            _empty_is_nan,
        ),
        Mistake(
            "The mean of nothing is not 0. Raise a `ValueError` where a count is 0.",
            _empty_is_zero,
        ),
    ),
    hints=(
        "A mean is a sum divided by a count. Which values are in it, and how many?",
        "Sum `torch.where(mask, values, 0)` along `dim`, and divide by the number of "
        "True along the same `dim`.",
        "`mask.expand_as(values).sum(dim)` counts, whether the mask is `(H, W)` or has "
        "the shape of the values. If any of the counts is 0, raise.",
    ),
)


# composite --------------------------------------------------------------------------


def _composite_by_loop(foreground: Tensor, background: Tensor, alpha: Tensor) -> Tensor:
    front, back = foreground.numpy(), background.numpy()
    share = np.broadcast_to(alpha.numpy().astype(front.dtype), front.shape)
    mixed = np.empty_like(front)
    for index in np.ndindex(*front.shape):
        mixed[index] = back[index] + share[index] * (front[index] - back[index])
    return torch.from_numpy(mixed)


def _composite_cases() -> Iterator[Case]:
    white, black = torch.ones(1, 1, 3), torch.zeros(1, 1, 3)
    alpha = torch.tensor([[0.0, 0.25, 1.0]])
    yield Case(
        "white over black",
        (white, black, alpha),
        expected=torch.tensor([[[0.0, 0.25, 1.0]]]),
    )
    front, back = normal(3, 4, 5), normal(3, 4, 5, seed=1)
    soft = uniform(4, 5, seed=2, dtype=torch.float32).double()
    for name, share in {
        "a soft alpha (4, 5)": soft,
        "alpha of the pictures' shape": soft.expand(3, 4, 5).contiguous(),
        "a boolean alpha": _random_mask(4, 5),
        "float32 alpha, float64 pictures": soft.float(),
    }.items():
        expected = _composite_by_loop(front, back, share)
        yield Case(name, (front, back, share), expected=expected)
    yield Case.from_reference(
        "its gradient", torch.lerp, back, front, soft[None], gradient=True,
        call=lambda answer, back, front, alpha: answer(front, back, alpha[0]),
    )  # fmt: skip
    for name, value in {"alpha of 1.5": 1.5, "alpha of −0.1": -0.1}.items():
        wrong = torch.full((4, 5), value, dtype=torch.float64)
        yield Case(name, (front, back, wrong), raises=ValueError)


def _checked(alpha: Tensor, like: Tensor) -> Tensor:
    alpha = alpha.to(like.dtype)
    if not ((alpha >= 0) & (alpha <= 1)).all():
        raise ValueError("alpha leaves [0, 1]")
    return alpha


def _swaps(foreground, background, alpha):
    alpha = _checked(alpha, foreground)
    return alpha * background + (1 - alpha) * foreground


def _adds(foreground, background, alpha):
    return _checked(alpha, foreground) * foreground + background


def _premultiplied(foreground, background, alpha):
    return foreground + (1 - _checked(alpha, foreground)) * background


def _hard(foreground, background, alpha):
    return torch.where(_checked(alpha, foreground) > 0.5, foreground, background)


def _clamps(foreground, background, alpha):
    alpha = alpha.to(foreground.dtype).clamp(0, 1)
    return alpha * foreground + (1 - alpha) * background


def _does_not_look(foreground, background, alpha):
    alpha = alpha.to(foreground.dtype)
    return alpha * foreground + (1 - alpha) * background


_COMPOSITE = Exercise(
    name="composite",
    solution=masks.composite,
    cases=_composite_cases,
    mistakes=(
        Mistake(
            "Foreground and background have changed places: alpha is the share of "
            "the foreground.",
            _swaps,
        ),
        Mistake(
            "The background shines through where alpha is 1: it needs `1 - alpha`.",
            _adds,
        ),
        Mistake(
            "The foreground is not multiplied by alpha. (That would be right for a "
            "premultiplied picture; this one is not.)",
            _premultiplied,
        ),
        Mistake(
            "A soft edge is made hard: use alpha as it is, not a threshold.", _hard
        ),
        Mistake(
            "An alpha outside [0, 1] is a mistake of the caller, who should hear of "
            "it: raise a `ValueError` and do not clamp.",
            _clamps,
        ),
        Mistake(
            "An alpha outside [0, 1] goes through unnoticed. Raise a `ValueError`.",
            _does_not_look,
        ),
    ),
    hints=(
        "Read the formula at alpha = 1 and at alpha = 0: which picture must be left?",
        "A boolean alpha must become a number first: `alpha.to(foreground.dtype)`.",
        "An `(H, W)` alpha lines up with the last two dimensions by itself.",
    ),
)


# masked_softmax ---------------------------------------------------------------------


def _softmax_row_by_row(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax of what is kept, row by row; a row of nothing stays zero."""
    probabilities = torch.zeros_like(logits)
    rows = probabilities.movedim(dim, -1)
    for index in np.ndindex(*rows.shape[:-1]):
        kept = mask.movedim(dim, -1)[index]
        if kept.any():
            chosen = kept.nonzero()[:, 0]
            weights = logits.movedim(dim, -1)[index][chosen].softmax(0)
            rows[index] = rows[index].index_copy(0, chosen, weights)
    return probabilities


def _masked_softmax_cases() -> Iterator[Case]:
    zeros, ends = torch.zeros(3), torch.tensor([True, False, True])
    yield Case("three equal logits, two kept", (zeros, ends), expected=ends / 2)

    # No row and no column is empty, or without a hidden entry.
    logits, mask = normal(4, 6), (torch.arange(4)[:, None] + torch.arange(6)) % 3 > 0
    for dim in (-1, 0):
        yield Case.from_reference(
            f"random logits, dim={dim}", _softmax_row_by_row, logits, mask, dim=dim
        )
    huge = torch.tensor([[1e4, 1e4 - 1, 5.0], [-1e4, -1e4 - 1, 5.0]])
    two = torch.tensor([[True, True, False]] * 2)
    yield Case.from_reference(
        "logits of ±10,000", _softmax_row_by_row, huge, two, hardening=True
    )
    hidden = torch.tensor([1.0, math.nan, 2.0, math.inf])
    keep = torch.tensor([True, False, True, False])
    yield Case.from_reference(
        "NaN and infinity behind the mask",
        _softmax_row_by_row,
        hidden,
        keep,
        hardening=True,
    )
    empty = mask.clone()
    empty[1] = False
    yield Case.from_reference(
        "a row of nothing", _softmax_row_by_row, logits, empty, hardening=True
    )
    yield Case.from_reference(
        "its gradient", _softmax_row_by_row, logits, mask, gradient=True
    )
    yield Case.from_reference(
        "the gradient of a row of nothing",
        _softmax_row_by_row,
        logits,
        empty,
        gradient=True,
        hardening=True,
    )
    yield Case.from_reference(
        "half precision, a row of nothing",
        _softmax_row_by_row,
        normal(2, 5).half(),
        torch.tensor([[True, True, False, True, False], [False] * 5]),
        hardening=True,
    )


def _logits_to_zero(logits, mask, dim=-1):
    return torch.where(mask, logits, 0).softmax(dim)


def _product_after(logits, mask, dim=-1):
    return logits.softmax(dim) * mask


def _renormalised(logits, mask, dim=-1):
    weights = logits.softmax(dim) * mask
    return weights / weights.sum(dim, keepdim=True)


def _empty_row_nan(logits, mask, dim=-1):
    return logits.masked_fill(~mask, -math.inf).softmax(dim)


def _large_negative(logits, mask, dim=-1):
    lowest = torch.finfo(logits.dtype).min
    return logits.masked_fill(~mask, lowest).softmax(dim)


def _no_maximum(logits, mask, dim=-1):
    weights = torch.where(mask, logits, -math.inf).exp()
    total = weights.sum(dim, keepdim=True)
    return weights / (total + (total == 0))


def _no_maximum_nor_empty_row(logits, mask, dim=-1):
    weights = torch.where(mask, logits, -math.inf).exp()
    return weights / weights.sum(dim, keepdim=True)


def _inverted(logits, mask, dim=-1):
    return _softmax_row_by_row(logits, ~mask, dim)


def _last_dim_only(logits, mask, dim=-1):
    return _softmax_row_by_row(logits, mask, -1)


_SUBTRACT_THE_MAXIMUM = (
    "exp(10,000) overflows, and exp(−10,000) is 0. Subtract the largest kept logit of "
    "each row first; the result is the same."
)

_MASKED_SOFTMAX = Exercise(
    name="masked_softmax",
    solution=masks.masked_softmax,
    cases=_masked_softmax_cases,
    mistakes=(
        Mistake(
            "A logit of 0 is an ordinary logit: its weight is e⁰ = 1. Use −∞.",
            _logits_to_zero,
        ),
        Mistake(
            "The hidden logits still count in the denominator, so that the kept "
            "weights add up to less than 1. Mask before the softmax.",
            _product_after,
        ),
        Mistake(
            "Dividing again afterwards repairs the sum, but a NaN or a huge logit "
            "behind the mask has spoilt the row by then. Mask before the softmax.",
            _renormalised,
        ),
        Mistake(
            "A row of nothing but −∞ is NaN: (−∞) − (−∞). Such a row must be zeros.",
            _empty_row_nan,
        ),
        Mistake(
            "With a large negative number an empty row becomes uniform: all its "
            "logits are equal. Such a row must be zeros.",
            _large_negative,
        ),
        Mistake(_SUBTRACT_THE_MAXIMUM, _no_maximum),
        Mistake(_SUBTRACT_THE_MAXIMUM, _no_maximum_nor_empty_row),
        Mistake("The mask is used the wrong way round: True means keep.", _inverted),
        Mistake(
            "You take the softmax along the last dimension always.", _last_dim_only
        ),
    ),
    hints=(
        "Which logit gives a weight of exactly 0?",
        "Fill with −∞, subtract the row's maximum, take `exp`, divide by the sum. "
        "Which of the steps is undefined for a row that keeps nothing?",
        "Bound the maximum by `torch.finfo(dtype).min`, so that nothing is −∞ − (−∞), "
        "and divide a row that sums to 0 by 1.",
    ),
)


# match_template ---------------------------------------------------------------------


def _correlation_by_loop(image: Tensor, template: Tensor) -> Tensor:
    """NumPy's correlation coefficient at each place; 0 where there is no contrast."""
    _, height, width = template.shape
    score = image.new_zeros(
        image.shape[1] - height + 1, image.shape[2] - width + 1, dtype=image.dtype
    )
    for y, x in np.ndindex(*score.shape):
        window = image[:, y : y + height, x : x + width]
        if window.amax() > window.amin():
            pair = torch.stack([window.flatten(), template.flatten()]).numpy()
            score[y, x] = np.corrcoef(pair)[0, 1]
    return score


def _match_template_cases() -> Iterator[Case]:
    # Of windows that hold two values, one is the template with other numbers, or its
    # negative, or has no contrast.
    strip = torch.tensor([[[1.0, 2.0, 1.0, 1.0]]])
    step = torch.tensor([[[0.0, 5.0]]])
    yield Case(
        "a step up and a step down",
        (strip[..., :3], step),
        expected=torch.tensor([[1.0, -1.0]]),
    )
    yield Case(
        "a step up, a step down, and no step",
        (strip, step),
        expected=torch.tensor([[1.0, -1.0, 0.0]]),
        hardening=True,
    )
    image, template = normal(1, 9, 8), normal(1, 3, 4, seed=1)
    colours, patch = normal(3, 8, 9, seed=2), normal(3, 4, 3, seed=3)
    for name, args in {
        "one channel": (image, template),
        "three channels": (colours, patch),
        "brightness and contrast changed": (4 * colours + 9, 0.5 * patch - 7),
        "channels of different brightness": (
            colours + torch.tensor([0.0, 5.0, 20.0])[:, None, None],
            patch + torch.tensor([8.0, 1.0, 0.0])[:, None, None],
        ),
        "a template as large as the image": (patch, colours[:, 2:6, 3:6]),
    }.items():
        yield Case(name, args, expected=_correlation_by_loop(*args))
    flat = torch.zeros(1, 6, 7)
    flat[:, 3:, 4:] = normal(1, 3, 3, dtype=torch.float32)
    small = normal(1, 2, 2, seed=4, dtype=torch.float32)
    yield Case(
        "float32, flat windows",
        (flat, small),
        expected=_correlation_by_loop(flat, small),
        atol=1e-5,
        hardening=True,
    )
    large = normal(1, 3, 9)
    yield Case("a template too large", (image[:, :, :8], large), raises=ValueError)


def _refuse_large(image: Tensor, template: Tensor) -> None:
    if any(t > i for i, t in zip(image.shape, template.shape, strict=True)):
        raise ValueError("the template is larger than the image")


def _score(image, template, centred_window=True, by_channel=False, lengths=True):
    """The right answer, with parts of it left out on request."""
    _refuse_large(image, template)
    mean = template.mean(dim=(1, 2), keepdim=True) if by_channel else template.mean()
    template = template - mean
    numerator = F.conv2d(image[None], template[None])[0, 0]
    if not lengths:
        return numerator / template.numel()
    channels = len(image) if by_channel else 1
    ones = torch.ones_like(template)[None]
    energy = F.conv2d(image[None].square(), ones)[0, 0]
    if by_channel:
        sums = F.conv2d(image[:, None], ones[:, :1])[:, 0]
        energy = energy - (sums.square() * channels / template.numel()).sum(0)
    elif centred_window:
        sums = F.conv2d(image[None], ones)[0, 0]
        energy = energy - sums.square() / template.numel()
    product = energy * template.square().sum()
    return torch.where(product > 1e-9, numerator / product.clamp(min=1e-9).sqrt(), 0)


def _plain_sum(image, template):
    _refuse_large(image, template)
    return F.conv2d(image[None], template[None])[0, 0]


def _cosine(image, template):
    numerator = _plain_sum(image, template)
    energy = F.conv2d(image[None].square(), torch.ones_like(template)[None])[0, 0]
    product = energy * template.square().sum()
    return torch.where(product > 1e-9, numerator / product.clamp(min=1e-9).sqrt(), 0)


_covariance = partial(_score, lengths=False)
_window_not_centred = partial(_score, centred_window=False)
_means_by_channel = partial(_score, by_channel=True)


def _flipped(image, template):
    return _score(image, template.flip(1, 2))


def _flat_is_nan(image, template):
    _refuse_large(image, template)
    windows = image.unfold(1, template.shape[1], 1).unfold(2, template.shape[2], 1)
    windows = windows.permute(1, 2, 0, 3, 4).flatten(2)
    windows = windows - windows.mean(2, keepdim=True)
    template = (template - template.mean()).flatten()
    return windows @ template / (windows.norm(dim=2) * template.norm())


def _padded(image, template):
    _refuse_large(image, template)
    height, width = template.shape[1:]
    before, after = (height // 2, width // 2), ((height - 1) // 2, (width - 1) // 2)
    sides = (before[1], after[1], before[0], after[0])
    return _score(F.pad(image, sides), template)


_MATCH_TEMPLATE = Exercise(
    name="match_template",
    solution=masks.match_template,
    cases=_match_template_cases,
    mistakes=(
        Mistake(
            "This is the plain sum of products, which likes what is bright. Subtract "
            "the two means and divide by the two lengths.",
            _plain_sum,
        ),
        Mistake(
            "This is the cosine of window and template: the means are still in it, so "
            "that brightness counts.",
            _cosine,
        ),
        Mistake(
            "This is the covariance. Divide by the lengths of the centered window and "
            "of the centered template, and contrast drops out.",
            _covariance,
        ),
        Mistake(
            "The template is centered, the window in the denominator is not: its "
            "energy is the sum of squares minus the squared sum over n.",
            _window_not_centred,
        ),
        Mistake(
            "You take a mean for each channel. The formula has one mean of the whole "
            "window and one of the whole template.",
            _means_by_channel,
        ),
        Mistake(
            "The template is turned by 180 degrees. `F.conv2d` does not flip its "
            "kernel: it computes a correlation already.",
            _flipped,
        ),
        Mistake(
            "The picture was padded. Only windows that lie wholly inside it are "
            "scored: `(H - h + 1, W - w + 1)` of them.",
            _padded,
        ),
        Mistake(
            "A window without contrast is 0/0. Such a window scores 0.",
            _flat_is_nan,
        ),
    ),
    hints=(
        "`F.conv2d(image[None], template[None])` is a sum of products at every place.",
        "If the template is centered, the numerator needs nothing else. What is left "
        "is each window's energy: the sum of squares minus the squared sum over n.",
        "Both sums are convolutions with `torch.ones_like(template)`. Where the energy "
        "is 0, put 1 under the root and 0 in the result.",
    ),
)


EXERCISES = (_MASKED_MEAN, _COMPOSITE, _MASKED_SOFTMAX, _MATCH_TEMPLATE)
