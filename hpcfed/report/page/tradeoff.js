// The heat map over two keys, p and q if they vary, and accuracy against bytes.

function cellText(shown, cell) {
  const names = shown.names || ["p", "q"], values = [show(shown.masks[cell.at[0]]), shown.drops[cell.at[1]]];
  const parts = names.map((name, i) => name && `${name} = ${values[i]}`).filter(Boolean);
  const lines = [[...parts, ...(shown.names && shown.text ? [shown.text] : [])].join(", ")];
  if (cell.n) {
    const spread = known(cell.sd) ? ` ± ${percent(cell.sd)}` : "";
    lines[0] += `: ${percent(cell.mean)}${spread} %`;
    if (known(cell.low)) lines.push(`95 % interval ${percent(cell.low)} to ${percent(cell.high)} %`);
  } else lines[0] += ": no finished run with an accuracy";
  lines.push(`${cell.runs.length} of ${Math.max(cell.planned, cell.runs.length)} runs finished, uplink ${sizeText(cell.bytes)}`);
  const metric = data.metric.startsWith("test") ? "test" : "validation";
  for (const index of cell.runs.slice(0, 12)) {
    const run = data.runs[index];
    const seeds = data.seeds.map((key) => `${key} ${show(run.keys[data.keys.indexOf(key)])}`).join(", ");
    lines.push(`${seeds ? `${seeds}: ` : ""}${percent(run[metric], 2)} %  ${run.label}`);
  }
  if (cell.runs.length > 12) lines.push(`and ${cell.runs.length - 12} more`);
  return lines.join("\n");
}

function openCell(cell) {
  hideTip();
  if (!cell.runs.length) { byId("curve-note").textContent = "This cell has no finished run."; return; }
  chosen = new Set(cell.runs);
  byId("filters").querySelectorAll("select").forEach((select) => {
    const at = data.keys.indexOf(select.dataset.key);
    const values = new Set(cell.runs.map((index) => show(data.runs[index].keys[at])));
    select.value = values.size === 1 ? [...values][0] : "";
  });
  drawCurves();
  byId("curves").scrollIntoView();
  byId("curves").focus({ preventScroll: true });
}

// Return texts that fit beside an axis; where a cut one would be another's, all are numbered.
function ticks(texts) {
  const cut = texts.map((text) => (text.length > 24 ? `${text.slice(0, 10)}...${text.slice(-11)}` : text));
  return new Set(cut).size < new Set(texts).size ? cut.map((text, i) => `${i + 1}: ${text}`) : cut;
}

function range(cells) {
  const means = cells.filter((c) => c.n).map((c) => c.mean);
  return means.length ? [Math.min(...means), Math.max(...means)] : [0, 1];
}

