"""The exercises of the chapter `book/losses/pixel_losses.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import pixel_losses
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# huber_loss -------------------------------------------------------------------------


def _huber_cases() -> Iterator[Case]:
    predictions, targets = torch.tensor([0.5, 3.0, -2.0]), torch.zeros(3)
    due = torch.tensor((0.125 + 2.5 + 1.5) / 3)
    yield Case("errors of 0.5, 3 and -2", (predictions, targets), expected=due)
    slopes = torch.tensor([0.5, 1.0, -1.0]) / 3
    yield Case(
        "its gradient: 0.5, 1 and -1, a third each",
        (predictions, targets),
        expected=due,
        gradients=(slopes, -slopes),
    )
    x, y = 2 * normal(4, 5), normal(4, 5, seed=1)
    for delta in (0.1, 1.0, 3.0):
        yield Case.from_reference(
            f"random numbers, delta {delta:g}",
            F.huber_loss,
            x,
            y,
            delta=delta,
            gradient=True,
        )
    at = torch.tensor([2.0, -2.0], dtype=torch.float64)
    yield Case.from_reference(
        "errors that are just delta",
        F.huber_loss,
        at,
        torch.zeros_like(at),
        delta=2.0,
    )
    large = torch.tensor([1e30, 0.0])
    yield Case(
        "an error of 1e30 in float32, whose square is infinite",
        (large, torch.zeros(2)),
        expected=torch.tensor(5e29),
        gradients=(torch.tensor([0.5, 0.0]), torch.tensor([-0.5, 0.0])),
        hardening=True,
    )
    yield Case("shapes (4, 1) and (4,)", (x[:, :1], y[:, 0]), raises=ValueError)
    yield Case("no number", (x[:0], y[:0]), raises=ValueError)
    for delta in (0.0, -1.0):
        yield Case(f"delta {delta:g}", (x, y), {"delta": delta}, raises=ValueError)


def _distance(predictions: Tensor, targets: Tensor, delta: float) -> Tensor:
    if predictions.shape != targets.shape or not predictions.numel() or delta <= 0:
        raise ValueError("shapes, numbers, delta")
    return (predictions - targets).abs()


def _huber_by(
    rule: Callable[[Tensor, float], Tensor],
    predictions: Tensor,
    targets: Tensor,
    *,
    delta: float = 1.0,
) -> Tensor:
    return rule(_distance(predictions, targets, delta), delta).mean()


def _pieces(near: Tensor, far: Tensor, e: Tensor, delta: float) -> Tensor:
    return torch.where(e <= delta, near, far)


def _whole_square(e, d):
    return _pieces(e**2, d * (e - d / 2), e, d)


def _jumps(e, d):
    return _pieces(e**2 / 2, d * e, e, d)


def _slope_one(e, d):
    return _pieces(e**2 / 2, e - d / 2, e, d)


def _smooth_l1(e, d):
    return _pieces(e**2 / (2 * d), e - d / 2, e, d)


def _turned_round(e, d):
    return _pieces(d * (e - d / 2), e**2 / 2, e, d)


def _too_low(e, d):
    return _pieces(e**2 / 2, d * (e - d), e, d)


def _delta_one(e, d):
    return _pieces(e**2 / 2, e - 1 / 2, e, 1.0)


def _doubled(e, d):
    return 2 * _pieces(e**2 / 2, d * (e - d / 2), e, d)


def _flat_tail(e, d):
    return e.clamp(max=d) ** 2 / 2


def _huber_sum(predictions, targets, *, delta=1.0):
    return F.huber_loss(
        _distance(predictions, targets, delta) + targets,
        targets,
        delta=delta,
        reduction="sum",
    )


def _huber_of_sum(predictions, targets, *, delta=1.0):
    """The rule for the mean error, and not the mean of the rule."""
    e = _distance(predictions, targets, delta).mean()
    return F.huber_loss(e, torch.zeros_like(e), delta=delta)


def _signed(predictions, targets, *, delta=1.0):
    """Without the absolute value: negative errors stay on the square."""
    _distance(predictions, targets, delta)
    e = predictions - targets
    return _pieces(e**2 / 2, delta * (e - delta / 2), e, delta).mean()


def _broadcasts(predictions, targets, *, delta=1.0):
    if not predictions.numel() or delta <= 0:
        raise ValueError("numbers, delta")
    difference = predictions - targets
    return F.huber_loss(difference, torch.zeros_like(difference), delta=delta)


_HUBER = Exercise(
    name="huber_loss",
    solution=pixel_losses.huber_loss,
    cases=_huber_cases,
    mistakes=(
        Mistake(
            "Below delta it is half the square: with the whole square, value and slope "
            "jump where the line begins.",
            partial(_huber_by, _whole_square),
        ),
        Mistake(
            "The line must meet the parabola: delta · (e − delta / 2). Yours jumps "
            "at delta.",
            partial(_huber_by, _jumps),
        ),
        Mistake(
            "At delta the line must meet the parabola, delta² / 2: subtract delta / 2 "
            "from e, not delta.",
            partial(_huber_by, _too_low),
        ),
        Mistake(
            "`delta` is not heeded: yours begins its line at 1.",
            partial(_huber_by, _delta_one),
        ),
        Mistake(
            "Everything is twice as large as it should be: half the square, and "
            "delta · (e − delta / 2).",
            partial(_huber_by, _doubled),
        ),
        Mistake(
            "Take the absolute value of the error first: large negative errors belong "
            "on the line, too.",
            _signed,
        ),
        Mistake(
            "The line's slope is delta, not 1: delta · (e − delta / 2).",
            partial(_huber_by, _slope_one),
        ),
        Mistake(
            "This is smooth L1, which is the Huber loss divided by delta. The two "
            "agree only for delta 1.",
            partial(_huber_by, _smooth_l1),
        ),
        Mistake(
            "The branches are turned round: the square is for errors up to delta.",
            partial(_huber_by, _turned_round),
        ),
        Mistake(
            "Beyond delta your loss is flat, and an outlier gets no gradient at all. "
            "It must rise along a line.",
            partial(_huber_by, _flat_tail),
        ),
        Mistake(
            "Apply the rule to each error, then take the mean. You take the mean of "
            "the errors first.",
            _huber_of_sum,
        ),
        Mistake("Take the mean, not the sum.", _huber_sum),
        Mistake(
            "(4, 1) less (4,) is broadcast to (4, 4), and compares each with all: "
            "refuse two shapes that differ.",
            _broadcasts,
        ),
    ),
    hints=(
        "Look at the absolute error e alone. Which formula holds up to delta, and "
        "which beyond it?",
        "e² / 2 has the slope e. At e = delta the line must have the same value, "
        "delta² / 2, and the same slope, delta.",
        "With `near = e.clamp(max=delta)`, both cases are `near * (e - near / 2)`.",
    ),
)


# psnr -------------------------------------------------------------------------------


def _decibels(images1: Tensor, images2: Tensor, *, data_range: float = 1.0) -> Tensor:
    """By loops over the batch, and Python's logarithm."""
    values = []
    for one, other in zip(images1.double(), images2.double(), strict=True):
        error = ((one - other) ** 2).mean().item()
        values.append(10 * math.log10(data_range**2 / error) if error else math.inf)
    return torch.tensor(values, dtype=images1.dtype)


