"""What layers do: units that die, norms of gradients by depth, where maps look."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lesson_utils.common.require import require_shape


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


def part_hits(maps: Tensor, boxes: Tensor) -> Tensor:
    """Whether the strongest position of each map lies in each part's box.

    Args:
        maps: (B, M, H, W).
        boxes: (B, P, 4), xyxy in shares of the picture; a box outside of it for a part
            that is not there.

    Returns:
        (B, M, P), booleans; of equal values the first is the strongest.

    Raises:
        ValueError: the shapes do not fit.

    Source: Zhang et al., Top-down Neural Attention by Excitation Backprop, IJCV 2018,
        call a like measure the pointing game.
    """
    require_shape("maps", maps, "B M H W")
    if boxes.dim() != 3 or boxes.shape[::2] != (len(maps), 4):
        raise ValueError(
            f"boxes must be ({len(maps)}, P, 4) for {len(maps)} pictures, got "
            f"{tuple(boxes.shape)}"
        )
    rows, columns = maps.shape[2:]
    peak = maps.flatten(2).argmax(dim=2)  # (B, M)
    x = (peak % columns + 0.5)[..., None] / columns  # centers of cells, (B, M, 1)
    y = (peak // columns + 0.5)[..., None] / rows
    x1, y1, x2, y2 = boxes[:, None].unbind(-1)  # (B, 1, P) each
    return (x1 <= x) & (x <= x2) & (y1 <= y) & (y <= y2)
