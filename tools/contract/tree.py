"""The tree of the book as the rules see it: every file read and parsed once."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

from tools.contract.listing import list_exercises
from tools.contract.notebook import Notebook, read_notebook
from tools.contract.syntax import parse


@dataclass(frozen=True)
class Module:
    """A Python file; one that does not parse has an empty syntax tree.

    Args:
        path: relative to the root.
        text: what it holds.
        tree: its syntax tree.
        error: why it does not parse, or None.
    """

    path: str
    text: str
    tree: ast.Module
    error: str | None

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return Path(self.path).stem

    @property
    def dotted(self) -> str:
        """The name it is imported by."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def layer(self) -> str:
        """Where it stands: common, drawing, data, chapter, grading, checks or package.

        `drawing` are the private parts of the drawn data sets, `package` the files
        beside the chapters that are none.
        """
        folders = Path(self.path).parts[1:-1]
        if folders:
            return folders[-1]
        return "package" if self.stem in ("__init__", "__main__") else "chapter"


@dataclass(frozen=True)
class Tree:
    """A checkout of the book.

    Args:
        root: the folder that holds `_toc.yml`, `book/`, `lesson_utils/` and `tests/`.
    """

    root: Path

    @cached_property
    def toc(self) -> tuple[tuple[str, str], ...]:
        """Each page of `_toc.yml` as (caption of its part, file), in order."""
        try:
            toc = yaml.safe_load((self.root / "_toc.yml").read_text("utf-8"))
        except (OSError, yaml.YAMLError):
            return ()
        return tuple(toc_entries(toc))

    @cached_property
    def parts(self) -> dict[str, str]:
        """The parts that hold chapters: folder and caption, in order."""
        return parts_of(self.toc)

    @cached_property
    def chapters(self) -> tuple[Notebook, ...]:
        """The notebooks that `_toc.yml` lists, in order."""
        notebooks = {notebook.path: notebook for notebook in self.notebooks}
        paths = (f"{file.removesuffix('.ipynb')}.ipynb" for _, file in self.toc)
        return tuple(notebooks[path] for path in paths if path in notebooks)

    @cached_property
    def notebooks(self) -> tuple[Notebook, ...]:
        """Every notebook below `book/`, listed or not."""
        paths = self.files("book/**/*.ipynb")
        return tuple(read_notebook(self.root, path) for path in paths)

    @cached_property
    def pages(self) -> dict[str, str]:
        """The text of every Markdown page below `book/`, by path."""
        paths = self.files("book/**/*.md")
        return {path: (self.root / path).read_text("utf-8") for path in paths}

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Every Python file of `lesson_utils/`."""
        return tuple(self._read(path) for path in self.files("lesson_utils/**/*.py"))

    @cached_property
    def tests(self) -> dict[str, Module]:
        """The test files, by the stem of what they test."""
        modules = (self._read(path) for path in self.files("tests/test_*.py"))
        return {module.stem.removeprefix("test_"): module for module in modules}

    @cached_property
    def exercises(self) -> dict[str, list | str]:
        """Each chapter's exercises, as `list_exercises` finds them, by stem."""
        stems = list(self.layer("checks"))
        return list_exercises(self.root, stems) if stems else {}

    def layer(self, *names: str) -> dict[str, Module]:
        """The modules of some layers.

        Args:
            *names: such as "chapter" (see `Module.layer`).

        Returns:
            The modules, `__init__` and `__main__` left out, by stem.
        """
        chosen = (module for module in self.modules if module.layer in names)
        return {m.stem: m for m in chosen if not m.stem.startswith("__")}

    def files(self, pattern: str) -> list[str]:
        """The files of a pattern, but for those in folders hidden or begun with `_`.

        Args:
            pattern: as `Path.glob` takes it.

        Returns:
            Paths relative to the root, with forward slashes, sorted.
        """
        paths = (path.relative_to(self.root) for path in self.root.glob(pattern))
        return sorted(
            path.as_posix()
            for path in paths
            if not any(folder.startswith((".", "_")) for folder in path.parts[:-1])
        )

    def _read(self, path: str) -> Module:
        text = (self.root / path).read_text("utf-8")
        return Module(path, text, *parse(text))


def toc_entries(node: object, caption: str = "") -> Iterator[tuple[str, str]]:
    """Every page of a table of contents, however deep.

    Args:
        node: what the YAML holds, or a piece of it.
        caption: of the part that the piece stands in.

    Yields:
        Each page as (caption of its part, file).
    """
    if isinstance(node, list):
        for item in node:
            yield from toc_entries(item, caption)
    elif isinstance(node, dict):
        caption = str(node.get("caption", caption))
        for key in ("root", "file"):
            if key in node:
                yield caption, str(node[key])
        for key in ("parts", "chapters", "sections"):
            yield from toc_entries(node.get(key), caption)


def parts_of(toc: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The parts of a table of contents that hold chapters.

    Args:
        toc: each page as (caption of its part, file).

    Returns:
        Folder and caption, in order; a folder's caption is that of its first page.
    """
    parts: dict[str, str] = {}
    for caption, file in toc:
        for folder in file.split("/")[1:-1]:
            parts.setdefault(folder, caption)
    return parts
