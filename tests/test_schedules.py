"""Learning rates: where they rise, hold and fall."""

import math

import pytest

from lesson_utils.common import schedules

ALL = (
    schedules.constant,
    schedules.fall,
    schedules.hold_then_fall,
    schedules.one_cycle,
)


def rates(schedule, steps, peak=2.0):
    return [schedule(step, steps=steps, peak=peak) for step in range(steps)]


@pytest.mark.parametrize("schedule", ALL)
@pytest.mark.parametrize("steps", [1, 2, 50])
def test_each_is_above_zero_and_at_most_its_peak(schedule, steps):
    assert all(0 < rate <= 2 for rate in rates(schedule, steps))


def test_constant():
    assert rates(schedules.constant, 3) == [2.0] * 3


def test_fall():
    assert rates(schedules.fall, 4) == [2.0, 1.5, 1.0, 0.5]


def test_hold_then_fall():
    values = rates(schedules.hold_then_fall, 8, peak=0.2)
    assert values[:5] == [0.2] * 5
    assert values[5:] == pytest.approx([0.15, 0.1, 0.05])


def test_one_cycle():
    values = rates(schedules.one_cycle, 50)
    top = values.index(max(values))
    assert 8 <= top <= 11
    assert values[: top + 1] == sorted(values[: top + 1])
    assert values[top:] == sorted(values[top:], reverse=True)


def test_one_cycle_by_hand():
    values = rates(schedules.one_cycle, 4)  # at 0.2, 0.4, 0.6 and 0.8 of the way
    half = math.sqrt(0.5)
    assert values == pytest.approx([2, 1 + half, 1, 1 - half])
