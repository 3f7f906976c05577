// The one view that is open all day: what needs somebody, how much of everything there is, how it has been these last
// minutes, and what has just happened.

import { address } from "./api.js";
import { chart, sparkline } from "./chart.js";
import { h } from "./dom.js";
import { count, duration, latency, plural } from "./format.js";
import { history } from "./history.js";
import { agentLink, code, leaseLink, named, taskLink } from "./links.js";
import { command, failure, heading, loading, section, shape, since, sinceClock, timeLeft } from "./parts.js";
import { withQuery } from "./router.js";
import { gapText, lag } from "./view-watchers.js";

const KINDS = {
  disk_full: ["The disk is full", () => null, null],
  agents_unreachable: ["unreachable agent", (agent) => [agentLink(agent.agent_id, agent.name), h("span", { class: "soft" }, " heard ", sinceClock(agent.heard_clock_ms, agent.last_heartbeat_at))], "/agents?status=unreachable"],
  leases_expiring: ["lease about to run out|leases about to run out", (lease) => [leaseLink(lease.task_id), timeLeft(lease)], "/leases"],
  tasks_returning: ["task that keeps coming back|tasks that keep coming back", (task) => [named(task.type), taskLink(task.task_id), h("span", { class: "soft" }, ` ${plural(task.returns, "return")}`, task.last_reason ? [", ", named(task.last_reason)] : null)], "/tasks"],
  tasks_without_agent: ["task that no living agent can do|tasks that no living agent can do", (task) => [named(task.type), taskLink(task.task_id), h("span", { class: "soft" }, " needs ", named(task.required_tools.join(", ")))], "/tasks?status=pending"],
  tasks_dead: ["task that failed for good|tasks that failed for good", (task) => [named(task.type), taskLink(task.task_id), task.failure_reason ? h("span", { class: "soft" }, named(task.failure_reason)) : null, h("span", { class: "soft last" }, since(task.finished_at))], "/tasks?status=dead"],
  watchers_slow: ["slow watcher", (watcher) => [h("a", { href: "/watchers", class: "name" }, code(watcher.peer)), h("span", { class: "soft" }, watcher.call),
    watcher.events_behind ? h("span", null, lag(watcher), " behind") : null, gapText(watcher)], "/watchers?status=slow"],
};

// So many of each kind that the charts are still in sight.
const SHOWN = 6;

function keyOf(item) {
  return item.watcher_id ?? (item.agent_id && !item.task_id ? item.agent_id : item.task_id);
}

function titleOf(entry) {
  if (entry.kind === "disk_full") return "The disk is full: new work is refused until there is room";
  const [one, many = `${one}s`] = (KINDS[entry.kind]?.[0] ?? entry.kind).split("|");
  return plural(entry.count, one, many);
}

function attention(entries) {
  if (!entries.length) return h("p", { class: "calm" }, shape("completed"), "Nothing needs attention.");
  return h("ul", { class: "attention" }, entries.map((entry) => {
    const [, item, all] = KINDS[entry.kind] ?? [null, () => null, null];
    const items = (entry.items ?? []).slice(0, SHOWN);
    return h("li", { key: entry.kind, class: entry.severity },
      h("h3", null, shape(entry.severity), h("span", { class: "unseen" }, `${entry.severity}: `), titleOf(entry)),
      items.length ? h("ul", { class: "attention-items" }, items.map((each) => h("li", { key: keyOf(each), class: entry.kind === "watchers_slow" ? "wide" : null }, item(each)))) : null,
      all && entry.count > items.length ? h("p", null, h("a", { href: all }, `All ${count(entry.count)}`)) : null);
  }));
}

function tile(label, value, href, { tone = "", series = null, also = null } = {}) {
  const inside = [h("span", { class: "tile-label" }, label), h("span", { class: `tile-value num ${value ? tone : ""}` }, count(value)),
    also ? h("span", { class: "tile-also soft" }, also) : null, series ? sparkline(series) : null];
  return h("li", { key: label }, href ? h("a", { class: value < 1000 ? "tile" : "tile long", href }, inside) : h("div", { class: "tile" }, inside));
}

