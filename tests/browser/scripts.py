"""What is asked of an open page, in its own language."""

# A chapter has thousands of colored words of code and as many letters in formulas.
# The rules on structure need no more than one formula and one line of each kind.
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

# axe-core judges the contrast of each text by itself, twenty seconds for a chapter.
# Texts of one look are judged once. Two texts have one look if they have color, size,
# weight and ground in common, and tags and classes too: a theme chooses by these.
ONE_TEXT_OF_EACH_LOOK = """() => {
  const ground = e => {
    const {backgroundColor, backgroundImage} = getComputedStyle(e);
    const seen = backgroundImage !== "none" || !/, 0\\)$/.test(backgroundColor);
    return seen ? backgroundColor + backgroundImage
      : e.parentElement && ground(e.parentElement);
  };
  const opacity = e => e ? getComputedStyle(e).opacity * opacity(e.parentElement) : 1;
  const look = e => {
    const {color, fontSize, fontWeight} = getComputedStyle(e);
    const names = [e, e.parentElement].map(e => `${e?.tagName} ${e?.className}`);
    return [...names, e.style.cssText, color, fontSize, fontWeight, opacity(e),
      ground(e)].join("|");
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const looks = new Map();
  while (walker.nextNode()) {
    const text = walker.currentNode, e = text.parentElement;
    if (text.data.trim() && e.checkVisibility({visibilityProperty: true}))
      looks.set(text, look(e)); // before any is emptied
  }
  const judged = new Set();
  for (const [text, look] of looks)
    if (judged.has(look)) text.data = ""; else judged.add(look);
}"""

# Every second question is answered wrong.
UNFOLD = """() => {
  document.querySelectorAll("details").forEach(e => e.open = true);
  document.querySelectorAll(".toggle-button-hidden").forEach(e => e.click());
  document.querySelectorAll(".lc-quiz-question").forEach((question, index) => {
    const kind = ["right", "wrong"][index % 2];
    const feedback = question.querySelector(`.lc-quiz-feedback.lc-${kind}`);
    feedback.closest(".lc-quiz-choice").querySelector("label").click();
  });
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

# Where the walk begins at the article, what stands before it has no part in it.
LISTEN = f"""everything => {{
  const article = document.querySelector("article");
  const before = e => article.compareDocumentPosition(e) & 2;
  window.controls = ({CONTROLS})().filter(e => everything || !before(e));
  if (!everything) {{
    article.tabIndex = -1;
    article.focus({{preventScroll: true}});
  }}
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

# One click opens a solution, one more closes it.
STUCK = """solution => {
  const button = solution.querySelector(".toggle-button");
  const content = solution.querySelector(".solution-content, section, div");
  const shown = () => content.checkVisibility({visibilityProperty: true});
  const faults = [];
  if (shown()) return ["open at first"];
  button.click();
  if (!shown() || button.getAttribute("aria-expanded") !== "true")
    faults.push("a click opens nothing");
  button.click();
  if (shown()) faults.push("a click closes nothing");
  return faults;
}"""

# An answer shows its own feedback, and no other.
UNANSWERED = """question => {
  const all = [...question.querySelectorAll(".lc-quiz-feedback")];
  const shown = () => all.filter(e => e.checkVisibility({visibilityProperty: true}));
  const faults = shown().length ? ["answered at first"] : [];
  for (const kind of ["wrong", "right"]) {
    const feedback = question.querySelector(`.lc-quiz-feedback.lc-${kind}`);
    feedback.closest(".lc-quiz-choice").querySelector("label").click();
    if (shown().length !== 1 || shown()[0] !== feedback)
      faults.push(`no feedback on ${kind}`);
  }
  return faults;
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
