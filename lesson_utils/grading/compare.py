"""Where a result differs from what was expected, and what that looks like."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lesson_utils.grading.clues import type_clue
from lesson_utils.grading.show import brief
from lesson_utils.grading.tensors import Difference, Rules, compare_tensors

_KINDS = (
    (Tensor, "a tensor"),
    (np.ndarray, "a NumPy array"),
    ((bool, np.bool_), "a bool"),
    ((int, np.integer), "an int"),
    ((float, np.floating), "a float"),
    ((complex, np.complexfloating), "a complex number"),
    (str, "a string"),
    (tuple, "a tuple"),
    (list, "a list"),
    (dict, "a dict"),
    (type(None), "None"),
)
_WITH_VALUES = ("a tensor", "a NumPy array", "an int", "a float")
_ALSO = {"a float": "an int", "a tuple": "a list", "a list": "a tuple"}


def is_comparable(value: Any) -> bool:
    """Whether `compare` knows what to do with an expected value.

    Args:
        value: anything.

    Returns:
        True for tensors, numeric arrays, numbers, bools, strings and None, and tuples,
        lists and dicts of them.
    """
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc"
    if isinstance(value, tuple | list):
        return all(is_comparable(part) for part in value)
    if isinstance(value, dict):
        return all(is_comparable(part) for part in value.values())
    return any(isinstance(value, types) for types, _ in _KINDS)


def kind_of(value: Any) -> str:
    """What a value is, as one says it to a reader.

    Args:
        value: anything.

    Returns:
        "a tensor", "a float", … or the name of its class.
    """
    for types, kind in _KINDS:
        if isinstance(value, types):
            return kind
    return f"an object of type {type(value).__name__}"


def compare(expected: Any, got: Any, rules: Rules) -> Difference | None:
    """The first difference between a result and what was expected.

    A list does for a tuple and a tuple for a list, an int for a float, a NumPy number
    for a Python one. Everything else must be of the expected kind.

    Args:
        expected: what `is_comparable` accepts; of anything else, only the object
            itself is equal to it.
        got: anything.
        rules: tolerances.

    Returns:
        None where they agree.
    """
    kind, got_kind = kind_of(expected), kind_of(got)
    fits = got_kind in (kind, _ALSO.get(kind))
    if not fits and (rules.same_dtype or {kind, got_kind} != {"an int", "a float"}):
        text = f"{got_kind} came back, where {kind} is due"
        return Difference(text, type_clue(expected, got))
    if kind == "a tensor":
        return compare_tensors(expected.detach(), got.detach(), rules)
    if kind == "a NumPy array":
        return _compare_arrays(expected, got, rules)
    if kind in ("a tuple", "a list"):
        return _compare_sequences(expected, got, rules)
    if kind == "a dict":
        return _compare_dicts(expected, got, rules)
    if kind in ("an int", "a float", "a complex number"):
        return _compare_numbers(expected, got, rules)
    same = got is expected or (is_comparable(expected) and got == expected)
    return (
        None
        if same
        else Difference(f"{brief(got)} came back, {brief(expected)} is due")
    )


def differing_pairs(
    expected: Any, got: Any, rules: Rules
) -> list[tuple[Tensor, Tensor]]:
    """The tensors of a result that differ from those expected in their values alone.

    Args:
        expected: as for `compare`.
        got: anything.
        rules: tolerances.

    Returns:
        What was due and what came, of equal shape and dtype; nothing if the result
        differs in anything but values.
    """
    pairs = list(_leaves(expected, got, rules))
    return [] if None in pairs else pairs


def _leaves(
    expected: Any, got: Any, rules: Rules
) -> Iterator[tuple[Tensor, Tensor] | None]:
    """Each pair that differs; None for one that differs in more than its values."""
    if compare(expected, got, rules) is None:
        return
    kind = kind_of(expected)
    if kind in ("a tuple", "a list") and isinstance(got, tuple | list):
        if len(got) != len(expected):
            yield None
        for due, came in zip(expected, got, strict=False):
            yield from _leaves(due, came, rules)
    elif kind == "a dict" and isinstance(got, dict) and got.keys() == expected.keys():
        for key, due in expected.items():
            yield from _leaves(due, got[key], rules)
    elif kind_of(got) != kind or kind not in _WITH_VALUES:
        yield None
    else:
        due, came = (
            v if isinstance(v, Tensor) else torch.tensor(np.array(v, order="C"))
            for v in (expected, got)
        )
        facts = ("shape", "dtype", "layout", "device")
        alike = all(getattr(due, fact) == getattr(came, fact) for fact in facts)
        strided = alike and due.layout == torch.strided
        yield (due.detach().cpu(), came.detach().cpu()) if strided else None


def _compare_arrays(
    expected: np.ndarray, got: np.ndarray, rules: Rules
) -> Difference | None:
    if not is_comparable(got) or (rules.same_dtype and got.dtype != expected.dtype):
        return Difference(
            f"dtype {got.dtype}, where {expected.dtype} is due",
            f"Keep the {expected.dtype} that the input calls for.",
        )
    tensors = [torch.tensor(np.array(array, order="C")) for array in (expected, got)]
    return compare_tensors(*tensors, rules)


def _compare_sequences(
    expected: tuple | list, got: tuple | list, rules: Rules
) -> Difference | None:
    if len(got) != len(expected):
        return Difference(f"{len(got)} items, where {len(expected)} are due")
    for index, (due, came) in enumerate(zip(expected, got, strict=True)):
        if difference := compare(due, came, rules):
            return Difference(f"item {index}: {difference.text}", difference.hint)
    return None


def _compare_dicts(expected: dict, got: dict, rules: Rules) -> Difference | None:
    for key in (*expected, *got):
        if key not in got:
            return Difference(f"the key {key!r} is missing")
        if key not in expected:
            return Difference(f"the key {key!r} is one too many")
        if difference := compare(expected[key], got[key], rules):
            return Difference(f"key {key!r}: {difference.text}", difference.hint)
    return None


def _compare_numbers(expected: Any, got: Any, rules: Rules) -> Difference | None:
    if isinstance(expected, int | np.integer) and isinstance(got, int | np.integer):
        same = got == expected  # exact, however large
        return None if same else Difference(f"{got} came back, {expected} is due")
    # A Python float is often the `.item()` of a float32.
    rtol = 1e-5 if rules.rtol is None else rules.rtol
    atol = 1e-7 if rules.atol is None else rules.atol
    wide = (
        (complex, torch.complex128)
        if kind_of(expected) == "a complex number"
        else (float, torch.float64)
    )
    tensors = [torch.tensor(wide[0](n), dtype=wide[1]) for n in (expected, got)]
    return compare_tensors(*tensors, Rules(rtol, atol))
