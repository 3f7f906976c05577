// Numbers, lengths of time and points in time, as people read them: in the reader's own zone and way of writing.

const whole = new Intl.NumberFormat();
const short = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const tenths = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const timeOfDay = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const dayAndTime = new Intl.DateTimeFormat(undefined, {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
});

export const NOTHING = "–";

export function count(value) {
  return value === null || value === undefined ? NOTHING : whole.format(value);
}

/** Short enough for an axis: 12, 1.5K, 2M. */
export function rough(value) {
  return value >= 10000 ? short.format(value) : tenths.format(value);
}

export function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

const UNITS = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];

/** `3 min 20 s`, with two units at most. @param {number} ms */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  const first = UNITS.findIndex(([, size]) => seconds >= size);
  if (first < 0) return "0 s";
  const [unit, size] = UNITS[first];
  const next = UNITS[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)} ${unit}` + (rest ? ` ${rest} ${next[0]}` : "");
}

/** What is left of a lease: rounded up, so that `0 s` means that it is over. */
export function left(ms) {
  return duration(Math.ceil(Math.max(0, ms) / 1000) * 1000);
}

export function ago(ms) {
  if (ms < 1000) return "just now";
  const seconds = Math.floor(ms / 1000);
  const [unit, size] = UNITS.find(([, size]) => seconds >= size);
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

/** @param {number|null} us microseconds */
export function latency(us) {
  if (us === null || us === undefined) return NOTHING;
  if (us < 1000) return `${Math.round(us)} µs`;
  if (us < 1e6) return `${tenths.format(us / 1000)} ms`;
  return `${tenths.format(us / 1e6)} s`;
}

export function bytes(value) {
  if (value < 1024) return plural(value, "byte");
  if (value < 1024 * 1024) return `${tenths.format(value / 1024)} KiB`;
  return `${tenths.format(value / 1024 / 1024)} MiB`;
}

export function absolute(date) {
  return full.format(date);
}

/** The time of day, with the date where it is not today. */
export function clockTime(date) {
  const today = new Date().toDateString() === date.toDateString();
  return (today ? timeOfDay : dayAndTime).format(date);
}
