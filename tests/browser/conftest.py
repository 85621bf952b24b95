"""The built book in a browser without a network, and what can be wrong with a page."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    Browser,
    ConsoleMessage,
    Error,
    Page,
    Request,
    Response,
    sync_playwright,
)

from tools.look import launch, settle
from tools.serve import HTML, check_built, serving

ELSEWHERE = re.compile(r"^(?!http://127\.0\.0\.1:|data:|blob:|about:)")

# A chapter has thousands of coloured words of code in a dozen colours, and as many
# letters in formulas. Each colour on each ground is judged once; axe-core would take
# ten seconds for them all.
THIN_OUT = """() => {
  const seen = new Set();
  for (const formula of document.querySelectorAll("mjx-math")) {
    const kind = "formula" + getComputedStyle(formula).color;
    if (seen.has(kind)) formula.remove(); // what is read aloud stays
    seen.add(kind);
  }
  for (const pre of document.querySelectorAll("pre")) {
    const ground = getComputedStyle(pre).backgroundColor + pre.parentElement.className;
    const kinds = [...pre.querySelectorAll("span")].map(e => ground + e.className);
    if (kinds.every(kind => seen.has(kind))) pre.replaceChildren(pre.textContent);
    kinds.forEach(kind => seen.add(kind));
  }
}"""

UNFOLD = """() => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  document.querySelectorAll(".toggle-button-hidden").forEach(e => e.click());
}"""

# Everything in the article that reaches over the window's edge, unless it scrolls
# inside something: what an ancestor cuts off is lost to the reader, too.
CUT_OFF = """() => {
  const edge = document.documentElement.clientWidth;
  const scrolls = e => ["auto", "scroll"].includes(getComputedStyle(e).overflowX);
  const scrolled = e => e && (scrolls(e) || scrolled(e.parentElement));
  const found = [];
  if (document.documentElement.scrollWidth > edge)
    found.push(`the page is ${document.documentElement.scrollWidth} wide`);
  for (const e of document.querySelectorAll("article *, body > *")) {
    const box = e.getBoundingClientRect();
    const shown = e.checkVisibility({visibilityProperty: true}) && box.width > 1
      && !e.closest("mjx-assistive-mml"); // a formula for screen readers only
    if (shown && box.right > edge + 1 && box.left < edge && !scrolled(e.parentElement))
      found.push(`to ${Math.round(box.right)}: ${e.outerHTML.slice(0, 120)}`);
  }
  return found;
}"""

WITHOUT_ALT = """() => [...document.querySelectorAll("img, svg[role=img]")]
  .filter(e => e.closest("article")
    ? !(e.getAttribute("alt") ?? e.getAttribute("aria-label") ?? "").trim()
    : !e.hasAttribute("alt"))
  .map(e => e.outerHTML.slice(0, 120))"""

# Of the radio buttons of a question Tab reaches one, the arrow keys the others.
CONTROLS = """() => {
  const groups = new Set();
  const selector = "a[href], button, summary, input, select, textarea, [tabindex='0']";
  return [...document.querySelectorAll(selector)].filter(e => {
    const box = e.getBoundingClientRect();
    if (!e.checkVisibility({visibilityProperty: true}) || !box.width) return false;
    if (e.disabled || e.tabIndex < 0) return false;
    if (e.type !== "radio") return true;
    if (groups.has(e.name)) return false;
    return groups.add(e.name);
  });
}"""

LISTEN = f"""() => {{
  window.controls = ({CONTROLS})();
  window.reached = new Map();
  document.addEventListener("focusin", event => {{
    const style = getComputedStyle(event.target);
    const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
    window.reached.set(event.target, ring || style.boxShadow !== "none");
  }});
  return window.controls.length;
}}"""

UNREACHED = """() => {
  const name = e => e.outerHTML.replace(/\\s+/g, " ").slice(0, 120);
  const same = (a, b) => a === b || (a.type === "radio" && a.name === b.name);
  const reached = [...window.reached];
  return [
    ...window.controls.filter(c => !reached.some(([e]) => same(c, e)))
      .map(c => `not reached: ${name(c)}`),
    ...reached.filter(([, ring]) => !ring).map(([e]) => `no visible focus: ${name(e)}`),
  ];
}"""


# What stands on the page where a formula should: TeX, or MathJax's complaint.
UNSET_FORMULAS = r"""() => {
  const found = [...document.querySelectorAll("mjx-merror, [data-mjx-error]")]
    .map(e => `not understood: ${e.textContent.slice(0, 80)}`);
  const wanted = document.querySelectorAll(".math").length;
  const there = document.querySelectorAll("mjx-container").length;
  if (there < wanted) found.push(`${there} of ${wanted} formulas are set`);
  const copy = document.querySelector("article").cloneNode(true);
  copy.querySelectorAll("pre, code, script, style").forEach(e => e.remove());
  for (const left of ["\\(", "\\)", "\\[", "\\]", "$$"])
    if (copy.textContent.includes(left)) found.push(`left over: ${left}`);
  return found;
}"""

# Whether the page would be left when the quiz is sent, as Enter in it may do. A form
# of the method "dialog" that is in no dialog goes nowhere.
SENT = """form => {
  let left = form.method !== "dialog";
  const see = event => { left &&= !event.defaultPrevented; event.preventDefault(); };
  document.addEventListener("submit", see, {once: true});
  form.requestSubmit();
  return left;
}"""

COLOUR_RULES = ["color-contrast", "link-in-text-block"]
MEGABYTE = 1_000_000
DESKTOP, PHONE = 1280, 360
# Milliseconds: of a click on what may not be there, and of what a busy machine delays.
TIMEOUT, PATIENCE = 10_000, 120_000


@dataclass
class Visit:
    """A page that is open, and what happened while it loaded.

    What is wrong with it is told by the methods that return a list, each of them one
    rule: a fault an entry, none if all is well.
    """

    page: Page
    outside: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)

    def note_request(self, request: Request) -> None:
        """Keep a request to another host; the browser can reach none."""
        if ELSEWHERE.match(request.url):
            self.outside.append(request.url)

    def note_response(self, response: Response) -> None:
        """Keep a response, to weigh it."""
        self.responses.append(response)

    def note_exception(self, error: Error) -> None:
        """Keep an exception that a script did not catch."""
        self.errors.append(str(error))

    def note_console(self, line: ConsoleMessage) -> None:
        """Keep what the console reports as an error: a file that is missing, too."""
        # A request to another host fails, and stands in `outside` already.
        if line.type == "error" and "ERR_NAME_NOT_RESOLVED" not in line.text:
            self.errors.append(line.text)

    def faults(self, *, chapter: bool) -> dict[str, list[str]]:
        """All that is wrong with a page, in one visit.

        Args:
            chapter: whether the page must have solutions and a quiz.

        Returns:
            Faults by the rule they break; empty if there are none.
        """
        self.found: dict[str, list[str]] = {}
        self.seconds: dict[str, float] = {}
        # As it comes first, then by keyboard and mouse, last what changes the page.
        self._apply("weight", self.too_heavy)
        self._apply("alternative text", self.images_without_alt)
        self._apply("formulas", self.unset_formulas)
        self._apply("Tab", self.unreached_by_tab)
        self._apply("solutions", self.stuck_solutions)
        self._apply("quiz", self.quiz_faults)
        if chapter:
            self._apply("chapter", self.missing_parts)
        self._apply("unfolding", self.unfold)
        self.resize(PHONE)
        self._apply("width on a phone", self.cut_off)
        self.resize(DESKTOP)
        for scheme in ("light", "dark"):
            self._apply(f"accessibility, {scheme}", self.violations, scheme)
        self._apply("other hosts", lambda: self.outside)
        self._apply("console", lambda: self.errors)
        return self.found

    def _apply(self, rule: str, look: Callable[..., list[str]], *arguments) -> None:
        start = time.perf_counter()
        try:
            faults = look(*arguments)
        except Error as error:  # what was to be clicked is not there, and the like
            faults = [f"could not be tried: {error}"]
        self.seconds[rule] = time.perf_counter() - start
        if faults:
            self.found[rule] = list(faults)

    def resize(self, width: int) -> None:
        """Give the window another width, in CSS pixels."""
        self.page.set_viewport_size({"width": width, "height": 900})
        settle(self.page)

    def cut_off(self) -> list[str]:
        """What reaches over the window's edge."""
        return self.page.evaluate(CUT_OFF)

    def unset_formulas(self) -> list[str]:
        """Formulas that are not set, or not understood."""
        return self.page.evaluate(UNSET_FORMULAS)

    def too_heavy(self) -> list[str]:
        """What weighs more than it may, in bytes."""
        everything, own = self.weight()
        # The theme, the formulas' fonts and scripts, and the index for searching.
        limits = {"own": (own, MEGABYTE), "theme": (everything - own, 2 * MEGABYTE)}
        return [f"{k}: {n} of {most}" for k, (n, most) in limits.items() if n >= most]

    def missing_parts(self) -> list[str]:
        """What every chapter has and this page has not."""
        parts = {"solution": ".solution.admonition", "quiz": ".lc-quiz-question"}
        return [
            name for name, css in parts.items() if not self.page.locator(css).count()
        ]

    def stuck_solutions(self) -> list[str]:
        """Solutions that are open at first, or obey the mouse or keyboard not."""
        faults = []
        for solution in self.page.locator(".solution.admonition").all():
            button = solution.locator(".toggle-button")
            content = solution.locator(".solution-content, section, div").first
            if content.is_visible():
                faults.append(f"open at first: {solution.inner_text()[:60]}")
                continue
            for way, act in {
                "mouse": lambda b: b.click(timeout=TIMEOUT),
                "keyboard": lambda b: b.press("Enter", timeout=TIMEOUT),
            }.items():
                act(button)
                state = button.get_attribute("aria-expanded", timeout=TIMEOUT)
                if not content.is_visible() or state != "true":
                    faults.append(f"{way} opens nothing: {solution.inner_text()[:60]}")
                act(button)
                if content.is_visible():
                    faults.append(f"{way} closes nothing: {solution.inner_text()[:60]}")
        return faults

    def quiz_faults(self) -> list[str]:
        """Answers without feedback, by mouse or keyboard, and a quiz that is sent."""
        faults = []
        questions = self.page.locator(".lc-quiz-question").all()
        for question in questions:
            words = question.inner_text()[:60]
            feedback = question.locator(".lc-quiz-feedback:visible")
            if feedback.count():
                faults.append(f"answered at first: {words}")
            for kind in ("wrong", "right"):
                choice = question.locator(f".lc-quiz-choice:has(.lc-{kind})").first
                choice.locator("label").click(timeout=TIMEOUT)
                shown = choice.locator(".lc-quiz-feedback").is_visible()
                if not shown or feedback.count() != 1:
                    faults.append(f"no feedback on {kind}: {words}")
        for question in questions[:1]:
            question.locator("input").first.focus(timeout=TIMEOUT)
            self.page.keyboard.press("Space")
            self.page.keyboard.press("ArrowDown")
            second = question.locator(".lc-quiz-choice").nth(1)
            feedback = second.locator(".lc-quiz-feedback")
            checked = second.locator("input").is_checked(timeout=TIMEOUT)
            if not checked or not feedback.is_visible():
                faults.append("the keyboard chooses no answer")
            if self.page.locator(".lc-quiz").first.evaluate(SENT):
                faults.append("the quiz is sent, and the page loaded anew")
        return faults

    def images_without_alt(self) -> list[str]:
        """Images that say nothing to those who do not see them."""
        return self.page.evaluate(WITHOUT_ALT)

    def unreached_by_tab(self) -> list[str]:
        """Controls that Tab does not reach, or where one does not see it."""
        controls = self.page.evaluate(LISTEN)
        # There are other stops: what scrolls, and the browser's own.
        for presses in range(2 * controls + 20):
            self.page.keyboard.press("Tab")
            if presses > controls and not self.page.evaluate(UNREACHED):
                return []
        return self.page.evaluate(UNREACHED)

    def violations(self, scheme: str = "light") -> list[str]:
        """What axe-core finds to be serious or critical in light or in dark."""
        self.page.emulate_media(color_scheme=scheme)
        if self.page.locator("html[data-theme]").count():
            self.page.wait_for_selector(f"html[data-theme={scheme}]")
        settle(self.page)
        self.page.evaluate(THIN_OUT)
        # Preloading reads style sheets by addresses relative to the wrong folder.
        options: dict = {"resultTypes": ["violations"], "preload": False}
        if scheme == "dark":  # where only colours are other than in light
            options["runOnly"] = {"type": "rule", "values": COLOUR_RULES}
        results = Axe().run(self.page, options=options)
        return [
            f"{violation['id']}: {node['html'][:120]} {node['failureSummary'][-160:]}"
            for violation in results.response["violations"]
            if violation["impact"] in ("serious", "critical")
            for node in violation["nodes"]
        ]

    def unfold(self) -> list[str]:
        """Open all that is folded, and answer each question, one wrong, one right.

        Returns:
            No faults; what cannot be answered raises.
        """
        self.page.evaluate(UNFOLD)
        for index, question in enumerate(self.page.locator(".lc-quiz-question").all()):
            kind = ("right", "wrong")[index % 2]
            has = self.page.locator(f".lc-quiz-feedback.lc-{kind}")
            question.locator(".lc-quiz-choice").filter(has=has).first.locator(
                "label"
            ).click(timeout=TIMEOUT)
        return []

    def weight(self) -> tuple[int, int]:
        """Bytes of all that was loaded, and of what is this page's own.

        Its own are the document, with the pictures in it, and pictures in files that
        are not part of the theme.
        """
        everything = own = 0
        for response in self.responses:
            size = len(response.body())
            everything += size
            kind = response.request.resource_type
            picture = kind in ("image", "media") and "/_static/" not in response.url
            if kind == "document" or picture:
                own += size
        return everything, own


@pytest.fixture(scope="session")
def html() -> Path:
    """The folder of the built book. Without one the tests fail, not skip."""
    try:
        return check_built(HTML)
    except FileNotFoundError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def site(html: Path) -> Iterator[str]:
    """The address of the built book."""
    with serving(html) as address:
        yield address


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Callable[..., Visit]]:
    """A function that opens a page in a fresh profile and waits for its formulas."""
    with ExitStack() as contexts:

        def open_page(site: str, path: str, *, width=DESKTOP, scheme="light") -> Visit:
            context = browser.new_context(
                viewport={"width": width, "height": 900},
                color_scheme=scheme,
                reduced_motion="reduce",  # no colour is measured halfway to another
            )
            contexts.callback(context.close)
            context.set_default_timeout(PATIENCE)
            visit = Visit(context.new_page())
            visit.page.on("request", visit.note_request)
            visit.page.on("response", visit.note_response)
            visit.page.on("pageerror", visit.note_exception)
            visit.page.on("console", visit.note_console)
            visit.page.goto(site + path)
            settle(visit.page)
            return visit

        yield open_page
