"""How long a chapter takes: words and visible lines of code, and minutes of both.

Our readers read English as a second language: 130 words and 12 lines a minute.
"""

import ast
import math
import re
from pathlib import Path

from lesson_utils.common.plotting import short_source
from tools.contract import markdown
from tools.contract.markdown import prose_words
from tools.contract.notebook import Cell, Notebook, section_of

WORDS_A_MINUTE, LINES_A_MINUTE = 130, 12
FOLDED = frozenset({"hide-input", "remove-input", "hide-cell", "remove-cell"})
APART = ("Exercises", "Quiz")  # what is done, not read
BEHIND = ("In Chinese", "Further reading")  # what is looked up
DEEPER = "Going deeper"


def parts_of(notebook: Notebook) -> dict[str, list[tuple[Cell, str]]]:
    """A chapter cut into what is read first, what is done, and what may be left out.

    Args:
        notebook: the chapter.

    Returns:
        Cells and pieces of Markdown of "core", "apart", "deeper" and "behind".
    """
    parts: dict[str, list[tuple[Cell, str]]] = {
        "core": [],
        "apart": [],
        "deeper": [],
        "behind": [],
    }
    current = "core"
    for cell in notebook.cells:
        pieces = [(None, cell.source)]
        if cell.kind == "markdown":
            pieces = markdown.split_at_headings(cell.source)
        for heading, text in pieces:
            if heading is not None:
                current = _part_of(section_of(heading))
            parts[current].append((cell, text))
    return parts


def words_and_lines(
    pieces: list[tuple[Cell, str]], sources: dict[str, str]
) -> tuple[int, int]:
    """Words of prose, and lines of code that are visible.

    Args:
        pieces: cells and pieces of Markdown, as `parts_of` returns them.
        sources: what `show_source` shows, by the name it is called with (see
            `shown_sources`).

    Returns:
        Two numbers.
    """
    words = sum(prose_words(text) for cell, text in pieces if cell.kind == "markdown")
    code = [cell for cell, _ in pieces if cell.kind == "code"]
    lines = sum(visible_lines(cell) for cell in code)
    for cell in code:
        for call in cell.calls("show_source"):
            shown = sources.get(ast.unparse(call.args[0]) if call.args else "", "")
            lines += _filled(shown)
    return words, lines


def minutes(words: int, lines: int) -> int:
    """How long that takes to read.

    Args:
        words: of prose.
        lines: of code.

    Returns:
        Whole minutes, rounded up.
    """
    return math.ceil(words / WORDS_A_MINUTE + lines / LINES_A_MINUTE)


def visible_lines(cell: Cell) -> int:
    """The lines of a code cell that a reader sees, empty ones left out.

    Args:
        cell: any.

    Returns:
        The number; 0 for a folded cell, and for Markdown.
    """
    if cell.kind != "code" or cell.tags & FOLDED:
        return 0
    return _filled(cell.source)


def shown_sources(root: Path, notebook: Notebook) -> dict[str, str]:
    """What the page shows of each function that it hands to `show_source`.

    Args:
        root: the folder of the book.
        notebook: the chapter.

    Returns:
        For each name as it is written, such as "masks.masked_mean" or
        "autograd.Variable.backward", its source with the first line of its docstring;
        nothing for what cannot be found.
    """
    modules = {}
    for cell in notebook.code:
        for node in ast.walk(cell.parsed[0]):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    name = f"{node.module}.{alias.name}"
                    modules[alias.asname or alias.name] = name
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    modules[alias.asname or alias.name] = alias.name
    shown = {}
    for cell in notebook.code:
        for call in cell.calls("show_source"):
            if call.args:
                written = ast.unparse(call.args[0])
                shown[written] = _source(root, written, modules)
    return shown


def exercise_minutes(notebook: Notebook) -> int:
    """The minutes that the exercises' statements give, added up.

    Args:
        notebook: the chapter.

    Returns:
        The number; of a span such as "10 to 20 min" the end counts.
    """
    efforts = (
        re.match(r"\*\*[^*]*?(\d+) min\.\*\*", directive.body)
        for _, directive in notebook.directives
        if directive.name == "exercise"
    )
    return sum(int(effort[1]) for effort in efforts if effort)


def _filled(code: str) -> int:
    return sum(bool(line.strip()) for line in code.splitlines())


def _part_of(section: str | None) -> str:
    if section in APART:
        return "apart"
    if section == DEEPER:
        return "deeper"
    return "behind" if section in BEHIND else "core"


def _source(root: Path, written: str, modules: dict[str, str]) -> str:
    """The source behind a dotted name: a function, a class, or what is in a class."""
    first, _, rest = written.partition(".")
    names = f"{modules.get(first, first)}.{rest}".strip(".").split(".")
    for cut in range(len(names) - 1, 0, -1):
        path = root.joinpath(*names[:cut]).with_suffix(".py")
        if path.is_file():
            text = path.read_text("utf-8")
            return _segment(text, names[cut:])
    return ""


def _segment(text: str, names: list[str]) -> str:
    node: ast.AST | None = ast.parse(text)
    for name in names:
        found = (n for n in node.body if getattr(n, "name", None) == name)
        node = next(found, None)
        if node is None:
            return ""
    start = min([node.lineno, *(d.lineno for d in node.decorator_list)])
    return short_source("\n".join(text.splitlines()[start - 1 : node.end_lineno]))
