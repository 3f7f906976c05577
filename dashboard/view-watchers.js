// Who is told what happens, and who of them cannot keep up. A slow watcher holds up nobody, but it works on old news, and
// when the history has moved past it, it has missed something for good.

import { address } from "./api.js";
import { h } from "./dom.js";
import { choice, filters } from "./filters.js";
import { count, NOTHING, plural } from "./format.js";
import { agentLink, code, groupLink, leaseLink, named } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { badge, command, empty, failure, heading, loading, section, since } from "./parts.js";
import { withQuery } from "./router.js";
import { table } from "./table.js";

function watcherBadge(status) {
  return badge({ live: "alive", behind: "pending", slow: "unreachable" }[status], status);
}

/** What it has asked for, as a link to just these events. */
function wants({ topics, exclude, agent_id: agent, task_id: task, group }) {
  const parts = [topics.length ? named(topics.join(", ")) : "all events", exclude.length ? [" but ", named(exclude.join(", "))] : null];
  const things = [agent ? ["agent ", agentLink(agent, null)] : null, task === null ? null : ["task ", leaseLink(task)], group === null ? null : ["group ", groupLink(group)]].filter(Boolean);
  return [h("a", { href: withQuery("/log", { topic: topics, exclude, agent, task, group, quiet: "no" }) }, parts), things.map((each) => [h("span", { class: "soft" }, " of "), each])];
}

/** How far behind, in events and in time. */
export function lag({ events_behind: events, behind_since: from }) {
  if (!events) return h("span", { class: "soft" }, NOTHING);
  return h("span", { class: "num" }, plural(events, "event"), from ? [", ", h("time", { datetime: from, "data-for": "", own: true })] : null);
}

/** Whether it misses something, and whether it knows. */
export function gapText({ status, gap, gap_told_at: at }) {
  if (status === "ended") return h("span", { class: "soft" }, "ended, and told of the gap ", since(at));
  if (gap === "coming") return h("span", { class: "warn-text" }, "misses events, not told yet");
  return gap === "told" ? h("span", { class: "soft" }, "told of a gap ", since(at)) : null;
}

function behind(watcher) {
  const gap = gapText(watcher);
  return [lag(watcher), gap ? h("span", { class: "under" }, gap) : null];
}

const COLUMNS = [
  { label: "Peer", at: "main", cell: (watcher) => [code(watcher.peer || NOTHING), h("span", { class: "under soft" }, watcher.call)] },
  { label: "Status", at: "side", cell: (watcher) => watcherBadge(watcher.status) },
  { label: "Wants", at: "sub", cell: wants },
  { label: "Behind", at: "end", cell: behind },
  { label: "Watches since", class: "number", cell: (watcher) => since(watcher.opened_at) },
];

function ended(list) {
  if (!list.length) return null;
  return section("ended", "Ended, because they read too slowly", h("ul", { class: "plain" }, list.map((watcher) => h("li", { key: watcher.watcher_id },
    h("span", null, code(watcher.peer || NOTHING), h("span", { class: "soft" }, ` ${watcher.call}, `), wants(watcher),
      h("span", { class: "soft" }, `: has events up to ${count(watcher.sent_sequence)}, and was told of the gap `, since(watcher.gap_told_at)))))));
}

export const watchers = {
  title: () => "Watchers",
  addresses: ({ query }) => ({ overview: "overview", list: address("watchers", { status: query.getAll("status"), limit: PAGE_ROWS, page: query.get("page") }) }),
  render({ route, answers, daemon }) {
    const list = answers.list;
    const head = [heading("Watchers"),
      h("p", { key: "about", class: "soft lead" }, "Streams of events that are open. One that reads slowly is fed from the history; when that has moved past it, it misses events, and is told so."),
      filters(choice({ name: "status", label: "Status", route, choices: [["", "All"], ["live", "Live"], ["behind", "Behind"], ["slow", "Slow"]] }))];
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    if (hopping(list.body)) return [...head, loading()];
    const { items, total, next } = list.body;
    const gone = ended(list.body.ended);
    if (!items.length && !next) {
      return [...head, total
        ? empty(h("p", { class: "strong" }, route.query.get("status") === "slow" ? "No watcher is slow." : "No watcher matches."), h("p", null, h("a", { href: "/watchers" }, "Show all watchers")))
        : empty(h("p", { class: "strong" }, "Nobody watches."), h("p", null, "A watcher is told everything that happens, as it happens. To be one:"),
          command(`agentkeeper watch${daemon ? ` --addr ${daemon.grpc_address}` : ""}`)), gone];
    }
    return [...head, pager(list.body, route, "watchers"),
      table({ id: "watchers", label: "Watchers", columns: COLUMNS, rows: items, key: (watcher) => String(watcher.watcher_id), first: rowsBefore(), total }), gone];
  },
};
