// One agent: whether it lives, what it can do, what it holds and leads, and what has become of it.

import { actionButton, canAct } from "./actions.js";
import { address, thing } from "./api.js";
import { h } from "./dom.js";
import { duration, plural } from "./format.js";
import { earlier, history } from "./history.js";
import { code, eventsLink, groupLink, named } from "./links.js";
import { badge, chips, facts, failure, heading, loading, section, shape, sinceClock, when } from "./parts.js";
import { withQuery } from "./router.js";
import { table } from "./table.js";
import { leaseColumns } from "./view-leases.js";

function next(agent) {
  if (agent.status_changes_clock_ms === null) return null;
  const becomes = agent.status === "alive" ? "unreachable" : "dead";
  return [`${becomes} in `, h("span", { class: "num", own: true, "data-left": agent.status_changes_clock_ms }), " unless it is heard"];
}

function capabilities(list) {
  if (!list.length) return null;
  return section("capabilities", "Capabilities", h("dl", { class: "facts" }, list.map((each, index) => h("div", { key: index },
    h("dt", null, named(each.name)), h("dd", null, named(each.description))))));
}

function metadata(values) {
  const entries = Object.entries(values);
  if (!entries.length) return null;
  return section("metadata", "Metadata", h("dl", { class: "facts" }, entries.map(([name, value]) => h("div", { key: name }, h("dt", null, named(name)), h("dd", null, named(value))))));
}

export const agent = {
  title: ({ id }) => `Agent ${id.slice(0, 8)}`,
  addresses: ({ id }) => ({ overview: "overview", one: thing("agents", id), events: address("events", { agent: id, limit: 50 }) }),
  render({ route: { id }, answers }) {
    const one = answers.one;
    if (!one) return [heading("Agent"), loading()];
    const events = section("events", "What has happened", history(answers.events, { none: "The kept events do not reach back to this agent." }), earlier(answers.events, 50, { agent: id }));
    if (one.status !== 200) return [heading("Agent"), failure(one, "There is no such agent."), answers.events?.body?.items?.length ? events : null];
    const { agent: it, held, candidate_in: elections } = one.body;
    return [
      heading(named(it.name), badge(it.status), h("span", { class: "heading-end" },
        it.status === "dead" ? null : actionButton("deregister-agent", it))),
      it.description ? h("p", { key: "description", class: "lead" }, named(it.description)) : null,
      facts([
        ["Id", code(it.agent_id)],
        ["Version", it.version ? named(it.version) : null],
        ["Tools", it.tools.length ? h("span", { class: "chips" }, chips(it.tools)) : null],
        ["Last heartbeat", sinceClock(it.heard_clock_ms, it.last_heartbeat_at)],
        ["Next", next(it)],
        ["May be silent for", duration(it.ttl_ms)],
        ["Registered", when(it.registered_at)],
        ["Waits in", it.waiting_calls ? plural(it.waiting_calls, "call") : null],
      ]),
      h("p", { key: "links", class: "see" }, h("a", { href: withQuery("/leases", { holder: id }) }, "Its leases"), h("a", { href: withQuery("/elections", { candidate: id }) }, "Its elections"), eventsLink({ agent: id }, "Its events")),
      section("held", `Holds ${it.leases ? plural(it.leases, "lease") : "nothing"}`, held.length
        ? table({ id: "held", kind: canAct() ? "held-act" : "held", label: "What it holds", columns: leaseColumns(true), rows: held, key: (lease) => lease.task_id })
        : h("p", { class: "soft" }, it.status === "dead" ? "A dead agent holds nothing." : "It works on nothing under a lease.")),
      elections.length ? section("elections", "Elections", h("ul", { class: "plain" }, elections.map((election) => h("li", { key: election.group },
        groupLink(election.group), " ", election.leader_agent_id === id
          ? h("span", { class: "badge ok" }, shape("leader"), `leads, term ${election.term}`)
          : h("span", { class: "soft" }, `one of ${plural(election.candidates, "candidate")}`))))) : null,
      capabilities(it.capabilities), metadata(it.metadata), events];
  },
};
