// Fills the page once, and draws it anew when its width changes.

function drawAll() { drawHeat(); drawBytes(); drawCurves(); }

makeAxes();
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
addEventListener("beforeprint", () => document.querySelectorAll("details:not(.numbers)").forEach((d) => { d.open = true; }));
document.body.dataset.ready = "true";
