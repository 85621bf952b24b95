"""Mistakes of every kind, made of any right answer by changing what it returns."""

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


@dataclass(frozen=True)
class Mutation:
    """A way to be wrong.

    Args:
        name: what was done.
        change: a result, and the arguments that led to it, to a wrong result.
        true: parts of general hints that are true of it.
    """

    name: str
    change: Callable[[Any, tuple], Any]
    true: tuple[str, ...]

    def of(self, answer: Callable) -> Callable:
        """The answer, gone wrong."""

        @functools.wraps(answer)
        def wrong(*args: Any, **kwargs: Any) -> Any:
            result = answer(*args, **kwargs)
            return self.change(result, (*args, *kwargs.values()))

        return wrong


def _each(change: Callable[[Tensor, tuple], Tensor]) -> Callable[[Any, tuple], Any]:
    """A change of tensors, made to every tensor, array and float in a result."""

    def change_all(result: Any, arguments: tuple) -> Any:
        if isinstance(result, Tensor):
            return change(result, arguments)
        if isinstance(result, np.ndarray):
            return change(torch.tensor(result), arguments).numpy()
        if isinstance(result, float):
            changed = change(torch.tensor(result, dtype=torch.float64), arguments)
            return changed.item() if changed.numel() == 1 else changed
        if isinstance(result, int) and not isinstance(result, bool):
            changed = change(torch.tensor(result), arguments)
            return changed.item() if changed.numel() == 1 else changed
        if isinstance(result, tuple | list):
            return type(result)(change_all(part, arguments) for part in result)
        return result

    return change_all


def _numbers(change: Callable[[Tensor], Tensor]) -> Callable[[Any, tuple], Any]:
    return _each(lambda t, _: t if t.dtype == torch.bool else change(t))


def _floats(change: Callable[[Tensor], Tensor]) -> Callable[[Any, tuple], Any]:
    return _each(lambda t, _: change(t) if t.is_floating_point() else t)


def _size(arguments: tuple) -> int:
    sizes = [v.numel() for v in arguments if isinstance(v, Tensor)]
    sizes += [v.size for v in arguments if isinstance(v, np.ndarray)]
    return max([2, *sizes])


def _first_input(result: Any, arguments: tuple) -> Any:
    kinds = Tensor | np.ndarray
    return next((v for v in arguments if isinstance(v, kinds)), result)


def _transposed(values: Tensor, _: tuple) -> Tensor:
    return values.transpose(-1, -2) if values.dim() > 1 else values


def _reversed(values: Tensor, _: tuple) -> Tensor:
    return values.flip(0) if values.dim() else values


_SHAPES = ("another order", "size 1 differ", "look at how you reshape", "single number")
_TYPES = ("`.item()`", "Stay in torch", "comma too many")

MUTATIONS = (
    Mutation(
        "the sum for the mean",
        _each(lambda t, a: t * _size(a) if t.is_floating_point() else t),
        ("times what is due",),
    ),
    Mutation(
        "divided by n − 1 for n",
        _each(
            lambda t, a: t * _size(a) / (_size(a) - 1) if t.is_floating_point() else t
        ),
        ("times what is due", "Nearly right"),
    ),
    Mutation("halved", _floats(lambda t: t / 2), ("0.5 (1/2) times what is due",)),
    Mutation("negated", _numbers(lambda t: -t), ("sign", "-1 times")),
    Mutation("one too large", _numbers(lambda t: t + 1), ("too large by the same 1.",)),
    Mutation("zeros", _numbers(torch.zeros_like), ("Every value is zero",)),
    Mutation(
        "a constant",
        _numbers(lambda t: torch.full_like(t, 3)),
        ("Every value is 3",),
    ),
    Mutation("transposed", _each(_transposed), ("transposed", "reverse", *_SHAPES)),
    Mutation("reversed", _each(_reversed), ("reverse order", "another order")),
    Mutation("cut from the graph", _floats(Tensor.detach), ("No gradient arrives",)),
    Mutation("in half precision", _floats(Tensor.half), ("Keep the ", "Nearly right")),
    Mutation("NaN", _floats(lambda t: t * torch.nan), ("NaN comes from",)),
    Mutation("a dimension more", _each(lambda t, _: t[None]), (*_SHAPES, *_TYPES)),
    Mutation("nothing", lambda result, _: None, ("returns nothing",)),
    Mutation(
        "the input",
        _first_input,
        ("unchanged", "Keep the ", "axes too many", *_SHAPES, *_TYPES),
    ),
)


def mutants(answer: Callable) -> Iterator[tuple[Mutation, Callable]]:
    """Every way of going wrong, with the answer that went it.

    Args:
        answer: a right one.

    Yields:
        The mutation, and the mutant.
    """
    for mutation in MUTATIONS:
        yield mutation, mutation.of(answer)
