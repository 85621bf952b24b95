/* Greedy non-maximum suppression, a step at a time, at a threshold that you set. */

Live.figure("suppression", () => {
  const { tag } = Live;
  const name = (k) => "ABCDEFGHI"[k];
  const state = { threshold: 0.4, step: 0 };
  let scores = [0.9, 0.8, 0.6, 0.7, 0.75]; // the chapter's five boxes, in tenths
  let boxes = [[10, 10, 50, 60], [15, 12, 55, 64], [4, 14, 42, 62], [65, 20, 95, 60],
    [60, 26, 92, 66]];
  const overlap = (a, b) => Live.iou(boxes[a], boxes[b]);

  /** What is kept, in order, each with what it deletes. */
  function greedy() {
    const steps = [];
    let left = [...boxes.keys()].sort((a, b) => scores[b] - scores[a]);
    while (left.length) {
      const [kept, ...others] = left;
      left = others.filter((k) => overlap(kept, k) <= state.threshold);
      steps.push({ kept, deleted: others.filter((k) => !left.includes(k)) });
    }
    return steps;
  }

  /** Three crowds of three boxes, with scores in any order. */
  function shuffle() {
    const whole = (least, most) => least + Math.floor(Math.random() * (most - least));
    scores = [...Array(9).keys()].map((k) => 0.95 - 0.08 * k).sort(() => Math.random() - 0.5);
    boxes = scores.map((_, k) => {
      const x = 8 + 30 * Math.floor(k / 3) + whole(-7, 8), y = whole(3, 22);
      return [x, y, x + whole(20, 32), y + whole(26, 46)];
    });
  }

  const picture = Live.picture("Boxes with scores, kept or deleted", "-1 -2 110 76");
  const said = Live.answer();
  const restart = () => ((state.step = 0), draw());
  const go = (by) => () => ((state.step += by), draw());
  const slider = Live.control("IoU threshold", state, "threshold", [0, 1, 0.05], restart,
    (value) => value.toFixed(2));
  const back = Live.button("Back", go(-1)), next = Live.button("Next step", go(1));

  function draw() {
    const steps = greedy(), past = steps.slice(0, state.step), now = past.at(-1);
    const kept = (now ? past : steps).map((step) => step.kept);
    const kind = (k) => past.some((step) => step.kept === k) ? "kept"
      : now?.deleted.includes(k) ? "deleted"
      : past.some((step) => step.deleted.includes(k)) ? "gone" : "left";
    picture.replaceChildren(...boxes.map((box, k) => tag("g", { class: `lc-live-${kind(k)}` },
      tag("rect", Live.corners(box)),
      tag("text", { x: box[0] + 1, y: box[1] + 5 + 4 * (k % 3) }, `${name(k)} ${scores[k].toFixed(2)}`))));
    const deleted = now?.deleted.map((k) => `${name(k)} (IoU ${overlap(now.kept, k).toFixed(2)})`);
    said.textContent = now
      ? `Step ${state.step} of ${steps.length}: keep ${name(now.kept)}, delete `
        + `${deleted.join(", ") || "nothing"}. Kept: ${kept.map(name).join(", ")}.`
      : `Of ${boxes.length} boxes ${kept.length} will be kept: ${kept.map(name).join(", ")}.`;
    back.disabled = !now;
    next.disabled = past.length === steps.length;
  }

  draw();
  return [picture, said, Live.tools(slider, back, next,
    Live.button("Other boxes", () => (shuffle(), restart())))];
});
