/* A mask that you draw on a photograph, the mean of what it keeps, and the number that
   people compute instead. */

Live.figure("masked_mean", (photograph) => {
  const { tag, set, clamp } = Live;
  const CELLS = 32; // of the mask, a side; each holds several pixels of the photograph
  const at = [15, 10]; // the brush's column and row
  const state = { radius: 1 };
  const column = (k) => k % CELLS, row = (k) => Math.floor(k / CELLS);
  // At first, her face.
  let mask = [...Array(CELLS ** 2).keys()].map((k) =>
    ((column(k) - 15) / 4) ** 2 + ((row(k) - 10) / 5) ** 2 < 1);
  let pixels; // RGBA, once the photograph is there

  const dropped = tag("path"), brush = tag("rect"), said = Live.answer();
  const picture = tag("svg", { viewBox: `0 0 ${CELLS} ${CELLS}`, tabindex: 0,
    role: "application", "aria-roledescription": "mask" }, dropped, brush);

  /** Red, green and blue summed over the pixels that are kept, and their number. */
  function sums() {
    const { data, width } = pixels, total = [0, 0, 0];
    let kept = 0;
    for (let k = 0; k < data.length; k += 4) {
      const cell = (place) => Math.floor((place * CELLS) / width); // it is a square
      if (!mask[cell(Math.floor(k / 4 / width)) * CELLS + cell((k / 4) % width)]) continue;
      kept += 1;
      for (const c of [0, 1, 2]) total[c] += data[k + c] / 255;
    }
    return [total, kept];
  }

  function draw() {
    const [x, y] = at, side = 2 * state.radius + 1;
    // A run of dropped cells in a row is one rectangle.
    const runs = mask.map(Number).join("").match(/.{32}/g).flatMap((line, y) =>
      [...line.matchAll(/0+/g)].map(({ 0: run, index }) =>
        `M${index} ${y}h${run.length}v1H${index}z`));
    dropped.setAttribute("d", runs.join(""));
    set(brush, { x: x - state.radius, y: y - state.radius, width: side, height: side });
    picture.setAttribute("aria-label", `Brush at column ${x}, row ${y}, `
      + `${here() ? "kept" : "dropped"}. Arrow keys move it, Space draws.`);
    if (!pixels) return;
    const [total, kept] = sums(), all = pixels.data.length / 4;
    const mean = (number) => total.map((sum) => (sum / number).toFixed(3)).join(", ");
    said.textContent = `${kept} of ${all} pixels kept. Means of red, green, blue:\n`
      + `over what is kept ${kept ? mean(kept) : "none, there is nothing"}\n`
      + `of image × mask ${mean(all)}`;
  }

  const here = () => mask[at[1] * CELLS + at[0]];
  const change = (value) => ((mask = mask.map(value)), draw());
  const paint = (value) => change((kept, k) => Math.max(
    Math.abs(column(k) - at[0]), Math.abs(row(k) - at[1])) <= state.radius ? value : kept);

  picture.onkeydown = (event) => {
    const step = Live.ARROWS[event.key];
    if (!step && event.key !== " ") return;
    event.preventDefault(); // the page must not scroll
    step?.forEach((by, k) => (at[k] = clamp(at[k] + by, 0, CELLS - 1)));
    if (step) draw();
    else paint(!here());
  };
  // A stroke goes on as it began: it keeps, or it drops.
  picture.onpointerdown = (down) => {
    let value;
    Live.drag(down, picture, (place) => {
      place.forEach((part, k) => (at[k] = clamp(Math.floor(part * CELLS), 0, CELLS - 1)));
      paint((value ??= !here()));
    });
  };

  photograph.decode().then(() => {
    const { naturalWidth: width, naturalHeight: height } = photograph;
    const context = tag("canvas", { width, height }).getContext("2d");
    context.drawImage(photograph, 0, 0);
    pixels = context.getImageData(0, 0, width, height);
    draw();
  });
  draw();
  return [photograph, picture, said, Live.tools(
    Live.control("Brush", state, "radius", [0, 4], draw, (r) => `${2 * r + 1} cells`),
    Live.button("Invert", () => change((kept) => !kept)),
    Live.button("Drop all", () => change(() => false)))];
});
