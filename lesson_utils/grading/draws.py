"""Random tensors for cases, the same each time; in float64 unless said otherwise."""

import torch
from torch import Tensor


def seeded(seed: int = 0) -> torch.Generator:
    """A generator of a known state.

    Args:
        seed: which one.

    Returns:
        A new generator on the CPU.
    """
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers from the normal distribution of mean 0 and deviation 1.

    Args:
        *shape: of the result.
        seed: the same seed, the same numbers.
        dtype: a floating-point one.

    Returns:
        The tensor.
    """
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def uniform(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers spread evenly over [0, 1).

    Args:
        *shape: of the result.
        seed: the same seed, the same numbers.
        dtype: a floating-point one.

    Returns:
        The tensor.
    """
    return torch.rand(*shape, generator=seeded(seed), dtype=dtype)
