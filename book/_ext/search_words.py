"""Searching the book: spellings, Chinese, names of functions, and excerpts.

Sphinx's own search is kept, with its index in the page. Added here are

- a language that knows British and American spellings and cuts Chinese into pairs of
  characters, on both sides: as the index is made, and as a query is read;
- functions that a page shows and the terms of its table *In Chinese*, as objects, which
  the search lists first, with their place on the page;
- the text of each page as a script, since a page from file:// may load no other file.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains import Domain, ObjType
from sphinx.search.en import SearchEnglish

# British to American, applied in order to a word in lower case. It need not be English
# that comes out, as long as both spellings come out alike: "raise" is "raize" too.
# In what Python and JavaScript both read; $1 is the first group.
SPELLINGS = (
    (r"is(e|ed|es|er|ers|ing|ation|ations)$", "iz$1"),
    (r"ys(e|ed|es|er|ers|ing)$", "yz$1"),
    (r"([a-z]{2,})our(s|ed|ing|ful|hood|hoods|less|able|al|ite|)$", "$1or$2"),
    (r"(cent|met|lit|fib|calib|theat)re(s|)$", "$1er$2"),
    (r"centr(ed|ing)$", "center$1"),
    (r"([aeiou][a-z]*[^aeiou][aeu])ll(ed|ing|er|ers)$", "$1l$2"),
    (r"^grey", "gray"),
    (r"ogue(s|)$", "og$1"),
    (r"(def|off|lic)ence(s|)$", "$1ense$2"),
    (r"^artef", "artif"),
    (r"dgement(s|)$", "dgment$1"),
    (r"programme(s|)$", "program$1"),
    (r"^sceptic", "skeptic"),
    (r"^(learn|spell)t$", "$1ed"),
)
HAN = "\u3400-\u4dbf\u4e00-\u9fff"

_SPLIT = """
const HAN = /[%(han)s]/u;
var splitQuery = (query) => query
  .split(/[^\\p{Letter}\\p{Number}_]+/gu)
  .flatMap((word) => word.match(/[%(han)s]+|[^%(han)s]+/gu) ?? [])
  .flatMap((run) => HAN.test(run) && run.length > 2
    ? Array.from(run.slice(1), (_, k) => run.slice(k, k + 2)) : [run]);
"""
_STEM = """
var Stemmer = ((Porter) => function () {
  const porter = new Porter();
  const spellings = %s.map(([from, to]) => [new RegExp(from), to]);
  this.stemWord = (word) => porter.stemWord(
    spellings.reduce((spelled, [from, to]) => spelled.replace(from, to), word));
})(Stemmer);
"""

_VOWEL_CONSONANT = re.compile("([^aeiou][^aeiouy]*)?[aeiouy][aeiou]*[^aeiou]")


class SearchBook(SearchEnglish):
    """English in two spellings, with Chinese in between."""

    js_splitter_code = _SPLIT % {"han": HAN}
    js_stemmer_code = SearchEnglish.js_stemmer_code + _STEM % json.dumps(SPELLINGS)

    def split(self, text: str) -> list[str]:
        """Words; of Chinese, which has no spaces, all pairs of neighbors."""
        found = []
        for run in re.findall(f"[{HAN}]+|[^\\W{HAN}]+", text):
            if len(run) > 2 and re.match(f"[{HAN}]", run):
                found += [run[k : k + 2] for k in range(len(run) - 1)]
            else:
                found.append(run)
        return found

    def stem(self, word: str) -> str:
        """The stem of a word, the same for both spellings."""
        word = word.lower()
        for pattern, spelling in SPELLINGS:
            word = re.sub(pattern, spelling.replace("$", "\\"), word, count=1)
        # Short words, and -logi: what the page's program does, and Python's does not.
        if len(word) <= 2:
            return word
        found = super().stem(word)
        head = found.removesuffix("logi")
        # As the script has it: only behind a vowel with a consonant, not in "xlogy".
        return f"{head}log" if head != found and _VOWEL_CONSONANT.match(head) else found


class Course(Domain):
    """What the chapters define: functions they show, and terms."""

    name = "course"
    label = "Course"
    object_types: ClassVar = {
        kind: ObjType(kind) for kind in ("function", "class", "term")
    }
    initial_data: ClassVar = {"objects": []}

    def get_type_name(self, kind: ObjType, primary: bool = False) -> str:
        """What stands behind a name that was found: "function, in Masks"."""
        return kind.lname

    def clear_doc(self, docname: str) -> None:
        """Forget a page that is read anew."""
        objects = self.data["objects"]
        self.data["objects"] = [one for one in objects if one[2] != docname]

    def merge_domaindata(self, docnames: list[str], otherdata: dict) -> None:
        """Take over what another process has read."""
        objects = otherdata["objects"]
        self.data["objects"] += [one for one in objects if one[2] in docnames]

    def get_objects(self) -> Iterator[tuple[str, str, str, str, str, int]]:
        """As Sphinx asks for them: name, name, type, page, place, importance."""
        for name, kind, page, anchor in self.data["objects"]:
            yield name, name, kind, page, anchor, 1


def note_objects(app: Sphinx, doctree: nodes.document) -> None:
    """Note what a page that has been read defines, and mark its places."""
    page = app.env.docname
    places = {**_functions(app, doctree), **_terms(doctree)}
    app.env.get_domain("course").data["objects"] += [
        (name, kind, page, anchor) for name, (kind, anchor) in places.items()
    ]


def _functions(app: Sphinx, doctree: nodes.document) -> dict[str, tuple[str, str]]:
    """What a chapter shows the source of, and what else there is in its module.

    Returns:
        The kind and the place of each: its source, or the first code that calls it.
    """
    blocks = list(doctree.findall(nodes.literal_block))
    found: dict[str, tuple[str, nodes.Element | None]] = {}
    for block in blocks:
        shown = re.match(r"(?:@.*\n)*(def|class) (\w+)", block.astext())
        if shown and _is_output(block):
            found.setdefault(shown[2], (shown[1], block))
    module = Path(app.srcdir, "lesson_utils", f"{Path(app.env.docname).name}.py")
    text = module.read_text("utf-8") if module.is_file() else ""
    for kind, name in re.findall(r"(?m)^(def|class) ([a-zA-Z]\w*)", text):
        calls = (b for b in blocks if re.search(rf"\b{name}\(", b.astext()))
        found.setdefault(name, (kind, next(calls, None)))
    places = {}
    for name, (kind, block) in found.items():
        anchor = f"def-{name}" if block is not None else ""
        if anchor:
            block["ids"].append(anchor)
        places[name] = ("function" if kind == "def" else "class", anchor)
    return places


def _terms(doctree: nodes.document) -> dict[str, tuple[str, str]]:
    """The rows of a chapter's table of terms, in both languages."""
    rows = (
        (section["ids"][0], [cell.astext() for cell in row.findall(nodes.entry)])
        for section in doctree.findall(nodes.section)
        if section[0].astext().startswith("In Chinese")
        for body in section.findall(nodes.tbody)
        for row in body.findall(nodes.row)
    )
    return {
        # A full stop would divide a name into what it belongs to and itself.
        f"{cells[0]} · {cells[1]}".replace(".", ""): ("term", anchor)
        for anchor, cells in rows
        if re.search(f"[{HAN}]", cells[1])
    }


