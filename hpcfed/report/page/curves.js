// Learning curves of the runs that filters or a clicked cell choose.

let chosen = null; // runs of the cell that was clicked; null: what the filters say
const NAMES = { validation_accuracy: "validation accuracy / %", test_accuracy: "test accuracy / %", train_loss: "training loss / nat",
  validation_loss: "validation loss / nat", test_loss: "test loss / nat" };
const expanded = data.curves.map((curve) => {
  let sum = 0;
  const uplink = curve.uplink.map((bytes) => (sum += bytes));
  return { uplink, at: curve.at || uplink.map((_, i) => i + 1) };
});

function selectedRuns() {
  if (chosen) return [...chosen];
  const filters = [...byId("filters").querySelectorAll("select")].filter((s) => s.value !== "")
    .map((s) => [data.keys.indexOf(s.dataset.key), s.value]);
  return data.runs.map((_, i) => i).filter((i) => filters.every(([at, value]) => show(data.runs[i].keys[at]) === value));
}

function grouped(runs) {
  const settings = data.keys.map((key, at) => [key, at]).filter(([key]) => !data.seeds.includes(key));
  const varying = settings.filter(([, at]) => new Set(runs.map((i) => show(data.runs[i].keys[at]))).size > 1);
  const average = byId("average").checked, groups = new Map();
  for (const index of runs) {
    const run = data.runs[index];
    const id = average ? JSON.stringify(settings.map(([, at]) => run.keys[at])) : String(index);
    let label = varying.map(([key, at]) => `${key} = ${show(run.keys[at])}`).join(", ");
    if (!average) label = [label, ...data.seeds.map((key) => `${key} ${show(run.keys[data.keys.indexOf(key)])}`)].filter(Boolean).join(", ");
    if (!groups.has(id)) groups.set(id, { label: label || "all", runs: [], values: settings.map(([, at]) => run.keys[at]) });
    groups.get(id).runs.push(index);
  }
  return [...groups.values()].sort(byValues);
}

function byValues(a, b) {
  const at = a.values.findIndex((value, i) => compare(value, b.values[i]) !== 0);
  return at < 0 ? 0 : compare(a.values[at], b.values[at]);
}

// Return the curves of a group: one with a band where there are seeds enough, else one a run.
function curvesOf(members, quantity, over) {
  const factor = quantity.endsWith("accuracy") ? 100 : 1;
  const single = repetitions(members.runs).map((index) => {
    const values = data.curves[index][quantity] || [], own = expanded[index];
    const points = values.map((value, i) => ({ round: own.at[i], x: over === "round" ? own.at[i] : own.uplink[i], y: known(value) ? factor * value : null }));
    return { label: members.label, points: points.filter((p) => known(p.y) && p.x > 0), run: data.runs[index].label };
  }).filter((curve) => curve.points.length);
  if (single.length < data.fewest) return single;
  const byRound = new Map();
  for (const curve of single) for (const p of curve.points) {
    if (!byRound.has(p.round)) byRound.set(p.round, []);
    byRound.get(p.round).push(p);
  }
  const points = [...byRound.entries()].sort((a, b) => a[0] - b[0]).map(([round, found]) => {
    const n = found.length, mean = found.reduce((s, p) => s + p.y, 0) / n, x = found.reduce((s, p) => s + p.x, 0) / n;
    if (n < data.fewest) return { round, x, y: mean };
    const variance = found.reduce((s, p) => s + (p.y - mean) ** 2, 0) / (n - 1);
    const half = tValue(n) * Math.sqrt(variance / n);
    const [least, most] = quantity.endsWith("accuracy") ? [0, 100] : [-Infinity, Infinity];
    return { round, x, y: mean, low: Math.max(mean - half, least), high: Math.min(mean + half, most) };
  });
  return [{ label: `${members.label} (n ${single.length})`, points, band: true }];
}

