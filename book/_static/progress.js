/* The reader's progress: chapters and exercises ticked off, answers to quizzes, and where
   one was last. It is one entry in the browser's own storage, and is sent nowhere. */

"use strict";

(() => {
  const KEY = "look-closer-progress";
  const root = new URL(document.documentElement.dataset.content_root, location.href);
  const page = DOCUMENTATION_OPTIONS.pagename;
  const article = document.querySelector("article.bd-article") // the page of results has none
    ?? document.createElement("article");
  const exercises = [...article.querySelectorAll(".exercise.admonition[id]")];
  const questions = [...article.querySelectorAll(".lc-quiz-question")];
  const isChapter = exercises.length > 0 && questions.length > 0;
  // Of the front page only: the exercises of each chapter.
  const contents = JSON.parse(document.getElementById("lc-contents")?.textContent ?? "null");

  const NOTES = {
    kept: "Kept in this browser on this machine, and sent nowhere.",
    refused: "Your browser keeps nothing for this page, as its settings say. What you tick "
      + "and answer is lost when you leave the page.",
    full: "The storage that your browser gives this book is full. What you tick and answer "
      + "now is lost when you leave the page; what was kept before is still there.",
  };
  let state = document.documentElement.dataset.storage;

  /* ---- What is kept ---- */

  const nothing = () => ({ chapters: {}, exercises: {}, answers: {}, last: null });

  function read() {
    try {
      // Of an entry that some other program has spoiled, what is right is taken.
      const found = JSON.parse(localStorage.getItem(KEY)) ?? {}, all = nothing();
      for (const [name, empty] of Object.entries(all))
        if (found[name] && typeof found[name] === "object") all[name] = found[name] ?? empty;
      return all;
    } catch {
      return nothing();
    }
  }

  /** Change what is kept, as a whole or not at all. */
  function change(edit) {
    const all = read(); // anew: another tab may have written
    edit(all);
    try {
      localStorage.setItem(KEY, JSON.stringify(all));
    } catch {
      state = "full"; // since the page was loaded
    }
    show();
  }

  /* ---- What is shown ---- */

  function make(name, properties = {}, ...children) {
    const element = Object.assign(document.createElement(name), properties);
    element.append(...children);
    return element;
  }

  /** A box to tick, for an entry of read()[kind]. */
  function ticker(kind, key, text, spoken = text) {
    const input = make("input", { type: "checkbox", autocomplete: "off" });
    input.setAttribute("aria-label", spoken);
    input.addEventListener("change", () => change((all) => {
      if (input.checked) all[kind][key] = true;
      else delete all[kind][key];
    }));
    input.dataset.kind = kind;
    input.dataset.key = key;
    return make("label", { className: "lc-tick" }, input, text);
  }

  function startOver() {
    if (!confirm("Forget all ticks and all answers of this book?")) return;
    localStorage.removeItem(KEY);
    for (const input of article.querySelectorAll(".lc-quiz input")) input.checked = false;
    show();
  }

  const summary = make("p");
  const note = make("p", { className: "lc-note" });
  const box = make("aside", { className: "lc-progress" });
  box.setAttribute("aria-label", "Your progress");
  const resume = make("p");
  const reset = make("button", { type: "button", className: "lc-button", onclick: startOver },
    "Start over");

  if (isChapter) {
    for (const exercise of exercises) {
      const title = exercise.querySelector(".admonition-title");
      title.append(ticker("exercises", exercise.id, "done", `done: ${title.innerText}`));
    }
    const front = make("a", { href: document.querySelector("a.navbar-brand").href },
      "The whole book");
    box.append(ticker("chapters", page, "I have worked through this chapter"),
      summary, note, make("p", {}, front));
    article.querySelector("section").append(box);
    for (const input of article.querySelectorAll(".lc-quiz input"))
      input.addEventListener("change", () => change((now) => {
        const choice = input.closest(".lc-quiz-choice");
        const right = choice.querySelector(".lc-quiz-feedback.lc-right") !== null;
        now.answers[input.name] = [input.id, right];
      }));
  } else if (contents) {
    box.append(resume, summary, note, reset);
    (article.querySelector("h1 + p") ?? article.querySelector("h1")).after(box);
  }

  const many = (number, one) => `${number} ${one}${number === 1 ? "" : "s"}`;
  const right = (answers) => answers.filter(([, isRight]) => isRight).length;

  function show() {
    const all = read();
    for (const input of article.querySelectorAll(".lc-tick input"))
      input.checked = Boolean(all[input.dataset.kind][input.dataset.key]);
    for (const [choice] of Object.values(all.answers)) {
      const input = document.getElementById(choice);
      if (input) input.checked = true;
    }
    note.textContent = NOTES[state];
    note.classList.toggle("lc-warning", state !== "kept");
    if (isChapter) {
      const done = exercises.filter(({ id }) => all.exercises[id]).length;
      const answers = questions.map((question) => all.answers[question.querySelector("input").name])
        .filter(Boolean);
      summary.textContent = `${done} of ${many(exercises.length, "exercise")} done; `
        + `${answers.length} of ${many(questions.length, "question")} answered, `
        + `${right(answers)} right.`;
    } else if (contents) showFront(all);
    mark(all);
  }

  function showFront(all) {
    const chapters = Object.keys(contents), tasks = Object.values(contents).flat();
    const read = chapters.filter((name) => all.chapters[name]).length;
    const done = tasks.filter((name) => all.exercises[name]).length;
    const answers = Object.values(all.answers);
    const begun = read || done || answers.length || all.last;
    box.hidden = !begun && state === "kept";
    reset.hidden = !begun;
    summary.textContent = `${read} of ${many(chapters.length, "chapter")}, ${done} of `
      + `${many(tasks.length, "exercise")}; ${many(answers.length, "question")} answered, `
      + `${right(answers)} right.`;
    resume.hidden = !(all.last?.page in contents);
    if (resume.hidden) return;
    const link = make("a", { href: new URL(`${all.last.page}.html${all.last.anchor}`, root) },
      all.last.title, all.last.heading ? `: ${all.last.heading}` : "");
    resume.replaceChildren("Continue where you were: ", link);
  }

  /** A sign beside each link to what is done, in the lists of chapters and exercises. */
  function mark(all) {
    for (const link of document.querySelectorAll("nav.bd-links a[href], article table a[href]")) {
      const { pathname, hash } = new URL(link.href);
      const name = decodeURI(pathname.slice(root.pathname.length)).replace(/\.html$/, "");
      const done = hash.length > 1 ? all.exercises[hash.slice(1)] : all.chapters[name];
      link.querySelector(".lc-done")?.remove();
      if (!done) continue;
      const words = make("span", { className: "visually-hidden" }, " (done)");
      link.append(make("span", { className: "lc-done" }, words));
    }
  }

  /** Remember the section that is being read. */
  function remember() {
    if (!isChapter || document.visibilityState !== "hidden") return;
    const sections = [...article.querySelectorAll("section[id]")];
    const above = sections.filter((section) => section.getBoundingClientRect().top < innerHeight / 3);
    const section = above.at(-1);
    const text = (heading) => {
      const copy = heading.cloneNode(true);
      copy.querySelector(".headerlink")?.remove();
      return copy.textContent.trim();
    };
    const heading = section?.querySelector("h2, h3, h4");
    const first = !section || section.querySelector("h1");
    change((all) => {
      all.last = {
        page,
        title: text(article.querySelector("h1")),
        heading: first || !heading ? "" : text(heading),
        anchor: first ? "" : `#${section.id}`,
      };
    });
  }

  document.addEventListener("visibilitychange", remember);
  window.addEventListener("storage", show); // another tab has written
  window.addEventListener("pageshow", show); // back from another page
  show();
})();
