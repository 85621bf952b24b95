"""What the book adds to Sphinx, tried on a book of two pages."""

import json
import re
from pathlib import Path

import pytest
from live_figures import FIGURES, STILLS, slim
from search_words import SearchBook
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace, patch_docutils

ROOT = Path(__file__).resolve().parents[1]

FRONT = """\
# A book

It promises *something*, and "more".

```{toctree}
stencils
```
"""
CHAPTER = """\
# Stencils & more

A stencil keeps $x$ of what lies under it.

:::{live} boxes
Drag a box.
:::

```python
stencils.keep(1)
```

## In Chinese

| term | 中文 | what it is |
|---|---|---|
| stencil | 掩膜 | what keeps |
"""
MODULE = '''
def keep(x):
    """Keep."""


class Stencil:
    pass


def _hidden():
    pass
'''


EXTENSIONS = ("live_figures", "page_heads", "search_words")


@pytest.fixture
def build(tmp_path):
    """A function that builds the two pages, with some settings."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "index.md").write_text(FRONT)
    (source / "stencils.md").write_text(CHAPTER)
    (source / "lesson_utils").mkdir()
    (source / "lesson_utils/stencils.py").write_text(MODULE)

    def build(**settings):
        out = tmp_path / "html"
        with patch_docutils(), docutils_namespace():
            app = Sphinx(
                source,
                None,
                out,
                tmp_path / "doctrees",
                "html",
                confoverrides={
                    "extensions": ["myst_parser", *EXTENSIONS],
                    "myst_enable_extensions": ["colon_fence", "dollarmath"],
                    "project": "The book",
                    "html_title": "The book",
                    "html_static_path": [str(ROOT / "book/_static")],
                    "templates_path": [str(ROOT / "book/_templates")],
                    **settings,
                },
                status=None,
                warning=None,
                warningiserror=True,
            )
            app.build()
        return out

    build.source = source
    return build


def index_of(out):
    text = (out / "searchindex.js").read_text("utf-8")
    assert ", " not in text[:300]  # no spaces that nobody reads
    return json.loads(text[text.index("(") + 1 : text.rindex(")")])


def test_a_page_says_what_it_is(build):
    out = build()
    front = (out / "index.html").read_text("utf-8")
    assert "<title>The book: a course on deep computer vision</title>" in front
    page = (out / "stencils.html").read_text("utf-8")
    assert "<title>Stencils &amp; more · The book</title>" in page
    assert '<meta property="og:title" content="Stencils &amp; more" />' in page
    promise = 'content="It promises something, and “more”." />'
    for name in ('name="description"', 'property="og:description"'):
        assert f"<meta {name} {promise}" in front
    assert 'property="og:image" content="_static/cover.webp"' in page
    # Without an address nobody is told one.
    assert "canonical" not in page
    assert not (out / "sitemap.xml").exists()


def test_a_published_book_has_a_map_and_addresses(build):
    out = build(html_baseurl="https://example.org/book/")
    found = re.findall("<loc>(.*?)</loc>", (out / "sitemap.xml").read_text("utf-8"))
    names = ("index.html", "stencils.html")
    assert found == [f"https://example.org/book/{name}" for name in names]
    page = (out / "stencils.html").read_text("utf-8")
    assert '<link rel="canonical" href="https://example.org/book/stencils.html"' in page
    assert 'content="https://example.org/book/_static/cover.webp"' in page
    assert 'property="og:url" content="https://example.org/book/stencils.html"' in page


def test_functions_and_terms_are_objects(build):
    out = build()
    objects = index_of(out)["objects"][""]
    found = {entry[4]: entry[3] for entry in objects}
    # "Stencil" is of the module, though the page does not call it.
    assert found == {"keep": "def-keep", "Stencil": "", "stencil · 掩膜": "in-chinese"}
    assert 'id="def-keep"' in (out / "stencils.html").read_text("utf-8")


def test_the_text_of_a_page_is_written_for_excerpts(build):
    text = (build() / "_texts/stencils.js").read_text("utf-8")
    assert text.startswith("Excerpts.take(...[")
    page, pieces = json.loads(text[len("Excerpts.take(...") : text.rindex(")")])
    assert page == "stencils"
    assert pieces[0] == ["stencils-more", "Stencils & more", 0]
    assert ["", "A stencil keeps … of what lies under it.", 0] in pieces
    assert ["def-keep", "stencils.keep(1)", 1] in pieces
    assert ["", "stencil · 掩膜 · what keeps", 0] in pieces


def test_a_figure_stands_in_its_page_with_its_scripts(build):
    out = build()
    page = (out / "stencils.html").read_text("utf-8")
    assert '<figure class="lc-figure lc-live" data-live="boxes">' in page
    assert "<figcaption><p>Drag a box.</p>" in page
    assert (STILLS / "boxes.html").read_text("utf-8") in page
    assert page.index("figures/live.js") < page.index("figures/boxes.js")
    assert "figures/layers.js" not in page
    assert "figures/" not in (out / "index.html").read_text("utf-8")


@pytest.mark.parametrize("block", ["boxes\n", "cubes\nA caption.\n"])
def test_a_figure_that_is_not_one_stops_the_build(block, build):
    page = build.source / "stencils.md"
    page.write_text(CHAPTER.replace("boxes\nDrag a box.\n", block))
    with pytest.raises(Exception, match="live must name one of boxes, suppression"):
        build()


def test_every_figure_has_its_script_and_its_still_picture():
    for name, script in FIGURES.items():
        text = (ROOT / "book/_static/figures" / script).read_text("utf-8")
        assert f'Live.figure("{name}"' in text
        assert (STILLS / f"{name}.html").is_file()


@pytest.mark.parametrize(
    ("script", "short"),
    [
        ("/* What it is,\n   in two lines. */\n\nconst a = 1;\n", "const a=1;\n"),
        ("f(a, b); // why\n", "f(a,b);\n"),
        ("  // alone\n  return x;\n", "return x;\n"),
        ('say("a  //  b", `c  ${d}  e`);', 'say("a  //  b",`c  ${d}  e`);\n'),
        ("const { a } = b ?? {};", "const{a}=b??{};\n"),
        ("for (const k of list) x += k;", "for(const k of list)x+=k;\n"),
    ],
)
def test_scripts_lose_what_only_authors_read(script, short):
    assert slim(script) == short


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("masked_mean(x)", ["masked_mean", "x"]),
        ("掩膜", ["掩膜"]),
        ("核", ["核"]),
        ("非极大值抑制", ["非极", "极大", "大值", "值抑", "抑制"]),
        ("Alpha合成", ["Alpha", "合成"]),
        ("", []),
    ],
)
def test_text_is_cut_into_words(text, words):
    assert SearchBook({}).split(text) == words