def _psnr_cases() -> Iterator[Case]:
    # A float64 answer is right as well: scikit-image's is one.
    loose = {"same_dtype": False, "rtol": 1e-5, "atol": 1e-5}
    black = torch.zeros(2, 1, 2, 2)
    gray = torch.full_like(black, 0.1)
    gray[1] = 0.01
    due = torch.tensor([20.0, 40.0])
    yield Case("differences of 0.1 and 0.01", (black, gray), expected=due, **loose)
    one = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    due = torch.tensor([10 * math.log10(4)])
    yield Case("one pixel of four wrong by 1", (one, black[:1]), expected=due, **loose)
    x, y = uniform(3, 3, 4, 5), uniform(3, 3, 4, 5, seed=1)
    y = torch.lerp(x, y, torch.tensor([0.1, 0.5, 1.0]).double().view(3, 1, 1, 1))
    yield Case.from_reference(
        "three pictures, a value for each", _decibels, x, y, **loose
    )
    yield Case.from_reference(
        "values from 0 to 255", _decibels, 255 * x, 255 * y, data_range=255.0, **loose
    )
    yield Case.from_reference(
        "values from -1 to 1", _decibels, 2 * x - 1, 2 * y - 1, data_range=2.0, **loose
    )
    inf = torch.tensor([math.inf], dtype=torch.float64)
    yield Case("two equal pictures", (x[:1], x[:1]), expected=inf, hardening=True)
    byte = (255 * x).byte()
    yield Case("bytes, whose differences wrap round", (byte, byte), raises=ValueError)
    yield Case("a picture and a batch", (x, y[:1]), raises=ValueError)
    yield Case("pictures (C, H, W)", (x[0], y[0]), raises=ValueError)
    yield Case("a data range of 0", (x, y), {"data_range": 0.0}, raises=ValueError)


