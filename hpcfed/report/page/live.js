// Loads the page anew when its server has a newer one; what was chosen, opened and looked at stays.

const POLL_MS = 2000, KEPT = "hpcfed watch";
const controls = () => [...document.querySelectorAll("select, input")];
const opened = () => [...document.querySelectorAll("details")];
const nameOf = (control) => control.id || control.dataset.key;
const isBox = (control) => control.type === "checkbox";

function keep() {
  const sorted = [...byId("table").tHead.rows[0].cells].find((cell) => cell.hasAttribute("aria-sort"));
  const kept = {
    values: controls().map((c) => [nameOf(c), isBox(c) ? c.checked : c.value]),
    open: opened().map((d) => d.open),
    sorted: sorted && [sorted.textContent.slice(0, -2), sorted.getAttribute("aria-sort")],
    focus: nameOf(document.activeElement) || "",
    at: scrollY,
  };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
}

function choose(control, value) {
  const is = isBox(control) ? control.checked : control.value;
  const offers = control.tagName !== "SELECT" || [...control.options].some((option) => option.value === value);
  if (is === value || !offers) return;
  if (isBox(control)) control.checked = value; else control.value = value;
  for (const kind of ["input", "change"]) control.dispatchEvent(new Event(kind));
}

function restore() {
  const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
  sessionStorage.removeItem(KEPT);
  if (!kept) return;
  for (const [name, value] of kept.values) controls().filter((c) => nameOf(c) === name).forEach((c) => choose(c, value));
  opened().forEach((d, index) => { d.open = Boolean(kept.open[index]); });
  if (kept.sorted) {
    const head = [...byId("table").tHead.rows[0].cells].find((cell) => cell.textContent === kept.sorted[0]);
    const clicks = head ? (kept.sorted[1] === "descending" ? 2 : 1) : 0;
    for (let i = 0; i < clicks; i += 1) head.querySelector("button").click();
  }
  const focused = kept.focus && controls().find((c) => nameOf(c) === kept.focus);
  if (focused) focused.focus({ preventScroll: true });
  scrollTo(0, kept.at);
}

async function poll() {
  let text = "It renews itself.";
  try {
    const answer = await fetch("version", { cache: "no-store" });
    if (answer.ok && (await answer.text()) !== document.body.dataset.version) { keep(); location.reload(); return; }
  } catch {
    text = "hpcfed watch has ended or is out of reach; this page stays as it is.";
  }
  if (byId("live").textContent !== text) byId("live").textContent = text;
  setTimeout(poll, POLL_MS);
}

history.scrollRestoration = "manual";
restore();
poll();
