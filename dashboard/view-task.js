// One task and its whole history: each claim, each failure, each return to the queue.

import { actionButton } from "./actions.js";
import { address, thing } from "./api.js";
import { h } from "./dom.js";
import { bytes, count, duration, plural } from "./format.js";
import { earlier, history } from "./history.js";
import { agentLink, code, eventsLink, leaseLink, named } from "./links.js";
import { chips, facts, failure, heading, loading, section, shape, taskBadge, timeLeft, when } from "./parts.js";
import { withQuery } from "./router.js";

function capable({ status, required_tools: tools }, agents) {
  if (status !== "pending" || agents === null) return null;
  const where = withQuery("/agents", { status: "alive", tool: tools });
  if (agents) return h("a", { href: where }, agents >= 1000 ? "1000 agents or more" : plural(agents, "agent"));
  return h("span", { class: "badge warn" }, shape("warning"), "no living agent has all its tools");
}

export const task = {
  title: ({ id }) => `Task ${id}`,
  addresses: ({ id }) => ({ overview: "overview", one: thing("tasks", id), events: address("events", { task: id, limit: 500 }) }),
  render({ route: { id }, answers }) {
    const one = answers.one;
    if (!one) return [heading("Task"), loading()];
    const events = section("events", "Its whole history", history(answers.events, { none: "The kept events do not reach back to this task." }), earlier(answers.events, 500, { task: id }));
    if (one.status !== 200) {
      return [heading("Task"), failure(one, "There is no such task in the queue."),
        h("p", { key: "links", class: "see" }, "Is it a lease? ", leaseLink(id)), answers.events?.body?.items?.length ? events : null];
    }
    const { task: it, claim, capable_agents: agents } = one.body;
    return [
      heading(named(it.type), taskBadge(it.status), h("span", { class: "heading-end" },
        ["claimed", "dead"].includes(it.status) ? actionButton("requeue-task", it) : null)),
      facts([
        ["Id", code(it.task_id)],
        ["Worker", it.claimer_agent_id ? agentLink(it.claimer_agent_id, it.claimer_name) : null],
        ["Time left", claim ? [timeLeft(claim), " ", leaseLink(claim.task_id, { class: "soft" })] : null],
        ["Fencing token", claim ? h("code", { class: "num" }, String(claim.token)) : null],
        ["Needs", it.required_tools.length ? h("span", { class: "chips" }, chips(it.required_tools)) : "no tools"],
        ["Could be done by", capable(it, agents)],
        ["Retries", `${count(it.retry_count)} of ${count(it.max_retries)} spent`],
        ["Last failure", it.failure_reason ? named(it.failure_reason) : null],
        ["Created", when(it.created_at)],
        ["Claimed", it.claimed_at ? when(it.claimed_at) : null],
        ["Finished", it.finished_at ? when(it.finished_at) : null],
        ["A claim may run", duration(it.ttl_ms)],
        ["Input and output", [`${bytes(it.input_bytes)} in, ${bytes(it.output_bytes)} out`, h("span", { class: "soft" }, " (", h("code", null, `agentkeeper tasks get`), " shows them)")]],
      ]),
      h("p", { key: "links", class: "see" }, eventsLink({ task: id }, "Its events"), h("a", { href: withQuery("/tasks", { status: "all", type: it.type }) }, "Tasks of this type")), events];
  },
};
