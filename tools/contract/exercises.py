"""Rules on exercises: what the reader is asked, answered, and checked by."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tools.contract.markdown import Directive
from tools.contract.notebook import Cell, Notebook
from tools.contract.syntax import called, last_name, strings
from tools.contract.tree import Tree

EFFORT = re.compile(
    r"\*\*(Easy|Medium|Hard|At full size)( · (Easy|Medium|Hard))? · "
    r"\d+((–| to )\d+)? min\.\*\*"
)
NUMBER = range(3, 7)
FEWEST_CHECKED, FEWEST_HINTS, FEWEST_MISTAKES = 2, 2, 5


@dataclass(frozen=True)
class Checked:
    """An exercise of a notebook that is checked.

    Args:
        name: what `check` is asked for, without the chapter.
        asked: the same as it is written, perhaps "masks.masked_mean".
        stub: the cell that the reader fills.
        cell: the cell that checks it.
        argument: the name of the function handed to `check`.
    """

    name: str
    asked: str
    stub: Cell
    cell: Cell
    argument: str | None


def exercises_are_stated(book: Tree) -> list[str]:
    """3 to 6 exercises under `Exercises`, each with label and effort, one full size."""
    complaints = []
    for notebook in book.notebooks:
        exercises = _directives(notebook, "exercise")
        place = f"{notebook.path}: Exercises"
        if len(exercises) not in NUMBER:
            complaints.append(
                f"{place}: there must be {NUMBER.start} to {NUMBER.stop - 1} "
                f"exercises, got {len(exercises)}"
            )
        full = [d for _, d in exercises if d.body.startswith("**At full size ·")]
        if len(full) != 1:
            complaints.append(
                f"{place}: one exercise must begin '**At full size · … min.**', got "
                f"{len(full)}"
            )
        section = [cell for cell, _ in notebook.sections["Exercises"]]
        for cell, exercise in exercises:
            complaints += _faults_of_statement(notebook.stem, cell, exercise, section)
    return complaints


def exercises_are_solved(book: Tree) -> list[str]:
    """Each exercise has a label of its own and one solution, folded."""
    complaints = []
    for notebook in book.notebooks:
        labels = Counter(
            d.options.get("label") for _, d in _directives(notebook, "exercise")
        )
        solutions = _directives(notebook, "solution")
        solved = Counter(solution.argument for _, solution in solutions)
        complaints += [
            f"{notebook.path}: Exercises: {label} must have one label and one "
            f"{{solution}}, got {labels[label]} and {solved[label]}"
            for label in sorted({*labels, *solved} - {None})
            if (labels[label], solved[label]) != (1, 1)
        ]
        complaints += [
            f"{cell.place}: the solution of {solution.argument} must have "
            "':class: dropdown', or it lies open"
            for cell, solution in solutions
            if "dropdown" not in solution.options.get("class", "").split()
        ]
        complaints += [
            f"{cell.place}: {{{d.name}}} must be a plain {{exercise}} or {{solution}}"
            for cell, d in notebook.directives
            if re.fullmatch(r"(exercise|solution)-(start|end)", d.name)
        ]
    return complaints


def stubs_are_checked(book: Tree) -> list[str]:
    """A tagged stub that raises NotImplementedError, and at once its check."""
    complaints = []
    for notebook in book.notebooks:
        checked = _checked(notebook)
        if len(checked) < FEWEST_CHECKED:
            complaints.append(
                f"{notebook.path}: Exercises: at least {FEWEST_CHECKED} must be "
                f"checked, got {len(checked)}"
            )
        followed = [c.stub for c in checked]
        complaints += [
            f"{cell.place}: the stub must be followed by a cell with its check"
            for cell in notebook.cells
            if "exercise" in cell.tags and cell not in followed
        ]
        labels = {d.options.get("label") for _, d in _directives(notebook, "exercise")}
        for one in checked:
            complaints += _faults_of_checked(notebook.stem, one, labels)
    return complaints


def readers_functions_are_not_used(book: Tree) -> list[str]:
    """Nothing but its check uses what the reader writes, so that "run all" works."""
    complaints = []
    for notebook in book.notebooks:
        for one in _checked(notebook):
            for cell in notebook.cells[notebook.cells.index(one.stub) + 1 :]:
                names = {
                    n.id for n in ast.walk(cell.parsed[0]) if isinstance(n, ast.Name)
                }
                if cell != one.cell and one.argument in names:
                    complaints.append(
                        f"{cell.place}: {one.argument} must not be used: it is the "
                        "reader's to write, and may not be written yet"
                    )
    return complaints


def checks_and_notebooks_agree(book: Tree) -> list[str]:
    """EXERCISES holds what the notebook checks, and nothing else."""
    listed = book.exercises
    everywhere = Counter(
        _short(name)
        for found in listed.values()
        if isinstance(found, list)
        for name, _, _ in found
    )
    complaints = [
        f"lesson_utils/checks/{stem}.py: EXERCISES: the module must list its "
        f"exercises, but importing it ends in {found}"
        for stem, found in listed.items()
        if isinstance(found, str)
    ]
    for notebook in book.notebooks:
        found = listed.get(notebook.stem, [])
        if isinstance(found, str):
            continue
        ours, theirs = {_short(name) for name, _, _ in found}, set()
        for one in _checked(notebook):
            theirs.add(one.name)
            chapter = one.asked.rpartition(".")[0]
            if one.name not in ours or chapter not in ("", notebook.stem):
                complaints.append(
                    f"{one.cell.place}: {one.asked!r} must be in the EXERCISES of "
                    f"lesson_utils/checks/{notebook.stem}.py"
                )
            elif not chapter and everywhere[one.name] > 1:
                complaints.append(
                    f"{one.cell.place}: {one.name!r} is in two chapters, so that it "
                    f"must be asked for as '{notebook.stem}.{one.name}'"
                )
        complaints += [
            f"lesson_utils/checks/{notebook.stem}.py: EXERCISES: {name!r} must be "
            f"checked in {notebook.path}"
            for name in sorted(ours - theirs)
        ]
    return complaints


def checks_know_mistakes(book: Tree) -> list[str]:
    """Each checked exercise has two hints and five known mistakes."""
    return [
        f"lesson_utils/checks/{stem}.py: {name}: there must be at least "
        f"{FEWEST_HINTS} hints and {FEWEST_MISTAKES} mistakes, got {hints} "
        f"and {mistakes}"
        for stem, found in book.exercises.items()
        if isinstance(found, list)
        for name, hints, mistakes in found
        if hints < FEWEST_HINTS or mistakes < FEWEST_MISTAKES
    ]


def checks_are_tested(book: Tree) -> list[str]:
    """Each checked exercise is named in the chapter's tests."""
    complaints = []
    for stem, found in book.exercises.items():
        if stem not in book.tests or isinstance(found, str):
            continue
        named = strings(book.tests[stem].tree)
        complaints += [
            f"{book.tests[stem].path}: the exercise {_short(name)!r} must be tested, "
            "and named in a string"
            for name, _, _ in found
            if not named & {_short(name), f"{stem}.{_short(name)}"}
        ]
    return complaints


