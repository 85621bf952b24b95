"""Write what is generated: the line of facts of each chapter, and the book's tables.

    python -m tools.tables
    python -m tools.tables --measured
    python -m tools.tables --builds masks "stencils, masked statistics"

`make format` calls the first. The contract complains of whatever it would change.
"""

import argparse
import math
import sys
from pathlib import Path

import nbformat

from tools.contract.generated import (
    blocks,
    facts,
    facts_of,
    tables_are_up_to_date,
    with_block,
)
from tools.contract.measured import with_named_tables
from tools.contract.structure import chapters_describe_themselves
from tools.contract.tree import Tree
from tools.files import write_notebook, write_whole
from tools.run_notebook import executed_copy

ROOT = Path(__file__).resolve().parents[1]
STEPS = {"seconds": 5, "mib": 50}  # measurements are rounded up to the next of these


def write_tables(root: Path) -> list[str]:
    """Bring the lines of facts and the tables up to date.

    Args:
        root: the folder of the book.

    Returns:
        The files that were changed.

    Raises:
        ValueError: a notebook's metadata does not say what the tables need, or a page
            has no place for its table; nothing is written then.
    """
    book = Tree(root)
    faults = chapters_describe_themselves(book)
    faults += [f for f in tables_are_up_to_date(book) if "must stand between" in f]
    if faults:
        raise ValueError("\n".join(faults))
    changed = []
    for notebook in book.notebooks:
        found, due = facts_of(notebook), facts(book, notebook)
        if found is not None and found != due:
            raw = nbformat.read(root / notebook.path, as_version=4)
            raw.cells[0].source = raw.cells[0].source.replace(found, due)
            write_notebook(root / notebook.path, raw)
            changed.append(notebook.path)
    # The tables of chapters repeat minutes from the lines just written.
    for path, block in blocks(Tree(root)).items():
        before = (root / path).read_text("utf-8")
        after = with_block(before, block)
        if after != before:
            write_whole(root / path, after)
            changed.append(path)
    for path, after in with_named_tables(Tree(root)).items():
        if after != (root / path).read_text("utf-8"):
            write_whole(root / path, after)
            changed.append(path)
    return list(dict.fromkeys(changed))


def take_measurements(root: Path) -> list[str]:
    """Note in the notebooks' metadata what their last run took.

    Only a change of more than a third is noted, so that another machine's run does
    not change every page. Measure on a quiet machine.

    Args:
        root: the folder of the book.

    Returns:
        What was noted, a line each.
    """
    noted = []
    for notebook in Tree(root).chapters:
        path = root / notebook.path
        copy = executed_copy(root, path)
        if not copy.is_file():
            continue
        run = nbformat.read(copy, as_version=4).metadata.get("look_closer", {})
        measured = {"seconds": run.get("seconds"), "mib": run.get("peak_mib")}
        change = {}
        for name, value in measured.items():
            if value is None:  # a system that does not tell
                continue
            rounded = math.ceil(value / STEPS[name]) * STEPS[name]
            old = notebook.about.get(name) or 0
            if abs(rounded - old) > old / 3:
                change[name] = rounded
                noted.append(f"{notebook.path}: {name}: {old or 'none'} → {rounded}")
        if change:
            describe(path, **change)
    return noted


def describe(path: Path, **change: str | int) -> None:
    """Change what a notebook's metadata says under `look_closer`.

    Args:
        path: the notebook.
        **change: builds, seconds, mib.
    """
    raw = nbformat.read(path, as_version=4)
    raw.metadata["look_closer"] = {**raw.metadata.get("look_closer", {}), **change}
    write_notebook(path, raw)


def main() -> None:
    """Write all that is generated; say which files changed."""
    parser = argparse.ArgumentParser(prog="python -m tools.tables")
    parser.add_argument(
        "--measured",
        action="store_true",
        help="take seconds and MiB from the runs in _build/executed",
    )
    parser.add_argument(
        "--builds",
        nargs=2,
        metavar=("STEM", "TEXT"),
        help="what the reader builds in a chapter, for the tables of chapters",
    )
    given = parser.parse_args()
    if given.builds:
        stem, text = given.builds
        paths = sorted((ROOT / "book").glob(f"*/{stem}.ipynb"))
        if not paths:
            parser.error(f"--builds must name a chapter, got {stem!r}")
        describe(paths[0], builds=text)
    if given.measured:
        print("\n".join(take_measurements(ROOT)) or "No run differs by a third.")
    try:
        print("\n".join(write_tables(ROOT)) or "All tables are up to date.")
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
