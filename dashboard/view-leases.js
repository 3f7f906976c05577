// Who works on what, and for how long still.

import { actionButton, canAct } from "./actions.js";
import { address } from "./api.js";
import { h } from "./dom.js";
import { count, NOTHING } from "./format.js";
import { choice, field, filters } from "./filters.js";
import { agentLink, leaseLink } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { badge, command, empty, failure, heading, loading, since, timeLeft } from "./parts.js";
import { table } from "./table.js";

/** @param {boolean} ofOne whether all are one agent's, which needs no column then */
export function leaseColumns(ofOne) {
  return [
    { label: "Task", at: "main", cell: (lease) => leaseLink(lease.task_id) },
    { label: "Time left", at: "side", cell: timeLeft },
    ofOne ? null : { label: "Holder", at: "sub", cell: (lease) => agentLink(lease.holder_agent_id, lease.holder_name) },
    { label: "Kind", at: "end", cell: (lease) => badge(lease.kind) },
    { label: "Token", class: "number", cell: (lease) => h("span", { class: "num" }, String(lease.token)) },
    { label: "Held", class: "number", cell: (lease) => since(lease.acquired_at) },
    { label: "In line", class: "number", cell: (lease) => h("span", { class: lease.waiting_calls ? "num" : "num soft" }, lease.waiting_calls ? count(lease.waiting_calls) : NOTHING) },
    canAct() ? { label: h("span", { class: "unseen" }, "Action"), class: "action", cell: (lease) => actionButton("release-lease", lease, { small: true }) } : null,
  ].filter(Boolean);
}

function none(route, total) {
  if (total) return empty(h("p", { class: "strong" }, "No lease matches."), h("p", null, h("a", { href: "/leases" }, "Show all leases")));
  return empty(h("p", { class: "strong" }, "Nobody holds a lease."), h("p", null, "A lease is the exclusive right to work on something for a while. To see one:"),
    command("agentkeeper lock report-7 -- sleep 60"));
}

export const leases = {
  title: () => "Leases",
  addresses: ({ query }) => ({
    overview: "overview",
    list: address("leases", { task_prefix: query.get("task"), holder: query.get("holder"), kind: query.get("kind"), limit: PAGE_ROWS, page: query.get("page") }),
  }),
  render({ route, answers }) {
    const counts = answers.overview?.body?.counts;
    const holder = route.query.get("holder");
    const list = answers.list;
    const head = [heading("Leases"), filters(
      field({ name: "task", label: "Task begins with", search: true, route }),
      choice({ name: "kind", label: "Kind", route, choices: [["", "All"], ["lease", "Leases", counts?.leases], ["claim", "Claims", counts?.claims]] }),
      field({ name: "holder", label: "Holder", hint: "an agent's id", route }),
      holder ? h("p", { key: "of", class: "soft" }, "of ", agentLink(holder, list?.body?.items?.[0]?.holder_name)) : null)];
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    const { items, total, next } = list.body;
    if (hopping(list.body)) return [...head, loading()];
    if (!items.length && !next) return [...head, none(route, total)];
    return [...head, pager(list.body, route, "leases and claims"),
      table({ id: "leases", kind: canAct() ? "leases-act" : "leases", label: "Leases", columns: leaseColumns(false), rows: items, key: (lease) => lease.task_id, first: rowsBefore(), total })];
  },
};
