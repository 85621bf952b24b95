"""Rules on text: citations, leftover marks, a machine's paths, format."""

import re
import subprocess
import sys
from collections.abc import Iterator

from pybtex.database import parse_string
from pybtex.exceptions import PybtexError

from tools.contract.markdown import directives
from tools.contract.tree import Tree

BIBLIOGRAPHY = "book/references.bib"
_CITATION = re.compile(r"\{cite(?::\w+)?\}`([^`]+)`")
_MARK = re.compile(r"\b(?:TODO|FIXME|XXX)\b|\b[Ll]orem\b|\bLOREM\b")
_RUFF_PLACE = re.compile(r":cell (?P<cell>\d+):(?P<line>\d+):\d+:")
# A path at its start: "https://example.org/home/" is an address and no path.
_PATH = re.compile(
    r"(?:(?<![\w.~/])|(?<=file://))/(?:home|root|work|Users)/|\bC:\\{1,2}(?=[A-Z])"
)


def citations_have_entries(book: Tree) -> list[str]:
    """Every key cited is in references.bib, every entry is cited."""
    try:
        text = (book.root / BIBLIOGRAPHY).read_text("utf-8")
        entries = set(parse_string(text, "bibtex").entries)
    except (OSError, PybtexError) as error:
        return [f"{BIBLIOGRAPHY}: the file must be BibTeX: {error}"]
    cited: dict[str, str] = {}
    for place, text in _markdown(book):
        for keys in _CITATION.findall(text):
            cited |= {key.strip(): place for key in keys.split(",")}
    return [
        *(
            f"{place}: {key} must be an entry of {BIBLIOGRAPHY}"
            for key, place in cited.items()
            if key not in entries
        ),
        *(
            f"{BIBLIOGRAPHY}: {key}: an entry must be cited somewhere"
            for key in sorted(entries - cited.keys())
        ),
    ]


def sources_are_listed(book: Tree) -> list[str]:
    """`book/references.md` holds the one bibliography: two would both claim a key."""
    holders = [
        *(path for path, text in book.pages.items() if _lists_sources(text)),
        *(
            c.place
            for n in book.notebooks
            for c in n.markdown
            if _lists_sources(c.source)
        ),
    ]
    if holders == ["book/references.md"]:
        return []
    return [
        "book/references.md: the {bibliography} must stand here and nowhere else, got "
        f"{', '.join(holders) or 'none'}"
    ]


def _lists_sources(text: str) -> bool:
    return any(directive.name == "bibliography" for directive in directives(text))


def nothing_is_left_to_do(book: Tree) -> list[str]:
    """No leftover mark in notebooks, modules, pages and the chapters' tests."""
    return [
        f"{place}: {mark!r} must be done, and the mark gone"
        for place, line in _lines(book)
        for mark in _MARK.findall(line)
    ]


def no_machine_is_named(book: Tree) -> list[str]:
    """No absolute path of a machine, in text, code and outputs."""
    return [
        f"{place}: {path!r} is a path of one machine and must not be here"
        for place, line in _lines(book)
        for path in _PATH.findall(line)
    ]


def notebooks_are_formatted(book: Tree) -> list[str]:
    """`ruff check` and `ruff format --check` have nothing to say of a notebook."""
    paths = [notebook.path for notebook in book.notebooks]
    if not paths:
        return []
    complaints = []
    for mode in (("check",), ("format", "--check")):
        ruff = [sys.executable, "-m", "ruff", *mode, "--output-format=concise"]
        run = subprocess.run(
            [*ruff, "--no-cache", *paths], capture_output=True, text=True, cwd=book.root
        )
        if run.returncode:
            said = (run.stdout + run.stderr).strip().splitlines()
            named = [line for line in said if line.startswith("book/")]
            complaints += [_RUFF_PLACE.sub(_our_place, line) for line in named] or [
                f"book: ruff {mode[0]}: {' '.join(said)}"
            ]
    return complaints


def _our_place(match: re.Match) -> str:
    """Where a complaint is: ruff counts cells from 1, ids begin at 0."""
    return f": cell {int(match['cell']) - 1}: line {match['line']}:"


def _markdown(book: Tree) -> Iterator[tuple[str, str]]:
    for notebook in book.notebooks:
        for cell in notebook.markdown:
            yield cell.place, cell.source
    for path, text in book.pages.items():
        yield f"{path}: page", text


def _lines(book: Tree) -> Iterator[tuple[str, str]]:
    """Every line that a reader may see, with its place."""
    for notebook in book.notebooks:
        for line in _strings(notebook.about):
            yield f"{notebook.path}: metadata", line
        for cell in notebook.cells:
            stored = _strings(cell.raw.get("outputs", []))
            for line in (*cell.source.splitlines(), *stored):
                yield cell.place, line
    chapters = {notebook.stem for notebook in book.notebooks}
    tests = [module for stem, module in book.tests.items() if stem in chapters]
    files = {module.path: module.text for module in (*book.modules, *tests)}
    for path, text in (files | book.pages).items():
        for number, line in enumerate(text.splitlines(), start=1):
            yield f"{path}: line {number}", line


def _strings(stored: object) -> Iterator[str]:
    """Every string in a piece of JSON."""
    if isinstance(stored, str):
        yield stored
    elif isinstance(stored, list | dict):
        for item in stored.values() if isinstance(stored, dict) else stored:
            yield from _strings(item)
