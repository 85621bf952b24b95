"""`python -m lesson_utils.checks`: list all exercises, or grade solved notebooks."""

import argparse
import sys
from pathlib import Path

from lesson_utils.grading.registry import all_exercises

_NAME = "python -m lesson_utils.checks"


def main(arguments: list[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: those of the command line, by default the process's own.

    Returns:
        0; or 1 if an answer is wrong or a notebook could not be run to its end. An
        answer that is right and not hardened is not wrong.

    Raises:
        SystemExit: with 2, if the arguments cannot be used.
    """
    parser = argparse.ArgumentParser(
        _NAME, description="List the exercises, or grade the notebooks of a folder."
    )
    parser.add_argument("folder", nargs="?", type=Path, help="of solved notebooks")
    parser.add_argument(
        "--timeout",
        type=float,
        default=120.0,
        metavar="SECONDS",
        help="how long each cell of a notebook may take (default: %(default)g)",
    )
    options = parser.parse_args(arguments)
    if not options.timeout > 0:
        parser.error(f"--timeout must be positive, not {options.timeout:g}")
    if options.folder is None:
        return _list_exercises()
    if not options.folder.is_dir():
        parser.error(f"{options.folder} is not a folder; name one that holds notebooks")
    return _grade_notebooks(parser, options.folder, options.timeout)


def _list_exercises() -> int:
    rows = [("chapter", "exercise", "cases", "to harden", "hints")]
    for full, exercise in all_exercises().items():
        chapter, _, name = full.rpartition(".")
        cases = exercise.list_cases()
        hardening = sum(bool(case.hardening) for case in cases)
        counts = (len(cases), hardening, len(exercise.hints))
        rows.append((chapter, name, *map(str, counts)))
    _print_table(rows)
    return 0


def _grade_notebooks(
    parser: argparse.ArgumentParser, folder: Path, timeout: float
) -> int:
    try:
        from lesson_utils.grading.notebooks import find_notebooks, run_notebook
    except ModuleNotFoundError as error:
        parser.error(f"{error}; grading needs `pip install nbclient ipykernel`")
    paths = find_notebooks(folder)
    if not paths:
        parser.error(f"{folder} has no notebooks (*.ipynb) in it or below it")
    # Progress goes to stderr: a class takes minutes, and the table may be piped.
    reports = []
    for path in paths:
        print(f"running {path.relative_to(folder)} …", file=sys.stderr)
        reports.append(run_notebook(path, timeout))
    rows = [("notebook", "exercise", "state")]
    for report in reports:
        place = str(report.path.relative_to(folder))
        states = report.states or {"–": "no exercises"}
        rows += [(place, name.rpartition(".")[2], s) for name, s in states.items()]
    _print_table(rows)
    for report in reports:
        place = report.path.relative_to(folder)
        for line in [*report.raised, *filter(None, [report.stopped])]:
            print(f"{place}: {line}")
    return 0 if all(report.good for report in reports) else 1


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
