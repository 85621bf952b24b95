"""What the chapters' checks list, found by importing them."""

import json
import subprocess
import sys
from pathlib import Path

_PROGRAM = """
import importlib, json, sys

sys.path.insert(0, sys.argv[1])
found = {}
for stem in sys.argv[2:]:
    try:
        module = importlib.import_module(f"lesson_utils.checks.{stem}")
        listed = module.EXERCISES
        found[stem] = [[e.name, len(e.hints), len(e.mistakes)] for e in listed]
    except Exception as error:
        found[stem] = f"{type(error).__name__}: {error}"
print("\\n" + json.dumps(found))
"""


def list_exercises(root: Path, stems: list[str]) -> dict[str, list | str]:
    """Import the chapters' checks, in a process of their own.

    They import torch and the package of that root: neither should stay with, or be
    mixed up with what is imported by, whoever asks.

    Args:
        root: the folder that holds `lesson_utils/`.
        stems: the chapters.

    Returns:
        For each stem the exercises as [name, number of hints, number of mistakes], or
        the error that importing ended in.
    """
    command = [sys.executable, "-c", _PROGRAM, str(root), *stems]
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        error = (run.stderr.strip().splitlines() or ["no message"])[-1]
        return dict.fromkeys(stems, error)
    return json.loads(run.stdout.splitlines()[-1])
