"""The PDF of a small made site, read back."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from pypdf import PdfReader

from tests.small_site import make_small_site
from tools import dist

pytestmark = pytest.mark.browser


def flat(outline, depth=0):
    for item in outline:
        if isinstance(item, list):
            yield from flat(item, depth + 1)
        else:
            yield depth, item


@pytest.fixture
def pdf(tmp_path):
    root = make_small_site(tmp_path / "repository")
    # In a thread of its own: the other browser tests keep one playwright in this one.
    with ThreadPoolExecutor(1) as pool:
        made = pool.submit(dist.make, root, root / "_build/html", root / "out").result()
    names = [file.name for file in made]
    assert names[2:] == ["look-closer.pdf", "SHA256SUMS"]
    assert "look-closer.pdf" in made[-1].read_text()
    return PdfReader(made[2])


def test_contents_outline_and_links_lead_to_the_sheets(pdf):
    texts = [" ".join(page.extract_text().split()) for page in pdf.pages]
    # Each page on a new sheet, and the tall one on several.
    heads = {"The start": "on to", "Stencils": "far below", "Kernels": "of three"}
    first = {}
    for title, words in heads.items():
        (first[title],) = (n for n, text in enumerate(texts) if words in text)
    far = next(n for n, text in enumerate(texts) if "the end of stencils" in text)
    assert list(first.values()) == sorted(first.values())
    assert far > first["Stencils"] + 1
    # The contents say the number that stands at the foot of the sheet.
    for title, number in first.items():
        assert re.search(rf"{title}[^\d]* ?{number + 1}\b", texts[0])
    for number, text in enumerate(texts, 1):
        assert re.match(rf"{number}\D", text)  # the foot comes first in the text
    number_of = pdf.get_destination_page_number
    outline = [(d, o.title, number_of(o)) for d, o in flat(pdf.outline)]
    assert outline == [
        (0, "Contents", 0),
        (0, "The start", first["The start"]),
        (0, "Foundations", first["Stencils"]),
        (1, "Stencils", first["Stencils"]),
        (2, "First", first["Stencils"]),
        (2, "Far", far),
        (1, 'Kernels, "odd"', first["Kernels"]),
        (2, "Odd & even", first["Kernels"]),
    ]
    sheets = {page.indirect_reference.idnum: n for n, page in enumerate(pdf.pages)}
    links = []
    for number, page in enumerate(pdf.pages):
        for entry in page.get("/Annots", []):
            link = entry.get_object()
            if "/Dest" in link:
                sheet = link["/Dest"][0].get_object().indirect_reference
                links.append((number, sheets[sheet.idnum]))
            else:
                links.append((number, link["/A"]["/URI"]))
    assert links == [
        *((0, number) for number in first.values()),
        (first["The start"], first["Kernels"]),
        (first["Stencils"], far),
        (first["Stencils"], "https://example.org/a"),
    ]
    assert pdf.metadata.title == "Look Closer"
