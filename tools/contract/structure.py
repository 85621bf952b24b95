"""Rules on a notebook's build: its first cell, headings, sections, stored outputs."""

import ast
import re

from tools.contract.markdown import has_chinese, headings, table_rows
from tools.contract.notebook import SECTIONS, Cell, Notebook, section_of
from tools.contract.tree import Tree

FACTS = re.compile(
    r"\*\*Core\*\* (?P<core>\d+) min · \*\*Going deeper\*\* (?P<deeper>\d+) min · "
    r"\*\*Exercises\*\* (?P<exercises>\d+) min · "
    r"\*\*Runs\*\* (?P<seconds>\d+) s on a CPU · "
    r"\*\*Module\*\* `(?P<module>[^`]+)` · \*\*Before\*\* \S.*"
)
MOST_SECONDS, MOST_MIB = 60, 2048  # a chapter's budget, on a CPU
CHECKED = frozenset({"nbval-check-output", "keep_output"})


def notebooks_are_tidy(book: Tree) -> list[str]:
    """Format 4.5, a Python notebook, cells with the ids "0", "1", … in order."""
    complaints = []
    for notebook in book.notebooks:
        metadata = notebook.raw.get("metadata", {})
        version = f"{notebook.raw.get('nbformat')}.{notebook.raw.get('nbformat_minor')}"
        if version != "4.5":
            complaints.append(
                f"{notebook.path}: metadata: the format must be 4.5, got {version}"
            )
        kernel = metadata.get("kernelspec", {})
        language = metadata.get("language_info", {}).get("name", "python")
        # ruff passes over a notebook of which it does not know that it is Python.
        if (kernel.get("name"), kernel.get("language"), language) != (
            "python3",
            "python",
            "python",
        ):
            complaints.append(
                f"{notebook.path}: metadata: the kernel must be python3, of the "
                f"language python, got {kernel} and {language}"
            )
        complaints += [
            f"{cell.place}: the id must be {str(index)!r}, got {cell.raw.get('id')!r}"
            for index, cell in enumerate(notebook.cells)
            if cell.raw.get("id") != str(index)
        ]
    return complaints


def first_cells_introduce(book: Tree) -> list[str]:
    """The first cell is a title, a promise of one sentence, and the line of facts."""
    return [
        f"{notebook.path}: cell 0: {fault}"
        for notebook in book.notebooks
        for fault in _faults_of_introduction(notebook)
    ]


def chapters_describe_themselves(book: Tree) -> list[str]:
    """The notebook's metadata says what the reader builds, and what a run takes."""
    complaints = []
    for notebook in book.notebooks:
        about = notebook.about
        place = f"{notebook.path}: metadata: look_closer"
        builds = about.get("builds")
        if not isinstance(builds, str) or not builds.strip() or "\n" in builds:
            complaints.append(
                f"{place}: builds must say in one line what the reader builds, got "
                f"{builds!r}"
            )
        for name, most in (("seconds", MOST_SECONDS), ("mib", MOST_MIB)):
            number = about.get(name)
            if type(number) is not int or not 1 <= number <= most:
                complaints.append(
                    f"{place}: {name} must be a whole number from 1 to {most}, got "
                    f"{number!r}"
                )
    return complaints


def headings_are_in_order(book: Tree) -> list[str]:
    """One title; then the fixed headings of level 2, each once, in their order."""
    complaints = []
    for notebook in book.notebooks:
        found = [(c, *h) for c in notebook.markdown for h in headings(c.source)]
        complaints += [
            f"{cell.place}: {text!r} must not be of level 1: the title is"
            for cell, level, text in found[1:]
            if level == 1
        ]
        sections = [(c, text, section_of(text)) for c, lvl, text in found if lvl == 2]
        complaints += [
            f"{cell.place}: the heading {text!r} must begin with one of "
            f"{', '.join(SECTIONS)}, and go on, if at all, after a colon or a dash"
            for cell, text, section in sections
            if section is None
        ]
        names = [section for _, _, section in sections if section is not None]
        if names != list(SECTIONS):
            complaints.append(
                f"{notebook.path}: headings: the sections must be "
                f"{', '.join(SECTIONS)}, each once, got {', '.join(names)}"
            )
    return complaints


def outputs_are_stored_where_checked(book: Tree) -> list[str]:
    """Text output in cells tagged to be checked, and none in any other."""
    return [
        f"{cell.place}: {fault}"
        for notebook in book.notebooks
        for cell in notebook.cells
        for fault in _faults_of_outputs(cell)
    ]


def source_is_shown(book: Tree) -> list[str]:
    """`From scratch` shows the module's own source with show_source."""
    return [
        f"{notebook.path}: From scratch: a cell must call show_source"
        for notebook in book.notebooks
        if not any(
            cell.calls("show_source") for cell, _ in notebook.sections["From scratch"]
        )
    ]


