"""Rules on pictures: enough of them, and each put in words as well."""

import ast
import re

from tools.contract.markdown import directives, outside_fences
from tools.contract.tree import Tree

FIGURES = (
    "show_figure",
    "show_images",
    "show_boxes",
    "show_animation",
    "show_slider",
)
FEWEST = 5
ALT_LENGTH = 20  # characters; less says "a plot", not what it shows


def chapters_have_figures(book: Tree) -> list[str]:
    """A chapter has at least five figures."""
    complaints = []
    for notebook in book.notebooks:
        number = sum(len(cell.calls(*FIGURES)) for cell in notebook.code)
        if number < FEWEST:
            complaints.append(
                f"{notebook.path}: whole chapter: there must be at least {FEWEST} "
                f"figures, got {number}"
            )
    return complaints


def figures_are_described(book: Tree) -> list[str]:
    """Each figure has a caption, and an `alt` written out in the call."""
    complaints = []
    for notebook in book.notebooks:
        for cell in notebook.code:
            for call in cell.calls(*FIGURES):
                given = {word.arg: word.value for word in call.keywords}
                if len(_literal(given.get("alt"))) < ALT_LENGTH:
                    complaints.append(
                        f"{cell.place}: a figure must have alt=, a literal string of "
                        f"at least {ALT_LENGTH} characters"
                    )
                caption = given.get("caption")
                empty = isinstance(caption, ast.Constant) and not _literal(caption)
                if caption is None or empty:
                    complaints.append(f"{cell.place}: a figure must have caption=")
    return complaints


def figures_are_shown_one_way(book: Tree) -> list[str]:
    """No pyplot and no `.show()`: they show pictures without words."""
    complaints = []
    for notebook in book.notebooks:
        for cell in notebook.code:
            complaints += [
                f"{cell.place}: {ast.unparse(call)} must be one of {', '.join(FIGURES)}"
                for call in cell.calls("show")
            ]
            if re.search(
                r"\b(matplotlib\.pyplot|matplotlib import pyplot)\b", cell.source
            ):
                complaints.append(
                    f"{cell.place}: figures must come from new_figure, not from "
                    "pyplot, which shows them without a caption"
                )
    return complaints


def markdown_images_are_described(book: Tree) -> list[str]:
    """Pictures in Markdown have alternative text, and none is pasted in as base64."""
    texts = {cell.place: cell.source for n in book.notebooks for cell in n.markdown}
    texts |= {f"{path}: page": text for path, text in book.pages.items()}
    complaints = []
    for place, text in texts.items():
        plain = outside_fences(text)
        bare = re.search(r"!\[\s*\]", plain) or any(
            not re.search(r"\balt=[\"'][^\"']*\w", tag)
            for tag in re.findall(r"(?s)<img\b.*?>", plain)
        )
        bare = bare or any(
            len(d.options.get("alt", "").strip()) == 0
            for d in directives(text)
            if d.name in ("image", "figure")
        )
        if bare:
            complaints.append(f"{place}: a picture must have alternative text")
        if "base64," in text:
            complaints.append(f"{place}: no picture must be pasted in as base64")
    for notebook in book.notebooks:
        complaints += [
            f"{cell.place}: no picture must be attached to a cell"
            for cell in notebook.cells
            if cell.raw.get("attachments")
        ]
    return complaints


def _literal(node: ast.expr | None) -> str:
    """The string a literal holds; empty for anything else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.strip()
    return ""
