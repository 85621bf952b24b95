"""Tables of what was measured beside the chapters, each under a name of its own.

A page holds such a table between the lines `<!-- made by python -m tools.tables: NAME
-->` and `<!-- end -->`. The sources are the files in `benchmarks/measured`, which the
tools write, and, for the links, the pages and the list of references.
"""

import json
import re
from collections.abc import Callable
from itertools import zip_longest

from tools import matrix, mutants
from tools.contract.tree import Tree

_NAMED = re.compile(
    r"(?ms)(?<=^<!-- made by python -m tools\.tables: )(\w+)( -->\n)(.*?)"
    r"(?=^<!-- end -->$)"
)
_LINK = re.compile(r"https?://[^\s\])>\"'\\`}]+")
_ENTRY = re.compile(r"(?ms)^@\w+\{(?P<key>[^,]+),(?P<body>.*?)^\}")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def named_tables_are_up_to_date(book: Tree) -> list[str]:
    """Every table under a name is what its sources give."""
    complaints = []
    for path, text in _pages(book).items():
        for name, _, found in _NAMED.findall(text):
            if name not in MAKERS:
                complaints.append(
                    f"{path}: a table's name must be of {', '.join(MAKERS)}, got {name}"
                )
                continue
            due = MAKERS[name](book)
            if found != due:
                pairs = zip_longest(due.splitlines(), found.splitlines())
                ours, theirs = next((a, b) for a, b in [*pairs, ("", "")] if a != b)
                complaints.append(
                    f"{path}: {name}: the table must have the line {ours!r}, got "
                    f"{theirs!r}: run python -m tools.tables"
                )
    return complaints


def with_named_tables(book: Tree) -> dict[str, str]:
    """The pages that hold such tables, as they must be.

    Args:
        book: the tree.

    Returns:
        Text by path; a name that is not known is left as it is.
    """
    return {
        path: _NAMED.sub(
            lambda m: m[1] + m[2] + (MAKERS[m[1]](book) if m[1] in MAKERS else m[3]),
            text,
        )
        for path, text in _pages(book).items()
        if _NAMED.search(text)
    }


def _pages(book: Tree) -> dict[str, str]:
    return {path: (book.root / path).read_text("utf-8") for path in book.pages}


def _read(book: Tree, name: str) -> object:
    path = book.root / "benchmarks/measured" / name
    return json.loads(path.read_text("utf-8")) if path.is_file() else None


def _table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> str:
    cells = ([f" {cell} " if cell != "" else " " for cell in row] for row in rows)
    lines = ["|" + "|".join(row) + "|\n" for row in cells]
    ruled = "|" + "---|" * len(head) + "\n"
    return "| " + " | ".join(head) + " |\n" + ruled + "".join(lines)


def _code(text: str) -> str:
    """Code in a cell of a table, whatever it holds."""
    ticks = "``" if "`" in text else "`"
    return ticks + text.replace("|", "\\|") + ticks


def _benchmarks(book: Tree) -> str:
    measured = _read(book, "benchmarks.json")
    if measured is None:
        return "Nothing was measured yet.\n"
    versions = ", ".join(f"{name} {v}" for name, v in measured["versions"].items())
    rows = [
        (row["benchmark"], row["what"], row["peer"], f"{row['ratio']:g}")
        for row in measured["rows"]
    ]
    return (
        f"`{measured['command']}`, {measured['machine']}, Python {measured['python']}, "
        f"{versions}:\n\n"
        + _table(("benchmark", "what", "peer", "our speed, peer = 1"), rows)
    )


