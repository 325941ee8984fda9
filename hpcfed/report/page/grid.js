// Which grid the trade-off shows: p by q as it was worked out, or any two of the keys that vary.

const PLANE = ["uplink.mask_probability", "participation.drop_probability"];
const free = data.keys.filter((key) => !data.seeds.includes(key));
let grids = data.groups, group = 0;

const isPlane = (x, y) => x === PLANE[0] && y === PLANE[1];
const valueOf = (run, key) => run.keys[data.keys.indexOf(key)];

function makeAxes() {
  const usual = free.some((key) => PLANE.includes(key)) || !free.length;
  for (const [id, at] of [["x-key", 0], ["y-key", 1]]) {
    const keys = [...new Set([...(usual ? PLANE : []), ...free]), ""];
    for (const key of keys) byId(id).append(element("option", { value: key }, key || "(nothing)"));
    byId(id).value = usual ? PLANE[at] : data.widest[at] || "";
    byId(id).addEventListener("change", chooseGrid);
  }
  byId("axes").hidden = !free.length;
  byId("group").addEventListener("change", () => { group = Number(byId("group").value); drawHeat(); drawBytes(); });
  chooseGrid();
}

function chooseGrid() {
  const x = byId("x-key").value, y = byId("y-key").value;
  grids = isPlane(x, y) ? data.groups : gridsOver(x, y);
  group = 0;
  byId("group").replaceChildren(...grids.map((g, index) => element("option", { value: index }, g.text || "all")));
  byId("group-label").hidden = grids.length < 2;
  byId("heat-axes").textContent = isPlane(x, y) ? "mask probability p and drop probability q" : [x, y].filter(Boolean).join(" and ");
  if (document.body.dataset.ready) { drawHeat(); drawBytes(); }
}

// Return the grids over two keys, one for each setting of the other keys that tell something new.
function gridsOver(xKey, yKey) {
  const runs = data.runs.map((run, index) => ({ run, index })), at = (run) => [xKey, yKey].map((key) => (key ? valueOf(run, key) : ""));
  const places = new Set(runs.map(({ run }) => JSON.stringify(at(run)))).size;
  const others = free.filter((key) => key !== xKey && key !== yKey
    && new Set(runs.map(({ run }) => JSON.stringify([at(run), valueOf(run, key)]))).size > places);
  const axis = (i) => [...new Map(runs.map(({ run }) => [JSON.stringify(at(run)[i]), at(run)[i]])).values()].sort(compare);
  const [xs, ys] = [axis(0), axis(1)], found = new Map();
  for (const { run, index } of runs) {
    const text = others.map((key) => `${key} = ${show(valueOf(run, key))}`).join(", ");
    if (!found.has(text)) found.set(text, new Map());
    const [x, y] = at(run), place = [xs.indexOf(x), ys.indexOf(y)], cells = found.get(text);
    if (!cells.has(place.join())) cells.set(place.join(), { at: place, all: [] });
    cells.get(place.join()).all.push(index);
  }
  const made = [...found].sort((a, b) => compare(a[0], b[0])).map(([text, cells]) => ({
    text, masks: xs, drops: ys.map(show), lines: [], names: [xKey, yKey], cells: [...cells.values()].map(numbers) }));
  markFront(made.flatMap((g) => g.cells));
  return made;
}

// Return a cell with its numbers: those of its finished runs, whose metric is known.
function numbers({ at, all }) {
  const metric = data.metric.startsWith("test") ? "test" : "validation";
  const runs = repetitions(all.filter((index) => data.runs[index].status === "finished"));
  const values = runs.map((index) => data.runs[index][metric]).filter(known), n = values.length;
  const mean = n ? values.reduce((s, v) => s + v, 0) / n : null, cell = { at, n, planned: repetitions(all).length, runs, mean, front: false };
  const sizes = runs.map((index) => data.runs[index].uplink).filter(known);
  cell.bytes = sizes.length ? sizes.reduce((s, v) => s + v, 0) / sizes.length : null;
  if (n < data.fewest) return cell;
  cell.sd = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / (n - 1));
  const half = tValue(n) * cell.sd / Math.sqrt(n);
  return { ...cell, low: Math.max(0, mean - half), high: Math.min(1, mean + half) };
}

// Return runs without a second one of the same values of all keys, seeds included: it counts once.
function repetitions(runs) {
  const first = new Map();
  for (const index of runs) {
    const id = JSON.stringify(data.runs[index].keys);
    if (!first.has(id)) first.set(id, index);
  }
  return [...first.values()];
}

const tValue = (n) => data.critical[Math.min(n - data.fewest, data.critical.length - 1)];

function markFront(cells) {
  let best = -Infinity;
  for (const cell of cells.filter((c) => c.n && known(c.bytes)).sort((a, b) => a.bytes - b.bytes || b.mean - a.mean))
    if (cell.mean > best) { best = cell.mean; cell.front = true; }
}