def _mean_square(images1: Tensor, images2: Tensor, data_range: float) -> Tensor:
    if images1.dim() != 4 or images1.shape != images2.shape or data_range <= 0:
        raise ValueError("shapes, data_range")
    if not (images1.is_floating_point() and images2.is_floating_point()):
        raise ValueError("floating point")
    return (images1 - images2).square().mean((1, 2, 3))


def _psnr_by(
    rule: Callable[[Tensor, float], Tensor],
    images1: Tensor,
    images2: Tensor,
    *,
    data_range: float = 1.0,
) -> Tensor:
    return rule(_mean_square(images1, images2, data_range), data_range)


def _psnr_of_batch(images1, images2, *, data_range=1.0):
    mean = _mean_square(images1, images2, data_range).mean()
    return (10 * (data_range**2 / mean).log10()).expand(len(images1)).clone()


def _psnr_of_all(images1, images2, *, data_range=1.0):
    mean = _mean_square(images1, images2, data_range).mean()
    return 10 * (data_range**2 / mean).log10()


def _psnr_of_channels(images1, images2, *, data_range=1.0):
    _mean_square(images1, images2, data_range)
    mean = (images1 - images2).square().mean((2, 3))
    return 10 * (data_range**2 / mean).log10().mean(1)


def _psnr_mean(images1, images2, *, data_range=1.0):
    return pixel_losses.psnr(images1, images2, data_range=data_range).mean()


def _psnr_by_largest(images1, images2, *, data_range=1.0):
    mean = _mean_square(images1, images2, data_range)
    return 10 * (images2.amax((1, 2, 3)) ** 2 / mean).log10()


def _psnr_of_absolute(images1, images2, *, data_range=1.0):
    _mean_square(images1, images2, data_range)
    mean = (images1 - images2).abs().mean((1, 2, 3))
    return 20 * (data_range / mean).log10()


def _psnr_absolute_in_place(images1, images2, *, data_range=1.0):
    _mean_square(images1, images2, data_range)
    mean = (images1 - images2).abs().mean((1, 2, 3))
    return 10 * (data_range**2 / mean).log10()


_PSNR = Exercise(
    name="psnr",
    solution=pixel_losses.psnr,
    cases=_psnr_cases,
    mistakes=(
        Mistake(
            "The sign: a smaller error has more decibels.",
            partial(_psnr_by, lambda m, r: 10 * (m / r**2).log10()),
        ),
        Mistake(
            "`log` is the natural logarithm: decibels take `log10`.",
            partial(_psnr_by, lambda m, r: 10 * (r**2 / m).log()),
        ),
        Mistake(
            "The error is squared, so the range must be, too: data_range² / error.",
            partial(_psnr_by, lambda m, r: 10 * (r / m).log10()),
        ),
        Mistake(
            "`data_range` is not heeded: divide by it before you square.",
            partial(_psnr_by, lambda m, r: -10 * m.log10()),
        ),
        Mistake(
            "20 goes with the root of the squared error, 10 with the squared error: "
            "you have doubled the decibels.",
            partial(_psnr_by, lambda m, r: 20 * (r**2 / m).log10()),
        ),
        Mistake(
            "You take one error for the whole batch. Each picture has a value of its "
            "own: the mean is over channels, rows and columns.",
            _psnr_of_batch,
        ),
        Mistake(
            "This is one value for all pictures together: take the mean over channels, "
            "rows and columns of each.",
            _psnr_of_all,
        ),
        Mistake(
            "Take the mean of the squares over the channels as well, and the logarithm "
            "of that: a mean of decibels is another number.",
            _psnr_of_channels,
        ),
        Mistake(
            "Return a value for each picture, (B,), and not their mean.", _psnr_mean
        ),
        Mistake(
            "The peak is `data_range`, the largest value that is possible, not the "
            "largest in this picture.",
            _psnr_by_largest,
        ),
        Mistake(
            "You take the mean absolute error. Square first, then take the mean.",
            _psnr_of_absolute,
        ),
        Mistake(
            "You take the mean absolute error. Square first, then take the mean.",
            _psnr_absolute_in_place,
        ),
    ),
    hints=(
        "First the mean squared error of each picture, (B,); then its logarithm.",
        "`.square().mean((1, 2, 3))` keeps the batch.",
        "10 · log10(data_range² / error).",
    ),
)


