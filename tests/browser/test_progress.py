"""The reader's progress: kept in the browser, sent nowhere, and never half kept."""

import json

import pytest

from tests.browser.visit import DESKTOP, PATIENCE, Visit
from tools.execute import listed_pages
from tools.look import launch, settle
from tools.serve import ROOT

pytestmark = pytest.mark.browser

PAGES = listed_pages(ROOT)
FRONT, MASKS = PAGES[0], "book/foundations/masks"
CHAPTERS = [page for page in PAGES if (ROOT / f"{page}.ipynb").exists()]
KEY = "look-closer-progress"
KEPT = f"JSON.parse(localStorage.getItem('{KEY}'))"

# Into whatever room is left, in ever smaller pieces.
FILL = """() => {
  let piece = "x".repeat(1 << 20), count = 0;
  while (piece) {
    try { localStorage.setItem(`filler${count}`, piece); count += 1; }
    catch { piece = piece.slice(piece.length >> 1); if (piece.length === 1) break; }
  }
}"""


@pytest.fixture
def open_in(browser):
    """A function that opens pages in one profile, as one reader does."""
    context = browser.new_context(
        viewport={"width": DESKTOP, "height": 900}, reduced_motion="reduce"
    )
    context.set_default_timeout(PATIENCE)
    visits = []

    def open_in(url):
        visit = Visit(context.new_page())
        visit.page.on("request", visit.note_request)
        visit.page.on("pageerror", visit.note_exception)
        visit.page.on("console", visit.note_console)
        visit.page.goto(url)
        settle(visit.page)
        visits.append(visit)
        return visit.page

    open_in.context = context
    yield open_in
    for visit in visits:
        assert visit.errors == []
        assert [url for url in visit.outside if not url.startswith("file:")] == []
    context.close()


def tick_all(page):
    """Tick the chapter and its first exercise; answer one question right, one wrong."""
    page.locator(".exercise .lc-tick input").first.check()
    page.get_by_label("I have worked through this chapter").check()
    for number, kind in enumerate(("right", "wrong")):
        question = page.locator(".lc-quiz-question").nth(number)
        choice = question.locator(f".lc-quiz-choice:has(.lc-{kind})").first
        choice.locator("label").click()


def summary(page):
    return page.locator(".lc-progress p:not(.lc-note)").all_inner_texts()


def test_ticks_and_answers_stay(open_in, address):
    page = open_in(f"{address}{MASKS}.html")
    exercises = page.locator(".exercise.admonition").count()
    questions = page.locator(".lc-quiz-question").count()
    tick_all(page)
    told = f"1 of {exercises} exercises done; 2 of {questions} questions answered, "
    told += "1 right."
    for _ in range(2):
        assert told in summary(page)
        assert page.locator(".lc-progress .lc-note").inner_text().startswith("Kept in")
        assert page.locator(".exercise .lc-tick input").first.is_checked()
        assert not page.locator(".exercise .lc-tick input").nth(1).is_checked()
        assert page.get_by_label("I have worked through this chapter").is_checked()
        assert page.locator(".lc-quiz input:checked").count() == 2
        assert page.locator(".lc-quiz-feedback:visible").count() == 2
        page.reload()
        settle(page)
    page.locator(".exercise .lc-tick input").first.uncheck()
    page.reload()
    assert f"0 of {exercises} exercises done" in summary(page)[0]


def test_the_front_page_counts_and_leads_back(open_in, address):
    page = open_in(f"{address}{FRONT}.html")
    assert not page.locator(".lc-progress").is_visible()  # nothing to tell yet
    page.goto(f"{address}{MASKS}.html")
    settle(page)
    tick_all(page)
    page.locator("#the-mathematics h2").evaluate("e => e.scrollIntoView()")
    page.goto(f"{address}{FRONT}.html")
    total = page.evaluate(
        "Object.values(JSON.parse(document.getElementById('lc-contents').text)).flat().length"
    )
    told = f"1 of {len(CHAPTERS)} chapters, 1 of {total} exercises; "
    assert told + "2 questions answered, 1 right." in summary(page)
    # The chapter is marked in the sidebar and in the table of chapters, and no other.
    marked = page.locator("a:has(.lc-done)").evaluate_all("all => all.map(a => a.href)")
    assert {link.removeprefix(address) for link in marked} == {f"{MASKS}.html"}
    mine = page.locator("nav.bd-links a:has(.lc-done)")
    assert mine.inner_text().split() == ["Masks", "(done)"]
    link = page.locator(".lc-progress a")
    assert link.inner_text() == "Masks: The mathematics"
    link.click()
    page.wait_for_url(f"**/{MASKS}.html#the-mathematics")
    assert page.locator("#the-mathematics").bounding_box()["y"] < 450


def test_an_exercise_is_marked_in_the_list_of_exercises(open_in, site):
    page = open_in(f"{site}{MASKS}.html")
    tick_all(page)
    first = page.locator(".exercise.admonition").first.get_attribute("id")
    page.goto(f"{site}book/exercises.html")
    done = page.locator("article a:has(.lc-done)[href*='#']")
    assert [a.get_attribute("href").partition("#")[2] for a in done.all()] == [first]


