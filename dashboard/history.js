// Short runs of events inside other views: what has happened to this agent, this task, this group. The newest is first.

import { h } from "./dom.js";
import { absolute, clockTime, count } from "./format.js";
import { withQuery } from "./router.js";
import { sentence, toneOf } from "./sentences.js";

/** @param {{status: number, body: any}|undefined} answer of an address under `events` */
export function history(answer, { none = "Nothing yet.", relative = false } = {}) {
  if (!answer) return h("p", { class: "loading soft" }, "Asking the daemon…");
  if (answer.status !== 200) return h("p", { class: "soft" }, answer.body?.error?.message ?? "The events could not be read.");
  const events = answer.body.items;
  if (!events.length) return h("p", { class: "soft" }, none);
  return h("ol", { class: "history", reversed: true }, events.toReversed().map((event) => h("li", { key: event.sequence, class: toneOf(event) },
    h("span", { class: "dot", "aria-hidden": "true" }),
    h("span", { class: "said" }, sentence(event)),
    h("a", { class: "at num", href: withQuery("/log", { at: event.sequence }), title: `Event ${event.sequence}, ${absolute(new Date(event.occurred_at))}` },
      relative ? h("time", { datetime: event.occurred_at, "data-ago": "", own: true }) : h("time", { datetime: event.occurred_at }, clockTime(new Date(event.occurred_at)))))));
}

/** How much of it there is, when it is not all. */
export function earlier(answer, limit, filter) {
  if (!answer?.body?.items || answer.body.items.length < limit) return null;
  return h("p", { class: "soft" }, `The latest ${count(answer.body.items.length)}. `, h("a", { href: withQuery("/log", filter) }, "All its events"));
}
