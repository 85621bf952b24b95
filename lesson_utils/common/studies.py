"""Studies: measurements too long for a page, made once by a script and kept as tables.

A study is a small JSON file in `lesson_utils/studies/`. Beside its rows it says by
which command, with which seeds, on which machine and in how many minutes it was made.
"""

import json
import platform
from pathlib import Path

import torch

STUDIES = Path(__file__).resolve().parent.parent / "studies"


def read_study(name: str) -> dict:
    """A study's table, with what it takes to make it again.

    Args:
        name: a chapter's stem, such as "fine_tuning".

    Returns:
        What the file holds: at least "command", "machine", "minutes" and "rows", a
        list of dicts.

    Raises:
        ValueError: there is no such study, or its file is broken.
    """
    there = sorted(path.stem for path in STUDIES.glob("*.json"))
    if name not in there:
        raise ValueError(f"name must be one of {', '.join(there)}, got {name!r}")
    path = STUDIES / f"{name}.json"
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
        missing = {"command", "machine", "minutes", "rows"} - study.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"name must be of a whole study, got {path}: {error}"
        ) from error
    if missing:
        raise ValueError(
            f"name must be of a whole study, got {path} without "
            f"{', '.join(sorted(missing))}"
        )
    return study


def write_study(study: dict, path: Path) -> None:
    """Write a study, one line for each row, so that a difference can be read.

    Args:
        study: what `read_study` is to return.
        path: the file; its folder is made if it is not there.

    Raises:
        OSError: the file cannot be written.
    """
    rows = ",\n".join(f"    {json.dumps(row)}" for row in study["rows"])
    head = json.dumps({**study, "rows": []}, indent=2).removesuffix("[]\n}")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{head}[\n{rows}\n  ]\n}}\n", encoding="utf-8")


def machine() -> dict[str, object]:
    """What the minutes of a study were measured on.

    Returns:
        The processor's name, the number of cores a study uses, and torch's version.
    """
    lines = Path("/proc/cpuinfo")
    names = lines.read_text("utf-8").splitlines() if lines.exists() else []
    model = [line.split(":")[1].strip() for line in names if line.startswith("model n")]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": 1,
        "torch": torch.__version__,
    }
