"""Grading a folder of solved notebooks by running them."""

from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode

from lesson_utils.grading.registry import chapters, exercises_of
from lesson_utils.grading.render import RECORD


@dataclass
class Report:
    """What became of a notebook.

    Args:
        path: the notebook.
        states: of each exercise by full name: "right", "right, not hardened (<first
            failing case>)", "wrong (<first failing case>)", "not attempted", or "not
            found" for one of its chapter it never checked.
        raised: the cells that raised, each in a line.
        stopped: why it could not be run to its end; empty if it could.
    """

    path: Path
    states: dict[str, str] = field(default_factory=dict)
    raised: list[str] = field(default_factory=list)
    stopped: str = ""

    @property
    def good(self) -> bool:
        """Whether it ran to its end with no wrong answer."""
        wrong = any(state.startswith("wrong") for state in self.states.values())
        return not (wrong or self.stopped)


def find_notebooks(folder: Path) -> list[Path]:
    """The notebooks below a folder, but for Jupyter's own copies.

    Args:
        folder: where to look.

    Returns:
        Sorted paths.
    """
    paths = sorted(folder.rglob("*.ipynb"))
    copies = ".ipynb_checkpoints"
    return [path for path in paths if copies not in path.relative_to(folder).parts]


def run_notebook(path: Path, timeout: float) -> Report:
    """Execute a notebook in a fresh kernel, and read what its checks said.

    Cells that raise do not stop it; nothing is written back.

    Args:
        path: the notebook; the kernel starts in its folder.
        timeout: seconds that each cell may take.

    Returns:
        The report.
    """
    report = Report(path)
    if path.stem in chapters():
        report.states = dict.fromkeys(exercises_of(path.stem), "not found")
    try:
        notebook = nbformat.read(path, as_version=4)
    except Exception as error:  # no JSON, another format, no right to read it: all one
        report.stopped = f"cannot be read: {' '.join(str(error).split())[:200]}"
        return report
    stopped_at, why = _execute(notebook, path.parent, timeout)
    if why:
        place = f"{_label(notebook, stopped_at)} " if stopped_at else ""
        report.stopped = place + why
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            # The cell that was stopped shows our interrupt, which is not its own error.
            if output.output_type == "error" and cell is not stopped_at:
                what = f"{output.ename}: {output.evalue}".splitlines()[0]
                report.raised.append(f"{_label(notebook, cell)} raised {what}")
            if check := output.get("metadata", {}).get(RECORD):
                case = f" ({check['case']})" if check["case"] else ""
                report.states[check["name"]] = check["state"] + case
    return report


def _execute(
    notebook: NotebookNode, folder: Path, timeout: float
) -> tuple[NotebookNode | None, str]:
    """Run all cells in place; if not to the end, the cell it stopped at, and why."""
    started: list[NotebookNode | None] = [None]
    for cell in notebook.cells:  # what is read afterwards must come from this run
        if cell.cell_type == "code":
            cell.outputs = []
    client = NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
        on_cell_execute=lambda cell, cell_index: started.append(cell),
    )
    # A warning of the kernel about itself is no concern of whoever grades.
    client.extra_arguments = ["--IPKernelApp.log_level=ERROR"]
    try:
        client.execute()
    except CellTimeoutError:
        why = f"did not end within {timeout:g} s; the cells after it were not run"
        return started[-1], why
    except (RuntimeError, NoSuchKernel) as error:  # nbclient's for a dead kernel
        if started[-1] is None:
            return None, f"the kernel did not start: {error}"
        return started[-1], "ended the kernel; the cells after it were not run"
    return None, ""


def _label(notebook: NotebookNode, cell: NotebookNode) -> str:
    """A cell by the number and the first line that Jupyter would show."""
    numbered = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    number = next(n for n, other in enumerate(numbered, 1) if other is cell)
    return f"cell [{number}] `{cell.source.strip().splitlines()[0]}`"
