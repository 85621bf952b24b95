"""What a notebook's output depends on: the modules it imports, and theirs in turn."""

import ast
import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

import nbformat

PACKAGE = "lesson_utils"


def notebook_digest(root: Path, notebook: Path) -> str:
    """A digest of everything the output of a notebook depends on.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        Hexadecimal SHA-256 of the notebook, of every module of the package that it
        imports directly or through others, of the package's data files, of the
        pins, and of Python's version.
    """
    digest = hashlib.sha256(platform.python_version().encode())
    package = root / PACKAGE
    data = [p for p in (package / "weights").rglob("*") if p.is_file()]
    pins = [root / "requirements.txt", root / "constraints.txt"]
    for path in [notebook, *pins, *sorted(data), *notebook_modules(root, notebook)]:
        digest.update(str(path.relative_to(root)).encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def notebook_modules(root: Path, notebook: Path) -> list[Path]:
    """The package's files that a notebook imports, directly or through others.

    Args:
        root: the repository.
        notebook: a notebook in it.

    Returns:
        Sorted paths. All of the package's modules, if a cell cannot be parsed.
    """
    cells = nbformat.read(notebook, as_version=4).cells
    code = "\n".join(_python(c.source) for c in cells if c.cell_type == "code")
    try:
        names = set(_imported(code))
    except SyntaxError:  # running it will say more; until then, leave nothing out
        return sorted((root / PACKAGE).rglob("*.py"))
    if any(name.startswith(f"{PACKAGE}.checks") for name in names):
        # The checks are found by name as a notebook runs: its own are among them.
        names.add(f"{PACKAGE}.checks.{notebook.stem}")
    return _closure(root, names)


def _closure(root: Path, names: set[str]) -> list[Path]:
    found: set[Path] = set()
    waiting = [path for name in names for path in _files(root, name)]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            imported = _imported(path.read_text(encoding="utf-8"))
            waiting += [file for name in imported for file in _files(root, name)]
    return sorted(found)


def _files(root: Path, name: str) -> Iterator[Path]:
    """The files that importing a dotted name runs: the module's and its parents'."""
    parts = name.split(".")
    if parts[0] != PACKAGE:
        return
    for end in range(1, len(parts) + 1):
        path = root.joinpath(*parts[:end])
        if path.is_dir():
            # A package may load its private siblings as it goes.
            yield from [path / "__init__.py", *path.glob("_[a-z]*.py")]
        elif path.with_suffix(".py").is_file():
            yield path.with_suffix(".py")


def _imported(code: str) -> Iterator[str]:
    """Dotted names a source imports anywhere, in functions too."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _python(source: str) -> str:
    """A cell without its magics and shell lines, which are not Python."""
    lines = source.splitlines()
    return "\n".join(
        "" if line.lstrip().startswith(("%", "!")) else line for line in lines
    )
