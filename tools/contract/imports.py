"""Rules on imports: who may ask for whom, and what importing may do."""

import ast
from collections.abc import Collection, Iterator

from tools.contract.notebook import Notebook
from tools.contract.syntax import called, first_name, imported, run_on_import
from tools.contract.tree import Module, Tree

# torch <- common, data <- chapters <- grading <- checks <- notebooks: which layers
# each may ask.
ALLOWED = {
    "common": {"common"},
    "drawing": {"common", "drawing"},
    "data": {"common", "drawing", "data"},
    "chapter": {"common", "data"},  # and chapters that stand before it in _toc.yml
    "grading": {"common", "data", "grading"},
    "checks": {"common", "data", "grading"},  # and its own chapter
    "package": {"common", "data", "grading"},
}

# Layers that serve those above them, and that no reader asks for.
PRIVATE = ("drawing", "grading")

# Folders of the repository that are no part of the package.
OUTSIDE = ("benchmarks", "studies", "tests", "tools")

# A GPU server often has torch and none of these: import them where they are used.
HEAVY = {
    "d2l",
    "IPython",
    "ipywidgets",
    "jupyter",
    "jupyter_client",
    "jupyter_core",
    "lightning",
    "lightning_fabric",
    "nbclient",
    "nbformat",
    "notebook",
    "pytorch_lightning",
}

# Calls that print, draw from or set something global, or reach for a network or disk,
# even if their result is kept.
CONFIGURING = {
    "basicConfig",
    "download",
    "filterwarnings",
    "manual_seed",
    "mkdir",
    "print",
    "retrieve",
    "seed",
    "seed_everything",
    "set_default_device",
    "set_default_dtype",
    "set_num_threads",
    "set_printoptions",
    "simplefilter",
    "urlopen",
    "urlretrieve",
    "use_deterministic_algorithms",
}


def layers_are_kept(book: Tree) -> list[str]:
    """What is imported lies below: common, data, then chapters, then checks.

    A chapter may ask for a chapter before it: the reader has been there.
    """
    layers = {module.dotted: module.layer for module in book.modules}
    order = [f"lesson_utils.{file.rsplit('/', 1)[-1]}" for _, file in book.toc]
    complaints = []
    for module in book.modules:
        for line, name in _asked_for(module.tree):
            if not _may_import(module, name, layers, order):
                complaints.append(
                    f"{module.path}: line {line}: the layer {module.layer} must not "
                    f"import {name}, or it is not there"
                )
    return complaints


def notebooks_import_what_is_public(book: Tree) -> list[str]:
    """A notebook asks for what is there and public; not for tests, tools, answers."""
    modules = {module.dotted for module in book.modules}
    closed = {
        module.dotted
        for module in book.modules
        if module.layer in ("checks", *PRIVATE) and module.stem != "__init__"
    }
    complaints = []
    for notebook in book.notebooks:
        for cell in notebook.code:
            for _, name in _asked_for(cell.parsed[0]):
                target = _module_of(name, modules)
                private = any(part.startswith("_") for part in name.split(".")[1:])
                if name.split(".")[0] in OUTSIDE or (
                    name.startswith("lesson_utils.")
                    and (private or target in closed or target is None)
                ):
                    complaints.append(
                        f"{cell.place}: a notebook must not import {name}: it is "
                        "private, or not there, or gives answers away"
                    )
    return complaints


def imports_are_absolute(book: Tree) -> list[str]:
    """No relative import and no `import *`, in modules and in notebooks."""
    complaints = []
    for place, tree in _all_code(book):
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (
                node.level or node.names[0].name == "*"
            ):
                complaints.append(
                    f"{place}: line {node.lineno}: {ast.unparse(node)!r} must name "
                    "the module in full, and each thing it takes from there"
                )
    return complaints


def nothing_is_exported_again(book: Tree) -> list[str]:
    """`__init__.py` imports nothing but in checks, and there is no `__all__`."""
    complaints = []
    for module in book.modules:
        collects = module.path == "lesson_utils/checks/__init__.py"
        if module.stem == "__init__" and not collects:
            complaints += [
                f"{module.path}: line {node.lineno}: __init__.py must import nothing, "
                "so that a name is found in one place"
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Import | ast.ImportFrom)
            ]
        complaints += [
            f"{module.path}: line {node.lineno}: there must be no __all__"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.Name) and node.id == "__all__"
        ]
    return complaints


def modules_import_without_jupyter(book: Tree) -> list[str]:
    """Chapter modules, common and data need no Jupyter, d2l or Lightning to import."""
    light = (
        m for m in book.modules if m.layer in ("chapter", "common", "data", "drawing")
    )
    return [
        f"{module.path}: line {node.lineno}: {name} must be imported in the function "
        "that uses it: not every machine has it"
        for module in light
        for node in run_on_import(module.tree)
        for name in imported(node)
        if name.split(".")[0] in HEAVY
    ]


def importing_does_nothing(book: Tree) -> list[str]:
    """Importing a module prints, downloads and configures nothing."""
    complaints = []
    for module in book.modules:
        if module.stem == "__main__":
            continue
        names = _imported_names(module.tree)
        complaints += [
            f"{module.path}: line {node.lineno}: importing must do nothing, but this "
            f"runs: {ast.unparse(node).splitlines()[0]}"
            for node in run_on_import(module.tree)
            if _does_something(node, names)
        ]
    return complaints


def _asked_for(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every import, wherever it stands, as (line, name in full)."""
    for node in ast.walk(tree):
        for name in imported(node):
            yield node.lineno, name


def _module_of(name: str, modules: Collection[str]) -> str | None:
    """The module asked for: `a.b.c` is the module c, or the name c in the module b."""
    for target in (name, name.rpartition(".")[0]):
        if target in modules and target != "lesson_utils":  # which holds no names
            return target
    return None


def _may_import(
    module: Module, name: str, layers: dict[str, str], order: list[str]
) -> bool:
    top, _, rest = name.partition(".")
    if top != "lesson_utils":
        return top not in OUTSIDE
    if not rest:
        return True  # the bare package holds nothing
    target = _module_of(name, layers)
    if target is None or target == module.dotted:
        return False
    own = (f"lesson_utils.{module.stem}", "lesson_utils.grading.exercise")
    if module.layer == "checks" and target in own:
        return True
    if module.layer == "chapter" and module.dotted in order:
        return layers[target] in ALLOWED["chapter"] or (
            target in order[: order.index(module.dotted)]
        )
    return layers[target] in ALLOWED.get(module.layer, ())


def _all_code(book: Tree) -> Iterator[tuple[str, ast.Module]]:
    for module in book.modules:
        yield module.path, module.tree
    for notebook in book.notebooks:
        yield from _code_of(notebook)


def _code_of(notebook: Notebook) -> Iterator[tuple[str, ast.Module]]:
    for cell in notebook.code:
        yield cell.place, cell.parsed[0]


def _imported_names(tree: ast.Module) -> set[str]:
    return {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }


def _does_something(node: ast.AST, imported_names: set[str]) -> bool:
    """A call for its effect, or a change of what another module holds."""
    if isinstance(node, ast.Call):
        return called(node) in CONFIGURING
    if isinstance(node, ast.Expr):
        call = isinstance(node.value, ast.Call)
        return call and called(node.value) not in CONFIGURING  # or it counts twice
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any(
            isinstance(target, ast.Attribute | ast.Subscript)
            and first_name(target) in imported_names
            for target in targets
        )
    return False
