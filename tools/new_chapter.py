r"""Begin a chapter: its notebook, module, checks and tests, and its line in _toc.yml.

    python tools/new_chapter.py detection anchors "Anchor boxes"
    python tools/new_chapter.py losses hashing "Hashing" \
        --caption "Losses and measures" --after foundations

The second begins a part of the book as well: a folder, with its caption in _toc.yml.
What it makes passes ruff and keeps to the layout; the book's contract refuses it until
every mark that says what to do is gone. If anything is wrong, nothing is written.
"""

import argparse
import contextlib
import json
import keyword
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from string import Template

import yaml

# Run as a script, this file sees only its own folder.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools.contract.layout import PACKAGE_FOLDERS, TESTED_ELSEWHERE
from tools.contract.notebook import SECTIONS
from tools.contract.tree import parts_of, toc_entries

ROOT = Path(__file__).resolve().parents[1]
RESERVED = (*PACKAGE_FOLDERS, *TESTED_ELSEWHERE)
LONGEST_STEM, LONGEST_TITLE = 30, 60  # so that the lines made here fit

MODULE = '''\
"""$title: TODO: the idea.

The module of the chapter `book/$part/$stem.ipynb`.
TODO: formats and units, once.
"""

from torch import Tensor


def ${stem}_example(values: Tensor) -> Tensor:
    """TODO: what comes back, in one line.

    Args:
        values: (N,), TODO: format and unit.

    Returns:
        (N,), TODO: range.

    Raises:
        ValueError: TODO: where torch would silently return wrong numbers.

    Source: TODO: author, title, venue and year, section or equation.
    """
    raise NotImplementedError("TODO")
'''

CHECKS = '''\
"""The checks of the chapter `book/$part/$stem.ipynb`."""

from collections.abc import Iterator

import torch

from lesson_utils import $stem
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _example_cases() -> Iterator[Case]:
    # TODO: the idea by hand, against an independent reference, its gradient; and,
    # with hardening=True, what is empty, tied, extreme or NaN. An error hardens.
    yield Case("TODO: what is special", (torch.zeros(2),), expected=torch.zeros(2))


def _forgets_to_return(values):
    """A mistake people make. TODO: at least five, each with the hint it earns."""


EXERCISES = (
    Exercise(
        name="${stem}_example",
        solution=$stem.${stem}_example,
        cases=_example_cases,
        mistakes=(Mistake("TODO: what went wrong here", _forgets_to_return),),
        hints=("TODO: a vague hint.", "TODO: a plain one."),
    ),
)
'''

TESTS = '''\
"""$title, tested."""

import pytest

from lesson_utils import $stem
from lesson_utils.checks import grade


class Test$camel:
    def test_by_hand(self):
        pytest.fail("TODO: a small table worked out by hand")

    def test_matches_a_reference(self):
        pytest.fail("TODO: torch, torchvision or a slow honest loop, random inputs")

    def test_degenerate(self):
        pytest.fail("TODO: empty, ties, one class, zero area")

    def test_gradient(self):
        pytest.fail("TODO: gradcheck in float64, if it is trained through")

    def test_errors(self):
        pytest.fail("TODO: each documented error")


def test_the_solution_passes_its_check():
    # TODO: `ExerciseTests` in place of this, with right, plain, library and wrong ones.
    assert grade("${stem}_example", $stem.${stem}_example).passed
'''

INTRODUCTION = """\
# $title

TODO: the promise, in one sentence.

**Core** 0 min · **Going deeper** 0 min · **Exercises** 0 min · \
**Runs** 20 s on a CPU · **Module** `lesson_utils/$stem.py` · \
**Before** TODO: what to have read"""

# What the metadata says; seconds and MiB until a run has been measured.
ABOUT = {"builds": "TODO: what the reader builds", "seconds": 20, "mib": 900}

OPENING = "TODO: say what the picture shows, and why it is worth a chapter."