def _is_output(node: nodes.Node) -> bool:
    while node := node.parent:
        if node.get("nb_element") == "cell_code_output":
            return True
    return False


def write_text(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any
) -> None:
    """Write the text of a page, for excerpts; let the page of results load them."""
    if page == "search":
        app.add_js_file("excerpts.js", loading_method="defer")
    if doctree is None:
        return
    text = json.dumps([page, list(_pieces(doctree))], ensure_ascii=False)
    file = Path(app.outdir, "_texts", f"{page}.js")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"Excerpts.take(...{text})\n", "utf-8")


def _pieces(doctree: nodes.document) -> Iterator[tuple[str, str, int]]:
    """What is read on a page, piece by piece.

    Yields:
        The place, if a part of the page begins here; the text, dots for formulas, which
        would be TeX; and 1 for code and for the line of facts, which say less.
    """
    place = ""
    blocks = (nodes.paragraph, nodes.title, nodes.literal_block, nodes.term, nodes.row)
    for node in doctree.findall():
        if isinstance(node, nodes.section) and node["ids"]:
            place = node["ids"][0]
        if not isinstance(node, blocks) or isinstance(node.parent, nodes.entry):
            continue
        cells = node.children if isinstance(node, nodes.row) else [node]
        text = " · ".join(filter(None, map(_words, cells)))
        if text:
            named = [name for name in node["ids"] if name.startswith("def-")]
            dull = isinstance(node, nodes.literal_block) or text.startswith("Core ")
            yield (named or [place])[0], text, int(dull)
            place = ""


def _words(node: nodes.Element) -> str:
    words = (
        "…" if isinstance(text.parent, nodes.math) else text.astext()
        for text in node.findall(nodes.Text)
    )
    return " ".join("".join(words).split())


def shorten_index(app: Sphinx, exception: Exception | None) -> None:
    """Write the index without spaces, and Chinese as it is: a seventh is saved."""
    file = Path(app.outdir, "searchindex.js")
    if exception is None and app.builder.format == "html" and file.is_file():
        begin, text = file.read_text("utf-8").split("(", 1)
        index = json.loads(text.rstrip().removesuffix(")"))
        short = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
        file.write_text(f"{begin}({short})", "utf-8")


def setup(app: Sphinx) -> None:
    """Connect the above to Sphinx."""
    app.add_search_language(SearchBook)
    app.add_domain(Course)
    app.connect("doctree-read", note_objects)
    app.connect("html-page-context", write_text)
    app.connect("build-finished", shorten_index)
