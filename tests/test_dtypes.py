"""Kinds of numbers: what is kept, and what becomes float32."""

import pytest
import torch

from lesson_utils.common.dtypes import as_floating, at_least_float32

KEPT = (torch.float32, torch.float64)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_whole_numbers_become_float32(dtype):
    values = torch.tensor([0, 1, 1]).to(dtype)
    for change in (as_floating, at_least_float32):
        assert change(values).dtype == torch.float32
        assert change(values).tolist() == [0, 1, 1]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, *KEPT])
def test_floating_point(dtype):
    values = torch.tensor([0.5, -2], dtype=dtype)
    assert as_floating(values) is values
    due = dtype if dtype in KEPT else torch.float32
    assert at_least_float32(values).dtype == due
    assert at_least_float32(values).tolist() == [0.5, -2]
