"""Studies: measurements too long for a page, made once by a script and kept as tables.

A study is a small JSON file in `lesson_utils/studies/`. Beside its rows it says by
which command, with which seeds, on which machine and in how many minutes it was made.
"""

import json
from pathlib import Path

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
