"""Rules on docstrings: what is public says what it takes, gives and comes from."""

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from tools.contract.syntax import called, first_name, last_name
from tools.contract.tree import Module, Tree

Function = ast.FunctionDef | ast.AsyncFunctionDef

_HEADING = re.compile(r"(Args|Attributes|Returns|Yields|Raises|Source):\s*(.*)")
# (N, 4), (..., H, W), (B, classes * K, H / 2, ceil(W / 2)), () and the like; in words,
# "the shape of `image`" and "a scalar" will do.
_SIZE = r"(?:\.\.\.|…|[⌊⌈(]*\w+['′]?(?:\([^()]*\))?[⌋⌉)]*)"
_SIZES = rf"{_SIZE}(?:\s*[-+*/×·^]+\s*{_SIZE})*"
_SHAPE = re.compile(rf"\((?:{_SIZES}(?:,\s*{_SIZES})*,?)?\)|\bshapes?\b|\bscalars?\b")


def chapter_docstrings_say_shapes(book: Tree) -> list[str]:
    """In chapters: Args, shapes of tensors, Returns, Raises and Source."""
    return [
        f"{module.path}: line {node.lineno}: {name}: {fault}"
        for module in book.layer("chapter").values()
        for name, node, owner in _public(module.tree)
        for fault in (
            *_faults(node, owner),
            *_faults_of_shapes(node, owner),
            *_faults_of_raises(node, owner, module),
            *_faults_of_source(node, owner),
        )
    ]


def shared_docstrings_name_arguments(book: Tree) -> list[str]:
    """In common and data, too: Args, shapes of tensors, Returns and Raises.

    A source is asked of chapters alone, which teach what somebody has thought of. A
    module whose own name is private serves its neighbors, and may say less.
    """
    return [
        f"{module.path}: line {node.lineno}: {name}: {fault}"
        for module in book.layer("common", "data").values()
        if not Path(module.path).name.startswith("_")
        for name, node, owner in _public(module.tree)
        for fault in (
            *_faults(node, owner),
            *_faults_of_shapes(node, owner),
            *_faults_of_raises(node, owner, module),
        )
    ]


def _public(
    tree: ast.Module,
) -> Iterator[tuple[str, Function | ast.ClassDef, ast.ClassDef | None]]:
    """Each public function, class and method, as (name, node, its class)."""
    for node in tree.body:
        if not isinstance(node, Function | ast.ClassDef) or node.name.startswith("_"):
            continue
        if "overload" in _decorators(node):
            continue
        yield node.name, node, None
        if isinstance(node, ast.ClassDef):
            for method in node.body:
                public = isinstance(method, Function) and method.name[0] != "_"
                # An overridden method is documented where it is first defined.
                if public and not {"overload", "override"} & _decorators(method):
                    yield f"{node.name}.{method.name}", method, node


def _faults(node: Function | ast.ClassDef, owner: ast.ClassDef | None) -> Iterator[str]:
    sections = _sections(node)
    if sections is None:
        yield "there must be a docstring"
        return
    parameters = {argument.arg for argument in _parameters(node, owner)}
    described = _entries(sections)
    if missing := sorted(parameters - described.keys()):
        yield f"Args must name {', '.join(missing)}"
    unknown = sorted(described.keys() - parameters)
    # A class may also describe what it computes from its arguments.
    if unknown and not isinstance(node, ast.ClassDef):
        yield f"Args names {', '.join(unknown)}, which is no parameter"
    if _gives(node) and not {"Returns", "Yields"} & sections.keys():
        yield "there must be Returns"


def _faults_of_shapes(
    node: Function | ast.ClassDef, owner: ast.ClassDef | None
) -> Iterator[str]:
    sections = _sections(node)
    if sections is None:
        return
    described = _entries(sections)
    for argument in _parameters(node, owner):
        text = described.get(argument.arg)
        if text and _is_tensor(argument.annotation) and not _SHAPE.search(text):
            yield f"{argument.arg} must have a shape, such as (N, 4) or (..., H, W)"
    text = sections.get("Returns", sections.get("Yields"))
    returned = getattr(node, "returns", None)  # a class returns nothing
    if text and _is_tensor(returned) and not _SHAPE.search(text):
        yield "Returns must have a shape, such as (N, 4) or (..., H, W)"


def _faults_of_raises(
    node: Function | ast.ClassDef, owner: ast.ClassDef | None, module: Module
) -> Iterator[str]:
    """What raises says so: by itself, or through a private function of the module."""
    sections = _sections(node)
    if sections is None or owner is not None or "Raises" in sections:
        return
    makers = [node]
    if isinstance(node, ast.ClassDef):  # what its methods raise, they say themselves
        names = ("__init__", "__post_init__")
        makers = [n for n in node.body if getattr(n, "name", None) in names]
    if any(_raises(maker, module.tree) for maker in makers):
        yield "there must be Raises"