PROMPTS = {
    "The idea": "TODO: in words and pictures, before any formula.",
    "The mathematics": "TODO: each symbol defined where it first stands, with its "
    "shape; the formula read aloud in words; the paper cited.",
    "From scratch": "TODO: the whole idea in one cell that fits a slide, run on "
    "tensors small enough to print; then the module's source; then the numbers by "
    "which plain version, module and an independent reference agree.",
    "See it work": "TODO: real data or a real network, several seeds, mean and "
    "spread. What takes longer than a page may is a study in `studies/`.",
    "Where it goes wrong": "TODO: failures shown, not told.\n\n"
    "| symptom | cause | remedy |\n|---|---|---|\n| TODO | TODO | TODO |",
    "Exercises": "TODO: three to six, easy to hard; at least two are checked.",
    "Quiz": "TODO: three to five questions, feedback for each choice.",
    "Summary": "- TODO: five lines",
    "Going deeper": "TODO: what a lecture would leave out.",
    "In Chinese": "| term | 中文 | in one line |\n|---|---|---|\n"
    "| TODO | TODO | at least five rows |",
    "Further reading": "- TODO: what to call in real life, what to read next.",
}

STATEMENT = """\
````{exercise} TODO: a title
:label: $stem-$dashed-example

**Easy · 10 min.** TODO: what to write, with the shapes.
````"""

SOLUTION = """\
`````{solution} $stem-$dashed-example
:class: dropdown

TODO: why it is done so.

```{literalinclude} ../../lesson_utils/$stem.py
:pyobject: ${stem}_example
:language: python
```
`````

````{exercise} TODO: a question
:label: $stem-thinking

**Medium · 10 min.** TODO: what to think about; the answer unfolds.
````

````{solution} $stem-thinking
:class: dropdown

TODO: the answer.
````

````{exercise} TODO: a title
:label: $stem-at-full-size

**At full size · 30 min.** TODO: on a GPU, with real data; the result and time expected.
````

````{solution} $stem-at-full-size
:class: dropdown

TODO: the answer.
````"""

IMPORTS = """\
from lesson_utils.$stem import ${stem}_example
from lesson_utils.checks import check
from lesson_utils.common.plotting import show_images, show_source
from lesson_utils.common.quiz import Choice, Question, show_quiz
from lesson_utils.data.photographs import photograph"""

PICTURE = """\
show_images(
    [photograph("chelsea")],
    caption="TODO: the result that the chapter is about, and what to see in it.",
    alt="TODO: what the picture shows, for readers who do not see it.",
)"""

PLAIN = """\
def plain_example(values):
    return values  # TODO: the whole idea, in at most 25 lines"""

QUIZ = """\
show_quiz(
    [
        Question(
            "TODO: a question?",
            (
                Choice("TODO", "TODO: why.", correct=True),
                Choice("another", "TODO: which thought leads there."),
            ),
        )
    ]
)"""


def new_chapter(
    root: Path,
    part: str,
    stem: str,
    title: str,
    *,
    caption: str | None = None,
    after: str | None = None,
) -> list[Path]:
    """Write the files of a new chapter, or none of them.

    Args:
        root: the folder of the book.
        part: the folder of a part, such as "detection".
        stem: the chapter's name in every file, in snake_case.
        title: of the page.
        caption: of the part, if `_toc.yml` does not have it yet.
        after: the folder of the part that a new one follows; the last by default.

    Returns:
        The files, `_toc.yml` last.

    Raises:
        ValueError: there is no such part and no caption for it, the stem is not fit or
            taken, the title is not one line of plain text, or `_toc.yml` is not of the
            usual form.
        FileNotFoundError: there is no `_toc.yml`.
    """
    toc = root / "_toc.yml"
    if not toc.is_file():
        raise FileNotFoundError(f"root must hold _toc.yml, got {str(root)!r}")
    before = toc.read_text("utf-8")
    _check_part(parts_of(toc_entries(_load(before))), part, caption, after)
    _check_arguments(root, stem, title)
    files = _files(part, stem, title)
    text = add_to_toc(before, part, f"book/{part}/{stem}", caption, after)
    # In the same file system, so that moving a file is one step.
    with tempfile.TemporaryDirectory(dir=root, prefix=".new_chapter-") as folder:
        staged = Path(folder)
        for path, content in (files | {"_toc.yml": text}).items():
            (staged / path).parent.mkdir(parents=True, exist_ok=True)
            (staged / path).write_text(content, encoding="utf-8")
        _format(staged, list(files))
        _move(staged, root, list(files))
    return [root / path for path in (*files, "_toc.yml")]


