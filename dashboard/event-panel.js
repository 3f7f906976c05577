// One event, with all that it carries.

import { h } from "./dom.js";
import { agentLink, code, groupLink, leaseLink, named, policyLink, taskLink } from "./links.js";
import { facts, when } from "./parts.js";
import { changed } from "./router.js";
import { reasonText, sentence } from "./sentences.js";

const LINKS = {
  task_id: (value, kind) => (kind === "task" ? taskLink(value) : leaseLink(value)),
  group: (value) => groupLink(value),
  id: (value, kind) => (kind === "policy" ? policyLink(value) : named(String(value))),
  agent_id: (value) => agentLink(value, value),
  holder_agent_id: (value) => agentLink(value, value),
  leader_agent_id: (value) => agentLink(value, value),
  claimer_agent_id: (value) => agentLink(value, value),
};

function value(name, it, kind) {
  if (it === null || it === "") return null;
  if (LINKS[name]) return LINKS[name](it, kind);
  if (name.endsWith("_at")) return when(it);
  if (typeof it === "object") return Object.keys(it).length ? h("code", null, named(JSON.stringify(it))) : null;
  return named(String(it));
}

/** Why an event that was asked for is not there. */
function missing(sequence, { oldestKept, lastKnown, newest }) {
  if (sequence < oldestKept) return `It is no longer kept: the oldest event that is has the sequence ${oldestKept}.`;
  if (sequence > Math.max(lastKnown, newest)) return `It has not happened yet: the last event has the sequence ${Math.max(lastKnown, newest)}.`;
  return "It is left out by the filters.";
}

/** @param {any} event undefined where it is not among those that are shown, of which `feed` knows */
export function eventPanel(sequence, event, feed) {
  const close = h("a", { class: "close", href: changed({ at: null }), "data-replace": "", "aria-label": "Close this event" }, "Close");
  if (!event) {
    return h("aside", { key: "panel", class: "event-panel", "aria-labelledby": "event-title" }, h("h2", { id: "event-title" }, `Event ${sequence}`), close,
      h("p", null, missing(sequence, feed)));
  }
  const [kind] = Object.keys(event.subject);
  return h("aside", { key: "panel", class: "event-panel", "aria-labelledby": "event-title" }, h("h2", { id: "event-title" }, `Event ${event.sequence}`), close,
    h("p", { class: "lead" }, sentence(event)),
    facts([["Topic", h("code", null, event.topic)], ["When", when(event.occurred_at)], ["Agent", event.agent_id ? agentLink(event.agent_id, event.agent_name) : null],
      ["Reason", event.reason ? reasonText(event.reason) : null], ["traceparent", event.trace_parent ? code(event.trace_parent) : null]]),
    h("h3", null, `The ${kind} just after`),
    facts(Object.entries(event.subject[kind] ?? {}).map(([name, it]) => [name, value(name, it, kind)])));
}
