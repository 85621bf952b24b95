"""What every training loop needs, whatever it trains."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric import Fabric

ORDER, CHANGE = 0, 1  # what random numbers are drawn for


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


def save_checkpoint(path: str | Path, state: dict[str, Any]) -> Path:
    """Write a checkpoint so that an interruption leaves the old one or the new one.

    Args:
        path: the file; its folder is made if it is not there.
        state: state dicts, tensors, numbers, strings, and lists or dicts of them:
            what `load_checkpoint` can read without running code.

    Returns:
        The path.

    Raises:
        ValueError: `state` holds something else, such as a whole network.
        OSError: the file cannot be written; one that was there before is still whole.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a file is moved at one stroke only within a disk.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            torch.save(state, file)
            file.flush()
            os.fsync(file.fileno())
        _check_readable(unfinished)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def load_checkpoint(
    path: str | Path, *, map_location: str | torch.device = "cpu"
) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, without running code that is in the file.

    Args:
        path: the file.
        map_location: the device that tensors are put on.

    Returns:
        The state.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is broken, is no checkpoint, or holds what could run code.
    """
    try:
        state = torch.load(path, map_location=map_location, weights_only=True)
    except OSError:
        raise
    except Exception as error:  # of many types: a broken file confuses the unpickler
        reason = str(error).splitlines() or [type(error).__name__]
        raise ValueError(
            "path must be a checkpoint of state dicts, tensors, numbers and strings, "
            f"got {str(path)!r}: {reason[0]}"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"path must be a checkpoint, got {str(path)!r}: no dict in it")
    return state


def drawer(*numbers: int) -> torch.Generator:
    """A random generator of its own for each seed, purpose, and number.

    A run that is resumed draws what it would have drawn, without a state to be saved.

    Args:
        *numbers: such as the seed, `ORDER`, and the epoch; each at least 0.

    Returns:
        A generator on the CPU.
    """
    # torch keeps 32 bits of a seed; numpy mixes the numbers into as many.
    mixed = np.random.SeedSequence(numbers).generate_state(1)
    return torch.Generator().manual_seed(int(mixed[0]))


def batch_of_step(number: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Which pictures a step of training sees: each once before any is seen twice.

    Args:
        number: of pictures.
        batch_size: B; where there are fewer pictures, all of them.
        seed: of their order.
        step: from 0.

    Returns:
        (B,), int64. What fills no batch at the end of an epoch waits for another one.
    """
    size = min(batch_size, number)
    epoch, place = divmod(step, number // size)
    order = torch.randperm(number, generator=drawer(seed, ORDER, epoch))
    return order[place * size : (place + 1) * size]


def with_bar(start: int, steps: int, progress: bool, fabric: Fabric) -> Iterator[int]:
    """The steps from `start` on, with a progress bar on the first process.

    Args:
        start: the first step.
        steps: the number behind the last one.
        progress: whether there is a bar.
        fabric: that the training runs on.

    Returns:
        An iterator.
    """
    from tqdm import tqdm  # not on every GPU server

    silent = not progress or fabric.global_rank > 0
    return iter(tqdm(range(start, steps), total=steps, initial=start, disable=silent))


def mean_over_processes(row: Tensor, fabric: Fabric) -> list[float]:
    """Measures of a step as numbers. This waits for the device.

    Args:
        row: (N,), of this process.
        fabric: that the training runs on.

    Returns:
        N numbers, the means over all processes.
    """
    if fabric.world_size > 1:
        row = fabric.all_reduce(row, reduce_op="mean")
    return row.tolist()


def save_run(
    path: str | Path | None,
    model: nn.Module,
    optimiser: object,
    settings: dict,
    rows: list[list[float]],
    fabric: Fabric,
) -> None:
    """Write where a training of one model stands, by `save_checkpoint`.

    Args:
        path: the file; None for none.
        model: itself, not what `fabric.setup` wrapped around it.
        optimiser: as `fabric.setup` returned it.
        settings: what must be the same where it is resumed, by name.
        rows: the measures up to here.
        fabric: that the training runs on; its first process writes, the others wait.

    Raises:
        ValueError: see `save_checkpoint`.
        OSError: see `save_checkpoint`.
    """
    if path is None:
        return
    if fabric.global_rank == 0:
        state = {
            "settings": settings,
            "rows": rows,
            "model": model.state_dict(),
            "optimiser": optimiser.state_dict(),
        }
        save_checkpoint(path, state)
    fabric.barrier()


def resume_run(
    path: str | Path | None,
    model: nn.Module,
    optimiser: object,
    settings: dict,
    fabric: Fabric,
) -> list[list[float]]:
    """Put model and optimiser where `save_run` left them.

    Args:
        path: the file; None, or one that is not there, for a start from nothing.
        model: itself, not what `fabric.setup` wrapped around it.
        optimiser: as `fabric.setup` returned it.
        settings: of this run, by name.
        fabric: that the training runs on.

    Returns:
        The measures up to there; none for a start from nothing.

    Raises:
        ValueError: the file is broken, or of a run with other settings or another
            model.
    """
    if path is None or not Path(path).exists():
        return []
    state = load_checkpoint(path, map_location=fabric.device)
    try:
        for name, value in settings.items():
            if state["settings"][name] != value:
                raise ValueError(
                    f"{name} is {state['settings'][name]} there and {value} here"
                )
        model.load_state_dict(state["model"])
        optimiser.optimizer.load_state_dict(state["optimiser"])
        return list(state["rows"])
    except (KeyError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"checkpoint must be of this run, got {path}: {error}"
        ) from error


def require_positive(**values: float) -> None:
    """Refuse settings that are not finite and above 0.

    Args:
        **values: by the name the message is to give them.

    Raises:
        ValueError: one is not.
    """
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"{name} must be finite and above 0, got {value}")


def _check_readable(path: Path) -> None:
    # What cannot be resumed from is better noticed now than after the interruption.
    try:
        load_checkpoint(path)
    except ValueError as error:
        raise ValueError(
            "state must be a dict of state dicts, tensors, numbers, strings, and lists "
            f"or dicts of them: {error.__cause__ or error}"
        ) from error
