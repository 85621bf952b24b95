"""What an answer may disturb without noticing, kept: generators, dtype, grad mode."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def seeded_and_restored(seed: int = 0) -> Iterator[None]:
    """Seed every global generator, record gradients; afterwards put all back.

    A fixed seed makes a grade repeatable, and lets an answer that draws as the
    reference draws get the same numbers.

    Args:
        seed: for torch (every device in use), numpy and `random`.

    Yields:
        Nothing.
    """
    # Asking CUDA for its generators would start it, which takes seconds.
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    numpy_state, python_state = np.random.get_state(), random.getstate()  # noqa: NPY002
    dtype = torch.get_default_dtype()
    try:
        with torch.random.fork_rng(devices=devices), torch.enable_grad():
            torch.random.default_generator.manual_seed(seed)
            if devices:
                torch.cuda.manual_seed_all(seed)
            np.random.seed(seed)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        torch.set_default_dtype(dtype)
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)
