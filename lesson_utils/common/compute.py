"""Where and how to compute: device, seeds, and Lightning Fabric for training loops."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import numpy as np
import torch

from lesson_utils.common.require import require_whole

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def pick_device() -> torch.device:
    """The device to compute on: cuda, else mps, else cpu.

    The environment variable `LESSON_UTILS_DEVICE` (such as "cpu" or "cuda:1") has the
    first word.

    Returns:
        A device that is there.

    Raises:
        ValueError: `LESSON_UTILS_DEVICE` names no device, or one that is not there.
    """
    wanted = os.environ.get("LESSON_UTILS_DEVICE")
    if wanted:
        return _named_device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = str(error).splitlines()[0]
        raise ValueError(
            f"LESSON_UTILS_DEVICE={name!r} must name a device of this machine, such as "
            f"cpu, cuda, cuda:1 or mps: {first_line}"
        ) from error
    return device


def seed_everything(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, on every device.

    Args:
        seed: a whole number in [0, 2^32), the range that NumPy takes.

    Raises:
        ValueError: the seed is not such a number.
    """
    require_whole("seed", seed, 0, 2**32 - 1)
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - libraries draw from the global generator
    torch.manual_seed(seed)


def make_fabric(*, devices: int = 1, precision: str | None = None) -> Fabric:
    """Lightning Fabric on the device that `pick_device` finds.

    One training loop then runs on a CPU, on a GPU in bf16, and in several processes
    (under `torchrun` or `fabric run`, or with `devices` above 1 in a script).

    Args:
        devices: how many processes on this machine, each with its own device.
        precision: Fabric's name for it, such as "32-true" or "bf16-mixed"; None is
            "bf16-mixed" on a GPU that computes in bf16, else "32-true".

    Returns:
        A Fabric; call `launch()` on it once before anything else.

    Raises:
        ValueError: `devices` is not a whole number >= 1, or Fabric does not know the
            precision.
        ModuleNotFoundError: lightning-fabric is not installed.
    """
    from lightning_fabric import Fabric  # not on every GPU server, not in every chapter

    require_whole("devices", devices)
    device = pick_device()
    if precision is None:
        has_bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported()
        precision = "bf16-mixed" if has_bf16 else "32-true"
    # A device picked by its number, cuda:1, is a list of one for Fabric.
    chosen = [device.index] if device.index is not None and devices == 1 else devices
    return Fabric(accelerator=device.type, devices=chosen, precision=precision)
