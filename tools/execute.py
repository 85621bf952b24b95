"""Execute the notebooks whose output is not up to date, side by side, and compare.

    python -m tools.execute [--jobs N] [--strict]

Executed copies go to `_build/executed`, each with the digests of all it depends on; a
copy whose digests still hold is kept. The pages are built from these copies, and nbval
compares them with the checked outputs in the sources, which are never written to.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from tools import compare, dependencies, environment
from tools.run_notebook import executed_copy

ROOT = environment.ROOT
BUDGET_SECONDS, BUDGET_MIB = 60, 2048


@dataclass(frozen=True)
class Run:
    """What became of one notebook.

    Args:
        notebook: its path.
        seconds: how long it took; None if nobody lived to tell.
        peak_mib: the kernel's peak memory; None where it cannot be measured.
        error: where it failed and how; None if it did not.
    """

    notebook: Path
    seconds: float | None
    peak_mib: int | None
    error: str | None


def listed_pages(root: Path) -> list[str]:
    """Every page of `_toc.yml`, the root first, in reading order, without suffix.

    Args:
        root: the repository.

    Returns:
        Such as ["book/index", "book/foundations/masks"].
    """
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    chapters = list(toc.get("chapters", []))
    chapters += [c for part in toc.get("parts", []) for c in part["chapters"]]
    return [toc["root"], *(chapter["file"] for chapter in chapters)]


def listed_notebooks(root: Path) -> list[Path]:
    """Every notebook of `_toc.yml`, in reading order.

    Args:
        root: the repository.

    Returns:
        Paths below `root`.
    """
    paths = [root / f"{page}.ipynb" for page in listed_pages(root)]
    return [path for path in paths if path.exists()]


def execute_all(root: Path, jobs: int) -> list[Run]:
    """Execute every listed notebook whose executed copy is missing or stale.

    Args:
        root: the repository.
        jobs: how many run at once.

    Returns:
        One entry a notebook that was executed; one that failed leaves no copy.
    """
    notebooks = listed_notebooks(root)
    stale = [path for path in notebooks if not _is_fresh(root, path)]
    fresh = len(notebooks) - len(stale)
    print(f"notebooks    {fresh} up to date, {len(stale)} to run", flush=True)
    runs: list[Run] = []
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        futures = [pool.submit(execute, root, path) for path in stale]
        for future in as_completed(futures):
            runs.append(future.result())
            _report(root, runs[-1], len(runs), len(stale))
    return runs


def execute(root: Path, notebook: Path) -> Run:
    """Execute one notebook in a process of its own.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        What became of it, whatever became of the process.
    """
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, "-m", "tools.run_notebook"]
        done = subprocess.run(
            [*command, str(root), str(notebook), str(result)],
            cwd=ROOT,
            env=environment.clean(os.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        if result.exists():
            run = json.loads(result.read_text(encoding="utf-8"))
            error = run["error"]
            if error and "the kernel did not start" in error:
                error += "\n" + _last_words(done.stdout)
            return Run(notebook, run["seconds"], run["peak_mib"], error)
    how = f"with status {done.returncode}"
    if done.returncode < 0:
        how = f"by signal {-done.returncode} (out of memory?)"
    error = f"the process that ran it was ended {how}\n{_last_words(done.stdout)}"
    return Run(notebook, None, None, error.strip())


def _last_words(output: str, lines: int = 20) -> str:
    return "\n".join(output.strip().splitlines()[-lines:])


def _is_fresh(root: Path, notebook: Path) -> bool:
    try:
        copy = nbformat.read(executed_copy(root, notebook), as_version=4)
    except (OSError, ValueError):  # not there, or somebody's editor was at it
        return False
    recorded = copy.metadata.get("look_closer", {})
    return dependencies.still_holds(root, notebook, recorded)


def _report(root: Path, run: Run, done: int, total: int) -> None:
    name = run.notebook.relative_to(root / "book").with_suffix("")
    line = f"notebooks    {done}/{total}  {name}"
    if run.seconds is not None:
        line += f"  {run.seconds:.1f} s"
    if run.peak_mib is not None:
        line += f"  {run.peak_mib} MiB"
    if run.error:
        line += "  FAILED"
    elif run.seconds > BUDGET_SECONDS or (run.peak_mib or 0) > BUDGET_MIB:
        line += f"  over the budget of {BUDGET_SECONDS} s and {BUDGET_MIB} MiB"
    print(line, flush=True)


def _faults(root: Path, jobs: int, strict: bool) -> Iterator[str]:
    """Execute and compare; what must stop a build, piece by piece."""
    failed = [run for run in execute_all(root, jobs) if run.error]
    lost = {run.notebook for run in failed}
    whole = [path for path in listed_notebooks(root) if path not in lost]
    changed = compare.differences(root, whole)
    if changed and strict:
        yield f"checked outputs differ:\n{changed}"
    elif changed:
        print(f"\nChecked outputs differ on this machine:\n{changed}")
        print("The book is built with what came out here; `make test` fails on it.")
    for run in failed:
        yield f"{run.notebook.relative_to(root).as_posix()}, {run.error}"


def main() -> None:
    """Execute what is stale, compare all; exit 1 if something failed, and say what."""
    parser = argparse.ArgumentParser(prog="python -m tools.execute")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument(
        "--strict", action="store_true", help="fail if a checked output differs"
    )
    options = parser.parse_args()
    faults = list(_faults(ROOT, options.jobs, options.strict))
    for fault in faults:
        print(f"\n{fault}", file=sys.stderr)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
