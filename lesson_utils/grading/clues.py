"""General hints, for a wrong result that matches no known mistake.

Each says what can be seen in the result, and asks where that may come from.
"""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from types import GeneratorType
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Exceptions, parts of their messages, and what they tell.
_EXCEPTIONS = (
    (RecursionError, "", "Your function calls itself too deep, if not without end."),
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
    if isinstance(expected, Tensor) and isinstance(got, list):
        return "`torch.tensor(result)` makes a tensor of a list of numbers."
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
        return "A single number came back: which `dim` should go, and which stay?"
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
    return common_clue([([(expected, got)], {})])


def common_clue(
    results: Sequence[tuple[Sequence[tuple[Tensor, Tensor]], Mapping[str, Any]]],
) -> str:
    """What the wrong values of several results have in common, if anything.

    An observation is worth nothing if it holds here and not there: one that is said
    holds of every pair that can show it.

    Args:
        results: for each the pairs (due, came), of one shape and dtype and with other
            values, and the arguments by name that led to them.

    Returns:
        A sentence or two; empty if nothing is known.
    """
    for observe in _OBSERVATIONS:
        seen = [
            observe(due, came, arguments)
            for pairs, arguments in results
            for due, came in pairs
        ]
        texts = [text for text in seen if text is not None]
        if texts and all(texts):
            if len(set(texts)) == 1:
                return texts[0]
            if observe in _MEASURED:
                return f"{texts[0]} On other input it is another number."
    return ""


# Each looks at what was due and what came, and answers with a sentence if it holds,
# with an empty one if it does not, and with None where the values could not show it.


def _unchanged(due: Tensor, came: Tensor, arguments: Mapping[str, Any]) -> str | None:
    for name, value in arguments.items():
        if isinstance(value, np.ndarray):
            value = torch.tensor(np.array(value, order="C"))
        if isinstance(value, Tensor) and value.shape == came.shape and value.numel():
            same = torch.equal(value.detach().cpu().to(came.dtype), came)
            if same and value.numel() > 1:
                return f"This is `{name}`, unchanged."
    return ""


def _inverted(due: Tensor, came: Tensor, arguments: Mapping[str, Any]) -> str | None:
    if due.dtype != torch.bool or not torch.equal(came, ~due):
        return ""
    if due.all() or not due.any():  # one rule for all of them is not yet inverted
        return None
    return "Everything is inverted: true where false is due."


def _of_numbers(observe: Callable[[Tensor, Tensor], str | None]) -> Callable:
    """An observation of real, finite numbers, in double precision."""

    @functools.wraps(observe)
    def observe_any(due: Tensor, came: Tensor, arguments: Mapping[str, Any]):
        if due.dtype == torch.bool or due.is_complex():
            return ""
        if due.dtype in (torch.float16, torch.bfloat16):
            return None  # too coarse to tell one thing from another
        due, came = due.double(), came.double()
        finite = due.isfinite().all() and came.isfinite().all()
        return observe(due, came) if finite else ""

    return observe_any


@_of_numbers
def _sign(due: Tensor, came: Tensor) -> str | None:
    return "The sign is the wrong way round." if _close(came, -due) else ""


@_of_numbers
def _constant(due: Tensor, came: Tensor) -> str | None:
    if _is_uniform(due):  # then a constant is due
        return None
    if not _is_uniform(came):
        return ""
    value = came.flatten()[0].item()
    return "Every value is zero." if value == 0 else f"Every value is {value:.4g}."


@_of_numbers
def _multiple(due: Tensor, came: Tensor) -> str | None:
    if _is_uniform(due):  # a single number, or equal ones, are a multiple of anything
        return None
    largest = due.abs().argmax()
    factor = (came.flatten()[largest] / due.flatten()[largest]).item()
    if not _close(came, factor * due):
        return ""
    inverse = f" (1/{1 / factor:.4g})" if 0 < abs(factor) < 1 else ""
    return f"Every value is {factor:.4g}{inverse} times what is due."


@_of_numbers
def _offset(due: Tensor, came: Tensor) -> str | None:
    if _is_uniform(due):
        return None
    offset = (came - due).flatten()[0].item()
    if not _close(came - offset, due):
        return ""
    word = "large" if offset > 0 else "small"
    return f"Every value is too {word} by the same {abs(offset):.4g}."


@_of_numbers
def _transposed(due: Tensor, came: Tensor) -> str | None:
    if due.dim() < 2 or due.shape[-1] != due.shape[-2]:
        return ""
    return "The result is transposed." if _close(came, due.mT) else ""


@_of_numbers
def _reversed(due: Tensor, came: Tensor) -> str | None:
    for dim in range(due.dim()):
        if due.shape[dim] > 2 and _close(came, due.flip(dim)):
            return f"The values are in reverse order along dimension {dim}."
    return ""


@_of_numbers
def _reordered(due: Tensor, came: Tensor) -> str | None:
    ordered = [values.flatten().sort().values for values in (came, due)]
    return "The values are right, but in another order." if _close(*ordered) else ""


@_of_numbers
def _rounded(due: Tensor, came: Tensor) -> str | None:
    near = "Nearly right: is something rounded, or an epsilon added?"
    return near if _close(came, due) else ""


_MEASURED = (_multiple, _offset)
_OBSERVATIONS = (
    _unchanged,
    _inverted,
    _rounded,
    _sign,
    _constant,
    _multiple,
    _offset,
    _transposed,
    _reversed,
    _reordered,
)


def _is_uniform(values: Tensor) -> bool:
    return values.numel() < 2 or _close(values, values.flatten()[0])


def _close(left: Tensor, right: Tensor) -> bool:
    scale = right.abs().max().item() if right.numel() else 0.0
    return torch.allclose(left, right.expand_as(left), rtol=1e-4, atol=1e-6 * scale)
