// One lease: who has it, until when, who is next, and everything that has become of it before.

import { actionButton } from "./actions.js";
import { address, thing } from "./api.js";
import { h } from "./dom.js";
import { duration } from "./format.js";
import { earlier, history } from "./history.js";
import { agentLink, eventsLink, named, taskLink } from "./links.js";
import { badge, empty, facts, failure, heading, loading, section, timeLeft, when } from "./parts.js";

function line(waiting) {
  if (!waiting.length) return h("p", { class: "soft" }, "Nobody waits for it.");
  return h("ol", { class: "queue" }, waiting.map((each, index) => h("li", { key: `${index} ${each.agent_id}` }, agentLink(each.agent_id, each.name))));
}

export const lease = {
  title: ({ id }) => `Lease ${id}`,
  addresses: ({ id }) => ({ overview: "overview", one: thing("leases", id), events: address("events", { task: id, limit: 100 }) }),
  render({ route: { id }, answers }) {
    const one = answers.one;
    const head = (...beside) => heading(named(id), beside);
    if (!one) return [head(), loading()];
    const events = section("events", "What has happened", history(answers.events, { none: "No kept event tells of it." }), earlier(answers.events, 100, { task: id }));
    if (one.status === 404) return [head(), empty(h("p", { class: "strong" }, "Nobody holds this now."), h("p", null, "It is free: the next AcquireLease has it.")), events];
    if (one.status !== 200) return [head(), failure(one, "This lease cannot be shown."), events];
    const { lease: it, waiting } = one.body;
    return [
      head(badge(it.kind), h("span", { class: "heading-end" }, actionButton("release-lease", it))),
      facts([
        ["Holder", agentLink(it.holder_agent_id, it.holder_name)],
        ["Time left", timeLeft(it)],
        ["Fencing token", h("code", { class: "num" }, String(it.token))],
        ["Acquired", when(it.acquired_at)],
        ["Runs for", `${duration(it.ttl_ms)} from each renewal`],
        ["Task", it.kind === "claim" ? taskLink(it.task_id) : null],
      ]),
      h("p", { key: "links", class: "see" }, eventsLink({ task: id }, "Its events"), h("a", { href: `/leases?holder=${it.holder_agent_id}` }, "All that the holder holds")),
      it.kind === "claim" ? null : section("line", "In line", line(waiting)), events];
  },
};
