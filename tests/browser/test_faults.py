"""Each of the tests of the pages can fail: pages with one fault, and it is found."""

import pytest

from tests.browser import visit as visits
from tools.serve import serving

pytestmark = pytest.mark.browser

PAGE = """<!DOCTYPE html>
<html lang="en"><head><title>A page</title><link rel="icon" href="data:,"></head>
<body><main><article><h1>A page</h1>{}</article></main></body></html>"""

WIDE = '<div style="width: 500px">wide</div>'


@pytest.fixture
def open_with(open_page, tmp_path):
    """A function that opens a page with some HTML in its article."""
    with serving(tmp_path) as site:

        def open_with(content, **options):
            (tmp_path / "page.html").write_text(PAGE.format(content), encoding="utf-8")
            return open_page(site, "page.html", **options)

        yield open_with


def test_a_good_page_has_no_faults(open_with):
    visit = open_with('<p>All is <a href="page.html">well</a>.</p>')
    assert visit.faults(chapter=False) == {}


def test_one_visit_finds_faults_of_every_rule_and_names_them(open_with):
    visit = open_with(
        f"""<h2>Faults</h2>{WIDE}<!--{"x" * 1_000_000}-->
        <p class="math">\\(x\\)</p>
        <div class="solution admonition"><div>Open.</div></div>
        <form class="lc-quiz">{question("", "")}</form>
        <script src="https://example.org/a.js"></script>
        <script>console.error("broken")</script>
        <img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
        <a href="page.html" style="outline: none">a</a>
        <p style="color: #999; background: #aaa">Pale</p>"""
    )
    assert set(visit.faults(chapter=True)) == {
        "weight",
        "alternative text",
        "formulas",
        "Tab",
        "solutions",
        "quiz",
        "width on a phone",
        "accessibility",
        "contrast, light",
        "contrast, dark",
        "other hosts",
        "console",
    }


def test_a_fault_that_stops_a_rule_does_not_stop_the_others(open_with, monkeypatch):
    monkeypatch.setattr(visits, "TIMEOUT", 500)
    visit = open_with('<div class="solution admonition"></div><p>No quiz.</p>')
    faults = visit.faults(chapter=True)
    assert faults["solutions"][0].startswith("could not be tried")
    assert faults["chapter"] == ["quiz"]


def test_a_formula_that_is_not_set(open_with):
    visit = open_with(r'<p class="math">\(x^2\)</p><mjx-merror>\x</mjx-merror>')
    assert visit.unset_formulas() == [
        r"not understood: \x",
        "0 of 1 formulas are set",
        r"left over: \(",
        r"left over: \)",
    ]


SOLUTION = """<div class="solution admonition">
<button class="toggle-button" aria-expanded="false">Show</button>
<section {}>Because.</section></div>
<script>document.querySelector("button").onclick = event => {{
  const shown = document.querySelector("section");
  if ({}) shown.hidden = !shown.hidden;
  event.target.setAttribute("aria-expanded", !shown.hidden);
}}</script>"""


@pytest.mark.parametrize(
    ("hidden", "when", "begins"),
    [
        ("hidden", "true", []),
        ("", "true", ["open at first"]),
        ("hidden", "event.detail === 0", ["mouse opens nothing"]),
        ("hidden", "event.detail > 0", ["keyboard opens nothing"]),
        ("hidden", "shown.hidden", ["mouse closes nothing", "keyboard closes nothing"]),
    ],
)
def test_a_solution_that_does_not_obey(open_with, hidden, when, begins):
    faults = open_with(SOLUTION.format(hidden, when)).stuck_solutions()
    assert [fault.partition(":")[0] for fault in faults] == begins


def test_a_later_solution_that_does_not_obey(open_with):
    stuck = SOLUTION.partition("<script>")[0].format("hidden").replace("Because", "No")
    visit = open_with(SOLUTION.format("hidden", "true") + stuck)
    assert visit.stuck_solutions() == ["a click opens nothing: Show"]


def question(wrong, right):
    kinds = {"wrong": wrong, "right": right}
    choices = (
        f'''<div class="lc-quiz-choice"><input type="radio" name="q" id="{kind}">
        <label for="{kind}">{kind}</label>
        <span class="lc-quiz-feedback lc-{kind}">{before}No, it is.</span></div>'''
        for kind, before in kinds.items()
    )
    return f'<div class="lc-quiz-question">{"".join(choices)}</div>'


