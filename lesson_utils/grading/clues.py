"""General hints, for a wrong result that matches no known mistake."""

import math
from collections.abc import Iterator
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Exceptions, parts of their messages, and what they tell.
_EXCEPTIONS = (
    (RecursionError, "", "Your function calls itself without end: where does it stop?"),
    (SystemExit, "", "`return` ends a function; `exit` would end the whole program."),
    (
        RuntimeError,
        "in-place operation",
        "Your function changes its input in place: work on a copy (`clone`).",
    ),
    (
        RuntimeError,
        "Can't call numpy() on Tensor that requires grad",
        "Stay in torch: a gradient does not pass through NumPy.",
    ),
    (
        RuntimeError,
        "Expected all tensors to be on the same device",
        "Make new tensors on the input's device: `x.new_zeros`, `device=x.device`.",
    ),
    (NotImplementedError, "", "One way through your function is not written yet."),
)


def exception_clue(kind: type[BaseException], text: str) -> str:
    """What an exception usually comes from.

    Args:
        kind: its class.
        text: class and message.

    Returns:
        A sentence; empty if nothing is known.
    """
    for known, part, clue in _EXCEPTIONS:
        if issubclass(kind, known) and part in text:
            return clue
    return ""


def type_clue(expected: Any, got: Any) -> str:
    """Why a result may have come out as another type.

    Args:
        expected: what was due.
        got: what came, of another type.

    Returns:
        A sentence or two; empty if nothing is known.
    """
    if got is None:
        return "Your function returns nothing. Does it end in a `return` statement?"
    if isinstance(got, GeneratorType):
        return "A function with `yield` returns a generator. Collect the values first."
    if isinstance(expected, Tensor) and isinstance(got, np.ndarray):
        return "Stay in torch, so that device and gradient are kept."
    if isinstance(expected, Tensor) and isinstance(got, int | float):
        return (
            "Return a tensor without dimensions: no `.item()`, no `float()`, both of "
            "which lose the gradient."
        )
    if isinstance(got, Tensor) and isinstance(expected, bool | int | float):
        return "`.item()` turns a tensor of one element into a Python number."
    if isinstance(got, tuple) and not isinstance(expected, list):
        return "You return several values. Is there a comma too many?"
    return ""


def shape_clue(expected: torch.Size, got: torch.Size) -> str:
    """Why a result may have come out in another shape.

    Args:
        expected: the shape due.
        got: another shape.

    Returns:
        A sentence or two; empty if nothing is known.
    """
    if [size for size in expected if size != 1] == [size for size in got if size != 1]:
        return "Only axes of size 1 differ: look at `keepdim`, `squeeze`, `unsqueeze`."
    if sorted(expected) == sorted(got):
        return "The sizes are right, but in another order: is something transposed?"
    if math.prod(expected) == math.prod(got):
        return "The number of elements is right: look at how you reshape."
    if math.prod(got) == 1:
        return "You reduced over every axis: which `dim` should go?"
    if len(got) > len(expected):
        return "There are axes too many: is a reduction missing, or did two broadcast?"
    return ""


def value_clue(expected: Tensor, got: Tensor) -> str:
    """What wrong values may have in common.

    Args:
        expected: (...), of any dtype.
        got: the same shape and dtype, with other values.

    Returns:
        A sentence or two; empty if nothing is known.
    """
    if expected.dtype == torch.bool:
        inverted = torch.equal(got, ~expected)
        return "Everything is inverted: true where false is due." if inverted else ""
    if expected.is_complex():
        return ""
    expected, got = expected.double(), got.double()
    if not (expected.isfinite().all() and got.isfinite().all()):
        return ""
    return next(_value_clues(expected, got), "")


def _value_clues(expected: Tensor, got: Tensor) -> Iterator[str]:
    if _close(got, expected):
        yield "Nearly right: is something rounded, or an epsilon added?"
    if _close(got, -expected):
        yield "The sign is the wrong way round."
    # A single number, or equal ones, are a multiple of anything.
    if expected.numel() > 1 and not _close(expected, expected.flatten()[0]):
        largest = expected.abs().argmax()
        factor = got.flatten()[largest] / expected.flatten()[largest]
        if _close(got, factor * expected):
            yield _factor_clue(factor.item())
        offset = (got - expected).flatten()[0]
        if _close(got - offset, expected):
            yield f"Every value is too large by the same {offset.item():.4g}."
    square = expected.dim() >= 2 and expected.shape[-1] == expected.shape[-2]
    if square and _close(got, expected.mT):
        yield "The result is transposed."
    if _close(got.flatten().sort().values, expected.flatten().sort().values):
        yield "The values are right, but in another order."


def _factor_clue(factor: float) -> str:
    if factor == 0:
        return "Every value is zero."
    inverse = f" (1/{1 / factor:.4g})" if abs(factor) < 1 else ""
    return f"Every value is {factor:.4g}{inverse} times what is due."


def _close(left: Tensor, right: Tensor) -> bool:
    scale = right.abs().max().item() if right.numel() else 0.0
    return torch.allclose(left, right.expand_as(left), rtol=1e-4, atol=1e-6 * scale)