def _mutants(book: Tree) -> str:
    measured = _read(book, "mutants.json") or {"modules": {}}
    listed = mutants.equivalent(book.root)
    there, rows = mutants.modules(book.root), []
    counts = dict.fromkeys(("every", "run", "killed", "same", "measured"), 0)
    for stem, path in there.items():
        source = path.read_text("utf-8")
        name = _code(str(path.relative_to(book.root / "lesson_utils")))
        row = measured["modules"].get(stem)
        if row is None:
            why = "not yet" if mutants.tests_of(book.root, stem) else "no tests yet"
            rows.append((name, "", why, "", "", ""))
            continue
        same = sum(mutants.is_equivalent(stem, s, listed) for s in row["survivors"])
        state = "as it stands"
        if row["digest"] != mutants.digest_of(source):
            state = "before its last change"
        counts["every"] += row["mutants"]
        rows.append(
            (name, row["mutants"], row["run"], row["killed"], same or "", state)
        )
        counts["run"] += row["run"]
        counts["killed"] += row["killed"]
        counts["same"] += same
        counts["measured"] += 1
    share = counts["killed"] / counts["run"] if counts["run"] else 0.0
    left = counts["run"] - counts["same"]
    fair = counts["killed"] / left if left else 0.0
    head = (
        f"{counts['measured']} of {len(there)} modules are measured. They have "
        f"{counts['every']:,} mutants; {counts['run']} of these were drawn and run, "
        f"and the tests killed {counts['killed']}: {share:.1%}. Of those that "
        f"survived, {counts['same']} are equivalent, for the reasons below; without "
        f"them, {fair:.1%} were killed.\n\n"
    )
    names = ("module", "mutants", "run", "killed", "equivalent", "measured")
    return head + _table(names, rows)


def _survivors(book: Tree) -> str:
    measured = _read(book, "mutants.json") or {"modules": {}}
    listed, rows = mutants.equivalent(book.root), []
    for stem, row in measured["modules"].items():
        for one in row["survivors"]:
            reason = next(
                (
                    other["reason"]
                    for other in listed
                    if mutants.is_equivalent(stem, one, [other])
                ),
                "not told from the original by any test yet",
            )
            change = f"{_code(one['before'])} → {_code(one['after'])}"
            file = row["file"].removeprefix("lesson_utils/")
            rows.append((f"`{file}:{one['line']}`", change, reason))
    return _table(("place", "change", "why it survives"), rows)


def _matrix(book: Tree) -> str:
    asked = ("python", "torch", "torchvision", "tests", "state", "text")
    measured = _read(book, "matrix.json") or []
    rows = [tuple(row[name].replace("|", "\\|") for name in asked) for row in measured]
    there = {row["python"] for row in measured}
    rows += [
        (python, torch or "pinned", torchvision or "pinned", "nothing", "not run", "")
        for python, torch, torchvision in matrix.CELLS
        if python not in there
    ]
    names = ("Python", "torch", "torchvision", "what was run", "outcome", "last line")
    return _table(names, rows)


def _links(book: Tree) -> str:
    """Every page outside the book that a page of it leads to."""
    rows = []
    pages = [notebook.path for notebook in book.notebooks] + sorted(book.pages)
    for path in pages:
        if path.endswith(".ipynb"):
            raw = json.loads((book.root / path).read_text("utf-8"))
            cells = [cell for cell in raw["cells"] if cell["cell_type"] == "markdown"]
            text = "\n".join("".join(cell["source"]) for cell in cells)
        else:
            # What is generated repeats links; the sources are read themselves.
            text = _NAMED.sub("", (book.root / path).read_text("utf-8"))
        for link in dict.fromkeys(_LINK.findall(text)):
            place = f"[](/{path})"
            rows.append((place, f"<{link.rstrip('.,;:')}>"))
    return _table(("page", "link"), sorted(set(rows)))


def _dois(book: Tree) -> str:
    """The references that have a DOI; a preprint's follows from its number."""
    text = (book.root / "book/references.bib").read_text("utf-8")
    rows, number = [], 0
    for entry in _ENTRY.finditer(text):
        number += 1
        doi = re.search(r"(?m)^\s*doi\s*=\s*[{\"](.*?)[}\"]", entry["body"])
        preprint = _ARXIV.search(entry["body"])
        if doi or preprint:
            name = doi[1] if doi else f"10.48550/arXiv.{preprint[1]}"
            rows.append((f"{{cite:t}}`{entry['key']}`", f"<https://doi.org/{name}>"))
    return (
        f"{len(rows)} of the {number} references are listed with a DOI.\n\n"
        + _table(("reference", "DOI"), rows)
    )


MAKERS: dict[str, Callable[[Tree], str]] = {
    "benchmarks": _benchmarks,
    "mutants": _mutants,
    "survivors": _survivors,
    "matrix": _matrix,
    "links": _links,
    "dois": _dois,
}
