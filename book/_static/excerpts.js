/* Under each result of a search, the place on the page that answers it.

   Sphinx would fetch each page, pictures and all, and from file:// it may not. The build
   writes the text of each page as a script, which a page may load from anywhere. */

"use strict";

const Excerpts = (() => {
  const AROUND = 110; // characters before and behind
  const waiting = new Map(); // from a page to what is to be done with its text
  const root = document.documentElement.dataset.content_root;
  const stemmer = new Stemmer();
  const query = new URLSearchParams(location.search).get("q") ?? "";
  const chinese = query.match(/[㐀-鿿]+/gu) ?? [];
  const wanted = new Set(splitQuery(query.toLowerCase())
    .filter((word, _, all) => all.length === 1 || !stopwords.includes(word))
    .map((word) => stemmer.stemWord(word)));

  /** Where the words of the query stand in a text: [start, end, which] of each. */
  function matches(text) {
    const found = [];
    for (const { 0: word, index } of text.matchAll(/[\p{Letter}\p{Number}_]+/gu))
      if (hit(word)) found.push([index, index + word.length, hit(word)]);
    for (const run of chinese)
      for (const { index } of text.matchAll(run)) found.push([index, index + run.length, run]);
    return found.sort(([a], [b]) => a - b);
  }

  const known = new Map(); // a page has few words, each of them often
  function hit(word) {
    if (!known.has(word)) {
      const stem = stemmer.stemWord(word.toLowerCase());
      // As the search itself does, a part of a longer word counts.
      const part = [...wanted].find((one) => one.length > 2 && stem.includes(one));
      known.set(word, wanted.has(stem) ? stem : part);
    }
    return known.get(word);
  }

  /** The piece with most of the query's words; of equals prose, and the first. */
  function best(pieces, anchor) {
    const begin = Math.max(pieces.findIndex(([place]) => place === anchor), 0);
    let most = 0, chosen = null;
    for (const [, text, isCode] of pieces.slice(begin)) {
      const words = matches(text), kinds = new Set(words.map(([, , which]) => which));
      const worth = kinds.size - (isCode ? 0.5 : 0);
      if (worth > most) [most, chosen] = [worth, { text, words }];
    }
    return chosen ?? { text: pieces[begin]?.[1] ?? "", words: [] };
  }

  function excerpt({ text, words }) {
    const first = words[0]?.[0] ?? 0;
    // Whole words: from a space to a space, if there are any.
    const from = first > AROUND ? text.indexOf(" ", first - AROUND) + 1 : 0;
    const space = text.indexOf(" ", first + AROUND);
    const to = space < 0 || space > first + 2 * AROUND ? first + 2 * AROUND : space;
    const line = document.createElement("p");
    line.className = "context";
    let done = from;
    if (from) line.append("… ");
    for (const [start, end] of words.filter(([start, end]) => start >= from && end <= to)) {
      if (end <= done) continue;
      const mark = document.createElement("mark");
      mark.textContent = text.slice(Math.max(start, done), end);
      line.append(text.slice(done, Math.max(start, done)), mark);
      done = end;
    }
    line.append(text.slice(done, to), to < text.length ? " …" : "");
    return line;
  }

  /** Load the text of a result's page, unless it is on its way. */
  function fill(result) {
    const address = new URL(result.querySelector("a").href);
    const base = new URL(root, location.href).pathname;
    const page = decodeURI(address.pathname.slice(base.length)).replace(/\.html$/, "");
    const show = (pieces) => {
      const text = excerpt(best(pieces, decodeURIComponent(address.hash.slice(1))));
      if (text.textContent) result.append(text);
    };
    if (waiting.has(page)) return waiting.get(page).push(show);
    waiting.set(page, [show]);
    const script = document.createElement("script");
    script.src = `${root}_texts/${page}.js`;
    document.head.append(script);
  }

  const results = document.getElementById("search-results");
  new MutationObserver((changes) => {
    for (const { addedNodes } of changes)
      for (const node of addedNodes) if (node.matches?.("ul.search > li")) fill(node);
  }).observe(results, { childList: true, subtree: true });
  results.querySelectorAll("ul.search > li").forEach(fill); // those that came first

  /** Called by the script of a page's text. */
  function take(page, pieces) {
    const list = waiting.get(page);
    list.push = (show) => show(pieces); // who comes later is served at once
    for (const show of list) show(pieces);
  }
  return { take };
})();
