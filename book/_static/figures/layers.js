/* Convolutions along one axis. Two figures: the receptive field of a stack of layers
   that you edit, and the arithmetic of one layer, transposed or not. */

{
  const { tag } = Live;
  const RANGES = { kernel: [1, 7], stride: [1, 4], padding: [0, 6], dilation: [1, 4] };
  const span = ({ kernel, dilation }) => dilation * (kernel - 1) + 1;

  /** How many outputs a layer has for n inputs. */
  function count(layer, n) {
    const { stride, padding, extra, transposed } = layer;
    return transposed ? (n - 1) * stride - 2 * padding + span(layer) + extra
      : Math.floor((n + 2 * padding - span(layer)) / stride) + 1;
  }

  /** The pairs [input, weight] that an output is made of; padding is none. */
  function parts({ kernel, stride, padding, dilation, transposed }, output, n) {
    return [...Array(kernel).keys()].map((weight) => {
      const offset = weight * dilation - padding;
      // An output looks up its inputs; transposed, an input prints on outputs.
      return [transposed ? (output - offset) / stride : output * stride + offset, weight];
    }).filter(([input]) => Number.isInteger(input) && input >= 0 && input < n);
  }

  /** Draw rows of dots, the inputs below, and what the chosen output is made of.

      `rows` holds the dots' places, `texts` what stands in them. Returns the inputs. */
  function draw(picture, layers, rows, chosen, texts) {
    const places = rows.flat(), left = Math.min(...places) - 1;
    const width = Math.max(...places) + 1 - left, drawn = [];
    let seen = new Set([chosen]);
    rows.toReversed().forEach((row, above) => {
      const level = layers.length - above, below = new Set(), y1 = 3 * above + 1;
      row.forEach((place, k) => {
        const x1 = place - left, lit = seen.has(k);
        if (level && lit)
          for (const [input] of parts(layers[level - 1], k, rows[level - 1].length)) {
            const x2 = rows[level - 1][input] - left;
            drawn.unshift(tag("line", { x1, y1, x2, y2: y1 + 3 }));
            below.add(input);
          }
        drawn.push(tag("circle", { cx: x1, cy: y1, r: 0.4, ...(lit && { class: "lc-live-lit" }) }));
        if (texts) drawn.push(tag("text", { x: x1, y: y1 + 0.15 }, texts[level][k]));
      });
      if (level) seen = below;
    });
    picture.setAttribute("viewBox", `0 0 ${width} ${3 * layers.length + 2}`);
    picture.style.maxWidth = `${3 * width}rem`;
    picture.replaceChildren(...drawn);
    return seen;
  }

  Live.figure("fields", () => {
    const PIXELS = 32;
    const layer = (kernel, stride, padding, dilation) => ({ kernel, stride, padding, dilation });
    // The chapter's five.
    const layers = [layer(3, 1, 1, 1), layer(2, 2, 0, 1), layer(3, 1, 1, 1),
      layer(3, 1, 2, 2), layer(2, 2, 0, 1)];
    const state = { chosen: 3 };
    const picture = Live.picture("Pixels, layers above them, and what one output depends on");
    const body = tag("tbody"), said = Live.answer();
    const slider = Live.control("Output of the last layer", state, "chosen", [0, 7], show, String);

    function show() {
      let size = 1, jump = 1, start = 0, outputs = PIXELS, lost = 0;
      const row = () => [...Array(outputs).keys()].map((k) => start + k * jump);
      const rows = [row()];
      layers.forEach((one, index) => {
        start += ((span(one) - 1) / 2 - one.padding) * jump;
        size += (span(one) - 1) * jump;
        jump *= one.stride;
        outputs = count(one, outputs);
        if (outputs < 1) lost ||= index + 1;
        if (!lost) rows.push(row());
        [size, jump, start, outputs].forEach((number, k) => {
          body.rows[index].cells[5 + k].textContent = lost ? "–" : number;
        });
      });
      picture.toggleAttribute("hidden", lost);
      slider.hidden = lost;
      add.disabled = layers.length > 5;
      remove.disabled = layers.length < 2;
      if (lost) return (said.textContent = `Layer ${lost}: its window does not fit.`);
      state.chosen = Math.min(state.chosen, outputs - 1);
      slider.show(outputs - 1);
      const seen = draw(picture, layers, rows, state.chosen);
      const first = start + state.chosen * jump - (size - 1) / 2;
      said.textContent = `Output ${state.chosen} sees ${size} pixels, ${first} to `
        + `${first + size - 1}, and uses ${seen.size} of the ${PIXELS} that are there.`;
    }

    function edit() {
      body.replaceChildren(...layers.map((one, index) => tag("tr", {},
        tag("th", { scope: "row" }, index + 1),
        ...Object.keys(RANGES).map((name) => tag("td", {},
          Live.control(`${name} of layer ${index + 1}`, one, name, RANGES[name], show))),
        ...[1, 2, 3, 4].map(() => tag("td")))));
      show();
    }

    const add = Live.button("Add a layer", () => (layers.push(layer(3, 1, 1, 1)), edit()));
    const remove = Live.button("Remove the last", () => (layers.pop(), edit()));
    const heads = ["layer", ...Object.keys(RANGES), "size", "jump", "start", "outputs"];
    edit();
    return [picture, said, Live.tools(slider, add, remove),
      tag("div", { class: "pst-scrollable-table-container" }, tag("table", {},
        tag("tr", {}, ...heads.map((head) => tag("th", { scope: "col" }, head))), body))];
  });

  Live.figure("arithmetic", () => {
    const state = { inputs: 5, kernel: 3, stride: 2, padding: 0, dilation: 1, extra: 0,
      transposed: true, chosen: 4 };
    const picture = Live.picture("Inputs below, outputs above, in each how many inputs it uses");
    const said = Live.answer();
    const field = (label, key, range) => Live.control(label, state, key, range, show);
    const extra = field("output padding", "extra", [0, 3]);
    const slider = Live.control("Output", state, "chosen", [0, 10], show, String);
    const kind = Live.button("", () => ((state.transposed = !state.transposed), show()));

    function show() {
      const { inputs, kernel, stride, padding, dilation, transposed } = state;
      // More would be outputs that no input reaches, and torch refuses it.
      const most = Math.max(stride, dilation) - 1;
      state.extra = Math.min(state.extra, most);
      extra.show(most);
      extra.hidden = !transposed;
      kind.textContent = transposed ? "Make it an ordinary convolution" : "Transpose it";
      const outputs = count(state, inputs);
      picture.toggleAttribute("hidden", outputs < 1);
      slider.hidden = outputs < 1;
      if (outputs < 1) return (said.textContent = "There is no output: no window fits.");
      state.chosen = Math.min(state.chosen, outputs - 1);
      slider.show(outputs - 1);
      // Rows of one pitch, each in the middle.
      const rows = [inputs, outputs].map((n) => [...Array(n).keys()].map((k) => k - (n - 1) / 2));
      draw(picture, [state], rows, state.chosen, [rows[0].map((_, k) => `x${k}`),
        rows[1].map((_, k) => parts(state, k, inputs).length)]);
      const terms = parts(state, state.chosen, inputs).map(([k, weight]) => `w${weight}·x${k}`);
      const window = `${dilation}·(${kernel} − 1)`;
      const sum = transposed
        ? `(${inputs} − 1)·${stride} − 2·${padding} + ${window} + ${state.extra} + 1`
        : `⌊(${inputs} + 2·${padding} − ${window} − 1) / ${stride}⌋ + 1`;
      said.textContent = `${transposed ? "Transposed" : "Ordinary"} convolution: ${sum} `
        + `= ${outputs} outputs.\ny${state.chosen} = ${terms.join(" + ") || 0}`;
    }

    show();
    return [picture, said, Live.tools(kind, field("inputs", "inputs", [1, 12]),
      ...Object.keys(RANGES).map((name) => field(name, name, RANGES[name])), extra, slider)];
  });
}
