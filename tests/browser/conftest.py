"""The built book in a browser without a network."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.browser.visit import DESKTOP, PATIENCE, Visit
from tools.look import launch, settle
from tools.serve import HTML, check_built, serving


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


@pytest.fixture(params=["http", "file"])
def address(request: pytest.FixtureRequest, site: str, html: Path) -> str:
    """The book as it is served, and as it is opened by a double click."""
    return site if request.param == "http" else f"{html.as_uri()}/"


@pytest.fixture(scope="session")
def playwright() -> Iterator[Playwright]:
    """What starts browsers; a process has one at a time."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """The system's Chromium."""
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
                reduced_motion="reduce",  # no color is measured halfway to another
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
