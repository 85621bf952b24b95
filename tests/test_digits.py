"""Digits: scikit-learn's own pixels, a split that is fair and the same everywhere."""

import pytest
import torch
from sklearn.datasets import load_digits

from lesson_utils.data.digits import digits


def test_shapes_and_range():
    images, labels = digits("train")
    assert images.shape == (len(labels), 1, 8, 8)
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert (images.min(), images.max()) == (0, 1)


@pytest.mark.parametrize("test_every", [2, 5])
def test_the_two_parts_are_the_whole_set_in_its_order(test_every):
    train, test = (digits(s, test_every=test_every) for s in ("train", "test"))
    assert len(train[0]) + len(test[0]) == 1797
    raw = load_digits()
    pixels = torch.from_numpy(raw.images).float() / 16
    for digit in range(10):
        own = pixels[torch.from_numpy(raw.target) == digit]
        torch.testing.assert_close(
            test[0][test[1] == digit, 0], own[test_every - 1 :: test_every]
        )


def test_each_digit_has_the_same_share_of_both_parts():
    counts = [digits(split)[1].bincount() for split in ("train", "test")]
    share = counts[1] / (counts[0] + counts[1])
    assert share.min() > 0.19
    assert share.max() <= 0.2


def test_errors():
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        digits("val")
    for wrong in (1, 2.0):
        with pytest.raises(ValueError, match=f"whole number >= 2, got {wrong}"):
            digits("test", test_every=wrong)
