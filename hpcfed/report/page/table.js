// The table of runs and the bars of seconds.

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
    ["run", (r) => r.label], ["status", (r) => r.status, (x, r) => (r.verdict ? `${x}, ${r.verdict}` : x)], ...data.keys.map((key, at) => [key, (r) => r.keys[at], show]),
    ["rounds", (r) => r.rounds, (x, r) => (known(r.planned) && r.planned !== x ? `${x} of ${r.planned}` : String(x))],
    ["validation / %", (r) => r.validation, (x) => percent(x, 2)], ["test / %", (r) => r.test, (x) => percent(x, 2)],
    ["uplink", (r) => r.uplink, sizeText], ["s a round", sum, (x) => x.toPrecision(3)], ["ranks", (r) => r.ranks || null, (x) => (known(x) ? x : "-")]];
  const body = byId("table").tBodies[0], head = byId("table").tHead.insertRow();
  const rows = data.runs.map((run) => {
    const row = element("tr");
    columns.forEach(([name, value, text], index) => {
      const shownText = String((text || String)(value(run), run)), cell = element("td");
      cell.append(index || !run.href ? shownText : element("a", { href: run.href }, shownText));
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
