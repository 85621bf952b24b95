"""The book as one PDF: each page printed by Chromium, put together by pypdf.

The formulas are those that MathJax sets in the built pages. What paper cannot do (fold,
scroll, slide) is taken care of by the print rules in `book/_static/look-closer.css`.
"""

import html as markup
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    FloatObject,
    IndirectObject,
    NameObject,
    NullObject,
    NumberObject,
    StreamObject,
    TextStringObject,
)

from tools.look import launch, settle
from tools.serve import serving

WIDTH = 673  # of the text on A4 between two margins of 16 mm, in CSS pixels
PATIENCE = 120_000  # milliseconds, for one page on a busy machine
PAPER = """
@page {
  size: A4;
  margin: 16mm 16mm 18mm;
  @bottom-left { content: "TITLE"; font: 8.5pt sans-serif; color: #5b554b; }
  @bottom-right { content: counter(page); font: 8.5pt sans-serif; color: #5b554b; }
}
html { counter-reset: page BEFORE; }
"""
CONTENTS = """
body { font: 10.5pt/1.45 sans-serif; color: #24211c; margin: 0; }
h1 { font-size: 30pt; margin: 0 0 4mm; }
img { width: 100%; margin-bottom: 4mm; }
h2 { font-size: 11pt; margin: 4mm 0 1mm; break-after: avoid; }
a { display: flex; gap: 3mm; color: inherit; text-decoration: none; }
a::before { content: ""; order: 1; flex: 1; border-bottom: 0.6pt dotted #8a8375; }
b { order: 2; font-weight: 400; }
"""
# Pictures that were not scrolled to are not there yet; and what is too wide is made
# smaller, since paper does not scroll.
FIT = """async () => {
  const pictures = [...document.images];
  pictures.forEach(picture => (picture.loading = "eager"));
  await Promise.all(pictures.map(picture => picture.decode().catch(() => null)));
  for (const wide of document.querySelectorAll("mjx-container, article table")) {
    const room = wide.closest("div, p, li, td, section").clientWidth;
    const width = wide.matches("table") ? wide.offsetWidth : wide.scrollWidth;
    if (width > room + 1 && room) wide.style.zoom = Math.max(room / width, 0.4);
  }
}"""


@dataclass(frozen=True)
class Printed:
    """A page of the book on paper.

    Args:
        part: the caption of its part.
        name: as in `_toc.yml`.
        title: its heading.
        first: the number of its first sheet in the book, from 1.
        sheets: what was printed.
    """

    part: str
    name: str
    title: str
    first: int
    sheets: PdfReader


def print_book(html: Path, book: list[tuple[str, str]], target: Path) -> int:
    """Print the book.

    Args:
        html: the folder of the built book.
        book: (caption of its part, page as in `_toc.yml`), in reading order.
        target: the PDF to write.

    Returns:
        The number of its sheets.

    Raises:
        FileNotFoundError: no Chromium is installed, or a page is not in the build.
    """
    titles = {name: _title(html / f"{name}.html") for _, name in book}
    with serving(html) as site, sync_playwright() as playwright:
        browser = launch(playwright)
        tab = browser.new_page(
            color_scheme="light",
            reduced_motion="reduce",
            viewport={"width": WIDTH, "height": 950},
        )
        tab.set_default_timeout(PATIENCE)
        tab.emulate_media(media="print")
        # Numbers do not change how long the contents are, so they may come later.
        rows = [(part, name, titles[name], 0) for part, name in book]
        first = 1 + len(_contents(tab, site, rows).pages)
        printed = []
        for part, name in book:
            sheets = _print_page(tab, f"{site}{name}.html", titles[name], first)
            printed.append(Printed(part, name, titles[name], first, sheets))
            first += len(sheets.pages)
        rows = [(page.part, page.name, page.title, page.first) for page in printed]
        contents = Printed("", "", "Contents", 1, _contents(tab, site, rows))
        browser.close()
    writer = _bind([contents, *printed], site)
    writer.write(target)
    return len(writer.pages)


def _title(page: Path) -> str:
    found = re.search(r"<title>(.*?)</title>", page.read_text("utf-8"), re.DOTALL)
    title = markup.unescape(found[1]) if found else page.stem
    return re.split(r" [·—] Look Closer", title)[0].strip()


def _paper(tab: Page, title: str, first: int) -> PdfReader:
    """Print what the tab shows, with its title and the numbers at the foot."""
    quoted = title.replace("\\", "\\\\").replace('"', '\\"')
    rules = PAPER.replace("TITLE", quoted).replace("BEFORE", str(first - 1))
    tab.add_style_tag(content=rules)
    data = tab.pdf(
        prefer_css_page_size=True, print_background=True, outline=True, tagged=True
    )
    return PdfReader(io.BytesIO(data))


def _print_page(tab: Page, address: str, title: str, first: int) -> PdfReader:
    tab.goto(address)
    settle(tab)
    tab.evaluate(FIT)
    return _paper(tab, title, first)


def _contents(tab: Page, site: str, rows: list[tuple[str, str, str, int]]) -> PdfReader:
    """The first sheets: the title, the cover, and each page with its number."""
    lines, last = [], ""
    for part, name, title, first in rows:
        if part != last:
            lines.append(f"<h2>{markup.escape(part)}</h2>")
            last = part
        text = f"{markup.escape(title)}<b>{first}</b>"
        lines.append(f'<a href="{site}{name}.html">{text}</a>')
    cover = f'<img src="{site}_static/cover.webp" alt="" onerror="this.remove()">'
    style = f"<style>{CONTENTS}</style>"
    tab.set_content(f"{style}<h1>Look Closer</h1>{cover}{''.join(lines)}")
    return _paper(tab, "Contents", 1)


