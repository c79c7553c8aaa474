// The hashrate chart: one line and its area, drawn as SVG of the page's own size.

import { clock, h, hashrate } from "./show.js";

const HEIGHT = 220;
const LEFT = 78;
const RIGHT = 8;
const TOP = 12;
const BOTTOM = 26;

/** The next "nice" figure at or above a value: 1, 2, 2.5 or 5 times a power of ten. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * power).find((step) => step >= value);
}

/** `points` = [{time, hashrate}], oldest first; `width` in pixels. */
export function chart(points, width) {
  const top = nice(Math.max(0.001, ...points.map((point) => point.hashrate)));
  const first = Date.parse(points[0].time);
  const last = Date.parse(points[points.length - 1].time);
  const x = (time) => LEFT + (width - LEFT - RIGHT) * (last === first ? 1 : (Date.parse(time) - first) / (last - first));
  const y = (value) => TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top);
  const line = points.map((point) => `${x(point.time).toFixed(1)},${y(point.hashrate).toFixed(1)}`);
  const base = y(0).toFixed(1);
  const start = x(points[0].time).toFixed(1);
  const end = x(points[points.length - 1].time).toFixed(1);

  const grid = [0, 0.5, 1].map((part) => h("g", {},
    h("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(top * part), y2: y(top * part) }),
    h("text", { class: "tick", x: LEFT - 10, y: y(top * part) + 4, "text-anchor": "end" }, hashrate(top * part))));
  const ticks = width < 520 ? [0, 1] : [0, 1 / 3, 2 / 3, 1];
  const times = ticks.map((part) => h("text", {
    class: "tick", y: HEIGHT - 6, x: LEFT + (width - LEFT - RIGHT) * part,
    "text-anchor": part === 0 ? "start" : part === 1 ? "end" : "middle",
  }, clock(first + (last - first) * part)));

  return h("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": summary(points), height: HEIGHT },
    grid, times,
    h("path", { class: "area", d: `M${start},${base} L${line.join(" L")} L${end},${base} Z` }),
    h("path", { class: "line", d: `M${line.join(" L")}` }),
    h("circle", { class: "now", cx: end, cy: y(points[points.length - 1].hashrate), r: 3.5 }));
}

/** The chart in words. */
export function summary(points) {
  const values = points.map((point) => point.hashrate);
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return `Hashrate from ${clock(points[0].time)} to ${clock(points[points.length - 1].time)}: `
    + `${hashrate(values[values.length - 1])} at the end, ${hashrate(mean)} on average, `
    + `between ${hashrate(Math.min(...values))} and ${hashrate(Math.max(...values))}.`;
}