function drawCurves() {
  const quantity = byId("quantity").value, over = byId("over").value, runs = selectedRuns();
  const groups = grouped(runs).map((members) => curvesOf(members, quantity, over)).filter((curves) => curves.length);
  const curves = groups.flatMap((found, index) => found.map((curve) => ({ ...curve, index })));
  const legend = byId("legend"), note = byId("curve-note");
  legend.textContent = "";
  note.textContent = `${runs.length} of ${data.runs.length} runs, ${groups.length} ${groups.length === 1 ? "setting" : "settings"}` +
    (groups.length > TOLD_APART ? ": from dark to light in their order; choose values to tell them apart." : ".");
  if (!curves.length) { byId("curve").textContent = `No ${NAMES[quantity].split(" /")[0]} is known for these runs.`; return; }
  const { svg, width, height } = newChart("curve", 300, 420, `${NAMES[quantity]} over ${over}`);
  const box = { left: 60, right: width - 14, top: 10, bottom: height - 46 };
  const points = curves.flatMap((curve) => curve.points);
  const ends = (pick) => points.reduce(([low, high], p) => [Math.min(low, pick(p)[0]), Math.max(high, pick(p)[1])], [Infinity, -Infinity]);
  const [xLow, xHigh] = ends((p) => [p.x, p.x]), [yLow, yHigh] = ends((p) => [p.low ?? p.y, p.high ?? p.y]);
  const x = scale(over === "round" ? Math.min(1, xLow) : xLow, xHigh, box.left, box.right, over !== "round");
  const y = scale(Math.min(0, yLow), yHigh * 1.02, box.bottom, box.top);
  if (over === "round") x.ticks = x.ticks.filter(Number.isInteger);
  frame(svg, box, x, y, { x: over === "round" ? "round" : "uplink so far", y: NAMES[quantity], xTick: over === "round" ? show : sizeText, yTick: show });
  const thin = curves.length > TOLD_APART ? 1 : 1.8;
  for (const curve of curves) {
    const colour = seriesColour(curve.index, groups.length), line = curve.points.map((p) => `${x(p.x).toFixed(1)},${y(p.y).toFixed(1)}`);
    const banded = curve.points.filter((p) => known(p.low));
    if (curve.band && banded.length > 1 && groups.length <= TOLD_APART) {
      const edge = [...banded.map((p) => [p.x, p.high]), ...banded.reverse().map((p) => [p.x, p.low])];
      shape(svg, "polygon", { points: edge.map(([a, b]) => `${x(a).toFixed(1)},${y(b).toFixed(1)}`).join(" "), fill: colour, "fill-opacity": 0.2 });
    }
    shape(svg, "polyline", { points: line.join(" "), fill: "none", stroke: colour, "stroke-width": thin, class: "curve" });
    if (!curve.band && curves.length <= TOLD_APART && curve.points.length <= 200)
      for (const p of curve.points) shape(svg, "circle", { cx: x(p.x), cy: y(p.y), r: 2, fill: colour });
  }
  if (groups.length <= TOLD_APART)
    groups.forEach((found, index) => {
      const item = element("span", {}, found[0].label);
      item.style.setProperty("--own", seriesColour(index, groups.length));
      legend.append(item);
    });
  followCurves(svg, curves, x, y, box, over, quantity);
}

function followCurves(svg, curves, x, y, box, over, quantity) {
  const dot = shape(svg, "circle", { r: 5, fill: "none", stroke: "var(--accent)", "stroke-width": 3, visibility: "hidden" });
  const cover = shape(svg, "rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, fill: "transparent",
    tabindex: 0, role: "img", "aria-label": "Learning curves; arrow keys read their values" });
  const at = { curve: 0, point: 0 };
  const mark = (clientX, clientY) => {
    const curve = curves[at.curve], p = curve.points[at.point];
    dot.setAttribute("cx", x(p.x)); dot.setAttribute("cy", y(p.y)); dot.setAttribute("visibility", "visible");
    const digits = quantity.endsWith("accuracy") ? p.y.toFixed(1) : show(Number(p.y.toPrecision(4)));
    const band = known(p.low) ? ` [${p.low.toPrecision(3)}, ${p.high.toPrecision(3)}]` : "";
    const text = `${curve.label}${curve.run ? `\n${curve.run}` : ""}\nround ${show(p.round)}${over === "round" ? "" : `, ${sizeText(p.x)}`}: ${digits}${band}`;
    const frameBox = svg.getBoundingClientRect();
    showTip(text, clientX ?? frameBox.left + x(p.x), clientY ?? frameBox.top + y(p.y));
    cover.setAttribute("aria-label", text.replaceAll("\n", ", "));
  };
  const leave = () => { hideTip(); dot.setAttribute("visibility", "hidden"); };
  cover.addEventListener("pointermove", (event) => {
    const frameBox = svg.getBoundingClientRect(), px = event.clientX - frameBox.left, py = event.clientY - frameBox.top;
    let least = Infinity;
    curves.forEach((curve, c) => curve.points.forEach((p, i) => {
      const distance = (x(p.x) - px) ** 2 + (y(p.y) - py) ** 2;
      if (distance < least) { least = distance; at.curve = c; at.point = i; }
    }));
    mark(event.clientX, event.clientY);
  });
  cover.addEventListener("pointerleave", leave);
  cover.addEventListener("focus", () => mark());
  cover.addEventListener("blur", leave);
  cover.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (event.key === "Escape") leave();
    if (!move) return;
    event.preventDefault();
    at.curve = (at.curve + move[0] + curves.length) % curves.length;
    at.point = Math.max(0, Math.min(curves[at.curve].points.length - 1, at.point + move[1]));
    mark();
  });
}

function makeFilters() {
  data.keys.forEach((key, at) => {
    const values = [...new Map(data.runs.map((run) => [show(run.keys[at]), run.keys[at]])).entries()];
    values.sort((a, b) => compare(a[1], b[1]));
    const select = element("select", { "data-key": key }, element("option", { value: "" }, "all"));
    for (const [text] of values) select.append(element("option", { value: text }, text));
    select.addEventListener("change", () => { chosen = null; drawCurves(); });
    byId("filters").append(element("label", {}, `${key} `, select));
  });
  const present = data.quantities.filter((name) => data.curves.some((curve) => curve[name]));
  for (const name of present.length ? present : data.quantities) byId("quantity").append(element("option", { value: name }, NAMES[name].split(" /")[0]));
  if (present.includes(data.metric)) byId("quantity").value = data.metric;
  for (const id of ["quantity", "over", "average"]) byId(id).addEventListener("change", drawCurves);
  byId("reset").addEventListener("click", () => {
    chosen = null;
    byId("filters").querySelectorAll("select").forEach((select) => { select.value = ""; });
    drawCurves();
  });
}