def _bind(printed: list[Printed], site: str) -> PdfWriter:
    """One document with an outline, whose links lead to its own sheets."""
    writer = PdfWriter()
    links, places = [], {}
    for page in printed:
        places[page.name, ""] = (page.first - 1, None)
        for anchor, goal in page.sheets.named_destinations.items():
            number = page.sheets.get_destination_page_number(goal)
            places[page.name, anchor.lstrip("/")] = (page.first - 1 + number, goal.top)
        for number, sheet in enumerate(page.sheets.pages, page.first - 1):
            links += [(number, *link) for link in _links(page.name, sheet, site)]
            sheet.pop("/Annots", None)
            writer.add_page(sheet)
    for number, box, goal in links:
        # Of another page only some anchors are known to Chromium.
        place = goal
        if isinstance(goal, tuple):
            place = places.get(goal) or places.get((goal[0], ""))
        if place:
            _add_link(writer, number, box, place)
    _add_outline(writer, printed)
    writer.add_metadata({"/Title": "Look Closer", "/Lang": "en"})
    _lighten(writer)
    writer.compress_identical_objects()
    return writer


def _lighten(writer: PdfWriter) -> None:
    """Photographs as JPEG: Chromium keeps every pixel of them, four times as large."""
    light: dict[int, IndirectObject] = {}
    for page in writer.pages:
        pictures = page["/Resources"].get("/XObject", {})
        for name, there in pictures.items():
            if there.idnum not in light:
                light[there.idnum] = _as_photograph(writer, there) or there
            pictures[NameObject(name)] = light[there.idnum]


def _as_photograph(writer: PdfWriter, there: IndirectObject) -> IndirectObject | None:
    """An image as JPEG; None if it is none, has a mask, or would hardly be smaller."""
    image = there.get_object()
    plain = image["/Subtype"] == "/Image" and image.get("/Filter") == "/FlateDecode"
    if not plain or "/SMask" in image:
        return None
    pixels, size = image.get_data(), (image["/Width"], image["/Height"])
    if len(pixels) != 3 * size[0] * size[1]:
        return None
    stream = io.BytesIO()
    Image.frombytes("RGB", size, pixels).save(
        stream, "JPEG", quality=88, subsampling=0, optimize=True
    )
    # Drawings of few colors are smaller as they are, and sharper.
    if stream.tell() > len(zlib.compress(pixels, 1)) / 2:
        return None
    photograph = StreamObject()
    keep = ("/Type", "/Subtype", "/Width", "/Height", "/ColorSpace")
    photograph.update({NameObject(key): image.raw_get(key) for key in keep})
    photograph[NameObject("/BitsPerComponent")] = NumberObject(8)
    photograph[NameObject("/Filter")] = NameObject("/DCTDecode")
    photograph.set_data(stream.getvalue())
    return writer._add_object(photograph)


def _links(
    name: str, sheet: PageObject, site: str
) -> Iterator[tuple[ArrayObject, str | tuple[str, str]]]:
    """The links of a sheet: where, and to which (page, anchor) or address."""
    for annotation in sheet.get("/Annots", []):
        link = annotation.get_object()
        if link.get("/Subtype") != "/Link":
            continue
        if isinstance(anchor := link.get("/Dest"), str):
            yield link["/Rect"], (name, anchor.lstrip("/"))
        elif address := link.get("/A", {}).get("/URI"):
            inside = re.match(re.escape(site) + r"(.*)\.html(?:#(.*))?$", address)
            if inside:
                yield link["/Rect"], (inside[1], inside[2] or "")
            elif not address.startswith(site):
                yield link["/Rect"], address


def _add_link(
    writer: PdfWriter,
    number: int,
    box: ArrayObject,
    place: str | tuple[int, float | None],
) -> None:
    link = {
        "/Type": NameObject("/Annot"),
        "/Subtype": NameObject("/Link"),
        "/Rect": ArrayObject(FloatObject(x) for x in box),
        "/Border": ArrayObject([NumberObject(0)] * 3),
    }
    if isinstance(place, str):
        action = {"/S": NameObject("/URI"), "/URI": TextStringObject(place)}
        link["/A"] = DictionaryObject({NameObject(k): v for k, v in action.items()})
    else:
        sheet, top = place
        goal = [writer.pages[sheet].indirect_reference, NameObject("/XYZ")]
        height = NullObject() if top is None else FloatObject(top)
        link["/Dest"] = ArrayObject([*goal, NullObject(), height, NullObject()])
    entry = DictionaryObject({NameObject(k): v for k, v in link.items()})
    page = writer.pages[number]
    page.setdefault(NameObject("/Annots"), ArrayObject()).append(
        writer._add_object(entry)
    )


def _add_outline(writer: PdfWriter, printed: list[Printed]) -> None:
    """Parts, in them pages, in them their sections."""
    part, caption = None, ""
    for page in printed:
        if page.part and page.part != caption:
            caption = page.part
            part = _add_entry(writer, caption, page.first)
        parent = part if page.part else None
        item = _add_entry(writer, page.title, page.first, parent)
        if not page.name:
            continue
        for entries in page.sheets.outline:
            for section in entries if isinstance(entries, list) else []:
                if not isinstance(section, list):
                    number = page.sheets.get_destination_page_number(section)
                    title = section.title.removesuffix("#").strip()
                    _add_entry(writer, title, page.first + number, item)


def _add_entry(
    writer: PdfWriter, title: str, number: int, parent: IndirectObject | None = None
) -> IndirectObject:
    return writer.add_outline_item(title=title, page_number=number - 1, parent=parent)
