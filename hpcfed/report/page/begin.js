// Fills the page once, and draws it anew when its width changes.

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
