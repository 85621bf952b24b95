"""Every page of the built book, as a reader meets it.

The pages come from `_toc.yml`: a new chapter is tested without a change here.
"""

import json

import pytest

from tools.execute import listed_pages
from tools.look import settle
from tools.serve import ROOT

pytestmark = pytest.mark.browser

PAGES = listed_pages(ROOT)
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
MASKS = "book/foundations/masks"
MEGABYTE = 1_000_000

each_page = pytest.mark.parametrize("page", PAGES)
each_chapter = pytest.mark.parametrize("page", CHAPTERS)


@each_page
def test_page_is_in_the_build(page, html):
    assert (html / f"{page}.html").is_file()


@pytest.fixture(scope="module", params=PAGES)
def visit(request, site, keep_open):
    """A page as it loads, which the tests with this argument do not change."""
    return keep_open(site, f"{request.param}.html")


def test_page_asks_no_other_host_and_reports_no_error(visit):
    assert visit.outside == []
    assert visit.errors == []


def test_weight(visit):
    everything, own = visit.weight()
    assert own < 1 * MEGABYTE
    # The theme, the formulas' fonts and scripts, and the index for searching.
    assert everything - own < 2 * MEGABYTE


def test_every_image_has_alternative_text(visit):
    assert visit.images_without_alt() == []


def test_formulas_are_set(visit):
    tab = visit.page
    assert tab.locator("mjx-container").count() >= tab.locator(".math").count()
    assert tab.locator("mjx-merror, [data-mjx-error]").count() == 0
    text = tab.evaluate(
        """() => {
          const copy = document.querySelector("article").cloneNode(true);
          copy.querySelectorAll("pre, code, script, style").forEach(e => e.remove());
          return copy.textContent;
        }"""
    )
    for left_over in (r"\(", r"\)", r"\[", r"\]", "$$"):
        assert left_over not in text


def test_tab_reaches_every_control(visit):
    assert visit.unreached_by_tab() == []


def test_some_page_has_formulas(site, open_page):
    tab = open_page(site, f"{MASKS}.html").page
    assert tab.locator("mjx-container").count() > 0


@each_page
def test_accessibility_in_light_and_dark(page, site, open_page):
    visit = open_page(site, f"{page}.html")
    visit.unfold()
    for scheme in ("light", "dark"):
        visit.page.emulate_media(color_scheme=scheme)
        visit.page.wait_for_selector(f"html[data-theme={scheme}]")
        settle(visit.page)
        assert visit.violations() == [], scheme


@each_page
def test_nothing_is_wider_than_a_phone(page, site, open_page):
    visit = open_page(site, f"{page}.html", width=360)
    visit.unfold()
    assert visit.cut_off() == []


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


@each_chapter
@pytest.mark.parametrize("by", ["mouse", "keyboard"])
def test_solutions_unfold(page, by, site, open_page):
    tab = open_page(site, f"{page}.html").page
    solutions = tab.locator(".solution.admonition").all()
    assert solutions
    for solution in solutions:
        button = solution.locator(".toggle-button")
        content = solution.locator(".solution-content, section, div").first
        assert not content.is_visible()
        if by == "mouse":
            button.click()
        else:
            button.focus()
            tab.keyboard.press("Enter")
        assert content.is_visible()
        assert button.get_attribute("aria-expanded") == "true"


@each_chapter
def test_quiz_answers(page, site, open_page):
    tab = open_page(site, f"{page}.html").page
    questions = tab.locator(".lc-quiz-question").all()
    assert questions
    for question in questions:
        wrong = question.locator(".lc-quiz-choice:has(.lc-wrong)").first
        right = question.locator(".lc-quiz-choice:has(.lc-right)")
        feedback = question.locator(".lc-quiz-feedback:visible")
        assert feedback.count() == 0
        for choice in (wrong, right):
            choice.locator("label").click()
            assert feedback.count() == 1
            assert choice.locator(".lc-quiz-feedback").is_visible()


@each_chapter
def test_quiz_needs_no_mouse_and_is_never_sent(page, site, open_page):
    tab = open_page(site, f"{page}.html").page
    address = tab.url
    question = tab.locator(".lc-quiz-question").first
    question.locator("input").first.focus()
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowDown")
    tab.locator(".lc-quiz").evaluate("form => form.requestSubmit()")
    tab.wait_for_timeout(300)  # sent, it would load the page anew
    assert tab.url == address
    assert question.locator("input").nth(1).is_checked()
    assert question.locator(".lc-quiz-feedback").nth(1).is_visible()


def test_a_slider_shows_another_picture(site, open_page):
    tab = open_page(site, "book/detection/nms.html").page
    figure = tab.locator("figure:has(input[type=range])").first
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


@each_chapter
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
