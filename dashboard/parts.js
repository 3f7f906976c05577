// The small things that views are made of: a state as a shape and a word, a bar that runs out, a time that passes, facts
// in pairs, and what to say when there is nothing or something went wrong.

import { h } from "./dom.js";
import { absolute, clockTime, NOTHING } from "./format.js";

// Each state has a shape of its own besides its colour, drawn on a grid of 12.
const SHAPES = {
  alive: ["ok", "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1z"],
  unreachable: ["warn", "M6 1l5.5 10H.5z"],
  dead: ["grey", "M2.5 1L6 4.5 9.5 1 11 2.5 7.5 6 11 9.5 9.5 11 6 7.5 2.5 11 1 9.5 4.5 6 1 2.5z"],
  pending: ["grey", "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm0 2a3 3 0 1 0 0 6 3 3 0 0 0 0-6z"],
  claimed: ["info", "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm0 2v6a3 3 0 0 0 0-6z"],
  completed: ["ok", "M10.3 2L12 3.7 5 10.7.5 6.2 2.2 4.5 5 7.3z"],
  failed: ["crit", "M2.5 1L6 4.5 9.5 1 11 2.5 7.5 6 11 9.5 9.5 11 6 7.5 2.5 11 1 9.5 4.5 6 1 2.5z"],
  allow: ["ok", "M10.3 2L12 3.7 5 10.7.5 6.2 2.2 4.5 5 7.3z"],
  deny: ["crit", "M6 0a6 6 0 1 1 0 12A6 6 0 0 1 6 0zM3 5v2h6V5z"],
  critical: ["crit", "M4 0h4l4 4v4l-4 4H4L0 8V4zM5 2.5v4.5h2V2.5zm0 5.5v1.7h2V8z"],
  warning: ["warn", "M6 .5l6 11H0zM5.3 4v4h1.4V4zm0 4.8v1.4h1.4V8.8z"],
  info: ["info", "M6 0a6 6 0 1 1 0 12A6 6 0 0 1 6 0zM5 5v4.5h2V5zm0-2.5v1.7h2V2.5z"],
  lease: ["info", "M1 1h10v10H1zm2 2v6h6V3z"],
  claim: ["info", "M6 1a5 5 0 1 1 0 10A5 5 0 0 1 6 1zm0 2v6a3 3 0 0 0 0-6z"],
  leader: ["ok", "M6 0l1.8 4 4.2.4-3.2 2.9 1 4.2L6 9.3l-3.8 2.2 1-4.2L0 4.4 4.2 4z"],
  mark: ["grey", "M6 3a3 3 0 1 1 0 6 3 3 0 0 1 0-6z"],
};

export function shape(name) {
  const [tone, path] = SHAPES[name] ?? SHAPES.mark;
  return h("svg", { class: `shape ${tone}`, viewBox: "0 0 12 12", "aria-hidden": "true" },
    h("path", { d: path, "fill-rule": "evenodd" }));
}

/** A state: its shape and its word. */
export function badge(state, word = state) {
  const [tone] = SHAPES[state] ?? SHAPES.mark;
  return h("span", { class: `badge ${tone}` }, shape(state), h("span", null, word));
}

/** A task's DEAD is a failure, an agent's an end. */
export function taskBadge(status) {
  return badge(status === "dead" ? "failed" : status, status);
}

/** The time left of a lease, as a bar and as text. */
export function timeLeft(lease) {
  return h("span", { class: "time-left" },
    h("span", { class: "bar", "data-until": lease.expires_clock_ms, "data-span": lease.ttl_ms, "aria-hidden": "true" },
      h("span", { class: "bar-fill", own: true })),
    h("span", { class: "num", own: true, "data-left": lease.expires_clock_ms, title: `until ${absolute(new Date(lease.expires_at))}` }));
}

/** How long ago it was; the time itself is in the title. */
export function since(time) {
  if (!time) return h("span", { class: "soft" }, NOTHING);
  return h("time", { key: time, datetime: time, "data-ago": "", class: "num", own: true });
}

/** The same by the daemon's own clock, which no wall clock moves. */
export function sinceClock(clockMs, time) {
  return h("time", { datetime: time, "data-ago-clock": clockMs, class: "num", own: true, title: absolute(new Date(time)) });
}

/** A point in time and how long ago that was. */
export function when(time) {
  if (!time) return h("span", { class: "soft" }, NOTHING);
  return h("span", null, h("time", { datetime: time, class: "num", title: absolute(new Date(time)) }, clockTime(new Date(time))),
    h("span", { class: "soft" }, ", ", since(time)));
}

export function chips(texts) {
  return texts.map((text, index) => h("bdi", { key: index, class: "chip", title: text }, text));
}

/** Pairs of a name and a value. @param {[string, any][]} pairs those without a value are left out. */
export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "")
    .map(([name, value]) => h("div", { key: name }, h("dt", null, name), h("dd", null, value))));
}

/** A part of a view, with a heading that names it. */
export function section(id, title, ...children) {
  return h("section", { key: id, class: "part", "aria-labelledby": id }, h("h2", { id }, title), children);
}

/** The head of a view. */
export function heading(title, ...beside) {
  return h("div", { key: "heading", class: "heading" }, h("h1", { id: "title", tabindex: "-1" }, title), beside);
}

/** Nothing is here, and what to do about it. */
export function empty(...text) {
  return h("div", { key: "empty", class: "empty" }, text);
}

export function command(text) {
  return h("pre", { class: "command", tabindex: "0" }, text);
}

/** Instead of what was asked for. @param {{status: number, body: any}|Error} answer */
export function failure(answer, what) {
  const told = answer.body?.error?.message ?? answer.message ?? `The daemon answered with HTTP status ${answer.status}.`;
  return h("div", { key: "failure", class: "empty failure" }, h("p", { class: "strong" }, shape("warning"), what), h("p", null, told));
}

/** Nothing has been heard yet. It comes up late, so that nothing blinks when the answer is quick. */
export function loading() {
  return h("p", { key: "loading", class: "loading soft" }, "Asking the daemon…");
}