def add_to_toc(
    text: str,
    part: str,
    page: str,
    caption: str | None = None,
    after: str | None = None,
) -> str:
    """Add a page at the end of its part, comments and order kept.

    Args:
        text: what `_toc.yml` holds.
        part: the folder of the part.
        page: such as "book/detection/anchors".
        caption: of the part, if it is not there yet.
        after: the folder of the part that a new one follows; the last by default.

    Returns:
        The new text.

    Raises:
        ValueError: the part is not there and has no caption, or has another; or the
            text is not of the form that this function can edit.
    """
    parts = parts_of(toc_entries(_load(text)))
    _check_part(parts, part, caption, after)
    lines = text.splitlines()
    captions = _captions(lines)
    caption = parts.get(part, caption)
    if part in parts and caption in captions:
        at, entry = _end_of_part(lines, captions, caption, page)
    else:
        at = _place_of_part(lines, captions, parts.get(after))
        indents = [re.match(r"\s*", lines[number])[0] for number in captions.values()]
        indent = indents[0] if indents else "  "
        entry = [
            f"{indent}- caption: {caption}",
            f"{indent}  chapters:",
            f"{indent}    - file: {page}",
        ]
    edited = "\n".join([*lines[:at], *entry, *lines[at:]]) + "\n"
    before, now = (list(toc_entries(_load(toc))) for toc in (text, edited))
    # Edited as text, judged as YAML: nothing but the one entry has come to it.
    new = (caption, page)
    if new not in now or [entry for entry in now if entry != new] != before:
        raise ValueError(
            "_toc.yml must list parts as '- caption:' and below it '- file:' lines, "
            f"got a file to which {page} cannot be added under {caption!r}"
        )
    return edited


def _check_part(
    parts: dict[str, str], part: str, caption: str | None, after: str | None
) -> None:
    known = ", ".join(parts)
    if part in parts:
        if caption not in (None, parts[part]) or after is not None:
            raise ValueError(
                f"part {part!r} is in _toc.yml as {parts[part]!r}: caption and after "
                f"are for a new one, got {caption!r} and {after!r}"
            )
        return
    if caption is None:
        raise ValueError(
            f"part must be one of {known}, or a new one with a caption, got {part!r}"
        )
    if not re.fullmatch(r"[a-z]+(_[a-z]+)*", part):
        raise ValueError(f"part must be snake_case, such as fine_grained, got {part!r}")
    plain = re.fullmatch(r"[A-Z][\w-]*( [\w-]+)*", caption)
    if not plain or caption in parts.values():
        raise ValueError(
            f"caption must be plain words that no other part has, got {caption!r}"
        )
    if after not in (None, *parts):
        raise ValueError(f"after must be one of {known}, got {after!r}")


