"""Bring notebooks into the form in which they are kept.

    python -m tools.tidy_notebooks [NOTEBOOK ...]

Outputs go, but for those of checked cells; what changes from run to run (ids of cells,
counts, versions) goes too. Without arguments: every notebook of the book.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import nbformat

from tools.files import write_notebook

ROOT = Path(__file__).resolve().parent.parent
CHECKED = "nbval-check-output"
# As `python -m nbstripout`, but quick to start: see tools/__init__.py.
STRIP = "import runpy, tools; runpy.run_module('nbstripout', run_name='__main__')"


def tidy(notebooks: list[Path]) -> None:
    """Strip notebooks in place.

    Args:
        notebooks: their paths.
    """
    for path in notebooks:
        write_notebook(path, stripped(nbformat.read(path, as_version=4)))


def stripped(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A notebook in the form in which it is kept.

    Args:
        book: the notebook; it stays as it is.

    Returns:
        A copy.

    Raises:
        subprocess.CalledProcessError: nbstripout found no notebook in it.
    """
    done = subprocess.run(
        [sys.executable, "-c", STRIP],
        cwd=ROOT,
        input=nbformat.writes(book),
        stdout=subprocess.PIPE,
        check=True,
        text=True,
        encoding="utf-8",
    )
    book = nbformat.reads(done.stdout, as_version=4)
    for cell in book.cells:
        tags = cell.metadata.get("tags", [])
        if "remove-input" in tags:
            # What the page hides, a quiz's answers, JupyterLab folds away.
            cell.metadata["jupyter"] = {"source_hidden": True}
        # nbval takes a cell without a count for one that was never run, and
        # compares nothing. Which number it is matters to nobody.
        if CHECKED in tags and cell.outputs:
            cell.execution_count = 1
            for output in cell.outputs:
                if "execution_count" in output:
                    output.execution_count = 1
    return book


def main() -> None:
    """Tidy the notebooks given, or all of the book's."""
    parser = argparse.ArgumentParser(prog="python -m tools.tidy_notebooks")
    parser.add_argument("notebooks", nargs="*", type=Path)
    chosen = parser.parse_args().notebooks
    tidy(chosen or sorted((ROOT / "book").glob("*/*.ipynb")))


if __name__ == "__main__":
    main()
