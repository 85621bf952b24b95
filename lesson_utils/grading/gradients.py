"""Gradients of a function that may return anything, weighted by fixed numbers."""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor


def cotangent_like(result: Tensor, index: int = 0) -> Tensor:
    """The fixed weights with which a result is summed before its gradient is taken.

    Args:
        result: (...), floating or complex.
        index: the place of the tensor among those that the function returns.

    Returns:
        The shape, dtype and device of `result`; 1 if it is a single number, else drawn
        once and for all from [0.5, 1.5], so that no two elements count the same.
    """
    if result.numel() == 1:
        return torch.ones_like(result)
    generator = torch.Generator().manual_seed(index)
    weights = 0.5 + torch.rand(result.shape, generator=generator, dtype=torch.float64)
    return weights.to(result)


def copy_inputs(
    args: tuple, kwargs: Mapping[str, Any], *, gradient: bool
) -> tuple[tuple, dict[str, Any], list[Tensor]]:
    """Copies of a call's arguments, ready to record gradients if asked to.

    Args:
        args: positional arguments.
        kwargs: keyword arguments.
        gradient: whether floating tensors among them shall require gradients.

    Returns:
        Deep copies of both, and the floating tensors among them, in order.
    """
    args, kwargs = copy.deepcopy((tuple(args), dict(kwargs)))
    tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    leaves = [tensor for tensor in tensors if tensor.is_floating_point()]
    if gradient:
        for leaf in leaves:
            leaf.requires_grad_()
    return args, kwargs, leaves


def gradients_of(result: Any, leaves: list[Tensor]) -> tuple[Tensor, ...]:
    """Gradients of everything differentiable in a result, weighted and summed.

    Args:
        result: a tensor, or a tuple, list or dict that holds some.
        leaves: the tensors to differentiate with respect to.

    Returns:
        One gradient for each leaf, in its shape; zeros where none flows.
    """
    outputs = [t for t in _tensors(result) if t.is_floating_point() or t.is_complex()]
    weighted = [
        (output, cotangent_like(output, index))
        for index, output in enumerate(outputs)
        if output.requires_grad
    ]
    if not weighted:
        return tuple(torch.zeros_like(leaf) for leaf in leaves)
    ends, cotangents = zip(*weighted, strict=True)
    return torch.autograd.grad(
        ends, leaves, cotangents, allow_unused=True, materialize_grads=True
    )


def detached(value: Any) -> Any:
    """The value with every tensor in it cut from the graph.

    Args:
        value: anything; tuples, lists and dicts are searched.

    Returns:
        The same structure, as plain tuples, lists and dicts.
    """
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple | list):
        parts = [detached(part) for part in value]
        return parts if isinstance(value, list) else tuple(parts)
    if isinstance(value, dict):
        return {key: detached(part) for key, part in value.items()}
    return value


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for part in value:
            yield from _tensors(part)
    elif isinstance(value, dict):
        for part in value.values():
            yield from _tensors(part)
