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

ROOT = Path(__file__).resolve().parent.parent
CHECKED = "nbval-check-output"


def tidy(notebooks: list[Path]) -> None:
    """Strip notebooks in place.

    Args:
        notebooks: their paths.
    """
    if not notebooks:
        return
    command = [sys.executable, "-m", "nbstripout", *map(str, notebooks)]
    subprocess.run(command, check=True)
    for path in notebooks:
        book = nbformat.read(path, as_version=4)
        for cell in book.cells:
            if "remove-input" in cell.metadata.get("tags", []):
                # What the page hides, a quiz's answers, JupyterLab folds away.
                cell.metadata["jupyter"] = {"source_hidden": True}
            # nbval takes a cell without a count for one that was never run, and
            # compares nothing. Which number it is matters to nobody.
            if CHECKED in cell.metadata.get("tags", []) and cell.outputs:
                cell.execution_count = 1
                for output in cell.outputs:
                    if "execution_count" in output:
                        output.execution_count = 1
        nbformat.write(book, path)


def main() -> None:
    """Tidy the notebooks given, or all of the book's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebooks", nargs="*", type=Path)
    chosen = parser.parse_args().notebooks
    tidy(chosen or sorted((ROOT / "book").glob("*/*.ipynb")))


if __name__ == "__main__":
    main()