def _check_arguments(root: Path, stem: str, title: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", stem):
        raise ValueError(f"stem must be snake_case, such as nms_loss, got {stem!r}")
    if keyword.iskeyword(stem) or stem in RESERVED:
        raise ValueError(f"stem must not be a word already in use, got {stem!r}")
    if len(stem) > LONGEST_STEM:
        raise ValueError(f"stem must be at most {LONGEST_STEM} letters, got {stem!r}")
    if alike := _files_alike(root, stem):
        raise ValueError(f"stem must not be like that of {alike[0]}, got {stem!r}")
    plain = title.isprintable() and not re.search(r'["\\`$]', title)
    if not title.strip() or not plain or len(title) > LONGEST_TITLE:
        raise ValueError(
            f"title must be one line of 1 to {LONGEST_TITLE} plain characters, "
            f"got {title!r}"
        )


def _files_alike(root: Path, stem: str) -> list[str]:
    """The files whose stem is the same but for underscores and a plural's s."""
    patterns = ("book/**/*.ipynb", "lesson_utils/**/*.py", "tests/test_*.py", "tools/*")
    files = (path for pattern in patterns for path in root.glob(pattern))

    def bare(name: str) -> str:
        return name.removeprefix("test_").replace("_", "").removesuffix("s")

    return sorted(
        path.relative_to(root).as_posix()
        for path in files
        if bare(path.stem) == bare(stem)
    )


def _files(part: str, stem: str, title: str) -> dict[str, str]:
    """What to write, by path."""
    names = {
        "part": part,
        "stem": stem,
        "title": title.strip().rstrip("."),
        "dashed": stem.replace("_", "-"),
        "camel": "".join(word.capitalize() for word in stem.split("_")),
    }

    def fill(template: str) -> str:
        return Template(template).substitute(names)

    return {
        f"book/{part}/{stem}.ipynb": _notebook(fill),
        f"lesson_utils/{stem}.py": fill(MODULE),
        f"lesson_utils/checks/{stem}.py": fill(CHECKS),
        f"tests/test_{stem}.py": fill(TESTS),
    }


def _notebook(fill) -> str:
    """The notebook's JSON: headings in order, and a prompt under each."""
    stub = "def ${stem}_example(values):\n    raise NotImplementedError"
    below = {
        "From scratch": [
            (PLAIN, ["plain-version"]),
            ("show_source(${stem}_example)", []),
        ],
        "Exercises": [
            (STATEMENT, None),
            (stub, ["exercise"]),
            ('check("${stem}_example", ${stem}_example)', []),
            (SOLUTION, None),
        ],
        "Quiz": [(QUIZ, ["remove-input"])],
    }
    folded = ["hide-input"]
    cells = [(INTRODUCTION, None), (IMPORTS, folded), (PICTURE, folded)]
    cells.append((OPENING, None))
    for section in SECTIONS:
        cells.append((f"## {section}\n\n{PROMPTS[section]}", None))
        cells += below.get(section, [])
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = {
        "cells": [
            _cell(n, fill(source), tags) for n, (source, tags) in enumerate(cells)
        ],
        "metadata": {
            "kernelspec": kernel,
            "language_info": {"name": "python"},
            "look_closer": dict(sorted(ABOUT.items())),
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, source: str, tags: list[str] | None) -> dict:
    """A cell: Markdown if its tags are None."""
    cell = {
        "cell_type": "markdown" if tags is None else "code",
        "id": str(number),
        "metadata": {"tags": tags} if tags else {},
        "source": source.splitlines(keepends=True),
    }
    if tags is not None:
        cell |= {"execution_count": None, "outputs": []}
    return dict(sorted(cell.items()))


def _format(staged: Path, paths: list[str]) -> None:
    """Let ruff sort the imports and break the lines, which depend on the stem."""
    # The staged module is the book's own, too, though it is not in its place yet.
    source = f"src = {json.dumps([str(staged.parent), str(staged)])}"
    for command in (["check", "--select", "I", "--fix"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--quiet", "--no-cache"]
        subprocess.run([*ruff, "--config", source, *paths], cwd=staged, check=True)


def _move(staged: Path, root: Path, paths: list[str]) -> None:
    """Move the files and _toc.yml to their places; take them back if one cannot be."""
    with contextlib.ExitStack() as undo:
        for path in paths:
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            os.link(staged / path, root / path)  # refuses to write over a file
            undo.callback((root / path).unlink)
        (staged / "_toc.yml").replace(root / "_toc.yml")
        undo.pop_all()


def _load(text: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"_toc.yml must be YAML, got: {error}") from error


def _captions(lines: list[str]) -> dict[str, int]:
    """The line of each part's caption."""
    pattern = re.compile(r"""\s*-\s+caption:\s*(["']?)(.*?)\1\s*(#.*)?$""")
    matches = ((number, pattern.match(line)) for number, line in enumerate(lines))
    return {match[2]: number for number, match in matches if match}


def _end_of_part(
    lines: list[str], captions: dict[str, int], caption: str, page: str
) -> tuple[int, list[str]]:
    """After the last page of the part, indented as that is."""
    start = captions[caption]
    end = min((n for n in captions.values() if n > start), default=len(lines))
    pages = [n for n in range(start, end) if re.match(r"\s*- file:", lines[n])]
    last = pages[-1] if pages else start
    indent = re.match(r"\s*", lines[last])[0]
    return last + 1, [f"{indent}- file: {page}"]


def _place_of_part(
    lines: list[str], captions: dict[str, int], after: str | None
) -> int:
    """Behind the part of a caption, or at the end."""
    start = captions.get(after, len(lines))
    at = min((n for n in captions.values() if n > start), default=len(lines))
    while at < len(lines) and lines[at - 1].lstrip().startswith("#"):
        at -= 1  # a comment above a part belongs to it
    return at


def main() -> None:
    """Read the command line, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m tools.new_chapter")
    parser.add_argument("part", help="the folder of a part, such as detection")
    parser.add_argument("stem", help="the chapter's name in every file, in snake_case")
    parser.add_argument("title", help="of the page")
    parser.add_argument("--caption", help="of a part that _toc.yml does not have yet")
    parser.add_argument("--after", help="the folder of the part that a new one follows")
    given = vars(parser.parse_args())
    try:
        written = new_chapter(ROOT, **given)
    except (ValueError, FileNotFoundError) as error:
        parser.error(str(error))
    for path in written:
        print(path.relative_to(ROOT))
    print(
        "Now do what the TODO marks say; `python -m tools.contract` lists what is "
        "left, `make format` writes the tables."
    )


if __name__ == "__main__":
    main()
