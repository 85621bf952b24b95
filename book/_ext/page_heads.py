"""What a page says of itself: title, description, preview where it is linked to, map.

An address that others can follow is known only where the book is published: with
`html: baseurl:` in `_config.yml` each page names its own, and there is a `sitemap.xml`.
"""

import json
from html import escape
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape as escape_xml

from docutils import nodes
from sphinx.application import Sphinx

SUBTITLE = "a course on deep computer vision"
COVER = "_static/cover.webp"  # 600 x 400
COVER_ALT = "A cup of espresso with a starry sky in place of the coffee"


def describe(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write a page's title, description and preview into its head."""
    book = app.config.html_title or app.config.project
    front = page == app.config.root_doc
    title = _plain(app, page) or context.get("title", "")
    context["head_title"] = f"{book}: {SUBTITLE}" if front else f"{title} · {book}"
    if front:
        context["body"] += _contents(app)
    if doctree is None:
        return
    base = app.config.html_baseurl
    cover = base.rstrip("/") + "/" + COVER if base else context["pathto"](COVER, 1)
    properties = {
        "og:site_name": book,
        "og:type": "website" if front else "article",
        "og:title": context["head_title"] if front else title,
        "og:description": (description := _promise(doctree)),
        "og:image": cover,
        "og:image:alt": COVER_ALT,
    }
    if base:
        properties["og:url"] = context["pageurl"]
    tags = [
        f'<meta name="description" content="{escape(description)}" />',
        '<meta name="twitter:card" content="summary_large_image" />',
        *(
            f'<meta property="{name}" content="{escape(str(value))}" />'
            for name, value in properties.items()
        ),
    ]
    context["metatags"] = context.get("metatags", "") + "\n    ".join(["", *tags, ""])


def _plain(app: Sphinx, page: str) -> str:
    title = app.env.titles.get(page)
    return title.astext() if title else ""


def _promise(doctree: nodes.document) -> str:
    """The first paragraph of a page, on one line."""
    paragraph = next(iter(doctree.findall(nodes.paragraph)), None)
    return " ".join(paragraph.astext().split()) if paragraph else ""


def _contents(app: Sphinx) -> str:
    """The exercises of each chapter, for the front page to count what is done."""
    chapters: dict[str, list[str]] = {}
    for label, entry in getattr(app.env, "sphinx_exercise_registry", {}).items():
        if entry["type"] == "exercise":
            chapters.setdefault(entry["docname"], []).append(label)
    # "</" would end the script.
    text = json.dumps(chapters).replace("</", "<\\/")
    return f'<script type="application/json" id="lc-contents">{text}</script>'


def write_map(app: Sphinx, exception: Exception | None) -> None:
    """Write the addresses of all pages, if the book has one."""
    base = app.config.html_baseurl
    if exception is not None or app.builder.format != "html" or not base:
        return
    pages = sorted(app.env.found_docs)
    addresses = (f"{base.rstrip('/')}/{app.builder.get_target_uri(p)}" for p in pages)
    lines = [f"  <url><loc>{escape_xml(address)}</loc></url>" for address in addresses]
    text = "\n".join(
        [
            '<?xml version="1.0" encoding="utf-8"?>',
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">',
            *lines,
            "</urlset>\n",
        ]
    )
    Path(app.outdir, "sitemap.xml").write_text(text, "utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx."""
    app.connect("html-page-context", describe)
    app.connect("build-finished", write_map)
