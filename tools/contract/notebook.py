"""A notebook as the rules see it: cells, and the sections they stand in."""

import ast
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tools.contract import markdown
from tools.contract.markdown import Directive
from tools.contract.syntax import called, parse

# The headings of level 2, in order. An author may go on in words of their own after a
# colon or a dash: "The idea: a stencil for numbers".
SECTIONS = (
    "The idea",
    "The mathematics",
    "From scratch",
    "See it work",
    "Where it goes wrong",
    "Exercises",
    "Quiz",
    "Summary",
    "Going deeper",
    "In Chinese",
    "Further reading",
)


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook.

    Args:
        place: "book/foundations/masks.ipynb: cell 3", counted from 0, as ids are.
        kind: "markdown" or "code".
        source: its text.
        tags: the tags of its metadata.
        raw: the cell as it is stored.
    """

    place: str
    kind: str
    source: str
    tags: frozenset[str]
    raw: dict

    @cached_property
    def parsed(self) -> tuple[ast.Module, str | None]:
        """The code's syntax tree and what is wrong with it; empty for Markdown."""
        return parse(self.source if self.kind == "code" else "")

    def calls(self, *names: str) -> list[ast.Call]:
        """The calls of functions by the last part of their name.

        Args:
            *names: such as "show_quiz".

        Returns:
            Every such call in the cell.
        """
        return [node for node in ast.walk(self.parsed[0]) if called(node) in names]


@dataclass(frozen=True)
class Notebook:
    """A chapter's notebook.

    Args:
        path: relative to the root.
        raw: the file's JSON; empty if it cannot be read.
        error: why it cannot be read, or None.
    """

    path: str
    raw: dict
    error: str | None = None

    @property
    def stem(self) -> str:
        """The chapter's stem."""
        return Path(self.path).stem

    @cached_property
    def cells(self) -> list[Cell]:
        """Its cells, in order."""
        return [
            Cell(
                f"{self.path}: cell {index}",
                raw["cell_type"],
                "".join(raw["source"]),
                frozenset(raw.get("metadata", {}).get("tags", ())),
                raw,
            )
            for index, raw in enumerate(self.raw.get("cells", ()))
        ]

    @property
    def title(self) -> str:
        """The text of the first heading; empty without one."""
        first = self.cells[0].source if self.cells else ""
        return next((text for _, text in markdown.headings(first)), "")

    @property
    def about(self) -> dict:
        """What the metadata says of the chapter: builds, seconds, mib."""
        about = self.raw.get("metadata", {}).get("look_closer", {})
        return about if isinstance(about, dict) else {}

    @property
    def terms(self) -> list[list[str]]:
        """The rows of the table `In Chinese`: term, Chinese, one line."""
        return markdown.table_rows(self.text_of("In Chinese"))[1:]

    @cached_property
    def code(self) -> list[Cell]:
        """The code cells."""
        return [cell for cell in self.cells if cell.kind == "code"]

    @cached_property
    def markdown(self) -> list[Cell]:
        """The Markdown cells."""
        return [cell for cell in self.cells if cell.kind == "markdown"]

    @cached_property
    def directives(self) -> list[tuple[Cell, Directive]]:
        """Every directive of the Markdown cells."""
        return [
            (cell, directive)
            for cell in self.markdown
            for directive in markdown.directives(cell.source)
        ]

    @cached_property
    def sections(self) -> dict[str, list[tuple[Cell, str]]]:
        """What stands under each fixed heading: code cells, and pieces of Markdown."""
        sections: dict[str, list[tuple[Cell, str]]] = {name: [] for name in SECTIONS}
        current = None
        for cell in self.cells:
            pieces = [(None, cell.source)]
            if cell.kind == "markdown":
                pieces = markdown.split_at_headings(cell.source)
            for heading, text in pieces:
                current = current if heading is None else section_of(heading)
                if current is not None:
                    sections[current].append((cell, text))
        return sections

    def text_of(self, section: str) -> str:
        """The Markdown of a section.

        Args:
            section: one of `SECTIONS`.

        Returns:
            Its pieces, joined.
        """
        pieces = self.sections[section]
        return "\n\n".join(text for cell, text in pieces if cell.kind == "markdown")


def read_notebook(root: Path, path: str) -> Notebook:
    """Read a notebook; one that is broken has no cells and says why.

    Args:
        root: the folder of the book.
        path: relative to it.

    Returns:
        The notebook.
    """
    try:
        notebook = Notebook(path, json.loads((root / path).read_text("utf-8")))
        broken = [cell for cell in notebook.code if cell.parsed[1]]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return Notebook(path, {}, f"is no notebook: {error}")
    if broken:
        error = f"{broken[0].place.removeprefix(path + ': ')}: {broken[0].parsed[1]}"
        return Notebook(path, notebook.raw, error)
    return notebook


def section_of(heading: str) -> str | None:
    """Which of the fixed headings one is.

    Args:
        heading: its text, such as "The idea: a stencil for numbers".

    Returns:
        "The idea"; None for a heading that is none of them.
    """
    for name in SECTIONS:
        if re.fullmatch(rf"{name}(\s*[:\u2013\u2014]\s*\S.*|\s+-\s+\S.*)?", heading):
            return name
    return None
