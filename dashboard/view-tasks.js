// What is queued, what is worked on, what came to its end, and what is stuck. What is open comes first, the longest
// waiting on top; of what is finished the last is the one that people look for.

import { actionButton, canAct } from "./actions.js";
import { address } from "./api.js";
import { h } from "./dom.js";
import { count, NOTHING } from "./format.js";
import { choice, field, filters } from "./filters.js";
import { agentLink, named, taskLink } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { chips, command, empty, failure, heading, loading, since, taskBadge } from "./parts.js";
import { changed } from "./router.js";
import { table } from "./table.js";

// What the daemon is asked for, by what the address says.
const TABS = {
  "": { label: "Open", statuses: ["pending", "claimed"], what: "open tasks", none: "Nothing is open: all that was queued is finished." },
  pending: { label: "Pending", statuses: ["pending"], what: "pending tasks", none: "No task waits to be claimed." },
  claimed: { label: "Claimed", statuses: ["claimed"], what: "claimed tasks", none: "No task is being worked on." },
  dead: { label: "Dead", statuses: ["dead"], finished: true, what: "dead tasks", none: "No task that is still kept failed for good." },
  completed: { label: "Completed", statuses: ["completed"], finished: true, what: "completed tasks", none: "No completed task is still kept." },
  all: { label: "All", statuses: [], all: true, what: "tasks", none: "No task matches." },
};

function tabOf(query) {
  return TABS[query.get("status") ?? ""] ?? TABS[""];
}

function total(tab, counts) {
  return (tab.all ? ["pending", "claimed", "completed", "dead"] : tab.statuses).reduce((sum, each) => sum + counts[`tasks_${each}`], 0);
}

function columns(tab) {
  const failed = tab === TABS.dead;
  const worker = { label: "Worker", cell: (task) => (task.claimer_agent_id || !task.required_tools.length ? agentLink(task.claimer_agent_id, task.claimer_name)
    : [h("span", { class: "soft wide-only" }, NOTHING), h("span", { class: "small-only" }, "needs ", named(task.required_tools.join(", ")))]) };
  return [
    { label: "Task", at: "main", cell: (task) => [h("span", { class: "type" }, named(task.type)), h("span", { class: "under" }, taskLink(task.task_id, { class: "id" }))] },
    { label: "Status", at: "side", cell: (task) => taskBadge(task.status) },
    failed ? worker : { ...worker, at: "sub" },
    failed ? { label: "Why", at: "sub", cell: (task) => (task.failure_reason ? named(task.failure_reason) : h("span", { class: "soft" }, NOTHING)) }
      : { label: "Tools", class: "clip", cell: (task) => chips(task.required_tools) },
    { label: "Retries", class: "number", cell: (task) => h("span", { class: task.retry_count ? "num warn-text" : "num soft", title: task.failure_reason || null }, task.max_retries || task.retry_count ? `${count(task.retry_count)} of ${count(task.max_retries)}` : NOTHING) },
    tab.finished ? { label: "Finished", at: "end", class: "number", cell: (task) => since(task.finished_at) }
      : { label: "Age", at: "end", class: "number", cell: (task) => since(task.created_at) },
    canAct() ? { label: h("span", { class: "unseen" }, "Action"), class: "action", cell: (task) => (["dead", "claimed"].includes(task.status) ? actionButton("requeue-task", task, { small: true }) : null) } : null,
  ].filter(Boolean);
}

function none(tab, route, known) {
  if (!known) {
    return empty(h("p", { class: "strong" }, "The queue has never been used."), h("p", null, "A task waits until an agent with the tools it needs claims it. To see one:"),
      command('agentkeeper tasks create summarize --input "a long text" --tool browser'));
  }
  const type = route.query.get("type");
  return empty(h("p", { class: "strong" }, type ? "No such task is of this type." : tab.none),
    h("p", null, h("a", { href: changed({ status: type && !tab.all ? "all" : null, type: tab.all ? null : type, page: null }) }, tab.all ? "Show open tasks" : `Look in all ${count(known)} tasks`)));
}

export const tasks = {
  title: () => "Tasks",
  addresses({ query }) {
    const { statuses, finished } = tabOf(query);
    return {
      overview: "overview",
      list: address("tasks", { status: statuses, order: finished ? "finished" : null, type: query.get("type"), limit: PAGE_ROWS, page: query.get("page") }),
    };
  },
  render({ route, answers }) {
    const counts = answers.overview?.body?.counts;
    const tab = tabOf(route.query);
    const head = [heading("Tasks"), filters(
      choice({ name: "status", label: "Status", route, choices: Object.entries(TABS).map(([value, each]) => [value, each.label, counts && total(each, counts), each === TABS.dead && counts?.tasks_dead ? "crit" : null]) }),
      field({ name: "type", label: "Type", hint: "exactly", search: true, route }))];
    const list = answers.list;
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    const { items, next } = list.body;
    if (hopping(list.body)) return [...head, loading()];
    if (!items.length && !next) return [...head, none(tab, route, list.body.total)];
    const known = counts && !route.query.get("type") ? Math.max(total(tab, counts), items.length) : list.body.total;
    return [...head, pager(list.body, route, tab.what, { total: known, order: tab.finished ? "the last finished first" : "oldest first" }),
      table({ id: "tasks", kind: canAct() ? "tasks-act" : "tasks", label: "Tasks", columns: columns(tab), rows: items, key: (task) => task.task_id, first: rowsBefore(), total: known })];
  },
};
