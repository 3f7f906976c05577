// Who leads which group.

import { address } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";
import { field, filters } from "./filters.js";
import { agentLink, groupLink } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { command, empty, failure, heading, loading, since } from "./parts.js";
import { withQuery } from "./router.js";
import { table } from "./table.js";

const COLUMNS = [
  { label: "Group", at: "main", cell: (election) => groupLink(election.group) },
  { label: "Leader", at: "sub", cell: (election) => (election.leader_agent_id ? agentLink(election.leader_agent_id, election.leader_name) : h("span", { class: "badge warn" }, "nobody")) },
  { label: "Term", at: "side", class: "number", cell: (election) => h("span", { class: "num" }, h("span", { class: "small-only soft" }, "term "), count(election.term)) },
  { label: "Candidates", class: "number", cell: (election) => h("span", { class: "num" }, count(election.candidates)) },
  { label: "Last change", at: "end", class: "number", cell: (election) => h("a", { href: withQuery("/log", { at: election.changed_by_sequence }), class: "quiet-link" }, since(election.changed_at)) },
];

export const elections = {
  title: () => "Elections",
  addresses: ({ query }) => ({
    overview: "overview",
    list: address("elections", { group_prefix: query.get("group"), candidate: query.get("candidate"), limit: PAGE_ROWS, page: query.get("page") }),
  }),
  render({ route, answers }) {
    const head = [heading("Elections"), filters(
      field({ name: "group", label: "Group begins with", search: true, route }), field({ name: "candidate", label: "Candidate", hint: "an agent's id", route }))];
    const list = answers.list;
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    if (hopping(list.body)) return [...head, loading()];
    if (!list.body.items.length && !list.body.next) {
      return [...head, list.body.total
        ? empty(h("p", { class: "strong" }, "No election matches."), h("p", null, h("a", { href: "/elections" }, "Show all elections")))
        : empty(h("p", { class: "strong" }, "No group has elected a leader yet."), h("p", null, "The first candidate of a group leads it. To see one:"), command("agentkeeper elect planners -- sleep 60"))];
    }
    return [...head, pager(list.body, route, "elections"),
      table({ id: "elections", label: "Elections", columns: COLUMNS, rows: list.body.items, key: (election) => election.group, first: rowsBefore(), total: list.body.total })];
  },
};