# local_statistics -------------------------------------------------------------------


def _window(size: int, sigma: float) -> Tensor:
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    row = (-(place**2) / (2 * sigma**2)).exp()
    window = row[:, None] * row
    return window / window.sum()


def _by_unfold(
    images1: Tensor, images2: Tensor, *, window_size: int = 11, sigma: float = 1.5
) -> tuple[Tensor, ...]:
    """Every window cut out, and weighed."""
    weights = _window(window_size, sigma).to(images1)
    x, y = (
        images.unfold(2, window_size, 1).unfold(3, window_size, 1)
        for images in (images1, images2)
    )  # (B, C, h, w, n, n)
    mean1, mean2 = ((weights * cut).sum((-1, -2)) for cut in (x, y))
    x, y = x - mean1[..., None, None], y - mean2[..., None, None]
    moments = [(weights * cut).sum((-1, -2)) for cut in (x * x, y * y, x * y)]
    return mean1, mean2, *moments


def _statistics_cases() -> Iterator[Case]:
    # A window so wide that it weighs nine pixels alike.
    x = torch.arange(9.0).view(1, 1, 3, 3)
    y = torch.zeros(1, 1, 3, 3)
    y[..., 2] = 3
    due = (4.0, 1.0, 60 / 9, 2.0, 1.0)
    yield Case(
        "nine pixels, weighed alike: means 4 and 1, variances 6.67 and 2, covariance 1",
        (x, y),
        {"window_size": 3, "sigma": 1e4},
        expected=tuple(torch.full((1, 1, 1, 1), value) for value in due),
        rtol=1e-4,
        atol=1e-4,
    )
    # In float32, so that a window in float32 is exact enough.
    x, y = (uniform(2, 3, 14, 12, seed=s, dtype=torch.float32) for s in (0, 1))
    yield Case.from_reference("two pictures in color", _by_unfold, x, y)
    yield Case.from_reference(
        "a window of 5, sigma 0.8, and its gradient",
        _by_unfold,
        x[:1, :1, :7, :6],
        y[:1, :1, :7, :6],
        window_size=5,
        sigma=0.8,
        gradient=True,
    )
    yield Case.from_reference("a picture and itself", _by_unfold, x, x)
    yield Case.from_reference(
        "a window of 4, whose middle lies between pixels",
        _by_unfold,
        x,
        y,
        window_size=4,
        hardening=True,
    )
    yield Case(
        "pictures smaller than the window", (x[..., :8], y[..., :8]), raises=ValueError
    )
    yield Case("two shapes", (x, y[:1]), raises=ValueError)
    yield Case("whole numbers", ((9 * x).long(), (9 * y).long()), raises=ValueError)


def _moments(
    images1: Tensor,
    images2: Tensor,
    window: Tensor,
    change: Callable[[Tensor, ...], tuple] = lambda *five: five,
    pad: int = 0,
) -> tuple[Tensor, ...]:
    """The definition by one convolution of each product."""
    size = len(window)
    if images1.shape != images2.shape or min(images1.shape[2:]) < size:
        raise ValueError("shapes")
    if not (images1.is_floating_point() and images2.is_floating_point()):
        raise ValueError("floating point")
    channels = images1.shape[1]
    weights = window.to(images1).expand(channels, 1, size, size)

    def mean(values: Tensor) -> Tensor:
        values = F.pad(values, [pad] * 4)
        return F.conv2d(values, weights, groups=channels)

    x, y = images1, images2
    mean1, mean2 = mean(x), mean(y)
    return change(
        mean1,
        mean2,
        mean(x * x) - mean1**2,
        mean(y * y) - mean2**2,
        mean(x * y) - mean1 * mean2,
    )


