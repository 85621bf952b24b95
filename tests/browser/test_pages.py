"""Every page of the built book, as a reader meets it.

The pages come from `_toc.yml`: a new chapter is tested without a change here.
"""

import json

import pytest

from tools.execute import listed_pages
from tools.serve import ROOT

pytestmark = pytest.mark.browser

PAGES = listed_pages(ROOT)
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
MASKS = "book/foundations/masks"


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_faults(page, html, site, open_page, record_property):
    assert (html / f"{page}.html").is_file()
    visit = open_page(site, f"{page}.html")
    faults = visit.faults(chapter=page in CHAPTERS)
    record_property("seconds", visit.seconds)  # of each rule, with --junit-xml
    assert faults == {}


def test_some_page_has_formulas(site, open_page):
    tab = open_page(site, f"{MASKS}.html").page
    assert tab.locator("mjx-container").count() > 0


def test_the_folder_leads_to_the_first_page(site, open_page):
    tab = open_page(site, f"{MASKS}.html").page
    tab.goto(site)
    tab.wait_for_url(f"**/{PAGES[0]}.html")


def test_search_leads_to_the_chapter(site, open_page):
    visit = open_page(site, f"{PAGES[0]}.html")
    tab = visit.page
    tab.keyboard.press("Control+k")
    tab.keyboard.type("mask")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/search.html?q=mask*")
    tab.locator(f"#search-results a[href*='{MASKS}.html']").first.click()
    tab.wait_for_url(f"**/{MASKS}.html*")
    assert tab.locator("article h1").is_visible()
    assert visit.outside == []
    assert visit.errors == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_system_chooses_light_or_dark(scheme, site, open_page):
    tab = open_page(site, f"{PAGES[0]}.html", scheme=scheme).page
    assert tab.locator("html").get_attribute("data-theme") == scheme


def test_light_and_dark_persist(site, open_page):
    tab = open_page(site, f"{PAGES[0]}.html").page
    ground = "() => getComputedStyle(document.body).backgroundColor"
    grounds = {"light": tab.evaluate(ground)}
    for _ in range(3):  # the button goes round light, dark and the system's
        tab.locator(".theme-switch-button:visible").click()
        if tab.locator("html").get_attribute("data-theme") == "dark":
            break
    grounds["dark"] = tab.evaluate(ground)
    assert grounds["dark"] != grounds["light"]
    tab.reload()
    assert tab.evaluate(ground) == grounds["dark"]
    tab.goto(f"{site}{PAGES[-1]}.html")
    assert tab.evaluate(ground) == grounds["dark"]


def test_a_slider_shows_another_picture(site, open_page):
    tab = open_page(site, "book/detection/nms.html").page
    figure = tab.locator("figure:not(.lc-live):has(input[type=range])").first
    slider, said = figure.locator("input"), figure.locator("output")
    pictures = figure.locator("img")
    first = int(slider.input_value())
    assert [p.is_visible() for p in pictures.all()].index(True) == first
    before = said.inner_text()
    slider.focus()
    tab.keyboard.press("ArrowRight")
    shown = [picture.is_visible() for picture in pictures.all()]
    assert shown.count(True) == 1
    assert shown.index(True) == first + 1
    assert said.inner_text() != before
    assert slider.get_attribute("aria-valuetext") == said.inner_text()


@pytest.mark.parametrize("page", CHAPTERS)
def test_every_cell_was_executed(page):
    staged = ROOT / "_build" / "source" / f"{page}.ipynb"
    notebook = json.loads(staged.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert cells
    for cell in cells:
        source = "".join(cell["source"])
        assert cell["execution_count"] or not source.strip(), source
        for output in cell["outputs"]:
            assert output["output_type"] != "error", source
