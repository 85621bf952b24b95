"""Execute one notebook in its own folder, and keep the executed copy.

    python -m tools.run_notebook ROOT NOTEBOOK RESULT

`tools.execute` starts one such process a notebook: a process that dies takes no other
chapter along, and the peak memory of its children is that notebook's. What became of
the run is written to RESULT, as JSON.
"""

import atexit
import json
import os
import re
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from tools import dependencies, environment, kernel
from tools.files import write_notebook, write_whole

ROOT = environment.ROOT
CELL_SECONDS = 300
NOT_STARTED = "the kernel did not start"


@dataclass(frozen=True)
class Outcome:
    """How running the cells ended.

    Args:
        error: the number, first line and traceback of the cell that failed; None if
            none did.
        read: the files below the repository that the kernel opened, relative to it.
    """

    error: str | None
    read: list[str]


class _ThisPython(AsyncKernelManager):
    """Starts this interpreter, whatever kernel specifications lie about."""

    @property
    def kernel_spec(self) -> KernelSpec:
        argv = [sys.executable, kernel.__file__, "-f", "{connection_file}"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def executed_copy(root: Path, notebook: Path) -> Path:
    """Where the executed copy of a notebook is kept.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        A path below `_build/executed`.
    """
    return root / "_build" / "executed" / notebook.relative_to(root)


def run_notebook(root: Path, notebook: Path) -> dict:
    """Execute one notebook, and keep its copy if no cell raised.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        "seconds", "peak_mib" (None where it cannot be measured) and "error", None or
        the cell and traceback.
    """
    target = executed_copy(root, notebook)
    target.unlink(missing_ok=True)
    started = time.time()
    book = nbformat.read(notebook, as_version=4)
    outcome = run_cells(book, notebook, root)
    run = {
        "seconds": round(time.time() - started, 1),
        "peak_mib": peak_mib(),
        "error": outcome.error,
    }
    if outcome.error is None:
        depends = dependencies.record(root, notebook, outcome.read, started)
        book.metadata["look_closer"] = {**depends, **run}
        write_notebook(target, book)
    return run


def run_cells(book: nbformat.NotebookNode, path: Path, root: Path = ROOT) -> Outcome:
    """Run all cells of a notebook in place, in a fresh kernel of this interpreter.

    Args:
        book: the notebook; its outputs are replaced.
        path: the notebook's; the kernel runs in its folder.
        root: the repository whose files are noted as they are opened.

    Returns:
        The cell that failed, if one did, and what was read.
    """
    outcome = _run_cells(book, path, root)
    # A kernel's ports are looked up before it takes them, and one that starts at the
    # same time may have been given the same: it deserves a second try.
    if outcome.error and NOT_STARTED in outcome.error:
        outcome = _run_cells(book, path, root)
    return outcome


def _run_cells(book: nbformat.NotebookNode, path: Path, root: Path) -> Outcome:
    begun: list[int] = []
    client = NotebookClient(
        book,
        timeout=CELL_SECONDS,
        kernel_manager_class=_ThisPython,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        on_cell_start=lambda cell, cell_index: begun.append(cell_index),
    )
    client.extra_arguments = ["--IPKernelApp.log_level=ERROR"]
    message = None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        notes = Path(empty) / "opened"
        notes.touch()
        alone = {
            # No startup files, and nothing in the folders of whoever builds.
            "IPYTHONDIR": empty,
            "JUPYTER_RUNTIME_DIR": empty,
            "JPY_SESSION_NAME": str(path),  # as under JupyterLab: which notebook it is
            kernel.ROOT: str(root),
            kernel.NOTES: str(notes),
        }
        try:
            client.execute(env=environment.clean(os.environ) | alone)
        except CellExecutionError as error:
            message = error.traceback
        except CellTimeoutError:
            message = f"the cell did not end within {CELL_SECONDS} s"
        except DeadKernelError:
            message = "the kernel died (out of memory?)"
        except RuntimeError as error:  # before the first cell
            message = f"{NOT_STARTED}: {error}"
            # nbclient would stop at its end what it never started, with a traceback.
            atexit.unregister(client._cleanup_kernel)
        read = notes.read_text(encoding="utf-8").splitlines()
    return Outcome(message and _place(book, begun) + _plain(message), read)


def _place(book: nbformat.NotebookNode, begun: list[int]) -> str:
    if not begun:
        return "before the first cell:\n"
    first_line = book.cells[begun[-1]].source.strip().partition("\n")[0]
    return f"cell {begun[-1]} ({first_line}):\n"


def _plain(message: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", message).strip()


def peak_mib() -> int | None:
    """Peak memory of the kernels this process has waited for.

    Returns:
        MiB; None on a system that does not tell (Windows).
    """
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def main() -> None:
    """Run the notebook given on the command line."""
    root, notebook, result = map(Path, sys.argv[1:])
    write_whole(result, json.dumps(run_notebook(root, notebook)))


if __name__ == "__main__":
    main()
