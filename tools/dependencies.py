"""What a notebook's output depends on: the files that its run read, and the pins."""

import hashlib
import platform
from collections.abc import Iterable
from pathlib import Path

# Installed packages are known by these, not by their files.
PINS = ("requirements.txt", "requirements-weights.txt", "constraints.txt")
CHANGED = "changed while the notebook ran"


def record(root: Path, notebook: Path, read: Iterable[str], started: float) -> dict:
    """What a run depended on, to be kept with its result.

    Args:
        root: the repository.
        notebook: the notebook that was run.
        read: the files the run opened, relative to `root`: modules, tables of
            studies, weights, pictures.
        started: when the run began, in seconds since the epoch. A file that was
            changed after that may have been read before or after the change.

    Returns:
        "python", its version, and "files", the SHA-256 of each file by its path
        relative to `root`; None for a file that is not there.
    """
    names = {notebook.relative_to(root).as_posix(), *PINS, *read}
    files = {}
    for name in sorted(names):
        path = root / name
        late = path.is_file() and path.stat().st_mtime > started
        files[name] = CHANGED if late else _sha256(path)
    return {"python": platform.python_version(), "files": files}


def still_holds(root: Path, notebook: Path, recorded: dict) -> bool:
    """Whether a run's result is what a new run would give.

    Args:
        root: the repository.
        notebook: the notebook that was run.
        recorded: what `record` returned.

    Returns:
        False as well if it was never recorded.
    """
    files = recorded.get("files", {})
    return (
        recorded.get("python") == platform.python_version()
        and notebook.relative_to(root).as_posix() in files
        and all(_sha256(root / name) == sha256 for name, sha256 in files.items())
    )


def _sha256(path: Path) -> str | None:
    if not path.is_file():
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()
