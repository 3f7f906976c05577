// What is queued, what is worked on, what came to its end, and what is stuck.

import { actionButton, canAct } from "./actions.js";
import { address } from "./api.js";
import { h } from "./dom.js";
import { count, NOTHING } from "./format.js";
import { choice, field, filters } from "./filters.js";
import { agentLink, named, taskLink } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { chips, command, empty, failure, heading, loading, since, taskBadge } from "./parts.js";
import { table } from "./table.js";

function columns() {
  return [
    { label: "Task", at: "main", cell: (task) => [h("span", { class: "type" }, named(task.type)), h("span", { class: "under" }, taskLink(task.task_id, { class: "id" }))] },
    { label: "Status", at: "side", cell: (task) => taskBadge(task.status) },
    { label: "Worker", at: "sub", cell: (task) => agentLink(task.claimer_agent_id, task.claimer_name) },
    { label: "Tools", class: "clip", cell: (task) => chips(task.required_tools) },
    { label: "Retries", class: "number", cell: (task) => h("span", { class: task.retry_count ? "num warn-text" : "num soft" }, task.max_retries || task.retry_count ? `${count(task.retry_count)} of ${count(task.max_retries)}` : NOTHING) },
    { label: "Age", at: "end", class: "number", cell: (task) => since(task.created_at) },
    canAct() ? { label: h("span", { class: "unseen" }, "Action"), class: "action", cell: (task) => (["dead", "claimed"].includes(task.status) ? actionButton("requeue-task", task, { small: true }) : null) } : null,
  ].filter(Boolean);
}

export const tasks = {
  title: () => "Tasks",
  addresses: ({ query }) => ({
    overview: "overview",
    list: address("tasks", { status: query.get("status"), type: query.get("type"), limit: PAGE_ROWS, page: query.get("page") }),
  }),
  render({ route, answers }) {
    const counts = answers.overview?.body?.counts;
    const head = [heading("Tasks"), filters(
      choice({ name: "status", label: "Status", route, choices: [["", "All"], ["pending", "Pending", counts?.tasks_pending], ["claimed", "Claimed", counts?.tasks_claimed],
        ["completed", "Completed", counts?.tasks_completed], ["dead", "Dead", counts?.tasks_dead]] }),
      field({ name: "type", label: "Type", hint: "exactly", search: true, route }))];
    const list = answers.list;
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    const { items, total, next } = list.body;
    if (hopping(list.body)) return [...head, loading()];
    if (!items.length && !next) {
      return [...head, total
        ? empty(h("p", { class: "strong" }, "No task matches."), h("p", null, h("a", { href: "/tasks" }, "Show all tasks")))
        : empty(h("p", { class: "strong" }, "The queue has never been used."), h("p", null, "A task waits until an agent with the tools it needs claims it. To see one:"), command('agentkeeper tasks create summarize --input "a long text" --tool browser'))];
    }
    return [...head, pager(list.body, route, "tasks"),
      table({ id: "tasks", kind: canAct() ? "tasks-act" : "tasks", label: "Tasks", columns: columns(), rows: items, key: (task) => task.task_id, first: rowsBefore(), total })];
  },
};
