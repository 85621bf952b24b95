"""What a training step costs in several processes: seconds and bytes, by formula.

Seconds are seconds, bytes are bytes; a GPU is whatever one process computes on.
"""

from collections.abc import Sequence

import torch

from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_share,
    require_whole,
)

WEIGHTS, GRADIENTS, OPTIMIZER = 2, 2, 12  # bytes per parameter: Adam, half precision


def memory_per_gpu(parameters: float, world_size: int, *, stage: int = 0) -> float:
    """What one GPU holds of weights, gradients and Adam's state, mixed precision.

    Two bytes per parameter are weights, two are gradients, twelve are the optimizer's:
    a copy of the weights, momentum and variance in float32. Activations come on top.

    Args:
        parameters: of the network.
        world_size: n, of GPUs.
        stage: 0 keeps everything on each GPU; 1 shares the optimizer's state out, 2
            the gradients, too, 3 the weights, too (ZeRO's stages; 3 is fully sharded
            data parallel, FSDP).

    Returns:
        Bytes.

    Raises:
        ValueError: `parameters` is below 0 or not finite, `world_size` is not a whole
            number >= 1, or the stage is none of these.

    Source: Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion
        Parameter Models, SC 2020, figure 1.
    """
    require_not_negative("parameters", parameters)
    require_whole("world_size", world_size)
    require_whole("stage", stage, 0, 3)
    parts = (OPTIMIZER, GRADIENTS, WEIGHTS)  # in the order in which they are shared out
    shared, whole = sum(parts[:stage]), sum(parts[stage:])
    return parameters * (whole + shared / world_size)


def ring_seconds(
    num_bytes: float, world_size: int, *, latency: float, bandwidth: float
) -> float:
    """How long a ring takes, by the model: a wait for each message, and its bytes.

    Args:
        num_bytes: of the tensor.
        world_size: n.
        latency: seconds that a message takes, however short it is.
        bandwidth: bytes a second between two neighbors.

    Returns:
        Seconds; 0 in a world of one.

    Raises:
        ValueError: a number is out of its range.

    Source: Patarasuk and Yuan 2009, section 3: 2 (n - 1) messages of 1 / n each.
    """
    require_not_negative("num_bytes", num_bytes)
    require_whole("world_size", world_size)
    require_not_negative("latency", latency)
    require_positive("bandwidth", bandwidth)
    steps = 2 * (world_size - 1)
    return steps * (latency + num_bytes / world_size / bandwidth)


def step_seconds(
    compute: float,
    num_bytes: float,
    world_size: int,
    *,
    latency: float,
    bandwidth: float,
    overlap: float = 0.0,
) -> float:
    """How long a training step takes, by the model.

    Args:
        compute: seconds of forward, backward and update in one process.
        num_bytes: of all gradients.
        world_size: n.
        latency: as for `ring_seconds`.
        bandwidth: as for `ring_seconds`.
        overlap: the share of `compute` behind which communication can hide, in [0, 1].

    Returns:
        Seconds.

    Raises:
        ValueError: a number is out of its range.

    Source: the definition.
    """
    require_not_negative("compute", compute)
    require_share("overlap", overlap)
    ring = ring_seconds(num_bytes, world_size, latency=latency, bandwidth=bandwidth)
    return compute + max(0.0, ring - overlap * compute)


def fit_ring(
    num_bytes: Sequence[float], seconds: Sequence[float], world_size: int
) -> tuple[float, float]:
    """Latency and bandwidth that explain measured seconds best, in shares of each.

    Args:
        num_bytes: of each tensor, of at least two sizes.
        seconds: what each took, above 0.
        world_size: n, at least 2.

    Returns:
        Latency, in seconds (0 where the best one is below), and bandwidth, in bytes a
        second.

    Raises:
        ValueError: fewer than two sizes, seconds of another number or not above 0, a
            world of one, or seconds that do not grow with the bytes.

    Source: least squares of relative errors, which weigh a microsecond in ten as much
        as a millisecond in ten thousand.
    """
    require_whole("world_size", world_size, 2)
    if len(set(num_bytes)) < 2 or len(seconds) != len(num_bytes):
        raise ValueError(
            f"num_bytes must be of two sizes or more, and seconds as many, got "
            f"{len(set(num_bytes))} sizes and {len(seconds)} seconds"
        )
    for second in seconds:
        require_positive("seconds", second)
    measured = torch.tensor(seconds, dtype=torch.float64)
    steps = 2 * (world_size - 1)
    sizes = torch.tensor(num_bytes, dtype=torch.float64) / world_size
    columns = torch.stack([torch.ones_like(sizes), sizes / sizes.max()], dim=1)
    relative = steps * columns / measured[:, None]  # times (latency, slope) is to be 1
    goal = torch.ones(len(measured), 1, dtype=torch.float64)
    latency, slope = torch.linalg.lstsq(relative, goal).solution[:, 0].tolist()
    if not slope > 0:
        raise ValueError("seconds must grow with num_bytes, got some that do not")
    return max(latency, 0.0), sizes.max().item() / slope
