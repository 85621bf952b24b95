"""A page of the built book that is open in a browser, and what is wrong with it."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import (
    ConsoleMessage,
    Error,
    Locator,
    Page,
    Request,
    Response,
)

from tests.browser.scripts import (
    CUT_OFF,
    LISTEN,
    ONE_TEXT_OF_EACH_LOOK,
    SENT,
    STUCK,
    THIN_OUT,
    UNANSWERED,
    UNFOLD,
    UNREACHED,
    UNSET_FORMULAS,
    WITHOUT_ALT,
)
from tools.look import settle

ELSEWHERE = re.compile(r"^(?!http://127\.0\.0\.1:|data:|blob:|about:)")
COLOR_RULES = ["color-contrast", "link-in-text-block"]
SOLUTION, QUESTION = ".solution.admonition", ".lc-quiz-question"
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
        # The bars before the article are the same on every page.
        self._apply("Tab", self.unreached_by_tab, not chapter)
        self._apply("solutions", self.stuck_solutions)
        self._apply("quiz", self.quiz_faults)
        if chapter:
            self._apply("chapter", self.missing_parts)
        self._apply("unfolding", self.unfold)
        self.resize(PHONE)
        self._apply("width on a phone", self.cut_off)
        self.resize(DESKTOP)
        self._apply("accessibility", self.violations)
        for scheme in ("light", "dark"):
            self._apply(f"contrast, {scheme}", self.pale_texts, scheme)
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
        theme, index, own = self.weight()
        # The theme has the formulas' fonts and scripts; the index grows with the book.
        limits = {
            "own": (own, MEGABYTE),
            "index": (index, MEGABYTE // 2),
            "theme": (theme, 2 * MEGABYTE - MEGABYTE // 5),
        }
        return [f"{k}: {n} of {most}" for k, (n, most) in limits.items() if n >= most]

    def missing_parts(self) -> list[str]:
        """What every chapter has and this page has not."""
        parts = {"solution": SOLUTION, "quiz": QUESTION}
        return [
            name for name, css in parts.items() if not self.page.locator(css).count()
        ]

    def stuck_solutions(self) -> list[str]:
        """Solutions that are open at first, or obey the mouse or keyboard not.

        The first is opened by mouse and by keyboard, the others by their click alone.
        """
        faults = []
        for index, solution in enumerate(self.page.locator(SOLUTION).all()):
            words = solution.inner_text()[:60]
            found = [] if index else self._stuck_by_hand(solution)
            found = found or solution.evaluate(STUCK)
            faults += [f"{fault}: {words}" for fault in found]
        return faults

    def _stuck_by_hand(self, solution: Locator) -> list[str]:
        button = solution.locator(".toggle-button")
        content = solution.locator(".solution-content, section, div").first
        if content.is_visible():
            return ["open at first"]
        faults = []
        for way, act in {
            "mouse": lambda: button.click(timeout=TIMEOUT),
            "keyboard": lambda: button.press("Enter", timeout=TIMEOUT),
        }.items():
            act()
            state = button.get_attribute("aria-expanded", timeout=TIMEOUT)
            if not content.is_visible() or state != "true":
                faults.append(f"{way} opens nothing")
            act()
            if content.is_visible():
                faults.append(f"{way} closes nothing")
        return faults

    def quiz_faults(self) -> list[str]:
        """Answers without feedback, by mouse or keyboard, and a quiz that is sent.

        The first question is answered by mouse and by keyboard, each by its labels.
        """
        faults = []
        questions = self.page.locator(QUESTION).all()
        for question in questions:
            words = question.inner_text()[:60]
            faults += [f"{fault}: {words}" for fault in question.evaluate(UNANSWERED)]
        for question in questions[:1]:
            first, second = question.locator(".lc-quiz-choice").all()[:2]
            first.locator("label").click(timeout=TIMEOUT)
            if not first.locator(".lc-quiz-feedback").is_visible():
                faults.append("the mouse chooses no answer")
            self.page.keyboard.press("ArrowDown")
            checked = second.locator("input").is_checked(timeout=TIMEOUT)
            if not checked or not second.locator(".lc-quiz-feedback").is_visible():
                faults.append("the keyboard chooses no answer")
            if self.page.locator(".lc-quiz").first.evaluate(SENT):
                faults.append("the quiz is sent, and the page loaded anew")
        return faults

    def images_without_alt(self) -> list[str]:
        """Images that say nothing to those who do not see them."""
        return self.page.evaluate(WITHOUT_ALT)

    def unreached_by_tab(self, everything: bool = True) -> list[str]:
        """Controls that Tab does not reach, or where one does not see it.

        Args:
            everything: whether the walk begins at the top of the page; else it begins
                at the article.
        """
        controls = self.page.evaluate(LISTEN, everything)
        # There are other stops: what scrolls, and the browser's own.
        for presses in range(2 * controls + 20):
            self.page.keyboard.press("Tab")
            if presses > controls and not self.page.evaluate(UNREACHED):
                return []
        return self.page.evaluate(UNREACHED)

    def violations(self) -> list[str]:
        """What axe-core finds to be serious or critical, but for colors."""
        self.page.evaluate(THIN_OUT)
        off = {rule: {"enabled": False} for rule in COLOR_RULES}
        return self._axe({"rules": off})

    def pale_texts(self, scheme: str = "light") -> list[str]:
        """What axe-core finds in the colors of light or of dark."""
        self.page.emulate_media(color_scheme=scheme)
        if self.page.locator("html[data-theme]").count():
            self.page.wait_for_selector(f"html[data-theme={scheme}]")
        settle(self.page)
        self.page.evaluate(ONE_TEXT_OF_EACH_LOOK)
        return self._axe({"runOnly": {"type": "rule", "values": COLOR_RULES}})

    def _axe(self, options: dict) -> list[str]:
        # Preloading reads style sheets by addresses relative to the wrong folder.
        always = {"resultTypes": ["violations"], "preload": False}
        results = Axe().run(self.page, options={**always, **options})
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
        return []

    def weight(self) -> tuple[int, int, int]:
        """Bytes of what all pages share, of the index for searching, and of its own.

        A page's own are the document, with the pictures in it, and pictures in files
        that are not part of the theme.
        """
        theme = index = own = 0
        for response in self.responses:
            size, url = len(response.body()), response.url
            kind = response.request.resource_type
            picture = kind in ("image", "media") and "/_static/" not in url
            if kind == "document" or picture:
                own += size
            elif url.split("?")[0].endswith("/searchindex.js"):
                index += size
            else:
                theme += size
        return theme, index, own
