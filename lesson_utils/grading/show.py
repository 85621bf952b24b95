"""Values as text: short, and safe whatever the value is."""

import inspect
import reprlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

_WHOLE = 40  # elements up to which a tensor is printed in full
_FIRST = 6  # elements of a larger one, and items of a container

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
)
_plain = reprlib.Repr()
_plain.maxstring = _plain.maxother = 300


def brief(value: Any) -> str:
    """A value as the reader would see it printed, or its facts where it is large.

    Args:
        value: anything.

    Returns:
        A few lines at most.
    """
    if isinstance(value, Tensor | np.ndarray):
        return _brief_array(value)
    if isinstance(value, np.generic):
        return repr(value)
    if isinstance(value, tuple | list):
        parts = [brief(part) for part in value[:_FIRST]] + ["…"] * (len(value) > _FIRST)
        if isinstance(value, list):
            return f"[{', '.join(parts)}]"
        return f"({', '.join(parts)}{',' * (len(parts) == 1)})"
    if isinstance(value, dict):
        items = [f"{brief(k)}: {brief(v)}" for k, v in list(value.items())[:_FIRST]]
        return "{" + ", ".join(items + ["…"] * (len(value) > _FIRST)) + "}"
    if inspect.isroutine(value) or inspect.isclass(value):
        return getattr(value, "__name__", type(value).__name__)
    return _plain.repr(value)  # copes with a __repr__ that raises


def name_arguments(
    function: Callable[..., Any],
    args: tuple,
    kwargs: Mapping[str, Any],
    *,
    skip: int = 0,
) -> dict[str, Any]:
    """Arguments by the names of the parameters they fill.

    Args:
        function: whose parameters give the names.
        args: positional arguments.
        kwargs: keyword arguments.
        skip: how many parameters come before those that `args` fill.

    Returns:
        One item for each argument, in order; "argument 1" and so on where the
        parameters have no names of their own.
    """
    try:
        positional = [
            parameter.name
            for parameter in inspect.signature(function).parameters.values()
            if parameter.kind in _POSITIONAL
        ]
    except (TypeError, ValueError):  # some functions of compiled code hide them
        positional = []
    numbered = [f"argument {index + 1}" for index in range(len(args))]
    positional = positional[skip:]
    names = [*positional, *numbered[len(positional) :]]
    return dict(zip(names, args, strict=False)) | dict(kwargs)


def show_arguments(arguments: Mapping[str, Any]) -> str:
    """Arguments one below another, as in an assignment.

    Args:
        arguments: values by name.

    Returns:
        A text in which the lines of a value stand below each other.
    """
    lines = []
    for name, value in arguments.items():
        indent = "\n" + " " * len(f"{name} = ")
        lines.append(f"{name} = {brief(value).replace(chr(10), indent)}")
    return "\n".join(lines) or "no arguments"


def _brief_array(array: Tensor | np.ndarray) -> str:
    if isinstance(array, Tensor):
        array, count, kind = array.detach(), array.numel(), "tensor"
        if array.layout != torch.strided:
            return repr(array)
    else:
        count, kind = array.size, "array"
    if count <= _WHOLE:
        return repr(array)
    dtype = str(array.dtype).removeprefix("torch.")
    first = array.reshape(-1)[:_FIRST].tolist()
    values = ", ".join(f"{x:.4g}" if isinstance(x, float) else str(x) for x in first)
    device = getattr(array, "device", "cpu")
    place = "" if str(device) == "cpu" else f" on {device}"
    shape = tuple(array.shape)
    return f"{kind} of shape {shape}, {dtype}{place}, begins {values}, …"
