"""Rules on files: one stem for a chapter, everywhere, and a place for each file."""

from collections import Counter
from pathlib import PurePosixPath

from tools.contract.tree import Tree

PACKAGE_FOLDERS = ("checks", "common", "data", "grading", "studies", "weights")
# What test files may be named after besides modules and tools: these rules, the pages'
# build (test_pages.py is the browser's), the exercises' machinery, the report that
# `python -m lesson_utils` prints, the battery over every public function, and the
# network that is refused.
TESTED_ELSEWHERE = ("battery", "book", "build", "checks", "doctor", "offline")


def files_are_readable(book: Tree) -> list[str]:
    """Every notebook and Python file parses; of one that does not, no rule knows."""
    files = (*book.notebooks, *book.modules, *book.tests.values())
    complaints = [f"{file.path}: {file.error}" for file in files if file.error]
    if not book.toc:
        complaints.append("_toc.yml: the file must list the book's pages, in YAML")
    return complaints


def chapters_are_whole(book: Tree) -> list[str]:
    """A notebook, its module, its checks and its tests share one stem."""
    notebooks = {notebook.stem: notebook.path for notebook in book.notebooks}
    modules, checks = book.layer("chapter"), book.layer("checks")
    complaints = []
    for stem in sorted({*notebooks, *modules, *checks}):
        parts = {
            f"book/<part>/{stem}.ipynb": stem in notebooks,
            f"lesson_utils/{stem}.py": stem in modules,
            f"lesson_utils/checks/{stem}.py": stem in checks,
            f"tests/test_{stem}.py": stem in book.tests,
        }
        there = ", ".join(
            path.replace(f"book/<part>/{stem}.ipynb", notebooks.get(stem, ""))
            for path, exists in parts.items()
            if exists
        )
        complaints += [
            f"{path}: the file is missing; the chapter {stem!r} has {there}"
            for path, exists in parts.items()
            if not exists
        ]
    return complaints


def chapters_stand_in_parts(book: Tree) -> list[str]:
    """Notebooks lie in `book/<part>/`, one of a stem; a part is a folder of its own."""
    captions = {file: caption for caption, file in book.toc}
    stems = Counter(notebook.stem for notebook in book.notebooks)
    complaints = []
    for notebook in book.notebooks:
        _, *folders, _ = notebook.path.split("/")
        page = notebook.path.removesuffix(".ipynb")
        if len(folders) != 1 or folders[0] not in book.parts:
            complaints.append(
                f"{notebook.path}: the folder must be book/ and one of the parts "
                f"{', '.join(book.parts)}"
            )
        elif page in captions and captions[page] != book.parts[folders[0]]:
            complaints.append(
                f"_toc.yml: {page} must stand under {book.parts[folders[0]]!r}, "
                f"not {captions[page]!r}"
            )
        if stems[notebook.stem] > 1:
            complaints.append(f"{notebook.path}: two notebooks share this stem")
    folders = Counter(book.parts.values())
    complaints += [
        f"_toc.yml: {caption}: the chapters of a part must share one folder"
        for caption, number in folders.items()
        if number > 1
    ]
    return complaints


def toc_lists_every_page(book: Tree) -> list[str]:
    """Every notebook and page is in `_toc.yml`, once, and what it lists is there."""
    files = [notebook.path for notebook in book.notebooks] + list(book.pages)
    pages = {str(PurePosixPath(file).with_suffix("")): file for file in files}
    listed = Counter(str(file).removesuffix(".md") for _, file in book.toc)
    unlisted, absent = pages.keys() - listed.keys(), listed.keys() - pages.keys()
    return [
        *(f"{pages[page]}: the page is not in _toc.yml" for page in sorted(unlisted)),
        *(f"_toc.yml: {page}: no such file" for page in sorted(absent)),
        *(f"_toc.yml: {page}: listed twice" for page in listed if listed[page] > 1),
    ]


def no_file_is_left_over(book: Tree) -> list[str]:
    """The package holds chapters and a few folders; each test is of something there."""
    folders = {path.split("/")[1] for path in book.files("lesson_utils/*/**/*.*")}
    known = {*TESTED_ELSEWHERE, *book.layer("chapter", "common", "data")}
    for pattern in ("tools/*", "benchmarks/*.py", "studies/*.py", "book/_ext/*.py"):
        known |= {path.stem for path in book.root.glob(pattern)}
    complaints = [
        f"lesson_utils/{folder}: the package has only {', '.join(PACKAGE_FOLDERS)}"
        for folder in sorted(folders.difference(PACKAGE_FOLDERS))
    ]
    # A long test file may be split: test_checks_sandbox.py is of the checks.
    complaints += [
        f"{module.path}: there is no chapter, module or tool {stem!r} to test"
        for stem, module in book.tests.items()
        if not any(stem == name or stem.startswith(f"{name}_") for name in known)
    ]
    return complaints
