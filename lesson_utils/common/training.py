"""What every training loop needs, whatever it trains."""

import math

from torch import Tensor


def require_finite(step: int, **losses: Tensor | float) -> None:
    """Stop a training whose loss is no longer a number.

    Reading a loss makes the processor wait for a GPU: call it where the loop reads its
    losses anyway, not at each step of a fast one.

    Args:
        step: the number of the step, for the message.
        **losses: each a single number, by the name the message is to give it.

    Raises:
        FloatingPointError: a loss is NaN or infinite.
    """
    for name, loss in losses.items():
        value = float(loss)
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} is {value} at step {step}: lower the learning rate, or look "
                "for a division by zero or a logarithm of zero in the loss"
            )