def _short(name: str) -> str:
    """The function's name, without the chapter's."""
    return name.rpartition(".")[2]


def _directives(notebook: Notebook, name: str) -> list[tuple[Cell, Directive]]:
    return [(cell, d) for cell, d in notebook.directives if d.name == name]


def _faults_of_statement(
    stem: str, cell: Cell, exercise: Directive, section: list[Cell]
) -> Iterator[str]:
    label = exercise.options.get("label", "")
    title = f"{cell.place}: the exercise {exercise.argument!r}"
    if cell not in section:
        yield f"{title} must stand under Exercises"
    if not re.fullmatch(rf"{stem.replace('_', '[_-]')}-[a-z0-9-]+", label):
        yield f"{title} must have a label of the form '{stem}-…', got {label!r}"
    if not EFFORT.match(exercise.body):
        begin = exercise.body[:30]
        yield f"{title} must begin like '**Easy · 10 min.**', got {begin!r}"


def _checked(notebook: Notebook) -> list[Checked]:
    """Every call of `check`, with the cell before it."""
    found = []
    for before, cell in zip(notebook.cells, notebook.cells[1:], strict=False):
        for call in cell.calls("check"):
            name = call.args[0] if call.args else None
            asked = name.value if isinstance(name, ast.Constant) else ""
            argument = last_name(call.args[1]) if len(call.args) == 2 else None
            found.append(
                Checked(_short(str(asked)), str(asked), before, cell, argument)
            )
    return found


def _faults_of_checked(
    stem: str, one: Checked, labels: set[str | None]
) -> Iterator[str]:
    nodes = one.stub.parsed[0].body
    defined = {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    if "exercise" not in one.stub.tags or one.argument not in defined:
        yield (
            f"{one.cell.place}: check({one.asked!r}, {one.argument}) must follow a "
            f"cell tagged exercise that defines {one.argument}"
        )
    elif not any(_is_not_implemented(node) for node in ast.walk(one.stub.parsed[0])):
        yield f"{one.stub.place}: the stub must raise NotImplementedError"
    label = f"{stem}-{one.name.replace('_', '-')}".lower()
    if not {label, label.replace("_", "-")} & labels:
        yield f"{one.cell.place}: {one.asked!r} must have an {{exercise}} {label}"


def _is_not_implemented(node: ast.AST) -> bool:
    if not isinstance(node, ast.Raise) or node.exc is None:
        return False
    return "NotImplementedError" in (called(node.exc), last_name(node.exc))
