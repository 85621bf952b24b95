"""Make `.venv` and install the pinned packages in it, once.

Standard library only: this runs before anything is installed. A change of the pins,
of pyproject.toml or of Python installs anew; an install that was cut off is not taken
for a whole one.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
INPUTS = ("requirements.txt", "constraints.txt", "pyproject.toml")


def python() -> Path:
    """The environment's interpreter."""
    folder = "Scripts" if os.name == "nt" else "bin"
    return VENV / folder / "python"


def ensure() -> bool:
    """Make the environment if it is not there or not of these pins.

    Returns:
        Whether anything had to be installed.

    Raises:
        SystemExit: Python is too old, or a step failed; the message says which.
    """
    if sys.version_info < OLDEST:
        found = ".".join(map(str, sys.version_info[:3]))
        sys.exit(f"Python >= {'.'.join(map(str, OLDEST))} is needed, this is {found}.")
    stamp, digest = VENV / ".pins", _digest()
    if python().exists() and stamp.exists() and stamp.read_text() == digest:
        return False
    stamp.unlink(missing_ok=True)
    if not _works():
        shutil.rmtree(VENV, ignore_errors=True)
        print(f"environment  making {VENV.name}", flush=True)
        _run(
            [sys.executable, "-m", "venv", str(VENV)],
            "python -m venv failed (on Debian and Ubuntu: apt install python3-venv)",
        )
    print("environment  installing the pinned packages (about 6 GB)", flush=True)
    pip = [str(python()), "-m", "pip", "install", "--quiet"]
    pip += ["--disable-pip-version-check"]
    _run([*pip, "-r", "requirements.txt", "-c", "constraints.txt"], "pip failed")
    _run([*pip, "--no-deps", "--editable", "."], "installing lesson_utils failed")
    stamp.write_text(digest)
    return True


def _works() -> bool:
    """Whether there is an environment of this Python, with pip, to install into."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ask = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    if not python().exists():
        return False
    answer = subprocess.run([str(python()), "-c", ask], capture_output=True, text=True)
    return answer.stdout.strip() == version


def _run(command: list[str], failure: str) -> None:
    if subprocess.run(command, cwd=ROOT).returncode:
        sys.exit(f"{failure}: {' '.join(command)}")


def _digest() -> str:
    digest = hashlib.sha256(repr((sys.version_info[:2], str(ROOT))).encode())
    for name in INPUTS:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    ensure()
