"""What repeats a fact that stands elsewhere: made by one function, held by one rule.

`python -m tools.tables` writes it. The sources are the notebooks (their text and what
their metadata says under `look_closer`), the cards of the weights and `_toc.yml`.
"""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

from tools.contract.length import (
    exercise_minutes,
    minutes,
    parts_of,
    shown_sources,
    words_and_lines,
)
from tools.contract.notebook import Notebook
from tools.contract.tree import Tree

BEGIN, END = "<!-- made by python -m tools.tables -->", "<!-- end -->"
COMMAND = "python -m tools.tables"
_BLOCK = re.compile(rf"(?s)(?<={BEGIN}\n).*?(?=^{END}$)", re.MULTILINE)
_EFFORT = re.compile(
    r"\*\*(?:(?P<full>At full size) · )?(?:(?P<difficulty>Easy|Medium|Hard) · )?"
    r"(?P<minutes>[^*·]*?) min\.\*\*"
)
_CHECK = re.compile(r"""\bcheck\(\s*["']([\w.]+)["']""")


def facts_are_true(book: Tree) -> list[str]:
    """The line of facts at the head of a chapter is the one that can be computed."""
    complaints = []
    for notebook in book.notebooks:
        found, due = facts_of(notebook), facts(book, notebook)
        if found is not None and found != due:
            complaints.append(
                f"{notebook.path}: cell 0: the facts must be {due!r}, got {found!r}: "
                f"run {COMMAND}"
            )
    return complaints


def tables_are_up_to_date(book: Tree) -> list[str]:
    """What stands between the two comments of a page is what its sources give."""
    complaints = []
    for path, due in blocks(book).items():
        file = book.root / path
        text = file.read_text("utf-8") if file.is_file() else ""
        found = _BLOCK.findall(text)
        if len(found) != 1:
            complaints.append(
                f"{path}: one table must stand between the lines {BEGIN!r} and "
                f"{END!r}, got {len(found)}"
            )
        elif found[0] != due:
            pairs = zip_longest(due.splitlines(), found[0].splitlines())
            ours, theirs = next((a, b) for a, b in [*pairs, ("", "")] if a != b)
            complaints.append(
                f"{path}: the table must have the line {ours!r}, got {theirs!r}: "
                f"run {COMMAND}"
            )
    return complaints


def terms_keep_their_chinese(book: Tree) -> list[str]:
    """A term has the Chinese name that the first chapter to teach it has given it."""
    owners: dict[str, tuple[str, str]] = {}
    complaints = []
    for notebook in book.chapters:
        for row in notebook.terms:
            if len(row) != 3:
                continue  # another rule's complaint
            term, chinese, _ = row
            owner, due = owners.setdefault(term.casefold(), (notebook.path, chinese))
            if chinese != due:
                complaints.append(
                    f"{notebook.path}: In Chinese: {term!r} must be {due!r}, as in "
                    f"{owner}, got {chinese!r}"
                )
    return complaints


def facts_of(notebook: Notebook) -> str | None:
    """The line of facts as it stands.

    Args:
        notebook: a chapter.

    Returns:
        The last block of its first cell; None if that holds no `**Before**`.
    """
    last = notebook.cells[0].source.strip().split("\n\n")[-1] if notebook.cells else ""
    return last if "**Before**" in last else None


def facts(book: Tree, notebook: Notebook) -> str:
    """The line of facts as it must be; what stands behind Before is the author's.

    Args:
        book: the tree.
        notebook: a chapter of it.

    Returns:
        One line.
    """
    # The line itself is read, too: so that its length is always the same, it is
    # counted as it will be. Digits do not change the number of words.
    with_line = with_facts(notebook, _facts_line(notebook, 0, 0, 0))
    core, deeper = _minutes_of(book, with_line)
    return _facts_line(notebook, core, deeper, exercise_minutes(notebook))


def with_facts(notebook: Notebook, line: str) -> Notebook:
    """The same chapter with another line of facts.

    Args:
        notebook: a chapter whose first cell has such a line.
        line: the other.

    Returns:
        A copy.
    """
    found = facts_of(notebook)
    if found is None:
        return notebook
    first = notebook.raw["cells"][0]
    source = notebook.cells[0].source.replace(found, line)
    first = first | {"source": source.splitlines(keepends=True)}
    return replace(
        notebook, raw=notebook.raw | {"cells": [first, *notebook.raw["cells"][1:]]}
    )


def blocks(book: Tree) -> dict[str, str]:
    """What must stand between the two comments of each page.

    Args:
        book: the tree.

    Returns:
        Text by path; it begins and ends as a table does, with no empty line.
    """
    makers: dict[str, Callable[[Tree], str]] = {
        "README.md": lambda b: _chapters(b, "[{title}]({path})", ""),
        "book/index.md": lambda b: _chapters(b, "[]({path})", "book/"),
        "book/exercises.md": _exercises,
        "book/hardware.md": _seconds,
        "book/glossary.md": _glossary,
    }
    if book.files("lesson_utils/weights/*.json"):
        makers["lesson_utils/weights/README.md"] = _weights
    return {path: make(book) for path, make in makers.items()}


def with_block(text: str, block: str) -> str:
    """A page with another table between the two comments.

    Args:
        text: the page.
        block: the table.

    Returns:
        The page; as it was if it has no such comments.
    """
    return _BLOCK.sub(lambda _: block, text)


