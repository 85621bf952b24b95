/* Two boxes to drag: their IoU, and the offsets from the anchor to the ground truth. */

Live.figure("boxes", () => {
  const { tag, set, clamp } = Live;
  const SIZE = [120, 72];
  const LEAST = 4; // no side is shorter: offsets of a box without area are infinite
  const SIGMA = [0.1, 0.1, 0.2, 0.2]; // as SSD's code has them

  const said = Live.answer();
  const boxes = [
    { name: "ground truth", at: [38, 10, 92, 52] },
    { name: "anchor", at: [24, 18, 66, 60] },
  ];
  const label = "Two boxes that overlap, an anchor and a ground truth";
  const picture = tag("svg", { viewBox: "-1 -1 122 74", role: "group", "aria-label": label });
  boxes.forEach((box, index) => {
    box.outline = tag("rect");
    box.corner = tag("rect", { width: 5, height: 5 }); // to resize it by
    box.title = tag("text", {}, box.name);
    const onkeydown = (event) => {
      const step = Live.ARROWS[event.key];
      if (!step) return;
      event.preventDefault(); // the page must not scroll
      move(box, box.at, step, event.shiftKey);
    };
    const onpointerdown = (down) => {
      const from = box.at, resizes = down.target === box.corner;
      Live.drag(down, picture, (to, start) =>
        move(box, from, to.map((part, k) =>
          Math.round((part - start[k]) * (SIZE[k] + 2))), resizes));
    };
    box.group = tag("g", { class: `lc-live-${index}`, role: "application", tabindex: 0,
      "aria-roledescription": "box", onkeydown, onpointerdown },
    box.outline, box.corner, box.title);
    picture.append(box.group);
  });

  /** Move a box from where it was, or its lower right corner alone. */
  function move(box, from, step, resizes) {
    box.at = from.map((edge, k) => {
      const axis = k % 2, most = SIZE[axis];
      if (!resizes) return edge + clamp(step[axis], -from[axis], most - from[axis + 2]);
      return k < 2 ? edge : clamp(edge + step[axis], from[axis] + LEAST, most);
    });
    draw();
  }

  function draw() {
    for (const { name, at, group, outline, corner, title } of boxes) {
      const [x1, y1, x2, y2] = at;
      set(outline, Live.corners(at));
      set(corner, { x: x2 - 5, y: y2 - 5 });
      set(title, { x: x1 + 1.5, y: y1 + 5 });
      group.setAttribute("aria-label", `${name}: (${x1}, ${y1}) to (${x2}, ${y2}). `
        + "Arrow keys move it; with Shift they resize it.");
    }
    const [b, a] = boxes.map(({ at }) => at);
    const t = SIGMA.map((sigma, k) => {
      const axis = k % 2, side = (box) => box[axis + 2] - box[axis];
      const shift = (b[axis] + b[axis + 2] - a[axis] - a[axis + 2]) / 2 / side(a);
      return ((k < 2 ? shift : Math.log(side(b) / side(a))) / sigma).toFixed(2).replace("-", "−");
    });
    said.textContent = `IoU ${Live.iou(a, b).toFixed(3)}; offsets `
      + `x ${t[0]}, y ${t[1]}, w ${t[2]}, h ${t[3]}`;
  }

  draw();
  return [picture, said];
});
