// Who is there. Searching asks the daemon, which ranks as agents themselves are ranked when they look for each other.

import { address } from "./api.js";
import { h } from "./dom.js";
import { count, NOTHING } from "./format.js";
import { choice, field, filters } from "./filters.js";
import { agentLink, idOf } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { badge, chips, command, empty, failure, heading, loading, sinceClock } from "./parts.js";
import { withQuery } from "./router.js";
import { table } from "./table.js";

/** A number that leads to what it counts. */
function counted(number, href) {
  return number ? h("a", { href, class: "num" }, count(number)) : h("span", { class: "soft num" }, NOTHING);
}

const COLUMNS = [
  { label: "Agent", at: "main", cell: (agent) => [agentLink(agent.agent_id, agent.name), h("span", { class: "under" }, idOf(agent.agent_id))] },
  { label: "Status", at: "side", cell: (agent) => badge(agent.status) },
  { label: "Tools", at: "sub", class: "clip", cell: (agent) => (agent.tools.length ? chips(agent.tools) : h("span", { class: "soft" }, NOTHING)) },
  { label: "Last heartbeat", at: "end", cell: (agent) => sinceClock(agent.heard_clock_ms, agent.last_heartbeat_at) },
  { label: "Holds", class: "number", cell: (agent) => counted(agent.leases, withQuery("/leases", { holder: agent.agent_id })) },
  { label: "Runs in", class: "number", cell: (agent) => counted(agent.candidacies, withQuery("/elections", { candidate: agent.agent_id })) },
  { label: "Waits", class: "number", cell: (agent) => h("span", { class: agent.waiting_calls ? "num" : "soft num" }, agent.waiting_calls ? count(agent.waiting_calls) : NOTHING) },
];

function none({ query }, total, daemon) {
  if (!total) {
    return empty(h("p", { class: "strong" }, "No agent has registered yet."), h("p", null, "From the command line:"),
      command(`agentkeeper agents register anna --tool browser --ttl 1h${daemon ? ` --addr ${daemon.grpc_address}` : ""}`));
  }
  return empty(h("p", { class: "strong" }, query.get("query") ? "No agent is alive to be found." : "No agent matches."), h("p", null, h("a", { href: "/agents" }, "Show all agents")));
}

export const agents = {
  title: () => "Agents",
  addresses({ query }) {
    const words = query.get("query");
    const wanted = words ? { query: words, limit: 100 }
      : { status: query.getAll("status"), tool: query.getAll("tool"), name_prefix: query.get("name"), limit: PAGE_ROWS, page: query.get("page") };
    return { overview: "overview", list: address("agents", wanted) };
  },
  render({ route, answers, daemon }) {
    const counts = answers.overview?.body?.counts;
    const words = route.query.get("query");
    const head = [heading("Agents"), filters(
      field({ name: "query", label: "Find", hint: "what it can do: browse, translate…", search: true, wide: true, route }),
      words ? null : [
        choice({ name: "status", label: "Status", route, choices: [["", "All"], ["alive", "Alive", counts?.agents_alive], ["unreachable", "Unreachable", counts?.agents_unreachable], ["dead", "Dead", counts?.agents_dead]] }),
        field({ name: "tool", label: "Tool", hint: "exactly", route }),
        field({ name: "name", label: "Name begins with", route })])];
    const list = answers.list;
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    const { items, total } = list.body;
    if (!words && hopping(list.body)) return [...head, loading()];
    if (!items.length && !list.body.next) return [...head, none(route, total, daemon)];
    return [...head,
      words ? h("p", { key: "ranked", class: "pager soft" }, `The best ${count(items.length)} of those alive, as Find ranks them`) : pager(list.body, route, "agents"),
      table({ id: "agents", label: "Agents", columns: COLUMNS, rows: items, key: (agent) => agent.agent_id, first: words ? 0 : rowsBefore(), total: words ? items.length : total })];
  },
};
