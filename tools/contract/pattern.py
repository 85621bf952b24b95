"""Rules on how a chapter is told: the picture first, plain code second, no more."""

import re
from pathlib import Path

from tools.contract.figures import FIGURES
from tools.contract.length import (
    FOLDED,
    minutes,
    parts_of,
    shown_sources,
    visible_lines,
    words_and_lines,
)
from tools.contract.syntax import imported
from tools.contract.tree import Tree

MOST_BEFORE_PICTURE = 10  # visible lines
MOST_IN_A_CELL = 25  # visible lines
MOST_IMPORTS = 3  # in a visible cell: names that are used there
MOST_MINUTES = {"project": 40, "first_steps": 30}  # of the core path, by name
CORE_MINUTES = 25
SYMPTOM_TABLE = re.compile(r"(?m)^\|\s*symptom\s*\|\s*cause\s*\|\s*remedy\s*\|")


def pictures_come_first(book: Tree) -> list[str]:
    """The first picture stands before the first heading, and hardly any code before."""
    complaints = []
    for notebook in book.notebooks:
        seen = 0
        for cell in notebook.cells:
            if cell.kind == "markdown" and re.search(r"(?m)^## ", cell.source):
                complaints.append(
                    f"{cell.place}: a picture must stand before the first section"
                )
                break
            if cell.calls(*FIGURES):
                break
            seen += visible_lines(cell)
        if seen > MOST_BEFORE_PICTURE:
            complaints.append(
                f"{notebook.path}: whole chapter: at most {MOST_BEFORE_PICTURE} lines "
                f"of code may be visible before the first picture, got {seen}"
            )
    return complaints


def drawing_is_folded(book: Tree) -> list[str]:
    """Cells that make figures, and imports in number, are folded."""
    complaints = []
    for notebook in book.notebooks:
        for cell in notebook.code:
            if cell.tags & FOLDED:
                continue
            if cell.calls(*FIGURES):
                complaints.append(
                    f"{cell.place}: a cell that makes a figure must be tagged "
                    "hide-input"
                )
            lines = [line for line in cell.parsed[0].body if [*imported(line)]]
            if len(lines) > MOST_IMPORTS:
                complaints.append(
                    f"{cell.place}: at most {MOST_IMPORTS} imports may be visible in a "
                    f"cell, got {len(lines)}: fold them, or import where it is used"
                )
    return complaints


def visible_cells_are_short(book: Tree) -> list[str]:
    """No visible cell has more lines than a slide."""
    return [
        f"{cell.place}: a visible cell must have at most {MOST_IN_A_CELL} lines, got "
        f"{visible_lines(cell)}"
        for notebook in book.notebooks
        for cell in notebook.code
        if visible_lines(cell) > MOST_IN_A_CELL
    ]


def core_paths_are_short(book: Tree) -> list[str]:
    """What stands before `Going deeper`, exercises and quiz apart, takes 25 minutes."""
    complaints = []
    for notebook in book.notebooks:
        pieces = parts_of(notebook)["core"]
        words, lines = words_and_lines(pieces, shown_sources(book.root, notebook))
        names = Path(notebook.path).with_suffix("").parts  # book, folder, stem
        most = max(MOST_MINUTES.get(name, CORE_MINUTES) for name in names)
        if minutes(words, lines) > most:
            complaints.append(
                f"{notebook.path}: whole chapter: the core path must take {most} "
                f"minutes at most, got {minutes(words, lines)}, of {words} words and "
                f"{lines} visible lines"
            )
    return complaints


def plain_versions_come_first(book: Tree) -> list[str]:
    """`From scratch` has the idea in one visible cell before any of the module's."""
    complaints = []
    for notebook in book.notebooks:
        section = [c for c, _ in notebook.sections["From scratch"] if c.kind == "code"]
        plain = [c for c in section if "plain-version" in c.tags and visible_lines(c)]
        place = f"{notebook.path}: From scratch"
        if not 1 <= len(plain) <= 3:
            complaints.append(
                f"{place}: 1 to 3 visible cells must be tagged plain-version, got "
                f"{len(plain)}"
            )
            continue
        shown = [section.index(cell) for cell in section if cell.calls("show_source")]
        if shown and min(shown) < section.index(plain[0]):
            complaints.append(
                f"{place}: the plain version must stand before what show_source shows"
            )
    return complaints


def outputs_are_numbers(book: Tree) -> list[str]:
    """No line of a checked output says True or False where a number could stand."""
    complaints = []
    for notebook in book.notebooks:
        for cell in notebook.code:
            text = "".join(
                "".join(output.get("text") or _plain_text(output))
                for output in cell.raw.get("outputs", ())
            )
            complaints += [
                f"{cell.place}: a line must not end in True or False: print the number "
                f"beside its bound, got {line.strip()!r}"
                for line in text.splitlines()
                if re.search(r"\b(True|False)\)?\s*$", line)
            ]
    return complaints


def _plain_text(output: dict) -> str | list[str]:
    return output.get("data", {}).get("text/plain", "")


def symptoms_have_remedies(book: Tree) -> list[str]:
    """`Where it goes wrong` holds a table symptom, cause, remedy."""
    return [
        f"{notebook.path}: Where it goes wrong: there must be a table with the head "
        "'| symptom | cause | remedy |'"
        for notebook in book.notebooks
        if not SYMPTOM_TABLE.search(notebook.text_of("Where it goes wrong"))
    ]