def _statistics_by(
    images1, images2, *, window_size=11, sigma=1.5, window=_window, **options
):
    return _moments(images1, images2, window(window_size, sigma), **options)


def _flat_window(size: int, sigma: float) -> Tensor:
    return torch.full((size, size), 1 / size**2)


def _sigma_not_squared(size: int, sigma: float) -> Tensor:
    return _window(size, sigma**0.5)


def _without_two(size: int, sigma: float) -> Tensor:
    return _window(size, sigma / 2**0.5)


def _not_normalized(size: int, sigma: float) -> Tensor:
    window = _window(size, sigma)
    return window / window.max()


def _squares(m1, m2, v1, v2, c):
    return m1, m2, v1 + m1**2, v2 + m2**2, c + m1 * m2


def _sample(images1, images2, *, window_size=11, sigma=1.5):
    """Variances times n / (n - 1), as scikit-image has them by default."""
    factor = window_size**2 / (window_size**2 - 1)
    return _statistics_by(
        images1,
        images2,
        window_size=window_size,
        sigma=sigma,
        change=lambda a, b, *rest: (a, b, *(factor * each for each in rest)),
    )


def _sigma_unheeded(images1, images2, *, window_size=11, sigma=1.5):
    return _statistics_by(images1, images2, window_size=window_size)


def _padded(images1, images2, *, window_size=11, sigma=1.5):
    window = _window(window_size, sigma)
    if min(images1.shape[2:]) < window_size:
        raise ValueError("window")
    return _moments(images1, images2, window, pad=window_size // 2)


_STATISTICS = Exercise(
    name="local_statistics",
    solution=pixel_losses.local_statistics,
    cases=_statistics_cases,
    mistakes=(
        Mistake(
            "Your window weighs all pixels alike: give each the weight "
            "exp(−d² / (2 sigma²)), and divide by the weights' sum.",
            partial(_statistics_by, window=_flat_window),
        ),
        Mistake(
            "The weights must add up to 1: divide the window by its sum.",
            partial(_statistics_by, window=_not_normalized),
        ),
        Mistake(
            "sigma is not squared: exp(−d² / (2 sigma²)).",
            partial(_statistics_by, window=_sigma_not_squared),
        ),
        Mistake(
            "The 2 is missing below the fraction: exp(−d² / (2 sigma²)).",
            partial(_statistics_by, window=_without_two),
        ),
        Mistake(
            "These are weighted means of x², y² and x·y. Take away the products of the "
            "means.",
            partial(_statistics_by, change=_squares),
        ),
        Mistake(
            "Return variances, not standard deviations.",
            partial(
                _statistics_by,
                change=lambda a, b, v, w, c: (a, b, v.sqrt(), w.sqrt(), c),
            ),
        ),
        Mistake(
            "The weights add up to 1, and the variance is divided by that: no n / "
            "(n − 1).",
            _sample,
        ),
        Mistake("`sigma` is not heeded: yours is always 1.5.", _sigma_unheeded),
        Mistake(
            "The order is: both means, both variances, covariance.",
            partial(_statistics_by, change=lambda a, b, v, w, c: (a, v, b, w, c)),
        ),
        Mistake(
            "Covariance, not correlation: do not divide by the deviations.",
            partial(
                _statistics_by,
                change=lambda a, b, v, w, c: (a, b, v, w, c / (v * w).sqrt()),
            ),
        ),
        Mistake(
            "You pad with zeros, and the border's statistics are mixed with black. "
            "Take only places where the window fits.",
            _padded,
        ),
    ),
    hints=(
        "Five weighted means are all you need: of x, y, x², y² and x·y.",
        "A weighted mean at each place is a convolution with the window, one channel "
        "at a time: `groups=channels`, or channels laid into the batch.",
        "Variance: mean of x² less the square of the mean of x. Covariance: mean of "
        "x·y less the product of the means.",
    ),
)


EXERCISES = (_HUBER, _PSNR, _STATISTICS)