def quizzes_are_short(book: Tree) -> list[str]:
    """One cell calls show_quiz, under `Quiz`, its code hidden, of 3 to 5 questions."""
    complaints = []
    for notebook in book.notebooks:
        quizzes = [(c, call) for c in notebook.code for call in c.calls("show_quiz")]
        if len(quizzes) != 1:
            complaints.append(
                f"{notebook.path}: Quiz: show_quiz must be called once, got "
                f"{len(quizzes)} calls"
            )
        section = [cell for cell, _ in notebook.sections["Quiz"]]
        for cell, call in quizzes:
            if cell not in section:
                complaints.append(f"{cell.place}: the quiz must stand under Quiz")
            if "remove-input" not in cell.tags:
                complaints.append(
                    f"{cell.place}: the quiz must be tagged remove-input, or its "
                    "source gives the answers away"
                )
            given = [*call.args, *(word.value for word in call.keywords)]
            questions = given[0] if given else None
            listed = isinstance(questions, ast.List | ast.Tuple)
            if not listed or len(questions.elts) not in range(3, 6):
                complaints.append(
                    f"{cell.place}: show_quiz must be given a list of 3 to 5 questions"
                )
    return complaints


def summaries_have_five_lines(book: Tree) -> list[str]:
    """`Summary` is a list of exactly five items."""
    complaints = []
    for notebook in book.notebooks:
        items = re.findall(r"(?m)^(?:[-*+]|\d+[.)])\s+\S", notebook.text_of("Summary"))
        if len(items) != 5:
            complaints.append(
                f"{notebook.path}: Summary: there must be a list of 5 lines, got "
                f"{len(items)}"
            )
    return complaints


def terms_are_given_in_chinese(book: Tree) -> list[str]:
    """`In Chinese` is a table of three columns with at least 5 rows, all filled."""
    complaints = []
    for notebook in book.notebooks:
        table = table_rows(notebook.text_of("In Chinese"))
        place = f"{notebook.path}: In Chinese"
        rows = table[1:]
        if table[:1] != [["term", "中文", "in one line"]] or len(rows) < 5:
            complaints.append(
                f"{place}: there must be a table '| term | 中文 | in one line |' of at "
                f"least 5 rows, got {len(rows)}"
            )
        complaints += [
            f"{place}: the row {' | '.join(row)!r} must have 3 filled cells, the "
            "second one in Chinese"
            for row in rows
            if len(row) != 3 or not all(row) or not has_chinese(row[1])
        ]
    return complaints


def _faults_of_introduction(notebook: Notebook) -> list[str]:
    first = notebook.cells[0] if notebook.cells else None
    blocks = first.source.strip().split("\n\n") if first else []
    if len(blocks) != 3 or first.kind != "markdown":
        return [f"there must be a title, a promise and facts, got {len(blocks)} blocks"]
    title, promise, facts = blocks
    faults = []
    if not re.fullmatch(r"# \S.*", title):
        faults.append(f"the title must be of the form '# Title', got {title!r}")
    plain = re.sub(r"\b(e\.g|i\.e|al|cf|vs|Eq|Fig)\.", r"\1", promise.strip())
    ends = re.findall(r"[.?!][\"”’)]*(?=\s+[\"“‘(]?[A-Z]|$)", plain)
    if len(ends) != 1:
        faults.append(f"the promise must be one sentence, got {promise!r}")
    match = FACTS.fullmatch(facts.strip())
    if not match:
        faults.append(
            "the facts must be of the form '**Core** 24 min · **Going deeper** 12 min "
            "· **Exercises** 60 min · **Runs** 12 s on a CPU · **Module** "
            f"`lesson_utils/masks.py` · **Before** …', got {facts!r}"
        )
        return faults
    if match["module"] != f"lesson_utils/{notebook.stem}.py":
        faults.append(
            f"the module must be `lesson_utils/{notebook.stem}.py`, "
            f"got `{match['module']}`"
        )
    return faults


def _faults_of_outputs(cell: Cell) -> list[str]:
    outputs, tags = cell.raw.get("outputs", []), cell.tags & CHECKED
    if tags and (tags != CHECKED or cell.kind != "code"):
        return [f"{' and '.join(sorted(CHECKED))} must go together, on a code cell"]
    if not tags:
        stored = outputs or cell.raw.get("execution_count") is not None
        return ["no output or count must be stored in a cell not checked"] * bool(
            stored
        )
    faults = []
    if cell.raw.get("execution_count") is None:
        faults.append("a checked cell must have a count, or nbval takes it as not run")
    if not any(_is_text(output) for output in outputs):
        faults.append("the cell is checked, so it must have a stored output of text")
    if not all(_is_text(output) for output in outputs):
        faults.append("a checked output must be text, no error and no picture")
    return faults


def _is_text(output: dict) -> bool:
    kind = output.get("output_type")
    if kind == "stream":
        return output.get("name") == "stdout" and bool(
            "".join(output.get("text", "")).strip()
        )
    return kind in ("execute_result", "display_data") and [*output.get("data", ())] == [
        "text/plain"
    ]
