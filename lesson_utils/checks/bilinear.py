"""The exercises of the chapter `book/fine_grained/bilinear.ipynb`."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import bilinear
from lesson_utils.grading.draws import normal, seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# signed_sqrt ------------------------------------------------------------------------


def _root_reference(values: Tensor) -> Tensor:
    """Only what is not 0 is ever given to the root."""
    there = values != 0
    root = torch.copysign(values[there].abs() ** 0.5, values[there])
    return torch.zeros_like(values).index_put((there,), root)


def _signed_sqrt_cases() -> Iterator[Case]:
    by_hand = torch.tensor([-4.0, -0.25, 0.25, 9.0])
    expected = torch.tensor([-2.0, -0.5, 0.5, 3.0])
    yield Case("-4, -0.25, 0.25 and 9", (by_hand,), expected=expected)
    values = normal(3, 5)
    yield Case.from_reference("random numbers", _root_reference, values, gradient=True)
    zeros = torch.tensor([0.0, 1.0, 0.0, -1.0])
    yield Case.from_reference(
        "zeros, at which the gradient is 0",
        _root_reference,
        zeros,
        gradient=True,
        hardening=True,
    )
    yield Case(
        "tiny numbers",
        (torch.tensor([1e-20, -4e-20]),),
        expected=torch.tensor([1e-10, -2e-10]),
        atol=0,
        hardening=True,
    )
    yield Case(
        "half precision",
        (torch.tensor([-4.0, 0, 16]).half(),),
        expected=torch.tensor([-2.0, 0, 4]).half(),
        hardening=True,
    )
    yield Case(
        "nothing", (torch.zeros(0, 3),), expected=torch.zeros(0, 3), hardening=True
    )


def _exact_at_zero(values: Tensor, function) -> Tensor:
    """A wrong root, without the other mistake of a NaN gradient."""
    safe = torch.where(values == 0, 1, values)
    return torch.where(values == 0, 0, function(safe)).to(values.dtype)


_SIGNED_SQRT = Exercise(
    name="signed_sqrt",
    solution=bilinear.signed_sqrt,
    cases=_signed_sqrt_cases,
    mistakes=(
        Mistake(
            "The root of a negative number is NaN. Take the root of the absolute value "
            "and give it the sign back.",
            lambda values: values.sqrt(),
        ),
        Mistake(
            "The sign is lost: −4 becomes −2.",
            lambda values: _exact_at_zero(values, lambda v: v.abs().sqrt()),
        ),
        Mistake(
            "Negative numbers become 0. They become −√|x|.",
            lambda values: _exact_at_zero(values, lambda v: v.clamp(min=0).sqrt()),
        ),
        Mistake(
            "The values are right, and the gradient at 0 is NaN: an infinite slope "
            "times 0. Keep the root from seeing a 0, before it is taken and not after.",
            lambda values: values.sign() * values.abs().sqrt(),
        ),
        Mistake(
            "A constant under the root changes the values, and small ones by much. "
            "The value is to be exact; only the gradient at 0 needs care.",
            lambda values: values.sign() * (values.abs() + 1e-5).sqrt(),
        ),
        Mistake(
            "The values are right and the gradient is not. Does it pass through the "
            "root? `detach`, `no_grad` and `.data` cut it off.",
            lambda values: values * bilinear.signed_sqrt(values.detach().abs()),
        ),
        Mistake(
            "The values are right, and no gradient comes back. `detach`, `no_grad` and "
            "`.data` cut it off.",
            lambda values: bilinear.signed_sqrt(values).detach(),
        ),
    ),
    hints=(
        "The formula is `sign * sqrt(abs)`. What is the derivative of the root at 0, "
        "and what does the chain rule multiply it with?",
        "`torch.where(values == 0, 0, root)` is too late: the infinite slope is behind "
        "it already, and 0 times infinity is NaN. Replace the zeros *before* the root.",
        "`values.sign() * values.abs().masked_fill(values == 0, 1).sqrt()`: the sign "
        "of 0 is 0, so that the 1 never shows.",
    ),
)


# bilinear_pool ----------------------------------------------------------------------


def _pool_reference(
    features1: Tensor, features2: Tensor, *, normalize: bool = False
) -> Tensor:
    outer = torch.einsum("bihw,bjhw->bijhw", features1, features2)
    descriptor = outer.mean((3, 4)).reshape(len(outer), -1)
    return _normalised(descriptor) if normalize else descriptor


def _normalised(descriptor: Tensor) -> Tensor:
    """For descriptors without a 0."""
    root = torch.copysign(descriptor.abs() ** 0.5, descriptor)
    return root / root.square().sum(1, keepdim=True) ** 0.5


def _bilinear_pool_cases() -> Iterator[Case]:
    first = torch.tensor([1.0, 2, 0, 3]).reshape(1, 2, 1, 2)
    second = torch.tensor([4.0, 5]).reshape(1, 1, 1, 2)
    expected = torch.tensor([[7.0, 7.5]])  # (1 · 4 + 2 · 5) / 2, (0 · 4 + 3 · 5) / 2
    yield Case("two channels by one, two positions", (first, second), expected=expected)
    reference = _pool_reference
    one, other = normal(4, 3, 2, 5), normal(4, 2, 2, 5, seed=1)
    yield Case.from_reference("random numbers", reference, one, other)
    yield Case.from_reference("their gradients", reference, one, other, gradient=True)
    yield Case.from_reference("features with themselves", reference, one, one)
    pixel = normal(2, 3, 1, 1), normal(2, 3, 1, 1, seed=1)
    yield Case.from_reference("maps of one position", reference, *pixel)
    yield Case.from_reference(
        "normalize=True", reference, one, other, normalize=True, gradient=True
    )
    blank = torch.zeros(2, 2, 2, 2)
    blank[1] = 3.0
    yield Case(
        "normalize=True and a picture of zeros",
        (blank, blank),
        {"normalize": True},
        expected=(torch.tensor([[0.0] * 4, [0.5] * 4]), True),
        call=_with_finite_gradient,
        hardening=True,
    )
    large = torch.full((1, 1, 40, 40), 16.0).half()
    yield Case(
        "1,600 positions of 16 in half precision",
        (large, large),
        expected=torch.full((1, 1), 256.0).half(),
        rtol=1e-2,
        hardening=True,
    )
    empty = torch.zeros(0, 3, 2, 2)
    yield Case(
        "an empty batch", (empty, empty), expected=torch.zeros(0, 9), hardening=True
    )
    maps = torch.ones(1, 2, 3, 4), torch.ones(1, 2, 4, 3)
    yield Case("maps of 3 × 4 and 4 × 3", maps, raises=ValueError)
    batches = torch.ones(1, 2, 3, 3), torch.ones(5, 2, 3, 3)
    yield Case("one picture and five", batches, raises=ValueError)


def _with_finite_gradient(answer, features1, features2, **kwargs):
    features1 = features1.clone().requires_grad_()
    result = answer(features1, features2, **kwargs)
    if not isinstance(result, Tensor) or not result.requires_grad:
        return result, False
    result.sum().backward()
    return result, bool(features1.grad.isfinite().all())


def _pool_with(descriptor, normalisation=None):
    """An answer with the right refusals, and a wrong descriptor or normalization."""
    normalisation = normalisation or (
        lambda values: F.normalize(bilinear.signed_sqrt(values), eps=1e-6)
    )

    def answer(features1, features2, *, normalize=False):
        _refuse_other_shapes(features1, features2)
        values = descriptor(features1, features2)
        return normalisation(values) if normalize else values

    return answer


def _refuse_other_shapes(one: Tensor, other: Tensor) -> None:
    if len(one) != len(other) or one.shape[2:] != other.shape[2:]:
        raise ValueError("features must share B, H and W")


def _right(one, other):
    return bilinear.bilinear_pool(one, other)


def _summed(one, other):
    return torch.einsum("bihw,bjhw->bij", one, other).flatten(1)


def _of_means(one, other):
    outer = one.mean((2, 3))[:, :, None] * other.mean((2, 3))[:, None]
    return outer.flatten(1)


def _one_length(values):
    root = bilinear.signed_sqrt(values)
    return root / root.norm().clamp(min=1e-6)


def _pool_without_refusal(features1, features2, *, normalize=False):
    rows1, rows2 = features1.flatten(2), features2.flatten(2)
    values = (rows1 / rows1.shape[2] @ rows2.transpose(1, 2)).flatten(1)
    return F.normalize(bilinear.signed_sqrt(values), eps=1e-6) if normalize else values


_BILINEAR_POOL = Exercise(
    name="bilinear_pool",
    solution=bilinear.bilinear_pool,
    cases=_bilinear_pool_cases,
    mistakes=(
        Mistake(
            "You sum over the positions. Average: divide by H · W.", _pool_with(_summed)
        ),
        Mistake(
            "You average each map first and multiply the means. Then two channels that "
            "never fire together look like two that do: multiply at each position, "
            "average after.",
            _pool_with(_of_means),
        ),
        Mistake(
            "The pairs stand in the other order: channel i of the first with channel j "
            "of the second belongs at i · C2 + j.",
            _pool_with(lambda a, b: _right(b, a)),
        ),
        Mistake(
            "You return a matrix (B, C1, C2). A descriptor is one row a picture: "
            "flatten the last two.",
            _pool_with(lambda a, b: _right(a, b).unflatten(1, (a.shape[1], -1))),
        ),
        Mistake(
            "You divide by C · H · W, as the Gram matrix of style transfer does. Here "
            "the mean is over positions alone.",
            _pool_with(lambda a, b: _right(a, b) / a.shape[1]),
        ),
        Mistake(
            "Only the channels with the same number are multiplied: that is i = j. "
            "Every channel of the first meets every channel of the second.",
            _pool_with(
                lambda a, b: (
                    a[:, : min(a.shape[1], b.shape[1])]
                    * b[:, : min(a.shape[1], b.shape[1])]
                ).mean((2, 3))
            ),
        ),
        Mistake("`normalize=True` changes nothing.", _pool_with(_right, lambda v: v)),
        Mistake(
            "After the signed root comes the division by the length of each row.",
            _pool_with(_right, bilinear.signed_sqrt),
        ),
        Mistake(
            "You divide by the length without the signed root before it.",
            _pool_with(_right, lambda v: F.normalize(v, eps=1e-6)),
        ),
        Mistake(
            "The root comes first, the division by the length after it: the other way "
            "round the length is not 1.",
            _pool_with(
                _right, lambda v: bilinear.signed_sqrt(F.normalize(v, eps=1e-6))
            ),
        ),
        Mistake(
            "You divide by one length for the whole batch. Each picture has its own.",
            _pool_with(_right, _one_length),
        ),
        Mistake(
            "Right until a picture's features are all 0: then the root's slope is "
            "infinite, or the length 0. Use `bilinear.signed_sqrt`, and `F.normalize`, "
            "which keeps the length from 0.",
            _pool_with(
                _right, lambda v: F.normalize(v.sign() * v.abs().sqrt(), eps=1e-6)
            ),
        ),
        Mistake(
            "The sum over many positions overflows in half precision, and infinity "
            "divided by H · W is infinity. Divide before you sum.",
            _pool_with(lambda a, b: _summed(a, b) / a.shape[2:].numel()),
        ),
        Mistake(
            "Features of other maps or batches do not belong together. Raise a "
            "`ValueError`; flattened maps and broadcast batches pass in silence.",
            _pool_without_refusal,
        ),
    ),
    hints=(
        "At one position it is an outer product of two vectors. What does the sum of "
        "outer products over positions look like as one product of matrices?",
        "With `rows1` (B, C1, H·W) and `rows2` (B, C2, H·W) it is "
        "`rows1 @ rows2.transpose(1, 2)`, divided by H·W, flattened to (B, C1 · C2).",
        "Divide `rows1` by H·W before the product, for half precision's sake. "
        "Normalize by `F.normalize(bilinear.signed_sqrt(descriptor), eps=1e-6)`.",
    ),
)


# tensor_sketch ----------------------------------------------------------------------


def _sketch_reference(
    features1: Tensor, features2: Tensor, buckets: tuple, signs: tuple, size: int
) -> Tensor:
    """Pair by pair, from the definition."""
    mean = torch.einsum("bihw,bjhw->bijhw", features1, features2).mean((3, 4))
    columns = [torch.zeros_like(mean[:, 0, 0]) for _ in range(size)]
    for i, (bucket, sign) in enumerate(zip(buckets[0], signs[0], strict=True)):
        for j, (other, factor) in enumerate(zip(buckets[1], signs[1], strict=True)):
            place = int(bucket + other) % size
            columns[place] = columns[place] + int(sign * factor) * mean[:, i, j]
    return torch.stack(columns, dim=1)


def _hashes(channels: int, size: int, seed: int) -> tuple[Tensor, Tensor]:
    generator = seeded(seed)
    buckets = torch.randint(size, (channels,), generator=generator)
    return buckets, 2 * torch.randint(2, (channels,), generator=generator) - 1


def _tensor_sketch_cases() -> Iterator[Case]:
    first = torch.tensor([2.0, 3.0]).reshape(1, 2, 1, 1)
    second = torch.tensor([5.0, 7.0]).reshape(1, 2, 1, 1)
    buckets = torch.tensor([0, 3]), torch.tensor([1, 2])
    signs = torch.tensor([1, -1]), torch.tensor([1, 1])
    by_hand = torch.tensor([[-15.0, 10 - 21, 14, 0]])  # buckets 3 + 1 and 3 + 2 wrap
    yield Case(
        "two channels by two, one position, four buckets",
        (first, second, buckets, signs, 4),
        expected=by_hand,
    )
    one, other = normal(3, 5, 2, 3), normal(3, 4, 2, 3, seed=1)
    for size in (8, 7):
        (b1, s1), (b2, s2) = _hashes(5, size, 2), _hashes(4, size, 3)
        yield Case.from_reference(
            f"random numbers, {size} buckets",
            _sketch_reference,
            one,
            other,
            (b1, b2),
            (s1, s2),
            size,
            gradient=size == 8,
        )
    one_bucket = torch.zeros(5).long(), torch.zeros(4).long()
    yield Case.from_reference(
        "one bucket",
        _sketch_reference,
        one,
        other,
        one_bucket,
        (s1, s2),
        1,
        hardening=True,
    )


def _sketched(features, buckets, signs, size):
    """(B, H·W, D): count sketches, by a matrix."""
    matrix = F.one_hot(buckets, size).to(features) * signs[:, None]
    return features.flatten(2).transpose(1, 2) @ matrix


def _both(f1, f2, buckets, signs, size):
    return [
        _sketched(f, b, s, size)
        for f, b, s in zip((f1, f2), buckets, signs, strict=True)
    ]


def _ts(change):
    """An answer that makes something else of the two sketches (B, H·W, D)."""

    def answer(features1, features2, buckets, signs, size):
        return change(*_both(features1, features2, buckets, signs, size), size)

    return answer


def _convolved(one, other, size, *, spectrum=lambda a, b: a * b):
    product = spectrum(torch.fft.rfft(one), torch.fft.rfft(other))
    return torch.fft.irfft(product, n=size)


def _ts_no_wrap(one, other, size):
    product = torch.fft.rfft(one, n=2 * size) * torch.fft.rfft(other, n=2 * size)
    return torch.fft.irfft(product, n=2 * size)[..., :size].mean(1)


def _ts_without_signs(features1, features2, buckets, signs, size):
    ones = [torch.ones_like(sign) for sign in signs]
    return _convolved(*_both(features1, features2, buckets, ones, size), size).mean(1)


def _ts_same_hash(features1, features2, buckets, signs, size):
    channels = features2.shape[1]
    buckets = buckets[0], buckets[0][:channels]
    signs = signs[0], signs[0][:channels]
    return _convolved(*_both(features1, features2, buckets, signs, size), size).mean(1)


def _ts_overwrites(features1, features2, buckets, signs, size):
    sketches = []
    for features, bucket, sign in zip(
        (features1, features2), buckets, signs, strict=True
    ):
        rows = features.flatten(2).transpose(1, 2) * sign
        sketch = rows.new_zeros(*rows.shape[:2], size)
        for channel, place in enumerate(bucket.tolist()):
            sketch[..., place] = rows[..., channel]
        sketches.append(sketch)
    return _convolved(*sketches, size).mean(1)


_TENSOR_SKETCH = Exercise(
    name="tensor_sketch",
    solution=bilinear.tensor_sketch,
    cases=_tensor_sketch_cases,
    mistakes=(
        Mistake(
            "You multiply the sketches bucket by bucket. Pair (i, j) goes to the *sum* "
            "of two buckets: multiply the Fourier transforms.",
            _ts(lambda a, b, n: (a * b).mean(1)),
        ),
        Mistake(
            "You sum over the positions. Average.",
            _ts(lambda a, b, n: _convolved(a, b, n).sum(1)),
        ),
        Mistake(
            "You average over positions before the product: that sketches the means, "
            "not the mean of the products.",
            _ts(lambda a, b, n: _convolved(a.mean(1), b.mean(1), n)),
        ),
        Mistake(
            "Buckets beyond the last are lost. They wrap round: the convolution is "
            "circular, so do not pad the transform.",
            _ts(_ts_no_wrap),
        ),
        Mistake("The signs are not used.", _ts_without_signs),
        Mistake(
            "The second features have buckets and signs of their own.", _ts_same_hash
        ),
        Mistake(
            "Two channels in one bucket are added up; in yours the last one wins. "
            "`index_add` adds.",
            _ts_overwrites,
        ),
        Mistake(
            "You conjugate one spectrum: that is a correlation, and buckets are "
            "subtracted.",
            _ts(
                lambda a, b, n: _convolved(
                    a, b, n, spectrum=lambda p, q: p * q.conj()
                ).mean(1)
            ),
        ),
        Mistake(
            "Right for an even number of buckets. `irfft` cannot know that it was odd: "
            "give it `n=size`.",
            _ts(
                lambda a, b, n: torch.fft.irfft(
                    torch.fft.rfft(a) * torch.fft.rfft(b), n=max(2 * (n // 2), 1)
                ).mean(1)
            ),
        ),
    ),
    hints=(
        "Sketch each of the two features alone, at each position. What has to be done "
        "with two sketches so that entry k collects all pairs with b1 + b2 = k?",
        "A circular convolution, which is the product of the Fourier transforms: "
        "`torch.fft.rfft`, multiply, `torch.fft.irfft(..., n=size)`.",
        "`bilinear.count_sketch(rows, buckets, signs, size)` sketches `rows` "
        "(B, H·W, C), which are `features.flatten(2).transpose(1, 2)`. Average over "
        "the positions after the product.",
    ),
)


EXERCISES = (_SIGNED_SQRT, _BILINEAR_POOL, _TENSOR_SKETCH)
