"""Execute notebooks and store the text output of their checked cells.

    python -m tools.store_outputs NOTEBOOK [NOTEBOOK ...]

Run it when a cell tagged `nbval-check-output` is new, or prints something else for a
reason you know. Read the difference before you commit it: it is what readers see.
"""

import argparse
import sys
from pathlib import Path

import nbformat

from tools.files import write_notebook
from tools.run_notebook import run_cells
from tools.tidy_notebooks import stripped


def store(notebook: Path) -> str | None:
    """Execute a notebook and write the outputs of its checked cells into it.

    Args:
        notebook: its path.

    Returns:
        The cell and traceback if a cell raised, and nothing is written then; or None.
    """
    book = nbformat.read(notebook, as_version=4)
    error = run_cells(book, notebook.resolve()).error
    if error is None:
        write_notebook(notebook, stripped(book))  # no outputs of any other cells
    return error


def main() -> None:
    """Store the outputs of the notebooks given; exit 1 if a cell raised."""
    parser = argparse.ArgumentParser(prog="python -m tools.store_outputs")
    parser.add_argument("notebooks", nargs="+", type=Path)
    failed = False
    for notebook in parser.parse_args().notebooks:
        error = store(notebook)
        failed |= error is not None
        print(f"{notebook}: {error or 'stored'}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