function tiles(counts, series) {
  return h("ul", { class: "tiles" },
    tile("Agents alive", counts.agents_alive, "/agents?status=alive", { series: series.agents_alive }),
    tile("Unreachable", counts.agents_unreachable, "/agents?status=unreachable", { tone: "warn", also: `${count(counts.agents_dead)} dead` }),
    tile("Leases", counts.leases, "/leases?kind=lease", { series: series.leases, also: counts.lease_waiters ? `${count(counts.lease_waiters)} in line` : null }),
    tile("Tasks pending", counts.tasks_pending, "/tasks?status=pending", { series: series.tasks_pending, also: counts.task_waiters ? plural(counts.task_waiters, "worker waits", "workers wait") : null }),
    tile("Tasks claimed", counts.tasks_claimed, "/tasks?status=claimed", { also: `${count(counts.tasks_completed)} completed` }),
    tile("Failed for good", counts.tasks_dead, "/tasks?status=dead", { tone: "crit" }),
    tile("Elections", counts.elections, "/elections", { also: plural(counts.candidates, "candidate") }),
    tile("Policies", counts.policies, "/policies"),
    tile("Watchers", counts.watchers, "/watchers", { also: plural(counts.connections, "connection") }));
}

function charts(series, shown) {
  const pointer = shown.ui.pointer ??= { at: null };
  const point = (at) => {
    pointer.at = at;
    shown.redraw();
  };
  const common = { intervalMs: series.interval_ms, pointer, point };
  return h("div", { class: "charts" },
    chart({ id: "calls", title: "Calls a second", ...common, series: [
      { label: "calls", values: series.calls_per_second, tone: "main" }, { label: "errors", values: series.errors_per_second, tone: "crit" }] }),
    chart({ id: "latency", title: "Latency", format: latency, logarithmic: true, ...common, series: [
      { label: "p99", values: series.latency_p99_us, tone: "second" }, { label: "p50", values: series.latency_p50_us, tone: "main" }] }),
    chart({ id: "events", title: "Events a second", ...common, series: [{ label: "events", values: series.events_per_second, tone: "main" }] }));
}

function first(grpcAddress) {
  const port = grpcAddress?.split(":").at(-1) ?? "7070";
  return h("section", { key: "first", class: "part empty", "aria-labelledby": "first" },
    h("h2", { id: "first" }, "No agent has registered yet"),
    h("p", null, "This page comes alive with the first one. On this machine:"),
    command(`agentkeeper agents register anna --tool browser --ttl 1h --addr 127.0.0.1:${port}`),
    h("p", null, "Or from Python, after ", h("code", null, "pip install agentkeeper"), ":"),
    command(`from agentkeeper import AgentKeeperClient\n\nwith AgentKeeperClient("127.0.0.1", ${port}) as client:\n    with client.register("anna", "Summarizes reports", "1.0.0", tools=["browser"]) as agent:\n        input("registered, heartbeating; Enter ends it")`));
}

export const overview = {
  title: () => "Overview",
  addresses: () => ({ overview: "overview", events: address("events", { limit: 16, exclude: ["lease.renewed", "task.renewed"] }) }),
  render(shown) {
    const { answers, daemon } = shown;
    const about = daemon ? h("p", { class: "about soft" },
      h("span", null, `Version ${daemon.version}`), h("span", null, "gRPC at ", h("code", null, daemon.grpc_address)),
      h("span", { title: daemon.durable ? "It survives any crash" : "It is gone when the daemon stops: --data-dir keeps it" }, daemon.durable ? "State on disk" : "State in memory"),
      h("span", null, "Started ", since(daemon.started_at))) : null;
    const head = heading("Overview", about);
    const answer = answers.overview;
    if (!answer) return [head, loading()];
    if (answer.status !== 200) return [head, failure(answer, "The overview could not be made.")];
    const { counts, history: series, attention: entries } = answer.body;
    const unused = !counts.agents_alive && !counts.agents_unreachable && !counts.agents_dead;
    // What comes and goes is below what stays where it is, so that nothing jumps. On a phone, where one scrolls anyway, the
    // order is another.
    return [head, tiles(counts, series), h("div", { key: "overview", class: "overview" },
      h("div", { key: "rates", class: "over-rates" },
        section("rates", `The last ${duration(Math.max(1, series.calls_per_second.length) * series.interval_ms)}`, charts(series, shown))),
      h("div", { key: "attention", class: "over-attention" },
        unused && !entries.length ? first(daemon?.grpc_address) : section("attention", "Needs attention", attention(entries))),
      h("div", { key: "recent", class: "over-recent" },
        section("recent", ["Latest events ", h("a", { class: "more", href: withQuery("/log") }, "All events")],
          history(answers.events, { relative: true, none: "Nothing has happened since the daemon started." }))))];
  },
};
