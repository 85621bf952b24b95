"""Run every benchmark, or those named: `python -m benchmarks [masks ...]`."""

import importlib
import pkgutil
import sys

import torch

import benchmarks
from lesson_utils.common.compute import pick_device


def main() -> None:
    """Print a table for each benchmark module."""
    known = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    known = [name for name in known if not name.startswith("_")]
    chosen = sys.argv[1:] or known
    for name in chosen:
        if name not in known:
            sys.exit(f"no benchmark is named {name!r}; there are {', '.join(known)}")
    print(
        f"torch {torch.__version__}, {torch.get_num_threads()} threads, {pick_device()}"
    )
    for name in chosen:
        print(f"\n{name}")
        importlib.import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main()