QUIZ = """<style>.lc-quiz-feedback {{ display: none }}
input:checked ~ .lc-quiz-feedback {{ display: inline }} {}</style>
<form class="lc-quiz" onsubmit="{}">{}</form>"""


@pytest.mark.parametrize(
    ("style", "submit", "begins"),
    [
        ("", "return false", []),
        ("", "", ["the quiz is sent, and the page loaded anew"]),
        (
            ".lc-wrong { display: inline !important }",
            "return false",
            ["answered at first", "no feedback on right"],
        ),
        (
            ".lc-right { display: none !important }",
            "return false",
            ["no feedback on right", "the keyboard chooses no answer"],
        ),
    ],
)
def test_a_quiz_that_does_not_answer(open_with, style, submit, begins):
    visit = open_with(QUIZ.format(style, submit, question("", "")))
    assert [f.partition(": ")[0] for f in visit.quiz_faults()] == begins


def test_what_a_chapter_lacks(open_with):
    assert open_with("<p>Nothing.</p>").missing_parts() == ["solution", "quiz"]


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


def test_the_walk_may_begin_at_the_article(open_with):
    trap = "<script>onkeydown = e => e.target.id !== 'b'</script>"
    content = f'<button id="b">b</button><button id="c">c</button>{trap}'
    before = '</article><button id="a">a</button><article>'
    visit = open_with(f"{before}{content}")
    visit.page.evaluate("() => document.querySelector('article').remove()")
    (fault,) = visit.unreached_by_tab(everything=False)
    assert fault.startswith('not reached: <button id="c">')


def test_a_control_without_visible_focus(open_with):
    visit = open_with('<a href="page.html" style="outline: none">a</a>')
    (fault,) = visit.unreached_by_tab()
    assert fault.startswith("no visible focus: <a")


def test_a_pale_text(open_with):
    visit = open_with('<p style="color: #999; background: #aaa">Pale</p>')
    assert visit.violations() == []
    for scheme in ("light", "dark"):
        (fault,) = visit.pale_texts(scheme)
        assert fault.startswith("color-contrast")


def test_a_text_that_is_pale_in_one_theme_and_among_many(open_with):
    kinds = ".a { color: #111 } .b { color: #111 }"
    dark = "@media (prefers-color-scheme: dark) { .b { color: #eee } }"
    texts = '<p class="a">Plain</p>' * 9 + '<p class="b">Pale at night</p>' * 9
    visit = open_with(f"<style>{kinds} {dark}</style>{texts}")
    assert visit.pale_texts("light") == []
    (fault,) = visit.pale_texts("dark")
    assert "Pale at night" in fault


@pytest.mark.parametrize("ground", ["background: #222", "opacity: .2"])
def test_a_text_that_is_pale_by_its_ground(open_with, ground):
    plain, inner = "<div><p>Plain</p></div>", "<div><p>Unreadable</p></div>"
    texts = f'{plain}<div style="{ground}">{inner}</div>'
    (fault,) = open_with(texts).pale_texts()
    assert "Unreadable" in fault


def test_a_serious_violation_of_structure(open_with):
    (fault,) = open_with('<button class="x"></button>').violations()
    assert fault.startswith("button-name")


def test_weight_counts_own_pictures(open_with, tmp_path):
    (tmp_path / "picture.svg").write_text(
        '<svg xmlns="http://www.w3.org/2000/svg">' + " " * 5000 + "</svg>"
    )
    (tmp_path / "script.js").write_text(" " * 7000)
    (tmp_path / "searchindex.js").write_text(" " * 3000)
    theme, index, own = open_with(
        '<img src="picture.svg" alt="A picture"><script src="script.js"></script>'
        '<script src="searchindex.js?v=1"></script>'
    ).weight()
    assert 5000 < own < 6000
    assert (theme, index) == (7000, 3000)


def test_a_page_that_is_too_heavy(open_with):
    (fault,) = open_with(f"<!--{'x' * 1_000_000}-->").too_heavy()
    assert fault.startswith("own: 1000")
