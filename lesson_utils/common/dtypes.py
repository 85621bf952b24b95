"""How the book's functions treat numbers of few bits and whole numbers: decided once.

A loss, an area, an overlap, a statistic: what sums up many numbers is computed in
float32 at least, for eight or eleven bits are too few. Whether it is returned so, or in
the dtype of the input, each function says. Boxes may be whole numbers.
"""

import torch
from torch import Tensor


def at_least_float32(values: Tensor) -> Tensor:
    """The same numbers in float32, or in float64 if they are that already.

    Args:
        values: any shape, numbers.

    Returns:
        The shape of `values`: float64 for float64, float32 for all others.
    """
    return values.to(torch.promote_types(values.dtype, torch.float32))


def as_floating(values: Tensor) -> Tensor:
    """Floating point as it is, and whole numbers or booleans as float32.

    Args:
        values: any shape.

    Returns:
        The shape of `values`.
    """
    return values if values.is_floating_point() else values.float()
