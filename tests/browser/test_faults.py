"""Each of the tests of the pages can fail: pages with one fault, and it is found."""

import pytest

from tools.serve import serving

pytestmark = pytest.mark.browser

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>A page</title><link rel="icon" href="data:,"></head>
<body><main><article><h1>A page</h1>{}</article></main></body></html>"""


@pytest.fixture
def open_with(open_page, tmp_path):
    """A function that opens a page with some HTML in its article."""
    with serving(tmp_path) as site:

        def open_with(content, **options):
            (tmp_path / "page.html").write_text(PAGE.format(content), encoding="utf-8")
            return open_page(site, "page.html", **options)

        yield open_with


def test_a_good_page_has_no_faults(open_with):
    visit = open_with('<p>All is <a href="page.html">well</a>.</p>', width=360)
    assert visit.outside == []
    assert visit.errors == []
    assert visit.cut_off() == []
    assert visit.images_without_alt() == []
    assert visit.unreached_by_tab() == []
    assert visit.violations() == []


@pytest.mark.parametrize(
    "content",
    [
        '<script src="https://example.org/a.js"></script>',
        '<img src="https://example.org/a.png" alt="A picture">',
        "<style>body { background: url(//example.org/a.png) }</style>",
        "<script>fetch('https://example.org/a.json').catch(() => 0)</script>",
    ],
)
def test_a_request_to_another_host(content, open_with):
    (address,) = open_with(content).outside
    assert "//example.org/a." in address


@pytest.mark.parametrize(
    "content",
    [
        "<script>console.error('broken')</script>",
        "<script>throw new Error('broken')</script>",
        "<script src='missing.js'></script>",
    ],
)
def test_an_error_on_the_console(content, open_with):
    assert len(open_with(content).errors) == 1


WIDE = '<div style="width: 500px">wide</div>'


@pytest.mark.parametrize("around", ["<div>{}</div>", '<p style="overflow: hidden">{}'])
def test_something_wider_than_a_phone(around, open_with):
    assert any("500" in f for f in open_with(around.format(WIDE), width=360).cut_off())


def test_something_wide_that_scrolls_inside_itself_is_no_fault(open_with):
    visit = open_with(f'<div style="overflow-x: auto">{WIDE}</div>', width=360)
    assert visit.cut_off() == []


@pytest.mark.parametrize("attributes", ["", 'alt=""', 'alt=" "'])
def test_an_image_without_alternative_text(attributes, open_with):
    visit = open_with(
        f'<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" {attributes}>'
    )
    assert len(visit.images_without_alt()) == 1


def test_a_control_that_tab_does_not_reach(open_with):
    trap = "<script>onkeydown = e => e.target.id !== 'a'</script>"
    visit = open_with(f'<button id="a">a</button><button id="b">b</button>{trap}')
    (fault,) = visit.unreached_by_tab()
    assert fault.startswith('not reached: <button id="b">')


def test_a_control_without_visible_focus(open_with):
    visit = open_with('<a href="page.html" style="outline: none">a</a>')
    (fault,) = visit.unreached_by_tab()
    assert fault.startswith("no visible focus: <a")


def test_a_serious_violation(open_with):
    visit = open_with('<p style="color: #999; background: #aaa">Pale</p>')
    (fault,) = visit.violations()
    assert fault.startswith("color-contrast")


def test_weight_counts_own_pictures(open_with, tmp_path):
    (tmp_path / "picture.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg">' + " " * 5000 + "</svg>"
    )
    (tmp_path / "script.js").write_text(" " * 7000)
    everything, own = open_with(
        '<img src="picture.svg" alt="A picture"><script src="script.js"></script>'
    ).weight()
    assert 5000 < own < 6000
    assert 12000 < everything < 13000
