"""Handwritten digits that ship inside scikit-learn: labeled images, no download."""

import torch
from torch import Tensor

from lesson_utils.common.require import require_choice, require_whole

SPLITS = ("train", "test")


def digits(split: str, *, test_every: int = 5) -> tuple[Tensor, Tensor]:
    """Scikit-learn's handwritten digits, 1,797 gray images of 8 by 8 pixels.

    Of each digit's images, in scikit-learn's order, every `test_every`-th is for
    testing and the others are for training. Nothing is drawn at random: the split is
    the same everywhere, and each digit has the same share of both parts.

    Args:
        split: "train" or "test".
        test_every: a whole number >= 2; 5 keeps a fifth of the images for testing.

    Returns:
        Images (N, 1, 8, 8), float32, in [0, 1], 1 being ink, and labels (N,), int64,
        0 to 9. They are not shuffled.

    Raises:
        ValueError: no such split, or `test_every` is not a whole number >= 2.
    """
    from sklearn.datasets import load_digits  # slow to import, not always needed

    require_choice("split", split, SPLITS)
    require_whole("test_every", test_every, 2)
    data = load_digits()
    images = torch.from_numpy(data.images).float().div(16)[:, None]  # (N, 1, 8, 8)
    labels = torch.from_numpy(data.target).long()
    # The file counts 0 to 9 over and over: every fifth of all would be fives and zeros.
    of_its_digit = torch.nn.functional.one_hot(labels, 10).cumsum(0)  # (N, 10)
    number = of_its_digit.gather(1, labels[:, None])[:, 0]  # from 1
    chosen = (number % test_every == 0) == (split == "test")
    return images[chosen], labels[chosen]
