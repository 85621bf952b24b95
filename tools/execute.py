"""Execute the notebooks whose output is not up to date, side by side.

    python -m tools.execute [--jobs N]

Executed copies go to `_build/executed`, each with the digest of all it depends on;
a copy whose digest still holds is kept. The sources are never written to.
"""

import argparse
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tools.dependencies import notebook_digest

ROOT = Path(__file__).resolve().parent.parent
CELL_SECONDS = 300
BUDGET_SECONDS, BUDGET_MIB = 60, 2048


@dataclass(frozen=True)
class Run:
    """What became of one notebook."""

    notebook: Path
    seconds: float
    peak_mib: int
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


def execute_all(root: Path, jobs: int) -> list[Run]:
    """Execute every listed notebook whose executed copy is missing or stale.

    Args:
        root: the repository.
        jobs: how many run at once.

    Returns:
        One entry a notebook that was executed; one that failed leaves no copy.
    """
    notebooks = [root / f"{page}.ipynb" for page in listed_pages(root)]
    notebooks = [path for path in notebooks if path.exists()]
    stale = [path for path in notebooks if not _is_fresh(root, path)]
    print(f"notebooks    {len(notebooks) - len(stale)} up to date, {len(stale)} to run")
    runs: list[Run] = []
    # A fresh process for each, so that its children's peak memory is that notebook's.
    pool = ProcessPoolExecutor(
        jobs, mp_context=multiprocessing.get_context("spawn"), max_tasks_per_child=1
    )
    with pool:
        futures = [pool.submit(execute, root, path) for path in stale]
        for future in as_completed(futures):
            runs.append(future.result())
            _report(root, runs[-1], len(runs), len(stale))
    return runs


def execute(root: Path, notebook: Path) -> Run:
    """Execute one notebook in its own folder, and keep its copy if no cell raised.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        Seconds, peak memory of the kernel, and the cell and traceback if it failed.
    """
    digest = notebook_digest(root, notebook)
    target = _executed(root, notebook)
    target.unlink(missing_ok=True)
    book = nbformat.read(notebook, as_version=4)
    start = time.perf_counter()
    error = run_cells(book, notebook.parent)
    seconds = time.perf_counter() - start
    peak = _peak_mib()
    if error is None:
        book.metadata["look_closer"] = {
            "digest": digest,
            "seconds": round(seconds, 1),
            "peak_mib": peak,
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".part")
        nbformat.write(book, unfinished)
        unfinished.replace(target)
    return Run(notebook, seconds, peak, error)


def run_cells(book: nbformat.NotebookNode, folder: Path) -> str | None:
    """Run all cells of a notebook in place, in a fresh kernel.

    Args:
        book: the notebook; its outputs are replaced.
        folder: where the kernel runs.

    Returns:
        The number, first line and traceback of the cell that failed; None if none did.
    """
    started: list[int] = []
    client = NotebookClient(
        book,
        timeout=CELL_SECONDS,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        on_cell_start=lambda cell, cell_index: started.append(cell_index),
    )
    client.extra_arguments = ["--IPKernelApp.log_level=ERROR"]
    try:
        with tempfile.TemporaryDirectory() as settings:
            # The numbers on a page may depend neither on how many notebooks run
            # beside it nor on the startup files of whoever builds the book.
            alone = {
                "OMP_NUM_THREADS": "1",
                "MPLBACKEND": "agg",
                "IPYTHONDIR": settings,
            }
            client.execute(env=os.environ | alone)
    except CellExecutionError as error:
        message = error.traceback
    except CellTimeoutError:
        message = f"the cell did not end within {CELL_SECONDS} s"
    except DeadKernelError:
        message = "the kernel died (out of memory?)"
    else:
        return None
    cell = book.cells[started[-1]]
    first_line = cell.source.strip().partition("\n")[0]
    plain = re.sub(r"\x1b\[[0-9;]*m", "", message).strip()
    return f"cell {started[-1]} ({first_line}):\n{plain}"


def _peak_mib() -> int:
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def _executed(root: Path, notebook: Path) -> Path:
    return root / "_build" / "executed" / notebook.relative_to(root)


def _is_fresh(root: Path, notebook: Path) -> bool:
    copy = _executed(root, notebook)
    if not copy.exists():
        return False
    stored = nbformat.read(copy, as_version=4).metadata.get("look_closer", {})
    return stored.get("digest") == notebook_digest(root, notebook)


def _report(root: Path, run: Run, done: int, total: int) -> None:
    name = run.notebook.relative_to(root / "book").with_suffix("")
    line = f"notebooks    {done}/{total}  {name}  {run.seconds:.1f} s"
    line += f"  {run.peak_mib} MiB"
    if run.error:
        line += "  FAILED"
    elif run.seconds > BUDGET_SECONDS or run.peak_mib > BUDGET_MIB:
        line += f"  over the budget of {BUDGET_SECONDS} s and {BUDGET_MIB} MiB"
    print(line, flush=True)


def main() -> None:
    """Execute what is stale; exit 1 with chapter, cell and traceback if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    failed = [r for r in execute_all(ROOT, parser.parse_args().jobs) if r.error]
    for run in failed:
        print(f"\n{run.notebook.relative_to(ROOT)}, {run.error}", file=sys.stderr)
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
