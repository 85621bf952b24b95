"""What a hosted notebook is asked to install covers what is imported there."""

import ast
import importlib.metadata
import re
import sys
import tomllib

import nbformat

from tools.serve import ROOT

INSTALLED = {
    name.lower().replace("_", "-")
    for packages in importlib.metadata.packages_distributions().values()
    for name in packages
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Come with any Jupyter.
JUPYTER = {"ipython", "ipykernel", "jupyter-client", "nbclient", "nbformat"}


def names(requirements):
    """Packages by their plain names, without versions and extras."""
    found = (re.match(r"[\w.-]+", line)[0] for line in requirements)
    return {name.lower().replace("_", "-") for name in found}


def brought(asked):
    """What is asked for, and what comes with that."""
    due, seen = set(asked), set()
    while due:
        name = due.pop()
        seen.add(name)
        lines = importlib.metadata.requires(name) or []
        due |= names(line for line in lines if "extra ==" not in line) & INSTALLED
        due -= seen
    return seen


def imported(source):
    """The packages that a piece of code imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_all_that_pages_and_modules_import_is_asked_for():
    extras = PROJECT["optional-dependencies"]
    asked = names([*PROJECT["dependencies"], *extras["real"], *extras["pages"]])
    asked = brought(asked & INSTALLED)
    weights = (ROOT / "requirements-weights.txt").read_text("utf-8").splitlines()
    asked |= names(line for line in weights if line and not line.startswith("#"))
    packages = importlib.metadata.packages_distributions()
    missing = {}
    sources = [
        (path.name, path.read_text("utf-8"))
        for path in (ROOT / "lesson_utils").rglob("*.py")
    ]
    for path in (ROOT / "book").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                sources.append((path.name, cell.source))
    assert len(sources) > 500
    for where, source in sources:
        for module in imported(source):
            if module in sys.stdlib_module_names or module == "lesson_utils":
                continue
            if not names(packages.get(module, [module])) & (asked | JUPYTER):
                missing.setdefault(module, set()).add(where)
    assert missing == {}


def test_how_to_use_asks_for_them():
    page = (ROOT / "book/how_to_use.md").read_text("utf-8")
    (line,) = (row for row in page.splitlines() if "hosted notebook that" in row)
    assert '".[pages]"' in line
    assert "requirements-weights.txt" in line