def _faults_of_source(
    node: Function | ast.ClassDef, owner: ast.ClassDef | None
) -> Iterator[str]:
    sections = _sections(node)
    if sections is not None and owner is None and not sections.get("Source"):
        yield "there must be Source: paper and place, or 'the definition'"


def _sections(node: Function | ast.ClassDef) -> dict[str, str] | None:
    """The docstring's sections, dedented, by name; None without a docstring."""
    docstring = ast.get_docstring(node)
    if docstring is None:
        return None
    sections: dict[str, str] = {}
    current = None
    for line in docstring.splitlines():
        if match := _HEADING.fullmatch(line):
            current = match[1]
            sections[current] = match[2]
        elif line[:1].strip():
            current = None  # text at the margin ends a section
        elif current:
            sections[current] += "\n" + line
    return {name: inspect.cleandoc("\n" + text) for name, text in sections.items()}


def _entries(sections: dict[str, str]) -> dict[str, str]:
    """What Args (or a class's Attributes) says of each name: `name: text`."""
    entries: dict[str, str] = {}
    names: list[str] = []
    for section in ("Args", "Attributes"):
        for line in sections.get(section, "").splitlines():
            match = re.match(
                r"([*\w]+(?:, [*\w]+)*)(?: \([^)]*\))?:(?:\s+(.*))?$", line
            )
            if match:
                names = [name.lstrip("*") for name in match[1].split(", ")]
                entries |= dict.fromkeys(names, match[2] or "")
            else:
                entries |= {name: f"{entries[name]} {line}" for name in names}
    return entries


def _parameters(
    node: Function | ast.ClassDef, owner: ast.ClassDef | None
) -> list[ast.arg]:
    """What a caller gives; of a class, what its constructor takes."""
    if isinstance(node, ast.ClassDef):
        inits = [n for n in node.body if getattr(n, "name", None) == "__init__"]
        return _parameters(inits[0], node) if inits else _fields(node)
    arguments = _arguments(node)
    bound = owner is not None and "staticmethod" not in _decorators(node)
    # ctx is what torch hands to the static methods of an autograd Function.
    if bound or (owner is not None and arguments and arguments[0].arg == "ctx"):
        arguments = arguments[1:]
    return arguments


def _fields(node: ast.ClassDef) -> list[ast.arg]:
    """The fields of a dataclass or a NamedTuple; other classes have none."""
    bases = {last_name(base) for base in node.bases}
    if "dataclass" not in _decorators(node) and "NamedTuple" not in bases:
        return []
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
    return [
        ast.arg(field.target.id, field.annotation)
        for field in fields
        if isinstance(field.target, ast.Name)
        and not field.target.id.startswith("_")
        and "ClassVar" not in ast.unparse(field.annotation)
    ]


def _arguments(node: Function) -> list[ast.arg]:
    given = node.args
    every = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs]
    return [argument for argument in (*every, given.kwarg) if argument is not None]


def _decorators(node: Function | ast.ClassDef) -> set[str | None]:
    return {called(d) or last_name(d) for d in node.decorator_list}


def _gives(node: Function | ast.ClassDef) -> bool:
    """Whether a function returns something; a property is described as a value."""
    if isinstance(node, ast.ClassDef) or {"property", "cached_property"} & _decorators(
        node
    ):
        return False
    if node.returns is not None:
        return ast.unparse(node.returns) not in ("None", "NoReturn", "Never", "'None'")
    returns = (n for n in _own_nodes(node) if isinstance(n, ast.Return | ast.Yield))
    return any(n.value is not None for n in returns)


def _own_nodes(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, those of functions inside of it left out."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, Function | ast.Lambda | ast.ClassDef):
            yield child
            yield from _own_nodes(child)


def _is_tensor(annotation: ast.expr | None) -> bool:
    """Whether a tensor is in it; what a callable takes has no shape of its own."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    if (
        isinstance(annotation, ast.Subscript)
        and last_name(annotation.value) == "Callable"
    ):
        return False
    if last_name(annotation) == "Tensor":
        return True
    children = ast.iter_child_nodes(annotation)
    return any(_is_tensor(child) for child in children if isinstance(child, ast.expr))


def _raises(node: ast.AST, tree: ast.Module) -> bool:
    """Whether it raises, or calls one of its module or a check that does."""
    defined = {n.name: n for n in tree.body if isinstance(n, Function | ast.ClassDef)}
    seen, waiting = set(), [node]
    while waiting:
        for inner in ast.walk(waiting.pop()):
            if isinstance(inner, ast.Raise):
                return True
            name = first_name(inner.func) if isinstance(inner, ast.Call) else None
            if (name or "").startswith("require_") or name == "size_pair":
                return True  # of common/require.py
            if name in defined and name not in seen:
                seen.add(name)
                waiting.append(defined[name])
    return False
