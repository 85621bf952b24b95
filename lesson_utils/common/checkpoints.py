"""Checkpoints: where a training stands, on disk, whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch


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


def _check_readable(path: Path) -> None:
    # What cannot be resumed from is better noticed now than after the interruption.
    try:
        load_checkpoint(path)
    except ValueError as error:
        raise ValueError(
            "state must be a dict of state dicts, tensors, numbers, strings, and lists "
            f"or dicts of them: {error.__cause__ or error}"
        ) from error
