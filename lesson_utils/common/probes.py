"""What layers do with values and gradients: units that die, norms by depth."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def dead_fraction(outputs: Tensor) -> float:
    """The share of units that are exactly 0 on every input.

    A ReLU that is 0 on all of the data has gradient 0 on all of it, and so do the
    weights before it: nothing in the data can wake it.

    Args:
        outputs: (B, D, ...), activations of D units or channels on B inputs, B >= 1.

    Returns:
        In [0, 1].

    Raises:
        ValueError: `outputs` have fewer than two dimensions, or hold no value.

    Source: the definition.
    """
    if outputs.dim() < 2 or not outputs.numel():
        raise ValueError(
            "outputs must be (B, D, ...) with at least one value, got "
            f"{tuple(outputs.shape)}"
        )
    dead = (outputs.transpose(0, 1).flatten(1) == 0).all(dim=1)  # (D,)
    return dead.double().mean().item()


def gradient_norms(
    layers: Sequence[Callable[[Tensor], Tensor]], x: Tensor, direction: Tensor
) -> Tensor:
    """How long the gradient is at each depth, between the input and the output.

    Args:
        layers: L functions, applied one after another; at least one.
        x: (B, ...), the input of the first.
        direction: the shape of the last one's output; the gradient taken is that of
            the sum of `direction * output`.

    Returns:
        (L + 1,), float64 on the CPU: the norm of the gradient with respect to the
        input of each layer, and last, to the output, which is that of `direction`.

    Raises:
        ValueError: there is no layer, or `direction` has another shape than the
            output.

    Source: Glorot and Bengio, Understanding the Difficulty of Training Deep
        Feedforward Neural Networks, AISTATS 2010, section 4.
    """
    if not len(layers):
        raise ValueError("layers must be at least one, got none")
    hidden = [x.detach().requires_grad_()]
    for layer in layers:
        hidden.append(layer(hidden[-1]))
    if direction.shape != hidden[-1].shape:
        raise ValueError(
            f"direction must have the shape of the output, {tuple(hidden[-1].shape)}, "
            f"got {tuple(direction.shape)}"
        )
    gradients = torch.autograd.grad(hidden[-1], hidden, direction)
    # In float32 the square of 1e-25 is 0, and so would be the norm.
    return torch.stack([g.cpu().double().norm() for g in gradients])
