"use strict";
// Draws the figures and the table of the report from the data element; text goes in as text alone.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const SVG = "http://www.w3.org/2000/svg";
  // cividis in ten steps, even for any colour vision
  const MAP = ["#00224e", "#123570", "#3b496c", "#575d6d", "#707173", "#8a8678", "#a59c74", "#c3b369", "#e1cc55", "#fee838"];
  const NAMED = 7, TOLD_APART = 14;

  // ---- elements, text and numbers

  function element(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function shape(parent, name, attributes, text) {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    parent.append(made);
    return made;
  }

  const known = (x) => x !== null && x !== undefined;
  const percent = (x, digits = 1) => (known(x) ? (100 * x).toFixed(digits) : "-");
  const show = (x) => (typeof x === "number" ? String(Number(x.toPrecision(6))) : String(x));

  function sizeText(bytes) {
    if (!known(bytes)) return "-";
    let unit = 0;
    while (bytes >= 1000 && unit < 4) { bytes /= 1000; unit += 1; }
    return `${Number(bytes.toPrecision(3))} ${["B", "kB", "MB", "GB", "TB"][unit]}`;
  }

  function heatColour(share) {
    const at = Math.max(0, Math.min(1, share)) * (MAP.length - 1), low = Math.min(Math.floor(at), MAP.length - 2);
    const part = (i, k) => parseInt(MAP[i].slice(1 + 2 * k, 3 + 2 * k), 16);
    const mix = [0, 1, 2].map((k) => Math.round(part(low, k) + (at - low) * (part(low + 1, k) - part(low, k))));
    const light = 0.299 * mix[0] + 0.587 * mix[1] + 0.114 * mix[2];
    return { fill: `rgb(${mix.join(" ")})`, ink: light > 128 ? "#000" : "#fff" };
  }

  const seriesColour = (index, count) => (count <= NAMED ? `var(--c${index})` : heatColour(0.08 + 0.84 * index / (count - 1)).fill);

  // ---- scales and axes

  function linearTicks(low, high) {
    const rough = (high - low) / 7 || 1, power = 10 ** Math.floor(Math.log10(rough));
    const step = power * [1, 2, 5, 10].find((m) => m * power >= rough);
    const ticks = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i += 1) ticks.push(i * step);
    return ticks;
  }

  function logTicks(low, high) {
    const ticks = [], steps = high / low > 100 ? [1] : [1, 2, 5];
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += 1)
      for (const m of steps) if (m * 10 ** e >= low && m * 10 ** e <= high) ticks.push(m * 10 ** e);
    return ticks;
  }

  function scale(low, high, from, to, log) {
    if (log) { low = Math.max(low, 1e-9); if (high <= low) high = low * 10; }
    else if (high <= low) { low -= 0.5; high += 0.5; }
    const f = log ? Math.log : (x) => x;
    const place = (x) => from + ((f(x) - f(low)) / (f(high) - f(low))) * (to - from);
    place.ticks = log ? logTicks(low, high) : linearTicks(low, high);
    return place;
  }

  function frame(svg, box, x, y, labels) {
    let last = -Infinity;
    for (const tick of x.ticks) {
      const at = x(tick);
      shape(svg, "line", { class: "grid", x1: at, x2: at, y1: box.top, y2: box.bottom });
      if (at - last < 46) continue;
      last = at;
      shape(svg, "text", { x: at, y: box.bottom + 16, "text-anchor": "middle" }, labels.xTick(tick));
    }
    for (const tick of y.ticks) {
      shape(svg, "line", { class: "grid", x1: box.left, x2: box.right, y1: y(tick), y2: y(tick) });
      shape(svg, "text", { x: box.left - 6, y: y(tick) + 4, "text-anchor": "end" }, labels.yTick(tick));
    }
    shape(svg, "path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` });
    shape(svg, "text", { x: (box.left + box.right) / 2, y: box.bottom + 36, "text-anchor": "middle" }, labels.x);
    const middle = (box.top + box.bottom) / 2;
    shape(svg, "text", { x: 14, y: middle, "text-anchor": "middle", transform: `rotate(-90 14 ${middle})` }, labels.y);
  }

  function newChart(id, least, height, label) {
    const holder = byId(id);
    const width = Math.max(least, Math.floor(holder.clientWidth));
    holder.textContent = "";
    const svg = shape(holder, "svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": label });
    return { svg, width, height };
  }

  // ---- what is shown at the pointer or at the focus

  const tip = byId("tip");

  function showTip(text, x, y) {
    tip.textContent = text;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(4, Math.min(x + 14, innerWidth - box.width - 4))}px`;
    tip.style.top = `${Math.max(4, y + 18 + box.height < innerHeight ? y + 18 : y - box.height - 14)}px`;
  }

  const hideTip = () => { tip.hidden = true; };

  // Make a mark of a chart a button: pointer and focus show its text, click and Enter act.
  function makeButton(mark, text, act) {
    mark.setAttribute("class", "mark");
    mark.setAttribute("role", "button");
    mark.setAttribute("aria-label", text);
    mark.addEventListener("pointermove", (event) => showTip(text, event.clientX, event.clientY));
    mark.addEventListener("pointerleave", hideTip);
    mark.addEventListener("focus", () => {
      const box = mark.getBoundingClientRect();
      showTip(text, box.right - 10, box.bottom - 14);
    });
    mark.addEventListener("blur", hideTip);
    mark.addEventListener("click", act);
    mark.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { event.preventDefault(); act(); }
      if (event.key === "Escape") hideTip();
    });
  }

  // One tab stop for all marks; arrow keys go to the nearest mark in their direction.
  function roam(marks) {
    marks.forEach((mark, index) => {
      mark.node.setAttribute("tabindex", index ? "-1" : "0");
      mark.node.addEventListener("keydown", (event) => {
        const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
        if (!way) return;
        event.preventDefault();
        let best = null, least = Infinity;
        for (const other of marks) {
          const dx = other.x - mark.x, dy = other.y - mark.y, along = dx * way[0] + dy * way[1];
          const cost = along + 3 * Math.abs(dx * way[1] + dy * way[0]);
          if (along > 0.5 && cost < least) { least = cost; best = other; }
        }
        if (!best) return;
        marks.forEach((m) => m.node.setAttribute("tabindex", m === best ? "0" : "-1"));
        best.node.focus();
      });
    });
  }

  // ---- the trade-off

  let group = 0;

  function cellText(shown, cell) {
    const lines = [`p = ${show(shown.masks[cell.at[0]])}, q = ${shown.drops[cell.at[1]]}`];
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

  function range(cells) {
    const means = cells.filter((c) => c.n).map((c) => c.mean);
    return means.length ? [Math.min(...means), Math.max(...means)] : [0, 1];
  }

  function drawHeat() {
    const shown = data.groups[group];
    if (!shown) { byId("heat").textContent = "There is no finished run yet."; return; }
    const columns = shown.masks.length, rows = shown.drops.length, left = 74, top = 8, right = 44;
    const { svg, width } = newChart("heat", left + right + 46 * columns, top + 74 * rows + 48, "Heat map of the trade-off");
    const cellWidth = Math.min(120, (width - left - right) / columns), cellHeight = 74;
    const x = (i) => left + cellWidth * (i + 0.5), y = (j) => top + cellHeight * (rows - j - 0.5);
    const pattern = shape(shape(svg, "defs", {}), "pattern", { id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    shape(pattern, "line", { x1: 0, x2: 0, y1: 0, y2: 6, stroke: "var(--line)", "stroke-width": 2 });
    const [low, high] = range(data.groups.flatMap((g) => g.cells));
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
    shown.masks.forEach((p, i) => shape(svg, "text", { x: x(i), y: top + cellHeight * rows + 16, "text-anchor": "middle" }, show(p)));
    shown.drops.forEach((q, j) => shape(svg, "text", { x: left - 6, y: y(j) + 4, "text-anchor": "end" }, q));
    shape(svg, "text", { x: left + cellWidth * columns / 2, y: top + cellHeight * rows + 38, "text-anchor": "middle" }, "mask probability p");
    const middle = top + cellHeight * rows / 2;
    shape(svg, "text", { x: 12, y: middle, "text-anchor": "middle", transform: `rotate(-90 12 ${middle})` }, rows > 2 ? "drop probability q" : "drop q");
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
    const shown = data.groups[group];
    if (!shown) { byId("bytes").textContent = ""; return; }
    const cells = shown.cells.filter((c) => c.n && c.bytes > 0);
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
    for (const [at, first, second] of data.stars) {
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
      makeButton(mark, cellText(shown, cell), () => openCell(cell));
      marks.push({ node: mark, x: cx, y: cy });
    }
    roam(marks);
    let at = box.left;
    rows.forEach((row, index) => {
      symbol(svg, index, at + 6, height - 10, seriesColour(index, rows.length));
      const text = shape(svg, "text", { x: at + 16, y: height - 6 }, `q = ${shown.drops[row]}`);
      at += 30 + text.getComputedTextLength();
    });
  }

  // ---- learning curves

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
    const single = members.runs.map((index) => {
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
      const half = data.critical[Math.min(n - data.fewest, data.critical.length - 1)] * Math.sqrt(variance / n);
      return { round, x, y: mean, low: mean - half, high: mean + half };
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

  // ---- the table of runs

  function compare(a, b) {
    if (!known(a) || !known(b)) return known(a) ? -1 : known(b) ? 1 : 0; // unknown goes last
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1;
    return String(a) < String(b) ? -1 : a === b ? 0 : 1;
  }

  // A dotted key may be broken after a dot or an underscore.
  function breakable(name) {
    return name.split(/(?<=[._])/).flatMap((part, i) => (i ? [element("wbr"), part] : [part]));
  }

  function makeTable() {
    const sum = (run) => run.seconds.reduce((a, b) => a + (b || 0), 0);
    const columns = [
      ["run", (r) => r.label], ["status", (r) => r.status], ...data.keys.map((key, at) => [key, (r) => r.keys[at], show]),
      ["rounds", (r) => r.rounds, (x, r) => (known(r.planned) && r.planned !== x ? `${x} of ${r.planned}` : String(x))],
      ["validation / %", (r) => r.validation, (x) => percent(x, 2)], ["test / %", (r) => r.test, (x) => percent(x, 2)],
      ["uplink", (r) => r.uplink, sizeText], ["s a round", sum, (x) => x.toPrecision(3)], ["ranks", (r) => r.ranks || null, (x) => (known(x) ? x : "-")]];
    const body = byId("table").tBodies[0], head = byId("table").tHead.insertRow();
    const rows = data.runs.map((run) => {
      const row = element("tr");
      columns.forEach(([name, value, text], index) => {
        const shownText = String((text || String)(value(run), run)), cell = element("td");
        cell.append(index ? shownText : element("a", { href: run.href }, shownText));
        if (shownText.length > 28) cell.className = "long";
        row.append(cell);
      });
      return { run, row, text: row.textContent.toLowerCase() };
    });
    let order = null, down = false;
    const refresh = () => {
      const wanted = byId("find").value.toLowerCase(), status = byId("status").value;
      const kept = rows.filter((r) => r.text.includes(wanted) && (!status || r.run.status === status));
      if (order) kept.sort((a, b) => {
        const x = order(a.run), y = order(b.run);
        return known(x) && known(y) ? (down ? -1 : 1) * compare(x, y) : compare(x, y);
      });
      body.replaceChildren(...kept.map((r) => r.row));
      byId("count").textContent = `${kept.length} of ${rows.length} runs`;
    };
    for (const [name, value] of columns) {
      const button = element("button", { type: "button" }, ...breakable(name)), cell = element("th", { scope: "col" }, button);
      button.addEventListener("click", () => {
        down = order === value && !down;
        order = value;
        for (const other of head.cells) other.removeAttribute("aria-sort");
        cell.setAttribute("aria-sort", down ? "descending" : "ascending");
        head.querySelectorAll(".arrow").forEach((arrow) => arrow.remove());
        button.append(element("span", { class: "arrow" }, down ? " ▼" : " ▲"));
        refresh();
      });
      head.append(cell);
    }
    for (const status of new Set(data.runs.map((run) => run.status))) byId("status").append(element("option", { value: status }, status));
    byId("find").addEventListener("input", refresh);
    byId("status").addEventListener("change", refresh);
    refresh();
  }

  // ---- timing

  function drawTimes() {
    const settings = new Map(), holder = byId("times");
    for (const run of data.runs) {
      if (!run.rounds) continue;
      const parts = data.keys.map((key, at) => (data.seeds.includes(key) ? "" : `${key} = ${show(run.keys[at])}`)).filter(Boolean);
      const ranks = run.ranks ? `${run.ranks} ${run.ranks === 1 ? "rank" : "ranks"}` : "ranks not known";
      const label = [...parts, ranks].join(", ");
      const values = [...data.keys.map((key, at) => (data.seeds.includes(key) ? "" : run.keys[at])), run.ranks];
      if (!settings.has(label)) settings.set(label, { label, values, all: [] });
      settings.get(label).all.push(run.seconds);
    }
    if (!settings.size) { holder.textContent = "No run has a round yet."; return; }
    const legend = element("div", { class: "legend" });
    data.phases.forEach((name, k) => {
      const item = element("span", {}, name);
      item.style.setProperty("--own", `var(--c${k})`);
      legend.append(item);
    });
    const bars = [...settings.values()].sort(byValues).map(({ label, all }) => {
      const means = data.phases.map((_, k) => all.reduce((s, seconds) => s + (seconds[k] || 0), 0) / all.length);
      return { label, means, total: means.reduce((a, b) => a + b, 0) };
    });
    const most = 60, longest = Math.max(...bars.map((bar) => bar.total)) || 1;
    if (bars.length > most) bars.sort((a, b) => b.total - a.total);
    holder.append(legend);
    for (const bar of bars.slice(0, most)) {
      const parts = element("div", { class: "bar" });
      bar.means.forEach((seconds, k) => {
        const part = element("span", { title: `${data.phases[k]}: ${seconds.toPrecision(3)} s` });
        part.style.width = `${100 * seconds / longest}%`;
        part.style.background = `var(--c${k})`;
        parts.append(part);
      });
      const words = data.phases.map((name, k) => `${name} ${bar.means[k].toPrecision(3)} s`).join(", ");
      parts.setAttribute("role", "img");
      parts.setAttribute("aria-label", words);
      holder.append(element("div", { class: "bar-row" }, element("span", {}, bar.label), parts, element("span", {}, `${bar.total.toPrecision(3)} s`)));
    }
    if (bars.length > most) holder.append(element("p", { class: "quiet" }, `The ${most} slowest of ${bars.length} settings.`));
  }

  // ---- begin

  function makeGroups() {
    const select = byId("group");
    data.groups.forEach((g, index) => select.append(element("option", { value: index }, g.text || "all")));
    byId("group-label").hidden = data.groups.length < 2;
    select.addEventListener("change", () => { group = Number(select.value); drawHeat(); drawBytes(); });
  }

  function drawAll() { drawHeat(); drawBytes(); drawCurves(); }

  makeGroups();
  makeFilters();
  makeTable();
  drawTimes();
  drawAll();
  let width = document.documentElement.clientWidth, timer = 0;
  addEventListener("resize", () => {
    if (document.documentElement.clientWidth === width) return;
    width = document.documentElement.clientWidth;
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
  addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((d) => { d.open = true; }));
  document.body.dataset.ready = "true";
})();
