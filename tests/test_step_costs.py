"""What a step costs: formulas by hand, and a fit that finds what it was made of."""

import math

import numpy as np
import pytest

from lesson_utils.common.step_costs import (
    fit_ring,
    memory_per_gpu,
    ring_seconds,
    step_seconds,
)

NET = {"latency": 1e-3, "bandwidth": 1e6}


def test_memory_is_the_papers():
    # Rajbhandari et al. 2020, figure 1: 120, 31.4, 16.6 and 1.9 GB.
    found = [memory_per_gpu(7.5e9, 64, stage=stage) / 1e9 for stage in range(4)]
    assert [round(each, 1) for each in found] == [120.0, 31.4, 16.6, 1.9]


def test_a_world_of_one():
    assert ring_seconds(1e9, 1, **NET) == 0
    assert step_seconds(0.5, 1e9, 1, **NET) == 0.5
    for stage in range(4):
        assert memory_per_gpu(10, 1, stage=stage) == 160


def test_ring_by_hand():
    # Two messages of half a megabyte: 2 (1 ms + 0.5 s).
    assert ring_seconds(1e6, 2, **NET) == pytest.approx(1.002)
    # Six of a quarter: 6 (1 ms + 0.25 s).
    assert ring_seconds(1e6, 4, **NET) == pytest.approx(1.506)


def test_overlap_hides_no_more_than_there_is():
    ring = ring_seconds(1e6, 4, **NET)
    assert step_seconds(1, 1e6, 4, **NET) == pytest.approx(1 + ring)
    half = step_seconds(1, 1e6, 4, overlap=0.5, **NET)
    assert half == pytest.approx(1 + ring - 0.5)
    assert step_seconds(10, 1e6, 4, overlap=0.5, **NET) == 10


@pytest.mark.parametrize("world_size", [2, 8])
def test_fit_finds_what_the_times_were_made_of(world_size):
    sizes = [4**k for k in range(5, 13)]
    seconds = [ring_seconds(s, world_size, latency=3e-4, bandwidth=2e8) for s in sizes]
    latency, bandwidth = fit_ring(sizes, seconds, world_size)
    assert latency == pytest.approx(3e-4, rel=1e-6)
    assert bandwidth == pytest.approx(2e8, rel=1e-6)
    none = [ring_seconds(s, world_size, latency=0, bandwidth=2e8) for s in sizes]
    assert fit_ring(sizes, none, world_size)[0] == pytest.approx(0, abs=1e-12)


def test_fit_weighs_errors_by_their_share():
    """Of times 10% off, none pulls more than another: 1/t is fitted to be right."""
    sizes = [2e6, 4e6, 8e6]
    seconds = [
        share * ring_seconds(size, 2, latency=1e-3, bandwidth=1e9)
        for share, size in zip((1.1, 1, 0.9), sizes, strict=True)
    ]
    columns = np.array([[2, size] for size in sizes])  # of latency and 1 / bandwidth
    relative = columns / np.array(seconds)[:, None]
    latency, slope = np.linalg.lstsq(relative, np.ones(3), rcond=None)[0]
    found = fit_ring(sizes, seconds, 2)
    assert found == pytest.approx((latency, 1 / slope), rel=1e-6)


def test_errors():
    for arguments in ((-1, 2), (math.nan, 2), (1, 0), (1, 1.5), (1, True)):
        with pytest.raises(ValueError, match=r"(parameters|world_size) must"):
            memory_per_gpu(*arguments)
        with pytest.raises(ValueError, match=r"(num_bytes|world_size) must"):
            ring_seconds(*arguments, **NET)
    for stage in (-1, 4, 1.0):
        with pytest.raises(ValueError, match="stage must"):
            memory_per_gpu(1, 2, stage=stage)
    for wrong in ({"latency": -1}, {"bandwidth": 0}, {"bandwidth": math.inf}):
        with pytest.raises(ValueError, match=r"(latency|bandwidth) must"):
            ring_seconds(1, 2, **(NET | wrong))
    for compute, overlap in ((-1, 0), (1, 1.5), (math.nan, 0)):
        with pytest.raises(ValueError, match=r"(compute|overlap) must"):
            step_seconds(compute, 1, 2, overlap=overlap, **NET)
    for sizes, seconds, n in (
        ([1, 1], [1, 1], 2),
        ([1, 2], [1], 2),
        ([1, 2], [1, 0], 2),
        ([1, 2], [1, 2], 1),
        ([1, 2], [2, 1], 2),
    ):
        with pytest.raises(ValueError, match="must"):
            fit_ring(sizes, seconds, n)
