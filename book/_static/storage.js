/* A browser may refuse to keep anything for a page, or have no room left. The theme, the
   search and the reader's progress all ask for storage; where it cannot be had, they get
   one that forgets everything with the page, and no script fails.

   Loaded before all others. data-storage on <html> says which it is: kept, refused, full. */

"use strict";

for (const name of ["sessionStorage", "localStorage"]) {
  let store = null, state = "kept";
  try {
    store = window[name];
    const trial = "look-closer-trial";
    store.setItem(trial, "x".repeat(1000));
    store.removeItem(trial);
  } catch {
    state = store ? "full" : "refused";
    // What was kept while there was room can still be read, and removed.
    const memory = new Map(store ? Object.entries(store) : []);
    const value = {
      getItem: (key) => memory.get(key) ?? null,
      setItem: (key, text) => void memory.set(key, String(text)),
      removeItem: (key) => {
        memory.delete(key);
        store?.removeItem(key);
      },
    };
    Object.defineProperty(window, name, { value });
  }
  document.documentElement.dataset.storage = state; // of the last, which keeps progress
}
