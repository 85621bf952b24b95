"""`python -m lesson_utils.checks`: list all exercises, or grade solved notebooks."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lesson_utils.grading.registry import all_exercises

if TYPE_CHECKING:  # grading needs packages of Jupyter's; listing does not
    from lesson_utils.grading.notebooks import Report

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
    for line in _progress(folder, reports):
        print(line)
    return 0 if all(report.good for report in reports) else 1


def _progress(folder: Path, reports: list["Report"]) -> list[str]:
    """How far a reader is: exercises and chapters done, and what comes next.

    A line for the folder; or, where a chapter stands in it more than once, as in a
    class's, a line for each folder in it.
    """
    places = [report.path.relative_to(folder) for report in reports]
    whose: dict[str, list[Report]] = {}
    alone = len({place.name for place in places}) == len(places)
    for place, report in zip(places, reports, strict=True):
        owner = place.parts[0] if len(place.parts) > 1 and not alone else str(folder)
        whose.setdefault(owner, []).append(report)
    lines = []
    for owner, theirs in whose.items():
        states = [
            (report.path.name, name.rpartition(".")[2], state.startswith("right"))
            for report in theirs
            for name, state in report.states.items()
        ]
        left = [(notebook, name) for notebook, name, right in states if not right]
        chapters = {notebook for notebook, *_ in states}
        complete = len(chapters - {notebook for notebook, _ in left})
        line = (
            f"{owner}: {len(states) - len(left)} of {len(states)} exercises right, "
            f"{complete} of {len(chapters)} chapters complete"
        )
        if left:
            line += f"; next: {left[0][1]} in {left[0][0]}"
        lines.append(line)
    return lines


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())


if __name__ == "__main__":
    sys.exit(main())
