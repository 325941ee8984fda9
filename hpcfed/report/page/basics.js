// Elements, numbers, colours, scales, axes and tips that every figure uses; text goes in as text alone.

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
// whole numbers stay as they are: two seeds of seven digits are not one
const show = (x) => (typeof x === "number" && !Number.isInteger(x) ? String(Number(x.toPrecision(6))) : String(x));

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
