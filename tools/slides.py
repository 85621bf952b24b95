"""The core path of each chapter as a slide show.

    python -m tools.slides [STEM ...] [--out _build/slides]

For each chapter, all of them by default, it writes `STEM.ipynb`, the core path with
slide types, for `jupyter nbconvert --to slides` and its kin, and `STEM.html`, the same
as a show that needs no network: arrow keys turn it. A plain version has a slide of its
own. Code that only draws is left out; its pictures are there if `make book` has run.
"""

import argparse
import html as markup
import os
import re
import sys
from pathlib import Path

import nbformat
from nbconvert import HTMLExporter
from nbformat import NotebookNode

from tools.contract.length import parts_of
from tools.contract.notebook import Cell, Notebook, read_notebook
from tools.contract.tree import Tree
from tools.files import write_notebook, write_whole
from tools.run_notebook import executed_copy
from tools.serve import ROOT

OUT = ROOT / "_build" / "slides"
HIDDEN = {"hide-input", "remove-input"}
# A role of MyST's, such as {cite:p}`key`; slides show what is in it.
_ROLE = re.compile(r"\{[\w:-]+\}`([^`<]+?)\s*(?:<[^`]*>)?`")
# Directives lose their fences and options, and keep what they hold.
_DIRECTIVE = re.compile(r"(?ms)^([`:]{3,})\{[^}]*\}[^\n]*\n(?::\w+:[^\n]*\n)*(.*?)^\1$")
PAGE = """\
<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>TITLE · Look Closer, slides</title>
<style>
body { margin: 0; background: #fffefb; color: #24211c; font: 1.5rem/1.5 sans-serif; }
section { display: none; box-sizing: border-box; height: 100vh; overflow: auto; }
section { padding: 4vh 7vw 8vh; }
section:target, body:not(:has(:target)) section:first-of-type { display: block; }
h1, h2, h3 { font-family: serif; line-height: 1.2; margin: 0 0 0.6em; }
pre { font-size: 1.15rem; line-height: 1.4; overflow: auto; padding: 0.8rem; }
.input_area pre, .highlight { background: #f5f2ec; }
figure { margin: 0; }
figure img, img { max-width: 100%; max-height: 66vh; background: #fff; }
.prompt, .anchor-link { display: none; }
table { border-collapse: collapse; font-size: 1.2rem; }
td, th { padding: 0.2em 0.9em 0.2em 0; text-align: left; vertical-align: top; }
footer { position: fixed; right: 2vw; bottom: 2vh; font-size: 1rem; color: #6b655a; }
HIGHLIGHT
@media print { section { display: block; height: auto; break-after: page; } }
</style>
SLIDES
<footer aria-live="polite"></footer>
<script>
const slides = [...document.querySelectorAll("section")];
const here = slide => "#" + slide.id === location.hash;
const at = () => Math.max(slides.findIndex(here), 0);
function show() {
  document.querySelector("footer").textContent = `${at() + 1} / ${slides.length}`;
  slides[at()].focus();
}
addEventListener("hashchange", show);
addEventListener("keydown", event => {
  const by = {ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1}[event.key];
  if (!by || event.target.matches("input, button, summary")) return;
  event.preventDefault();
  location.hash = slides[Math.min(Math.max(at() + by, 0), slides.length - 1)].id;
});
show();
MathJax = {
  loader: {load: ["core", "input/tex", "output/chtml"]},
  tex: {inlineMath: [["$", "$"], ["\\\\(", "\\\\)"]]},
};
</script>
<script src="MATHJAX/startup.js" defer></script>
</html>
"""