@pytest.mark.parametrize("sure", [False, True])
def test_start_over_asks_and_forgets(sure, open_in, site):
    page = open_in(f"{site}{MASKS}.html")
    page.evaluate("localStorage.setItem('other', 'stays')")
    tick_all(page)
    page.goto(f"{site}{FRONT}.html")
    page.once("dialog", lambda dialog: dialog.accept() if sure else dialog.dismiss())
    page.get_by_role("button", name="Start over").click()
    assert page.locator(".lc-progress").is_visible() is not sure
    assert page.locator("a .lc-done").count() == (0 if sure else 2)
    page.goto(f"{site}{MASKS}.html")
    checked = page.locator(".lc-quiz input:checked, .lc-tick input:checked").count()
    assert checked == (0 if sure else 4)
    assert page.evaluate("localStorage.getItem('other')") == "stays"


def test_two_tabs_keep_what_the_other_kept(open_in, site):
    first, second = (open_in(f"{site}{MASKS}.html") for _ in range(2))
    first.locator(".exercise .lc-tick input").nth(0).check()
    second.locator(".exercise .lc-tick input").nth(1).check()
    first.wait_for_function(
        "document.querySelectorAll('.lc-tick input:checked').length > 1"
    )
    assert len(first.evaluate(f"Object.keys({KEPT}.exercises)")) == 2


@pytest.mark.parametrize(
    "spoiled", ["{", "null", "7", '"x"', '{"chapters": 3, "answers": null}', "[]"]
)
def test_a_spoiled_entry_is_begun_anew(spoiled, open_in, site):
    page = open_in(f"{site}{MASKS}.html")
    page.evaluate("text => localStorage.setItem(...text)", [KEY, spoiled])
    page.reload()
    settle(page)
    tick_all(page)
    kept = page.evaluate(KEPT)
    assert kept["chapters"] == {MASKS: True}
    assert len(kept["answers"]) == 2


# ---- Storage that cannot be had -----------------------------------------------------


@pytest.fixture
def refusing(playwright, tmp_path):
    """A page of a browser whose owner lets no site keep anything."""
    settings = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    file = tmp_path / "Default" / "Preferences"
    file.parent.mkdir()
    file.write_text(json.dumps(settings))
    errors = []
    browser = launch(playwright, profile=tmp_path)
    page = browser.new_page()
    page.on("pageerror", lambda error: errors.append(str(error)))
    yield page
    browser.close()
    assert errors == []


def test_refused_storage_is_said_and_breaks_nothing(refusing, address):
    page = refusing
    page.goto(f"{address}{MASKS}.html")
    settle(page)
    assert page.evaluate("document.documentElement.dataset.storage") == "refused"
    tick_all(page)
    assert "2 of" in summary(page)[0]  # for as long as the page is open
    assert "keeps nothing for this page" in page.locator(".lc-note").inner_text()
    assert page.locator(".lc-quiz-feedback:visible").count() == 2
    before = page.evaluate("document.documentElement.dataset.theme")
    for _ in range(3):
        page.locator(".theme-switch-button:visible").click()
        if page.evaluate("document.documentElement.dataset.theme") != before:
            break
    assert page.evaluate("document.documentElement.dataset.theme") != before
    page.goto(f"{address}{FRONT}.html")
    assert "keeps nothing for this page" in page.locator(".lc-note").inner_text()
    assert not page.get_by_role("button", name="Start over").is_visible()
    page.goto(f"{address}search.html?q=mask")
    page.locator("#search-results p.context").first.wait_for()


def test_full_storage_is_said_and_spoils_nothing(open_in, site):
    page = open_in(f"{site}{MASKS}.html")
    page.locator(".exercise .lc-tick input").first.check()
    kept = page.evaluate(KEPT)
    page.evaluate(FILL)
    page.goto(f"{site}{MASKS}.html#quiz")
    page.reload()
    settle(page)
    assert page.evaluate("document.documentElement.dataset.storage") == "full"
    assert "is full" in page.locator(".lc-note").inner_text()
    assert page.locator(".exercise .lc-tick input").first.is_checked()  # from before
    tick_all(page)
    page.goto(f"{site}{FRONT}.html")
    assert "is full" in page.locator(".lc-note").inner_text()
    assert page.evaluate(KEPT)["chapters"] == {}
    assert page.evaluate(KEPT)["exercises"] == kept["exercises"]
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Start over").click()
    page.reload()
    assert page.evaluate(f"localStorage.getItem('{KEY}')") is None


def test_storage_that_fills_up_later_keeps_the_whole_entry(open_in, site):
    page = open_in(f"{site}{MASKS}.html")
    page.locator(".exercise .lc-tick input").first.check()
    before = page.evaluate(f"localStorage.getItem('{KEY}')")
    page.evaluate(FILL)
    second = page.locator(".exercise .lc-tick input").nth(1)
    second.click()
    assert not second.is_checked()  # a tick that is shown is kept
    assert "is full" in page.locator(".lc-note").inner_text()
    assert page.evaluate(f"localStorage.getItem('{KEY}')") == before
    assert json.loads(before)["exercises"]


def test_without_scripts_nothing_is_promised(browser, site):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    for name in (FRONT, MASKS):
        page.goto(f"{site}{name}.html")
        assert page.locator(".lc-progress, .lc-tick").count() == 0
    context.close()
