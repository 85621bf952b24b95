"""Run the tests under other versions of Python and torch than those of the pins.

    python -m tools.matrix                    every cell, the whole suite of unit tests
    python -m tools.matrix 3.13 --tests nms masks --write
    python -m tools.matrix --torch 2.11.0

A cell is a version of Python with a version of torch. Each has an environment of its
own in this machine's cache folder (about 6 GB; a second call finds it there), made as
the book's is, from the same pins but for the two packages of torch. A cell that cannot
be had, since an interpreter, a wheel or room on the disk is missing, says which, and
the others go on. No other target calls this: it is slow, and it downloads.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from tools import environment
from tools.files import write_whole

ROOT = environment.ROOT
MEASURED = Path("benchmarks/measured/matrix.json")
ROOM = 9e9  # bytes on the disk that an environment takes while it is made
# Python, torch, torchvision; None is what the pins say.
CELLS = (("3.12", None, None), ("3.13", None, None), ("3.11", "2.11.0", "0.26.0"))
LOCAL = ("triton", "nvidia-", "cuda-")  # go with their torch


@dataclass(frozen=True)
class Outcome:
    """What came of one cell.

    Args:
        python: its version.
        torch: its version.
        torchvision: its version.
        state: "passed", "failed" or "could not be had".
        tests: which tests were run.
        text: the last line of the tests, or what is missing.
    """

    python: str
    torch: str
    torchvision: str
    state: str
    tests: str
    text: str


def pinned(text: str, name: str) -> str:
    """The version of a package in a file of pins.

    Args:
        text: of requirements.txt.
        name: of the package.

    Returns:
        The version.

    Raises:
        ValueError: it is not pinned there.
    """
    found = re.search(rf"(?m)^{re.escape(name)}==([\w.+!]+)", text)
    if not found:
        raise ValueError(f"requirements.txt must pin {name}")
    return found[1]


def with_torch(text: str, torch: str, torchvision: str) -> str:
    """Pins with another torch, and without what goes with the one that was pinned.

    Args:
        text: of requirements.txt or constraints.txt.
        torch: the version that is wanted.
        torchvision: the version that belongs to it.

    Returns:
        The text of such a file.
    """
    versions, lines = {"torch": torch, "torchvision": torchvision}, []
    for line in text.splitlines():
        name = re.split(r"[=<>~ ;\[]", line.strip(), maxsplit=1)[0].lower()
        if name in versions:
            line = f"{name}=={versions[name]}"
        elif name.startswith(LOCAL):
            continue
        lines.append(line)
    return "\n".join(lines) + "\n"


def interpreter(version: str) -> str | None:
    """Where a version of Python is: on the path, or among those of pyenv.

    Args:
        version: such as "3.13".

    Returns:
        A path; None if there is none that starts.
    """
    roots = [os.environ.get("PYENV_ROOT", ""), str(Path.home() / ".pyenv")]
    tried = [shutil.which(f"python{version}")]
    for root in filter(None, roots):
        found = Path(root).glob(f"versions/{version}.*/bin/python{version}")
        tried += map(str, sorted(found))
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for path in filter(None, tried):
        answer = subprocess.run([path, "-c", ask], capture_output=True, text=True)
        if answer.stdout.strip() == version:
            return path
    return None


def prepare(
    python: str, torch: str, torchvision: str, folder: Path
) -> tuple[Path | None, str]:
    """Make the environment of a cell, if it is not there.

    Args:
        python: version.
        torch: version.
        torchvision: version.
        folder: where environments are kept.

    Returns:
        Its interpreter and "", or None and what is missing.
    """
    home = folder / f"python-{python}-torch-{torch}"
    run, stamp = home / "bin/python", home / ".whole"
    texts = {
        name: with_torch((ROOT / name).read_text("utf-8"), torch, torchvision)
        for name in ("requirements.txt", "constraints.txt")
    }
    if stamp.is_file() and stamp.read_text("utf-8") == repr(texts):
        return run, ""
    start = interpreter(python)
    if start is None:
        return None, f"no interpreter of Python {python} on this machine"
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < ROOM:
        return None, f"less than {ROOM / 1e9:.0f} GB are free on the disk"
    shutil.rmtree(home, ignore_errors=True)
    if subprocess.run([start, "-m", "venv", str(home)]).returncode:
        return None, f"python{python} -m venv failed"
    for name, text in texts.items():
        write_whole(home / name, text)
    pip = [str(run), "-m", "pip", "install", "--quiet", "--no-input"]
    pip += ["--disable-pip-version-check"]
    pins = ["-r", str(home / "requirements.txt"), "-c", str(home / "constraints.txt")]
    for more in (pins, ["--no-deps", "-r", environment.WEIGHTS]):
        done = subprocess.run(
            [*pip, *more],
            cwd=ROOT,
            capture_output=True,
            text=True,
            env={k: v for k, v in os.environ.items() if not k.startswith("PYTHON")},
        )
        if done.returncode:
            shutil.rmtree(home, ignore_errors=True)
            errors = [x for x in done.stderr.splitlines() if x.startswith("ERROR")]
            return None, (errors or ["pip failed"])[0].removeprefix("ERROR: ")
    stamp.write_text(repr(texts), "utf-8")
    return run, ""


def imports_of(root: Path) -> list[str]:
    """Every module of the package, by its dotted name.

    Args:
        root: the folder of the book.

    Returns:
        Names that an interpreter must be able to import.
    """
    paths = sorted((root / "lesson_utils").rglob("*.py"))
    names = [".".join(path.relative_to(root).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if "__main__" not in name]


def measure(
    python: str, torch: str, torchvision: str, tests: list[str], folder: Path
) -> Outcome:
    """Import every module in a cell, and run its tests.

    Args:
        python: version.
        torch: version.
        torchvision: version.
        tests: stems of files of tests; all unit tests if there are none.
        folder: where environments are kept.

    Returns:
        What came of it.
    """
    cell = (python, torch, torchvision)
    run, missing = prepare(*cell, folder)
    if run is None:
        return Outcome(*cell, "could not be had", "none", missing)
    env = environment.clean(os.environ)
    what = "all unit tests"
    if tests:
        what = "imports of all modules, and the tests of " + ", ".join(tests)
    lines = "\n".join(f"import {name}" for name in imports_of(ROOT))
    done = subprocess.run(
        [str(run), "-W", "ignore", "-c", lines],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["imports failed"])[-1]
        return Outcome(*cell, "failed", what, last)
    files = [f"tests/test_{stem}.py" for stem in tests] or ["tests"]
    command = [str(run), "-m", "pytest", "-m", "not browser and not gpu", "--tb=line"]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", "--no-header", "--color=no", *files],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
    )
    out = done.stdout.strip().splitlines() or ["pytest did not start"]
    if done.returncode:
        print("\n".join(out[-15:]))
    # Seconds are left out: they are of one machine on one day.
    last = re.sub(r" in [\d.]+s.*$", "", out[-1]).strip("= ")
    return Outcome(*cell, "failed" if done.returncode else "passed", what, last)


def home() -> Path:
    """Where the environments are kept on this machine."""
    import platformdirs

    # Not among the data sets: the doctor counts what is there.
    return platformdirs.user_cache_path("look_closer_matrix")


def main() -> None:
    """Measure the cells; print a line for each."""
    parser = argparse.ArgumentParser(prog="python -m tools.matrix")
    parser.add_argument("python", nargs="*", help="versions; all cells if none")
    parser.add_argument("--torch", help="only cells with this version of torch")
    parser.add_argument("--tests", nargs="+", default=[], help="stems; all if none")
    parser.add_argument("--write", action="store_true", help=f"write {MEASURED}")
    given = parser.parse_args()
    versions = [version for version, _, _ in CELLS]
    for version in given.python:
        if version not in versions:
            parser.error(f"python must be of {', '.join(versions)}, got {version!r}")
    for stem in given.tests:
        if not (ROOT / f"tests/test_{stem}.py").is_file():
            parser.error(f"--tests must name files of tests by stem, got {stem!r}")
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pins = pinned(text, "torch"), pinned(text, "torchvision")
    path = ROOT / MEASURED
    kept = json.loads(path.read_text("utf-8")) if path.is_file() else []
    table = {(row["python"], row["torch"]): row for row in kept}
    failed = False
    for python, torch, torchvision in CELLS:
        cell = (python, torch or pins[0], torchvision or pins[1])
        if given.python and python not in given.python:
            continue
        if given.torch and cell[1] != given.torch:
            continue
        outcome = measure(*cell, given.tests, home())
        failed |= outcome.state == "failed"
        table[cell[:2]] = asdict(outcome)
        print(
            f"Python {python}, torch {cell[1]}, torchvision {cell[2]}: "
            f"{outcome.state}: {outcome.text}",
            flush=True,
        )
    if given.write:
        rows = [table[key] for key in sorted(table)]
        write_whole(path, json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
    sys.exit(failed)


if __name__ == "__main__":
    main()