def core_path(chapter: Notebook) -> NotebookNode:
    """The core path of a chapter as a notebook with slide types.

    Args:
        chapter: a notebook, executed or not.

    Returns:
        A notebook: a slide begins at each heading, at each plain version, and after it.
    """
    slides = nbformat.v4.new_notebook()
    alone = False  # whether the cell before has its slide for itself
    pieces = (
        (cell, piece)
        for cell, text in parts_of(chapter)["core"]
        for piece in re.split(r"(?m)^(?=### )", text if cell.kind == "markdown" else "")
    )
    for cell, text in pieces:
        made = _markdown(text) if cell.kind == "markdown" else _code(cell)
        if made is None:
            continue
        plain = "plain-version" in cell.tags
        title_only = slides.cells and re.fullmatch(r"#.*", slides.cells[-1].source)
        begins = not slides.cells or text.startswith("#") or plain or alone
        begins = begins and not title_only
        made.metadata["slideshow"] = {"slide_type": "slide" if begins else "-"}
        slides.cells.append(made)
        alone = plain
    # In files texts are lists of lines; reading joins them.
    return nbformat.reads(nbformat.writes(slides), as_version=4)


def _markdown(text: str) -> NotebookNode | None:
    text = _DIRECTIVE.sub(r"\2", _ROLE.sub(r"\1", text)).strip()
    return nbformat.v4.new_markdown_cell(text) if text else None


def _code(cell: Cell) -> NotebookNode | None:
    """A cell as one sees it: without code that is folded, or nothing at all."""
    if cell.kind != "code":
        return None
    made = nbformat.from_dict(cell.raw)
    made = nbformat.v4.new_code_cell(cell.source, outputs=made.get("outputs", []))
    if HIDDEN & cell.tags:
        made.metadata["tags"] = ["remove-input"]
        return made if made.outputs else None
    return made


def show(slides: NotebookNode, title: str, mathjax: str) -> str:
    """The show as one page.

    Args:
        slides: as `core_path` returns them.
        title: the chapter's.
        mathjax: the address of the folder that holds MathJax.

    Returns:
        HTML.
    """
    exporter = HTMLExporter(template_name="basic")
    groups: list[list[NotebookNode]] = []
    for cell in slides.cells:
        if cell.metadata.slideshow.slide_type == "slide":
            groups.append([])
        groups[-1].append(cell)
    sections = []
    for number, cells in enumerate(groups, 1):
        shown = [cell.copy() for cell in cells]
        for cell in shown:
            if "remove-input" in cell.metadata.get("tags", []):
                cell.metadata = cell.metadata | {"transient": {"remove_source": True}}
        body, _ = exporter.from_notebook_node(nbformat.v4.new_notebook(cells=shown))
        sections.append(f'<section id="{number}" tabindex="-1">\n{body}</section>')
    parts = {
        "TITLE": markup.escape(title),
        "SLIDES": "\n".join(sections),
        "HIGHLIGHT": _highlight(),
        "MATHJAX": mathjax,
    }
    return re.sub("|".join(parts), lambda found: parts[found[0]], PAGE)


def _highlight() -> str:
    from pygments.formatters import HtmlFormatter

    return HtmlFormatter(style="friendly").get_style_defs(".highlight")


def write(root: Path, stem: str, out: Path) -> Path:
    """Write a chapter's slides.

    Args:
        root: the repository.
        stem: the chapter's.
        out: the folder to write to; made if it is not there.

    Returns:
        The page.

    Raises:
        ValueError: `stem` is no chapter of `_toc.yml`.
    """
    chapters = {notebook.stem: notebook for notebook in Tree(root).chapters}
    if stem not in chapters:
        raise ValueError(f"stem must be one of {', '.join(chapters)}, got {stem!r}")
    chapter = chapters[stem]
    executed = executed_copy(root, root / chapter.path)
    if executed.is_file():
        chapter = read_notebook(root, executed.relative_to(root).as_posix())
    slides = core_path(chapter)
    write_notebook(out / f"{stem}.ipynb", slides)
    mathjax = root / "_build" / "html" / "_static" / "mathjax"
    page = out / f"{stem}.html"
    place = Path(os.path.relpath(mathjax, out)).as_posix()
    write_whole(page, show(slides, chapters[stem].title, place))
    return page


def main() -> None:
    """Write the slides of some chapters, or of all."""
    parser = argparse.ArgumentParser(prog="python -m tools.slides")
    parser.add_argument("stem", nargs="*", help="a chapter, such as masks; all if none")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    try:
        for stem in given.stem or [n.stem for n in Tree(ROOT).chapters]:
            print(write(ROOT, stem, given.out))
    except (ValueError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
