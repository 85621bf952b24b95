"""Take still pictures of the figures that a page computes, for those without scripts.

    python -m tools.stills

Each figure is drawn by its own script, as it is at first, in the system's Chromium; the
picture and the line of numbers under it go to `book/_ext/stills`.
"""

import sys

from playwright.sync_api import Browser, sync_playwright

from tools.files import write_whole
from tools.look import launch
from tools.serve import ROOT

sys.path.insert(0, str(ROOT / "book" / "_ext"))

from live_figures import FIGURES, STILLS, stage

SCRIPTS = ROOT / "book" / "_static" / "figures"

# What only a script answers is no tab stop, and no application, where none runs.
TAKE = """async () => {
  const stage = document.querySelector("[data-live] > div");
  await stage.querySelector("img")?.decode();
  const still = stage.cloneNode(true);
  for (const part of still.querySelectorAll("[tabindex]")) {
    const label = part.matches("svg") ? part.getAttribute("aria-roledescription") : "";
    for (const name of ["tabindex", "role", "aria-roledescription", "aria-label"])
      part.removeAttribute(name);
    if (label) part.setAttribute("aria-label", label);
  }
  still.querySelectorAll("svg").forEach(e => e.setAttribute("role", "img"));
  const parts = [...still.querySelectorAll("svg, .lc-live-said")];
  parts.forEach(part => part.matches("p") && part.removeAttribute("role"));
  return parts.map(part => part.outerHTML + "\\n").join("");
}"""


def still(browser: Browser, name: str) -> str:
    """The still picture of a figure.

    Args:
        browser: a running one.
        name: of the figure.

    Returns:
        HTML: the picture, and the numbers under it.
    """
    scripts = ("live.js", FIGURES[name])
    code = "\n".join((SCRIPTS / script).read_text("utf-8") for script in scripts)
    tab = browser.new_page()
    tab.set_content(f"{stage(name, '')}</figure><script>{code}</script>")
    found = tab.evaluate(TAKE)
    tab.close()
    return found


def main() -> None:
    """Write all stills."""
    STILLS.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = launch(playwright)
        for name in FIGURES:
            text = still(browser, name)
            write_whole(STILLS / f"{name}.html", text)
            print(f"{name}: {len(text.encode()):,} bytes")
        browser.close()


if __name__ == "__main__":
    main()
