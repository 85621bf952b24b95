"""Questions to Python's syntax trees."""

import ast
import re
from collections.abc import Iterator


def parse(text: str) -> tuple[ast.Module, str | None]:
    """Parse Python; in a notebook's cell, IPython's `%magic` and `!command` as well.

    Args:
        text: a file, or a notebook's cell.

    Returns:
        The syntax tree and None, or an empty tree and what is wrong.
    """
    try:
        return ast.parse(text), None
    except SyntaxError as error:
        fault = f"line {error.lineno}: {error.msg}"
    # Only now: in Python, too, a line may begin with %, the remainder.
    without_magic = re.sub(r"(?m)^(\s*)[%!].*$", r"\1pass", text)
    try:
        return ast.parse(without_magic), None
    except SyntaxError:
        return ast.Module([], []), fault


def called(node: ast.AST) -> str | None:
    """The last name of what a call calls: "show" for `plt.show()`.

    Args:
        node: any node.

    Returns:
        The name; None if the node is no call, or no call of a name.
    """
    return last_name(node.func) if isinstance(node, ast.Call) else None


def last_name(node: ast.AST) -> str | None:
    """The last part of a dotted name: "Tensor" for `torch.Tensor`.

    Args:
        node: any node.

    Returns:
        The name, or None for another node.
    """
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else None


def first_name(node: ast.AST) -> str | None:
    """The first part of what an assignment changes: "plt" for `plt.rcParams["x"]`.

    Args:
        node: any node.

    Returns:
        The name, or None for another node.
    """
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def imported(node: ast.AST) -> list[str]:
    """What an import statement asks for, in full: `from a import b` gives "a.b".

    Args:
        node: any node.

    Returns:
        Dotted names; none for another node and for a relative import.
    """
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and not node.level:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []


def run_on_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes below one that run when its module is imported.

    Bodies of functions do not, nor does what is under `if TYPE_CHECKING` or
    `if __name__ == "__main__"`; decorators, defaults and bodies of classes do.

    Args:
        node: a module, to begin with.

    Yields:
        The nodes, from the outside in.
    """
    yield node
    for field, value in ast.iter_fields(node):
        deferred = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        never = isinstance(node, ast.If) and _is_never_imported(node.test)
        if field == "body" and (deferred or never):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST):
                yield from run_on_import(child)


def strings(tree: ast.AST) -> set[str]:
    """Every string literal.

    Args:
        tree: any node.

    Returns:
        The strings.
    """
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {node.value for node in nodes if isinstance(node.value, str)}


def _is_never_imported(test: ast.expr) -> bool:
    source = ast.unparse(test)
    return last_name(test) == "TYPE_CHECKING" or source == "__name__ == '__main__'"
