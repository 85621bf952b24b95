"""What the book adds to Sphinx: MathJax from the book's own files, and accessibility.

Jupyter Book loads this file through `local_extensions` in `_config.yml`; the files
beside it are its parts.
"""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import live_figures
import page_heads
import search_words
from sphinx.application import Sphinx

# The package brings 24 MB: every input, output and spoken language of MathJax. A page
# of this book needs TeX in, HTML and MathML (for screen readers) out.
MATHJAX_FILES = (
    "startup.js",
    "core.js",
    "input/tex.js",
    "input/tex/extensions/*.js",  # loaded by the page that uses \cancel, \bbox, …
    "output/chtml.js",
    "output/chtml/fonts/tex.js",
    "output/chtml/fonts/woff-v2/*.woff",
    "a11y/assistive-mml.js",
)


def copy_mathjax(app: Sphinx, exception: Exception | None) -> None:
    """Put MathJax beside the pages, so that formulas need no other host."""
    if exception is not None or app.builder.format != "html":
        return
    source = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static/mathjax"
    target = Path(app.outdir, "_static/mathjax")
    for pattern in MATHJAX_FILES:
        for file in source.glob(pattern):
            copy = target / file.relative_to(source)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)


def mend_references(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Make the items of a list of references list items.

    Docutils gives them the role doc-biblioentry, which is deprecated and not allowed
    in a list: a screen reader would announce a list without items.
    """
    context["body"] = context.get("body", "").replace(
        'role="doc-biblioentry"', 'role="listitem"'
    )


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the above to Sphinx."""
    # Jupyter Book sets it whether or not the extension that reads it is loaded.
    app.add_config_value("comments_config", {}, "html")
    app.connect("html-page-context", mend_references)
    app.connect("build-finished", copy_mathjax)
    # The reader's progress stands on every page, in the list of chapters.
    app.add_js_file("progress.js", loading_method="defer")
    for part in (live_figures, page_heads, search_words):
        part.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
