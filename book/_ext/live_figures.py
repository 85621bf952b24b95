"""Figures that a page computes by itself: the directive that puts them there.

    :::{live} boxes
    What to try, and what to look at.
    :::

A figure is a script in `book/_static/figures`; a still picture for readers without
scripts, in `stills` beside this file (`python -m tools.stills` takes it from the
script); and a caption, which is all that plain Jupyter shows.
"""

import base64
import io
import re
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# Each figure by the script that draws it.
FIGURES = {
    "boxes": "boxes.js",
    "suppression": "suppression.js",
    "fields": "layers.js",
    "arithmetic": "layers.js",
    "masked_mean": "masked_mean.js",
}
STILLS = Path(__file__).with_name("stills")


class Live(SphinxDirective):
    """The directive `live`: an argument out of `FIGURES`, and content, the caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The figure: raw HTML round a caption that is parsed as any text."""
        (name,) = self.arguments
        if name not in FIGURES or not self.content:
            known = ", ".join(FIGURES)
            raise self.error(
                f"live must name one of {known}, with a caption, got {name}"
            )
        still = (STILLS / f"{name}.html").read_text("utf-8")
        begin = nodes.raw("", stage(name, still) + "<figcaption>", format="html")
        begin["live"] = name
        end = nodes.raw("", "</figcaption></figure>", format="html")
        return [begin, *self.parse_content_to_nodes(), end]


def stage(name: str, still: str) -> str:
    """A figure before its script has run, its caption and its end left open.

    Args:
        name: one of `FIGURES`.
        still: HTML of the picture for readers without scripts.

    Returns:
        HTML.
    """
    photograph = _photograph() if name == "masked_mean" else ""
    return (
        f'<figure class="lc-figure lc-live" data-live="{name}">'
        f"<div>{photograph}{still}</div>"
    )


def _photograph() -> str:
    """An astronaut in 128 x 128 pixels, without loss: the page computes with them."""
    import torch.nn.functional as F
    from PIL import Image

    from lesson_utils.data.photographs import photograph

    image = photograph("astronaut")[:, :384, 32:416]
    small = F.interpolate(image[None], (128, 128), mode="area")[0]
    pixels = small.mul(255).round().byte().permute(1, 2, 0).numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True, method=6)
    # In the page itself: a script may not read pixels that came from file://.
    data = base64.b64encode(file.getvalue()).decode()
    alt = escape("An astronaut before a flag and a model of the shuttle.")
    return f'<img src="data:image/webp;base64,{data}" alt="{alt}">'


def slim(script: str) -> str:
    """A script without comments, and without white space where it says nothing.

    Args:
        script: JavaScript whose statements end in semicolons, and in whose template
            literals there are no others.

    Returns:
        What a browser understands alike.
    """
    string = r'`[^`]*`|"[^"\n]*"'
    comment = re.compile(rf"({string})|/\*.*?\*/|//[^\n]*", re.DOTALL)
    script = comment.sub(lambda found: found[1] or "", script)
    parts = re.split(f"({string})", script)
    for index in range(0, len(parts), 2):  # between strings
        code = re.sub(r"\s+", " ", parts[index])
        parts[index] = re.sub(r" ?([^\w\s$#/]) ?", r"\1", code)
    return "".join(parts).strip() + "\n"


def load_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Let a page load the scripts of the figures that stand on it, and no others."""
    raws = doctree.findall(nodes.raw) if doctree else ()
    names = [FIGURES[raw["live"]] for raw in raws if "live" in raw]
    for script in dict.fromkeys(["live.js", *names] if names else ()):
        app.add_js_file(f"figures/{script}", loading_method="defer")


def slim_scripts(app: Sphinx, exception: Exception | None) -> None:
    """Leave out of the built scripts what only authors read."""
    if exception is None and app.builder.format == "html":
        for file in Path(app.outdir, "_static/figures").glob("*.js"):
            file.write_text(slim(file.read_text("utf-8")), "utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx."""
    app.add_directive("live", Live)
    app.connect("html-page-context", load_scripts)
    app.connect("build-finished", slim_scripts)
