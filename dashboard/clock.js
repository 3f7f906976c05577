// The daemon's clock, as well as it can be known here, and the one ticker that moves what moves with it. Leases run on
// the daemon's monotonic clock, which no answer can tell exactly: it was made a moment before it came. The greatest
// difference to our own clock is the one least delayed, so that is the one kept; of the last minutes only, since two
// clocks drift apart, and a page may be open all day.
//
// A view marks what passes by itself with attributes, and the ticker writes it in place, without the view:
//   data-until (+ data-span)   a bar: milliseconds of the daemon's clock when it is empty, and what it began with
//   data-left                  what is left until then, as text
//   data-ago                   how long ago a wall time was; data-ago-clock: a point of the daemon's clock
//   data-for                   for how long it has been so, since a wall time

import { absolute, ago, duration, left } from "./format.js";

const WINDOW_MS = 60000;

/** The greatest of this minute, and of the one before. */
let greatest = -Infinity;
let before = -Infinity;
let windowEnd = 0;
let frozen = null;
let skew = 0;

export const clock = {
  /** An answer says what the daemon's clock was. */
  sample(clockMs) {
    const now = performance.now();
    if (now >= windowEnd) {
      before = now < windowEnd + WINDOW_MS ? greatest : -Infinity;
      greatest = -Infinity;
      windowEnd = now + WINDOW_MS;
    }
    greatest = Math.max(greatest, clockMs - now);
  },

  /** Another process may have another clock. */
  reset() {
    greatest = before = -Infinity;
  },

  /** The wall clock of this machine may be wrong, but how long ago something was should not be. */
  setWall(startedAt, uptimeMs) {
    skew = Date.parse(startedAt) + uptimeMs - Date.now();
  },

  /** What is shown is no longer true: it stands still, rather than go on as if it were known. */
  freeze() {
    frozen ??= this.now();
  },

  thaw() {
    frozen = null;
  },

  now() {
    const offset = Math.max(before, greatest);
    return frozen ?? (offset === -Infinity ? 0 : performance.now() + offset);
  },

  wall() {
    return Date.now() + skew;
  },
};

const reduced = matchMedia("(prefers-reduced-motion: reduce)");
const TICK_MS = 100;

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Brings all that passes up to now. After each change of the document, too, so that nothing new is ever empty. */
export function tick() {
  const now = clock.now();
  for (const bar of document.querySelectorAll("[data-until]")) {
    const rest = bar.dataset.until - now;
    // A bar that creeps is motion too: whoever wants less of it has one that steps, a second at a time.
    const part = Math.min(1, Math.max(0, (reduced.matches ? Math.ceil(rest / 1000) * 1000 : rest) / bar.dataset.span));
    const transform = `scaleX(${part.toFixed(4)})`;
    if (bar.firstElementChild.style.transform !== transform) bar.firstElementChild.style.transform = transform;
    const low = part < 0.2 ? "yes" : "no";
    if (bar.dataset.low !== low) bar.dataset.low = low;
  }
  for (const text of document.querySelectorAll("[data-left]")) write(text, left(text.dataset.left - now));
  for (const text of document.querySelectorAll("[data-ago-clock]")) write(text, ago(now - text.dataset.agoClock));
  const wall = clock.wall();
  for (const text of document.querySelectorAll("[data-ago]")) {
    write(text, ago(wall - Date.parse(text.dateTime)));
    if (!text.title) text.title = absolute(new Date(text.dateTime));
  }
  for (const text of document.querySelectorAll("[data-for]")) write(text, duration(wall - Date.parse(text.dateTime)));
}

export function startTicking() {
  setInterval(() => document.hidden || tick(), TICK_MS);
}
