"""Run every benchmark, or those named, and print a row for each comparison.

python -m benchmarks                  all of them; writes the table that is shown
python -m benchmarks masks nms        two of them; writes nothing
"""

import importlib
import json
import os
import pkgutil
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import torch

import benchmarks
from benchmarks import _timing
from lesson_utils.common.compute import pick_device
from tools.files import write_whole

MEASURED = Path(__file__).resolve().parent / "measured" / "benchmarks.json"
PEERS = ["torch", "torchvision", "scikit-image", "faiss-cpu", "d2l"]


def main() -> None:
    """Print a table for each benchmark module; write the rows of all."""
    known = [module.name for module in pkgutil.iter_modules(benchmarks.__path__)]
    known = [name for name in known if not name.startswith("_")]
    chosen = sys.argv[1:] or known
    for name in chosen:
        if name not in known:
            sys.exit(f"no benchmark is named {name!r}; there are {', '.join(known)}")
    threads, device = torch.get_num_threads(), pick_device()
    print(f"torch {torch.__version__}, {threads} threads, {device}")
    rows = []
    for name in chosen:
        print(f"\n{name}")
        _timing.ROWS.clear()
        importlib.import_module(f"benchmarks.{name}").main()
        rows += [{"benchmark": name, **row} for row in _timing.ROWS]
    if chosen == known:
        card = {
            "command": f"OMP_NUM_THREADS={threads} make bench",
            "machine": f"{os.cpu_count()} cores, {platform.machine()}, {device.type}",
            "python": platform.python_version(),
            "versions": {peer: version(peer) for peer in PEERS},
        }
        text = json.dumps({**card, "rows": rows}, indent=1, ensure_ascii=False)
        write_whole(MEASURED, text + "\n")
        print(f"\nwritten to {MEASURED}; `make format` takes it into the page")


if __name__ == "__main__":
    main()
