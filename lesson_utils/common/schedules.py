"""Learning rates over a training: functions of the step, the steps, and the peak."""

import math


def constant(step: int, *, steps: int, peak: float) -> float:
    """A learning rate that stays as it is.

    Args:
        step: from 0 to `steps` - 1; a number, as are the others (scalars).
        steps: of the whole training.
        peak: the learning rate.

    Returns:
        A scalar: the peak.
    """
    return peak


def fall(step: int, *, steps: int, peak: float) -> float:
    """A learning rate that falls in a straight line, to 0 behind the last step.

    Args:
        step: from 0 to `steps` - 1; a number, as are the others (scalars).
        steps: of the whole training.
        peak: the learning rate of the first step.

    Returns:
        A scalar above 0, at most the peak.
    """
    return peak * (1 - step / steps)


def hold_then_fall(step: int, *, steps: int, peak: float) -> float:
    """A learning rate that holds for the first half of the steps, then falls to 0.

    Args:
        step: from 0 to `steps` - 1; a number, as are the others (scalars).
        steps: of the whole training.
        peak: the learning rate of the first half.

    Returns:
        A scalar: the peak, or in the second half what is left of it.
    """
    return peak * min(1.0, 2 * (1 - step / steps))


def one_cycle(step: int, *, steps: int, peak: float) -> float:
    """One cycle: up in a line for a fifth of the steps, then down along a cosine.

    Args:
        step: from 0 to `steps` - 1; a number, as are the others (scalars).
        steps: of the whole training.
        peak: the highest learning rate.

    Returns:
        A scalar above 0, at most the peak.

    Source: Smith and Topin, Super-Convergence, 2018, for the cycle; its shape is that
        of torch's `OneCycleLR`, nearly.
    """
    part, rise = (step + 1) / (steps + 1), 0.2
    if part < rise:
        return peak * part / rise
    return peak * (1 + math.cos(math.pi * (part - rise) / (1 - rise))) / 2
