/* What style sheets cannot do. Loaded in the head, so that the first part runs before
   anything is drawn. */

// The theme resolves "auto" only after the page is parsed: in dark mode a white flash.
(() => {
  const root = document.documentElement;
  if (!["light", "dark"].includes(root.dataset.theme)) {
    const dark = window.matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = dark ? "dark" : "light";
  }
})();

// Paper is light: code coloured for a dark screen would be too pale on it.
let themeOnScreen;
window.addEventListener("beforeprint", () => {
  themeOnScreen = document.documentElement.dataset.theme;
  document.documentElement.dataset.theme = "light";
});
window.addEventListener("afterprint", () => {
  document.documentElement.dataset.theme = themeOnScreen;
});

// What scrolls sideways inside itself must be reachable, and so scrollable, by keyboard.
const SCROLLERS =
  "pre, div.math, span.math, .pst-scrollable-table-container, .cell_output > .output";

function markScrollers() {
  for (const element of document.querySelectorAll(SCROLLERS)) {
    // In a line of text a slanted letter may lean some pixels out of its formula.
    const slack = element.matches("span.math") ? 4 : 0;
    const scrolls = element.scrollWidth > element.clientWidth + slack;
    element.classList.toggle("lc-scrolls", scrolls);
    if (scrolls) element.tabIndex = 0;
    else element.removeAttribute("tabindex");
  }
}

window.addEventListener("load", async () => {
  await window.MathJax?.startup?.promise; // formulas have their width only now
  markScrollers();
  window.addEventListener("resize", markScrollers);
  // An answer that unfolds has had no width before.
  document.addEventListener("toggle", markScrollers, true);
  document.addEventListener("click", () => requestAnimationFrame(markScrollers));
});