def _facts_line(notebook: Notebook, core: int, deeper: int, exercises: int) -> str:
    before = (facts_of(notebook) or "").partition("**Before**")[2].strip()
    return (
        f"**Core** {core} min · **Going deeper** {deeper} min · "
        f"**Exercises** {exercises} min · "
        f"**Runs** {notebook.about.get('seconds')} s on a CPU · "
        f"**Module** `lesson_utils/{notebook.stem}.py` · **Before** {before}"
    )


def _minutes_of(book: Tree, notebook: Notebook) -> tuple[int, int]:
    parts, sources = parts_of(notebook), shown_sources(book.root, notebook)
    core, deeper = (
        minutes(*words_and_lines(parts[part], sources)) for part in ("core", "deeper")
    )
    return core, deeper


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    lines = ["| " + " | ".join(map(str, row)) + " |\n" for row in (head, *rows)]
    lines.insert(1, "|" + "---|" * len(head) + "\n")
    return "".join(lines).replace("|  |", "| |")


def _chapters(book: Tree, link: str, folder: str) -> str:
    rows, last = [], None
    captions = {file: caption for caption, file in book.toc}
    for notebook in book.chapters:
        caption = captions[notebook.path.removesuffix(".ipynb")]
        core = re.match(r"\*\*Core\*\* (\d+)", facts_of(notebook) or "")
        place = notebook.path.removeprefix(folder)
        title = link.format(title=notebook.title, path=place)
        part = "" if caption == last else caption
        rows.append((part, title, notebook.about.get("builds"), core and core[1]))
        last = caption
    return _table(("part", "chapter", "what you build", "core path, min"), rows)


def _exercises(book: Tree) -> str:
    rows = []
    for notebook in book.chapters:
        chapter = f"[]({notebook.path.removeprefix('book/')})"
        checked = {
            f"{notebook.stem}-{name.rpartition('.')[2]}".replace("_", "-").lower()
            for cell in notebook.code
            for name in _CHECK.findall(cell.source)
        }
        for _, directive in notebook.directives:
            if directive.name != "exercise":
                continue
            label = directive.options.get("label", "")
            effort = _EFFORT.match(directive.body)
            kind = "code" if label.replace("_", "-") in checked else "thinking"
            if effort and effort["full"]:
                kind = "at full size"
            title = directive.argument.replace("|", "\\|")
            rows.append(
                (
                    chapter,
                    f"[{title}](#{label})",
                    kind,
                    ((effort and effort["difficulty"]) or "").lower(),
                    effort["minutes"] if effort else "",
                )
            )
    return _table(("chapter", "exercise", "kind", "difficulty", "min"), rows)


def _seconds(book: Tree) -> str:
    rows = [
        (
            f"[]({notebook.path.removeprefix('book/')})",
            notebook.about.get("seconds"),
            _thousands(notebook.about.get("mib")),
        )
        for notebook in book.chapters
    ]
    return _table(("chapter", "seconds", "peak memory, MiB"), rows)


def _thousands(number: object) -> str:
    return f"{number:,}" if isinstance(number, int) else str(number)


def _glossary(book: Tree) -> str:
    rows: dict[str, tuple[str, ...]] = {}
    for notebook in book.chapters:
        link = f"[]({notebook.path.removeprefix('book/')})"
        for row in notebook.terms:
            rows.setdefault(row[0].casefold(), (*row, link))
    return _table(
        ("term", "中文", "in one line", "chapter"),
        [rows[term] for term in sorted(rows)],
    )


def _reached(card: dict) -> str:
    """What weights reach, whatever they are for."""
    if "psnr" in card:
        gains = [card["psnr"][n] - card["psnr_bicubic"][n] for n in card["psnr"]]
        return f"{sum(gains) / len(gains):.2f} dB over bicubic"
    if "code_accuracy" in card:
        return f"code accuracy {card['code_accuracy']}, ten categories"
    if "held_out" in card:
        return f"mean IoU {card['held_out']['mean_iou']} on held-out colors"
    kind = "words" if "exact_match" in card else "classes"
    over = f"over {len(card['classes'])} {kind}"
    if "accuracy" in card:
        return f"accuracy {card['accuracy']} {over}"
    if "map50" in card:
        return f"mAP@0.5 {card['map50']} {over}"
    if "mean_iou" in card:
        return f"mean IoU {card['mean_iou']} {over}"
    if "mean_average_precision_0" in card:
        return f"mAP {card['mean_average_precision_0']} by the mean of 10 frames"
    if "exact_match" in card:
        return f"exact match {card['exact_match']} {over}"
    return f"distance of colors {card['colors']}"


def _weights(book: Tree) -> str:
    rows = []
    for path in book.files("lesson_utils/weights/*.json"):
        card = json.loads((book.root / path).read_text("utf-8"))
        name = path.rpartition("/")[2].removesuffix(".json")
        rows.append(
            (
                f"`{name}.safetensors`",
                card["data"],
                _reached(card),
                f"{card['seconds'] / 60:.1f} min, seed {card['seed']}",
                f"`{card['command']}`",
            )
        )
    return _table(("file", "trained on", "reaches", "time", "command"), rows)
