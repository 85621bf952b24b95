"""The doctor: what is installed, what is found, and what to do about what is wrong.

python -m lesson_utils
"""

import functools
import importlib.metadata
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)
# From the first on Python does not stop a function with defaults that calls itself for
# ever; from the second on it does again (CPython's issue 132744).
UNSTOPPED = ((3, 13), (3, 13, 8))
PINNED = ("torch", "torchvision", "d2l")
OLDEST = {"torch": "2.11", "torchvision": "0.26"}


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        what: what was looked at.
        value: what was found.
        advice: what to do about it; empty if all is well.
        serious: whether chapters will fail because of it.
    """

    what: str
    value: str
    advice: str = ""
    serious: bool = False


def examine(root: Path = ROOT) -> list[Finding]:
    """Look at Python, the packages, the device, the caches and the weights.

    Args:
        root: the repository, whose requirements.txt holds the pins; without that file
            the versions are held against what the modules need at least.

    Returns:
        The findings, in the order in which they are printed.
    """
    findings: list[Finding] = []
    for look in (_python, _packages, _modules, _device, _caches, _weights):
        try:
            findings += look(root)
        except (Exception, SystemExit) as error:
            what = look.__name__.strip("_")
            advice = "that is all that could be told: run `make book`, and look again"
            findings.append(Finding(what, _told(error), advice, serious=True))
    return findings


def _told(error: BaseException) -> str:
    first_line = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {first_line}"


def _python(root: Path) -> Iterator[Finding]:
    version = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        advice = f"install Python {wanted} or newer, then run `make book`"
        yield Finding("Python", version, advice, serious=True)
    elif UNSTOPPED[0] <= sys.version_info < UNSTOPPED[1]:
        fixed = ".".join(map(str, UNSTOPPED[1]))
        advice = "an answer that calls itself for ever fills the memory: "
        yield Finding("Python", version, f"{advice}better install {fixed} or newer")
    else:
        yield Finding("Python", version)


def _packages(root: Path) -> Iterator[Finding]:
    pins = _pins(root / "requirements.txt")
    for name in PINNED:
        yield _package(name, pins.get(name))


def _modules(root: Path) -> Iterator[Finding]:
    """Which modules a notebook gets that is started from here, and if they load."""
    found, status, complaint = _imported_elsewhere()
    ours = Path(__file__).resolve().parent
    path = os.environ.get("PYTHONPATH")
    advice = f"PYTHONPATH is {path}: unset it" if path else "run `make book`"
    if status:
        how = f"signal {-status}" if status < 0 else complaint
        yield Finding("imports", f"they fail: {how}", advice, serious=True)
    if not found:
        yield Finding("lesson_utils", "not found by notebooks", advice, serious=True)
    elif Path(found).resolve().parent != ours:
        advice = f"this is not {ours}; {advice}"
        yield Finding("lesson_utils", found, advice, serious=True)
    else:
        yield Finding("lesson_utils", str(ours))


@functools.cache
def _imported_elsewhere() -> tuple[str, int, str]:
    """Import all in a process of its own, from a folder that holds no modules.

    Returns:
        The file of lesson_utils, the process's status, the last line it wrote.
    """
    ask = "import lesson_utils as l; print(l.__file__, flush=True); "
    ask += "import numpy, torch, torchvision"
    with tempfile.TemporaryDirectory() as empty:
        command = [sys.executable, "-c", ask]
        options = {"encoding": "utf-8", "errors": "replace"}
        done = subprocess.run(command, cwd=empty, capture_output=True, **options)
    last = done.stderr.strip().rpartition("\n")[2]
    return done.stdout.strip(), done.returncode, last


def _pins(requirements: Path) -> dict[str, str]:
    if not requirements.exists():
        return {}
    lines = requirements.read_text(encoding="utf-8")
    return dict(re.findall(r"^([\w.-]+)==([\w.+]+)", lines, flags=re.MULTILINE))


def _package(name: str, pin: str | None) -> Finding:
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        # d2l is a reference for pages and tests; no module needs it.
        advice = "install it: `make book`, or `pip install -r requirements.txt`"
        return Finding(name, "not installed", advice, serious=name in OLDEST)
    public = version.partition("+")[0]  # 2.14.1+cu130 is 2.14.1
    if name in OLDEST and _numbers(public) < _numbers(OLDEST[name]):
        advice = f"the modules need at least {OLDEST[name]}: `make book`"
        return Finding(name, version, advice, serious=True)
    if pin and public != pin:
        advice = f"the book was tested with {pin}: `make book` installs it in .venv"
        return Finding(name, version, advice)
    return Finding(name, version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(n) for n in re.findall(r"\d+", version)[:2])


def _device(root: Path) -> Iterator[Finding]:
    try:
        import torch
        import torchvision

        from lesson_utils.common.compute import pick_device

        torchvision.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
        device = pick_device()
    except ModuleNotFoundError as error:
        yield Finding("device", f"not looked at: {error.name} is not installed")
    except ValueError as error:  # LESSON_UTILS_DEVICE names something else
        yield Finding("device", "none", f"{error}; or unset it", serious=True)
    except Exception as error:  # a broken pair fails in many ways
        advice = "torch and torchvision are no pair, or one is broken: `make book`"
        yield Finding("device", _told(error), advice, serious=True)
    else:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
        threads = f"{torch.get_num_threads()} threads" if device.type == "cpu" else ""
        yield Finding("device", " ".join(filter(None, [str(device), name, threads])))


def _caches(root: Path) -> Iterator[Finding]:
    for what, path in {"data cache": _data(), "built book": root / "_build"}.items():
        if path is None:
            yield Finding(what, "not looked at: its module cannot be imported")
            continue
        if not path.exists():
            yield Finding(what, f"{path} (empty)")
        elif not os.access(path, os.W_OK):
            advice = "make it writable, or set LESSON_UTILS_DATA to another folder"
            yield Finding(what, f"{path} (not writable)", advice)
        else:
            yield Finding(what, f"{path} ({_size(path)})")


def _data() -> Path | None:
    """Where real data sets are kept, or would be; None if that cannot be told."""
    try:
        from lesson_utils.data.hub import data_folder

        return data_folder()
    except Exception:  # a broken package, which stands in its own line
        return None


def _size(path: Path) -> str:
    total = sum(p.stat().st_size for p in path.rglob("*") if p.is_file())
    return f"{total / 2**20:.1f} MiB"


def _weights(root: Path) -> Iterator[Finding]:
    try:
        from lesson_utils.common.backbones import tiny_vgg

        classes = len(tiny_vgg().classes)
    except ModuleNotFoundError as error:
        yield Finding("weights", f"not looked at: {error.name} is not installed")
    except ValueError as error:  # they are not there, or not what their card says
        yield Finding("weights", "damaged", str(error), serious=True)
    except Exception as error:
        advice = "they could not be read: see the lines above"
        yield Finding("weights", _told(error), advice, serious=True)
    else:
        yield Finding("weights", f"tiny_vgg, {classes} classes, as its card says")


def main() -> None:
    """Print the report; exit 1 if something serious is wrong."""
    findings = examine()
    for finding in findings:
        mark = "!!" if finding.serious else "! " if finding.advice else "ok"
        print(f"{mark}  {finding.what:12s} {finding.value}")
        if finding.advice:
            print(f"{'':17s}-> {finding.advice}")
    sys.exit(any(finding.serious for finding in findings))


if __name__ == "__main__":
    main()
