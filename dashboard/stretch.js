// A stretch of the daemon's history: all events that a filter lets through after `from` and up to `to`, in their order.
// What a page of the interface says and what the stream brings are both such stretches, so one function puts together
// whatever comes, in whatever order and however much of it twice: nothing is lost, and nothing is there twice.

/** @typedef {{from: number, to: number, events: any[]}} Stretch */

/** Known to be empty, where something is to follow. @returns {Stretch} */
export function nothing(at) {
  return { from: at, to: at, events: [] };
}

/** What an answer under `events` is, whichever way it was read. It may be short, or empty, and yet reach far. */
export function stretchOf(page) {
  return { from: (page.older ?? page.oldest_kept_sequence) - 1, to: page.newer, events: page.items };
}

/** Whether nothing can lie between the two. */
export function touch(one, other) {
  return one.from <= other.to && other.from <= one.to;
}

/**
 * Both as one. Where something may lie between them there is no such stretch, and the newer one is left.
 * @param {number} most events; of more, those at the end `keep` stay
 * @param {"newest"|"oldest"} keep
 */
export function merge(one, other, most, keep = "newest") {
  if (!touch(one, other)) return one.to > other.to ? one : other;
  const [first, second] = one.from <= other.from ? [one, other] : [other, one];
  const events = [...first.events, ...second.events.filter((event) => event.sequence > first.to)];
  const whole = { from: first.from, to: Math.max(first.to, second.to), events };
  if (events.length <= most) return whole;
  return keep === "newest"
    ? { ...whole, from: events.at(-most).sequence - 1, events: events.slice(-most) }
    : { ...whole, to: events[most - 1].sequence, events: events.slice(0, most) };
}
