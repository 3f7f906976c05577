// The last minutes of a few numbers, drawn as lines of SVG. Charts under each other share one pointer: the same moment is
// read off all of them. Somebody who cannot see a line is told what it says: now, and the highest.

import { h } from "./dom.js";
import { rough } from "./format.js";

const WIDTH = 300;
const HEIGHT = 100;

/** The smallest of 1, 2, 5, 10, 20, … that is not below. */
function ceiling(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].find((each) => each * power >= value) * power;
}

/**
 * Where a value is between the bottom and the top, 0 to 1; what the two are; and where the lines of the grid are. A
 * latency is drawn by its logarithm: the usual microseconds are to be seen beside the one outlier of milliseconds.
 */
function scaleOf(known, logarithmic) {
  const top = ceiling(Math.max(0, ...known));
  if (!logarithmic || !known.length) return { low: 0, top, place: (value) => value / top, grid: [0, 0.5, 1] };
  const first = Math.floor(Math.log10(Math.max(1, Math.min(...known))));
  const last = Math.max(first + 1, Math.ceil(Math.log10(Math.max(1, ...known))));
  const decades = last - first;
  return {
    low: 10 ** first, top: 10 ** last, place: (value) => Math.max(0, (Math.log10(Math.max(1, value)) - first) / decades),
    grid: Array.from({ length: decades + 1 }, (_, index) => index / decades),
  };
}

// The newest value is at the right edge, however few there are. A gap in what is known is a gap in the line.
function line(values, place, span) {
  let path = "";
  let pen = "M";
  values.forEach((value, index) => {
    if (value === null) {
      pen = "M";
      return;
    }
    const x = ((span - values.length + index) / (span - 1)) * WIDTH;
    path += `${pen}${x.toFixed(1)} ${(HEIGHT - place(value) * HEIGHT).toFixed(1)}`;
    // A value alone between gaps is still to be seen.
    if (pen === "M" && (values[index + 1] ?? null) === null) path += "h0.01";
    pen = "L";
  });
  return path;
}

function area(all, place, span) {
  // What was before the first value, as in the second of the start, is no gap.
  const values = all.slice(Math.max(0, all.findIndex((value) => value !== null)));
  const path = line(values, place, span);
  if (!path || values.includes(null)) return "";
  const left = (((span - values.length) / (span - 1)) * WIDTH).toFixed(1);
  return `${path}L${WIDTH} ${HEIGHT}L${left} ${HEIGHT}Z`;
}

/**
 * @param {{id: string, title: string, series: {label: string, values: (number|null)[], tone: string}[], intervalMs: number,
 *   format?: (value: number) => string, logarithmic?: boolean, span?: number, pointer: {at: number|null}, point: (at: number|null) => void}} chart
 */
export function chart({ id, title, series, intervalMs, format = rough, logarithmic = false, span = 300, pointer, point }) {
  const known = series.flatMap((each) => each.values).filter((value) => value !== null);
  const { low, top, place, grid } = scaleOf(known, logarithmic);
  const at = pointer.at === null ? null : Math.round(pointer.at * (span - 1));
  const valueAt = (values) => (at === null ? values.at(-1) : values[values.length - span + at]) ?? null;
  const text = (value) => (value === null ? "–" : format(value));
  const told = series.map((each) => {
    const highest = Math.max(...each.values.filter((value) => value !== null));
    return `${each.label} now ${text(each.values.at(-1) ?? null)}` + (Number.isFinite(highest) ? `, highest ${text(highest)}` : "");
  }).join("; ");
  const behind = at === null ? "now" : `${Math.round(((span - 1 - at) * intervalMs) / 1000)} s ago`;
  const follow = (event) => {
    const box = event.currentTarget.getBoundingClientRect();
    point(Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)));
  };
  return h("figure", { key: id, class: "chart" },
    h("figcaption", null, h("span", { class: "chart-title" }, title), h("span", { class: "soft chart-when" }, at === null ? "" : behind),
      h("span", { class: "legend" }, series.map((each) => h("span", { key: each.label, class: `key ${each.tone}` },
        series.length > 1 ? each.label : "", h("b", { class: "num" }, text(valueAt(each.values))))))),
    h("div", { class: "plot", role: "img", "aria-label": `${title}, the last ${Math.round((span * intervalMs) / 60000)} minutes: ${told}`,
      onpointermove: follow, onpointerdown: follow, onpointerleave: () => point(null) },
      h("span", { key: "top", class: "axis num", "aria-hidden": "true" }, format(top)),
      low > 0 ? h("span", { key: "low", class: "axis low num", "aria-hidden": "true" }, format(low)) : null,
      h("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
        h("path", { key: "grid", class: "grid", d: grid.map((part) => `M0 ${(HEIGHT - part * HEIGHT).toFixed(1)}H${WIDTH}`).join("") }),
        series.map((each) => [
          h("path", { key: `area ${each.label}`, class: `area ${each.tone}`, d: series[0] === each ? area(each.values, place, span) : "" }),
          h("path", { key: `line ${each.label}`, class: `line ${each.tone}`, d: line(each.values, place, span) }),
        ]),
        at === null ? null : h("path", { key: "pointer", class: "pointer", d: `M${((at / (span - 1)) * WIDTH).toFixed(1)} 0V${HEIGHT}` }))));
}

/** A line without anything, beside a number. */
export function sparkline(values) {
  const known = values.filter((value) => value !== null);
  const low = Math.min(...known);
  const high = Math.max(...known);
  // What hardly changes should look that way, and zero be at the bottom when it is near.
  const bottom = low === 0 || low < high / 2 ? 0 : low - Math.max(1, (high - low) * 0.5);
  const top = Math.max(high - bottom, 1) * 1.1;
  const shifted = values.map((value) => (value === null ? null : value - bottom));
  return h("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    h("path", { class: "line", d: known.length ? line(shifted, (value) => value / top, Math.max(60, values.length)) : "" }));
}