function drawHeat() {
  const shown = grids[group];
  if (!shown) { byId("heat").textContent = "There is no finished run yet."; return; }
  const names = shown.names || ["mask probability p", shown.drops.length > 2 ? "drop probability q" : "drop q"];
  const columns = shown.masks.length, rows = shown.drops.length, top = 8, right = 44;
  const below = ticks(shown.masks.map(show)), beside = ticks(shown.drops), longest = (list) => Math.max(...list.map((t) => t.length));
  const slanted = longest(below) > 7, left = Math.max(74, 34 + 7 * longest(beside)), foot = slanted ? 36 + 5 * longest(below) : 48;
  const { svg, width } = newChart("heat", left + right + 46 * columns, top + 74 * rows + foot, "Heat map of the trade-off");
  const cellWidth = Math.min(120, (width - left - right) / columns), cellHeight = 74;
  const x = (i) => left + cellWidth * (i + 0.5), y = (j) => top + cellHeight * (rows - j - 0.5);
  const pattern = shape(shape(svg, "defs", {}), "pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
  shape(pattern, "line", { x1: 0, x2: 0, y1: 0, y2: 6, stroke: "var(--line)", "stroke-width": 2 });
  const [low, high] = range(grids.flatMap((g) => g.cells));
  const marks = [], texts = [], labels = [];
  for (const cell of shown.cells) {
    const cx = x(cell.at[0]), cy = y(cell.at[1]);
    const colour = cell.n ? heatColour(high > low ? (cell.mean - low) / (high - low) : 0.5) : { fill: "url(#hatch)", ink: "var(--ink)", hatched: true };
    const mark = shape(svg, "g", { "data-cell": cell.at.join() });
    const place = { x: cx - cellWidth / 2 + 1, y: cy - cellHeight / 2 + 1, width: cellWidth - 2, height: cellHeight - 2 };
    shape(mark, "rect", { ...place, fill: colour.fill });
    shape(mark, "rect", { ...place, class: "ring" });
    makeButton(mark, cellText(shown, cell), () => openCell(cell));
    marks.push({ node: mark, x: cx, y: cy });
    const missing = cell.planned > cell.n ? `/${cell.planned}` : "";
    const lines = cell.n ? [percent(cell.mean), ...(known(cell.sd) ? [`±${percent(cell.sd)}`] : []), `n ${cell.n}${missing}`]
      : [cell.runs.length ? "no acc." : "no run", ...(missing ? [`n 0${missing}`] : [])];
    texts.push([cx, cy, lines, colour]);
  }
  for (const [name, points] of shown.lines) {
    if (points.length < 2) continue;
    const places = points.map(([i, j]) => `${x(i)},${y(j)}`).join(" ");
    for (const kind of ["budget-halo", "budget-line"]) shape(svg, "polyline", { class: kind, points: places });
    const [i, j] = points[points.length - 1], floor = j < 0.05;
    labels.push([name, { class: floor ? "budget on-cell" : "budget", x: floor ? x(i) : left + cellWidth * columns + 3, y: floor ? y(0) + 33 : y(j) + 4,
      "text-anchor": floor ? "middle" : "start", "pointer-events": "none" }]);
  }
  for (const [cx, cy, lines, colour] of texts) {
    const high = 15 * lines.length;
    if (shown.lines.length || colour.hatched)
      shape(svg, "rect", { x: cx - 20, y: cy - 5 - high / 2, width: 40, height: high + 1, fill: colour.hatched ? "var(--paper)" : colour.fill, "pointer-events": "none" });
    lines.forEach((line, k) => shape(svg, "text", { x: cx, y: cy - 4 - high / 2 + 12 + 15 * k, "text-anchor": "middle",
      style: `fill:${colour.ink}`, "pointer-events": "none" }, line));
  }
  for (const [name, attributes] of labels) shape(svg, "text", attributes, name);
  below.forEach((p, i) => {
    const place = { x: x(i), y: top + cellHeight * rows + 16 };
    shape(svg, "text", { ...place, "text-anchor": slanted ? "end" : "middle", ...(slanted && { transform: `rotate(-35 ${place.x} ${place.y})` }) }, p);
  });
  beside.forEach((q, j) => shape(svg, "text", { x: left - 6, y: y(j) + 4, "text-anchor": "end" }, q));
  shape(svg, "text", { x: left + cellWidth * columns / 2, y: top + cellHeight * rows + foot - 10, "text-anchor": "middle" }, names[0]);
  const middle = top + cellHeight * rows / 2;
  shape(svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, names[1]);
  roam(marks);
}

function symbol(parent, index, x, y, colour) {
  const r = 5, kinds = [
    ["circle", { cx: x, cy: y, r }], ["rect", { x: x - 4.5, y: y - 4.5, width: 9, height: 9 }],
    ["path", { d: `M${x} ${y - r - 1}L${x + r} ${y + r - 1}H${x - r}Z` }], ["path", { d: `M${x} ${y - 6}L${x + 6} ${y}L${x} ${y + 6}L${x - 6} ${y}Z` }],
    ["path", { d: `M${x} ${y + r + 1}L${x + r} ${y - r + 1}H${x - r}Z` }], ["path", { d: `M${x - 6} ${y - 2}h4v-4h4v4h4v4h-4v4h-4v-4h-4Z` }]];
  const [name, attributes] = kinds[index % kinds.length];
  shape(parent, name, { ...attributes, fill: colour, stroke: "var(--paper)" });
}

function drawBytes() {
  const shown = grids[group];
  if (!shown) { byId("bytes").textContent = ""; return; }
  // over p and q one setting, else all of them in one plot
  const owners = new Map((shown.names ? grids : [shown]).flatMap((g) => g.cells.map((c) => [c, g])));
  const cells = [...owners.keys()].filter((c) => c.n && c.bytes > 0);
  if (!cells.length) { byId("bytes").textContent = "No finished run has an accuracy and sent anything."; return; }
  const { svg, width, height } = newChart("bytes", 300, 380, "Accuracy against uplink bytes");
  const box = { left: 56, right: width - 14, top: 10, bottom: height - 66 };
  const sizes = cells.map((c) => c.bytes), ends = cells.flatMap((c) => [c.mean, c.low ?? c.mean, c.high ?? c.mean]);
  const x = scale(Math.min(...sizes) * 0.7, Math.max(...sizes) * 1.4, box.left, box.right, true);
  const margin = 0.05 * (Math.max(...ends) - Math.min(...ends)) + 0.005;
  const y = scale(Math.min(...ends) - margin, Math.max(...ends) + margin, box.bottom, box.top);
  frame(svg, box, x, y, { x: "uplink in all rounds", y: "accuracy / %", xTick: sizeText, yTick: (t) => show(100 * t) });
  const front = cells.filter((c) => c.front).sort((a, b) => a.bytes - b.bytes);
  const path = front.map((c, i) => (i ? `H${x(c.bytes)}V${y(c.mean)}` : `M${x(c.bytes)} ${y(c.mean)}`)).join("");
  if (path) shape(svg, "path", { class: "front", d: path });
  for (const [at, first, second] of shown.names ? [] : data.stars) {
    const found = [first, second].map((place) => cells.find((c) => c.at.join() === place.join()));
    if (at !== group || !found[0] || !found[1]) continue;
    shape(svg, "line", { class: "star", x1: x(found[0].bytes), x2: x(found[1].bytes), y1: y(found[0].mean), y2: y(found[1].mean) });
    shape(svg, "text", { x: x(found[0].bytes), y: y(found[0].high ?? found[0].mean) - 1, "text-anchor": "middle" }, "*");
  }
  const rows = [...new Set(cells.map((c) => c.at[1]))].sort((a, b) => a - b), marks = [];
  for (const cell of cells) {
    const index = rows.indexOf(cell.at[1]), colour = seriesColour(index, rows.length), cx = x(cell.bytes), cy = y(cell.mean);
    const mark = shape(svg, "g", { "data-point": cell.at.join() });
    if (known(cell.low)) shape(mark, "line", { x1: cx, x2: cx, y1: y(cell.low), y2: y(cell.high), stroke: colour });
    shape(mark, "circle", { class: "ring", cx, cy, r: 9 });
    shape(mark, "circle", { cx, cy, r: 9, fill: "transparent" });
    symbol(mark, index, cx, cy, colour);
    makeButton(mark, cellText(owners.get(cell), cell), () => openCell(cell));
    marks.push({ node: mark, x: cx, y: cy });
  }
  roam(marks);
  let at = box.left;
  rows.forEach((row, index) => {
    symbol(svg, index, at + 6, height - 10, seriesColour(index, rows.length));
    const text = shape(svg, "text", { x: at + 16, y: height - 6 }, [shown.names ? shown.names[1] : "q", shown.drops[row]].filter(Boolean).join(" = "));
    at += 30 + text.getComputedTextLength();
  });
}
