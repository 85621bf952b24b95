"""Screenshots of every page of the built book: light, dark, and on a phone.

    python -m tools.look [--out _build/look] [--html _build/html]

Writes `<page>-light.png`, `<page>-dark.png`, `<page>-phone.png` for each page of
`_toc.yml`, and `contact-sheet.png` with the upper part of them all.
"""

import argparse
import io
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Page,
    Playwright,
    sync_playwright,
)

from tools.execute import listed_pages
from tools.files import write_whole
from tools.serve import HTML, ROOT, check_built, serving

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# The browser reaches nothing but this machine, and looks for no updates.
QUIET = (
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-proxy-server",
)
PAPER, INK = "#fbfaf7", "#24211c"


@dataclass(frozen=True)
class View:
    """A way to look at a page.

    Args:
        name: as it stands in the file's name.
        width: of the window, in CSS pixels.
        scheme: "light" or "dark".
        thumbnail: the width on the contact sheet, in pixels.
    """

    name: str
    width: int
    scheme: str
    thumbnail: int


VIEWS = (
    View("light", width=1280, scheme="light", thumbnail=560),
    View("dark", width=1280, scheme="dark", thumbnail=560),
    View("phone", width=390, scheme="light", thumbnail=280),
)


def find_chromium() -> str:
    """The system's Chromium or Chrome.

    Returns:
        The path of its executable.

    Raises:
        FileNotFoundError: none is installed.
    """
    for name in CHROMIUM:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(
        f"none of {', '.join(CHROMIUM)} is on PATH: install one (Debian: apt install "
        "chromium) to look at pages and to test them"
    )


def launch(
    playwright: Playwright, profile: Path | None = None
) -> Browser | BrowserContext:
    """Start the system's browser without a window and without a network.

    Args:
        playwright: a running Playwright.
        profile: a folder with the settings of a user; a fresh one if left out.

    Returns:
        The browser; of a user with a profile, the one context that there is.

    Raises:
        FileNotFoundError: none is installed.
    """
    # Chromium refuses to sandbox itself for root, as which containers often run.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    arguments = [*QUIET, *(["--no-sandbox"] if root else [])]
    options = {"executable_path": find_chromium(), "args": arguments}
    if profile is None:
        return playwright.chromium.launch(**options)
    return playwright.chromium.launch_persistent_context(profile, **options)


def settle(page: Page) -> None:
    """Wait until a page is loaded and its formulas are set.

    Args:
        page: a page on its way to an address.
    """
    page.wait_for_load_state("load")
    page.evaluate("() => window.MathJax?.startup?.promise?.then(() => null)")
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => done()))")


def take(html: Path, pages: list[str], out: Path) -> dict[tuple[str, str], Path]:
    """Take the screenshots.

    Args:
        html: the folder of the built book.
        pages: the pages' names, without a suffix, as in `_toc.yml`.
        out: the folder to write to; made if need be.

    Returns:
        The file of each (page, view's name).

    Raises:
        FileNotFoundError: no browser is installed, or a page is not in the build.
    """
    for page in pages:
        if not (html / f"{page}.html").is_file():
            raise FileNotFoundError(f"{page} is in _toc.yml, but not in {html}")
    out.mkdir(parents=True, exist_ok=True)
    shots = {}
    with serving(html) as site, sync_playwright() as playwright:
        browser = launch(playwright)
        for view in VIEWS:
            viewport = {"width": view.width, "height": 900}
            context = browser.new_context(
                viewport=viewport,
                color_scheme=view.scheme,
                reduced_motion="reduce",  # nothing is caught on its way
            )
            tab = context.new_page()
            for page in pages:
                tab.goto(f"{site}{page}.html")
                settle(tab)
                shot = out / f"{_label(page).replace('/', '-')}-{view.name}.png"
                write_whole(shot, tab.screenshot(full_page=True))
                shots[page, view.name] = shot
            context.close()
        browser.close()
    return shots


def contact_sheet(shots: dict[tuple[str, str], Path]) -> Image.Image:
    """All screenshots on one sheet: a row for each page, a column for each view.

    Args:
        shots: the file of each (page, view's name).

    Returns:
        The sheet; of a long page it shows the upper part.
    """
    gap, label = 24, 30
    draw_at = []
    y = gap
    for page in dict.fromkeys(page for page, _ in shots):
        row = [_thumbnail(shots[page, view.name], view) for view in VIEWS]
        x = gap
        for view, picture in zip(VIEWS, row, strict=True):
            draw_at.append((x, y, f"{_label(page)}, {view.name}", picture))
            x += view.thumbnail + gap
        y += label + max(picture.height for picture in row) + gap
    sheet = Image.new("RGB", (x, y), PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=17)
    for x, y, title, picture in draw_at:
        draw.text((x, y), title, fill=INK, font=font)
        box = (x - 1, y + label - 1, x + picture.width, y + label + picture.height)
        draw.rectangle(box, outline="#cfc8b8")
        sheet.paste(picture, (x, y + label))
    return sheet


def _thumbnail(shot: Path, view: View, height: int = 760) -> Image.Image:
    with Image.open(shot) as picture:
        picture = picture.convert("RGB")
    scaled = picture.height * view.thumbnail // picture.width
    picture = picture.resize((view.thumbnail, scaled), Image.Resampling.LANCZOS)
    return picture.crop((0, 0, view.thumbnail, min(scaled, height)))


def _label(page: str) -> str:
    return page.removeprefix("book/")


def main() -> None:
    """Take the screenshots, lay out the contact sheet."""
    parser = argparse.ArgumentParser(prog="python -m tools.look", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "look")
    parser.add_argument("--html", type=Path, default=HTML)
    options = parser.parse_args()
    try:
        shots = take(check_built(options.html), listed_pages(ROOT), options.out)
    except FileNotFoundError as error:
        sys.exit(str(error))
    sheet = io.BytesIO()
    contact_sheet(shots).save(sheet, format="png")
    write_whole(options.out / "contact-sheet.png", sheet.getvalue())
    print(f"{len(shots)} screenshots and contact-sheet.png are in {options.out}")


if __name__ == "__main__":
    main()
