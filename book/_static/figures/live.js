/* Figures that answer in the page: what all of them need. No library, no request.

   A page holds, for each, <figure data-live="name"><div>, and in the div a still picture
   for those without scripts. The script that knows the name puts a live one in its
   place. Plain scripts, not modules: a browser loads no modules from file://. */

const Live = {
  /** Build the figure of this name wherever it stands; `build` returns its parts. */
  figure(name, build) {
    for (const stage of document.querySelectorAll(`[data-live=${name}] > div`)) {
      const photograph = stage.querySelector("img");
      stage.replaceChildren(...build(photograph));
    }
  },

  /** An element of HTML or SVG. */
  tag(name, attributes = {}, ...children) {
    const drawn = /^(svg|g|rect|line|circle|path|text)$/.test(name);
    const space = drawn ? "2000/svg" : "1999/xhtml";
    const element = document.createElementNS(`http://www.w3.org/${space}`, name);
    Live.set(element, attributes).append(...children);
    return element;
  },

  /** A drawing with its name for those who do not see it. */
  picture: (label, viewBox = "0 0 1 1") =>
    Live.tag("svg", { role: "img", "aria-label": label, viewBox }),

  set(element, attributes) {
    for (const [name, value] of Object.entries(attributes))
      if (typeof value === "function") element[name] = value;
      else element.setAttribute(name, value);
    return element;
  },

  /** A rectangle of SVG with the corners [x1, y1, x2, y2]. */
  corners([x, y, x2, y2]) {
    return { x, y, width: x2 - x, height: y2 - y };
  },

  /** A field for a whole number, or with `words` a slider, bound to state[key].

      What is typed counts once it is a number of the range. */
  control(label, state, key, [min, max, step = 1], draw, words) {
    const type = words ? "range" : "number";
    const input = Live.tag("input", { type, min, max, step, required: "", autocomplete: "off" });
    const said = words ? Live.tag("output") : "";
    const element = Live.tag("label", {}, Live.tag("span", {}, label), said, input);
    /** Show the state, which may have other ends now. */
    element.show = (most = max) => {
      input.max = most;
      if (input !== document.activeElement || words) input.value = state[key];
      if (!words) return;
      said.textContent = words(state[key]);
      input.setAttribute("aria-valuetext", said.textContent);
    };
    input.oninput = () => {
      if (!input.validity.valid) return;
      state[key] = input.valueAsNumber;
      element.show(input.max);
      draw();
    };
    input.onblur = () => (input.value = state[key]);
    element.show();
    return element;
  },

  button: (text, onclick) => Live.tag("button", { type: "button", onclick }, text),

  tools: (...tools) => Live.tag("div", { class: "lc-live-tools" }, ...tools),

  /** The numbers under a picture, read aloud as they change. */
  answer: () => Live.tag("p", { class: "lc-live-said", role: "status" }),

  clamp: (value, least, most) => Math.min(Math.max(value, least), most),

  ARROWS: {
    ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1],
  },

  /** Follow the pointer until it is lifted, in shares of the picture. */
  drag(down, picture, follow) {
    const { x, y, width, height } = picture.getBoundingClientRect();
    const place = (event) => [(event.clientX - x) / width, (event.clientY - y) / height];
    picture.setPointerCapture(down.pointerId);
    picture.onpointermove = (event) => follow(place(event), place(down));
    picture.onlostpointercapture = () => (picture.onpointermove = null);
    follow(place(down), place(down));
  },

  /** Intersection over union of two boxes [x1, y1, x2, y2] that have an area. */
  iou(a, b) {
    const side = (k) => Math.max(Math.min(a[k + 2], b[k + 2]) - Math.max(a[k], b[k]), 0);
    const area = (box) => (box[2] - box[0]) * (box[3] - box[1]);
    const shared = side(0) * side(1);
    return shared / (area(a) + area(b) - shared);
  },
};
