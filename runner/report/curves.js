"use strict";
// Draws the curves of the page: values on hover, zoom by dragging, reset by a double click.
const W = 400, H = 220, LEFT = 52, RIGHT = 10, TOP = 8, BOTTOM = 24;
const content = JSON.parse(document.getElementById("curves").textContent);

function element(parent, name, attributes, text) {
  const node = document.createElementNS(parent.namespaceURI, name);
  for (const key in attributes) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  return parent.appendChild(node);
}

function shown(value) {
  const size = Math.abs(value);
  if (value === 0 || (size >= 1e-3 && size < 1e5)) return String(Number(value.toPrecision(4)));
  return value.toExponential(2);
}

function ticks(low, high, count) {
  const raw = (high - low) / count, base = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((factor) => factor * base).find((size) => size >= raw);
  const found = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) found.push(at);
  return found;
}

function draw(figure, panel) {
  const svg = figure.querySelector("svg"), readout = figure.querySelector(".readout");
  const all = panel.lines.flatMap((line) => line.points);
  const first = Math.min(...all.map((p) => p[0])), last = Math.max(...all.map((p) => p[0]));
  let range = [first, last];

  function render() {
    svg.replaceChildren();
    const [begin, end] = range, width = end - begin || 1;
    const inside = all.filter((p) => p[0] >= begin && p[0] <= end && p[1] !== null).map((p) => p[1]);
    if (!inside.length) return;
    let low = Math.min(...inside), high = Math.max(...inside);
    const log = panel.log && low > 0;
    const scale = log ? Math.log10 : (value) => value;
    [low, high] = [scale(low), scale(high)];
    const margin = 0.06 * (high - low) || 0.5 * Math.abs(high) || 0.5;
    [low, high] = [low - margin, high + margin];
    const x = (step) => LEFT + (W - LEFT - RIGHT) * (step - begin) / width;
    const y = (value) => H - BOTTOM - (H - TOP - BOTTOM) * (scale(value) - low) / (high - low);
    const whole = [];
    for (let power = Math.ceil(low); power <= high; power++) whole.push(10 ** power);
    const values = log && whole.length > 1 ? whole : ticks(low, high, 4).map((at) => (log ? 10 ** at : at));
    for (const value of values) {
      element(svg, "line", { x1: LEFT, x2: W - RIGHT, y1: y(value), y2: y(value), class: "grid" });
      element(svg, "text", { x: LEFT - 5, y: y(value) + 3, "text-anchor": "end" }, shown(value));
    }
    for (const step of ticks(begin, begin + width, 5)) {
      element(svg, "text", { x: x(step), y: H - 8, "text-anchor": "middle" }, shown(step));
    }
    if (content.best !== null && content.best >= begin && content.best <= end) {
      element(svg, "line", { x1: x(content.best), x2: x(content.best), y1: TOP, y2: H - BOTTOM, class: "best" });
    }
    for (const line of panel.lines) {
      const points = line.points.filter((p) => p[0] >= begin && p[0] <= end);
      let path = "", pen = "M", before = null;
      for (const [step, value] of points) {
        if (value === null) { pen = "M"; continue; }
        if (line.steps && pen === "L") path += `L${x(step)} ${y(before)}`;
        path += `${pen}${x(step)} ${y(value)}`;
        [pen, before] = ["L", value];
      }
      element(svg, "path", { d: path, class: `line ${line.name}`, stroke: line.color });
      if (points.length <= 30) for (const [step, value] of points) {
        if (value !== null) element(svg, "circle", { cx: x(step), cy: y(value), r: 2.4, fill: line.color });
      }
    }
    svg.toStep = (px) => begin + width * (px / svg.clientWidth * W - LEFT) / (W - LEFT - RIGHT);
    svg.toX = x;
  }

  function nearest(line, step) {
    return line.points.filter((p) => p[1] !== null).reduce(
      (found, p) => (found === null || Math.abs(p[0] - step) < Math.abs(found[0] - step) ? p : found), null);
  }

  let start = null;
  svg.addEventListener("pointermove", (event) => {
    if (!svg.toStep) return;
    const step = svg.toStep(event.offsetX);
    const parts = panel.lines.map((line) => [line, nearest(line, step)]).filter((pair) => pair[1] !== null);
    if (!parts.length) return;
    readout.textContent = parts.map(([line, p]) => `${line.name} ${shown(p[1])}`).join("   ")
      + `   (step ${parts[0][1][0]})`;
    svg.querySelectorAll(".cursor").forEach((node) => node.remove());
    element(svg, "line", { x1: svg.toX(parts[0][1][0]), x2: svg.toX(parts[0][1][0]), y1: TOP, y2: H - BOTTOM,
      class: "cursor" });
    if (start !== null) {
      const [from, to] = [svg.toX(start), svg.toX(step)];
      element(svg, "rect", { x: Math.min(from, to), width: Math.abs(to - from), y: TOP, height: H - TOP - BOTTOM,
        class: "cursor" });
    }
  });
  svg.addEventListener("pointerdown", (event) => { start = svg.toStep ? svg.toStep(event.offsetX) : null; });
  svg.addEventListener("pointerup", (event) => {
    const end = svg.toStep ? svg.toStep(event.offsetX) : null;
    if (start !== null && Math.abs(end - start) > 0.02 * (range[1] - range[0])) {
      range = [Math.max(Math.min(start, end), first), Math.min(Math.max(start, end), last)];
      render();
    }
    start = null;
  });
  svg.addEventListener("pointerleave", () => {
    start = null;
    readout.textContent = "";
    svg.querySelectorAll(".cursor").forEach((node) => node.remove());
  });
  svg.addEventListener("dblclick", () => { range = [first, last]; render(); });
  render();
}

content.panels.forEach((panel, number) => draw(document.getElementById(`curve-${number}`), panel));
document.querySelectorAll(".plots img").forEach((image) => {
  image.addEventListener("click", () => image.closest("figure").classList.toggle("full"));
});
