// Everything that happens, as it happens. The newest is at the top; whoever scrolls down to read is not pushed around,
// and may also pause it, or jump to the sequence that a log line or a colleague names.

import { h } from "./dom.js";
import { absolute, clockTime, count, plural, rough } from "./format.js";
import { field, filters } from "./filters.js";
import { Feed, MOST } from "./feed.js";
import { eventPanel } from "./event-panel.js";
import { failure, heading, loading } from "./parts.js";
import { changed, go } from "./router.js";
import { sentence, toneOf } from "./sentences.js";
import { table } from "./table.js";

const TOPICS = ["agent.", "lease.", "leader.", "policy.", "task."];

function filterOf(query) {
  const quiet = query.get("quiet");
  return {
    topic: query.getAll("topic"), agent: query.get("agent"), task: query.get("task"), group: query.get("group"),
    exclude: quiet === "no" ? [] : ["lease.renewed", "task.renewed"],
  };
}

const COLUMNS = [
  { label: "Sequence", class: "number", at: "end", cell: (event) => h("a", { class: "num", href: changed({ at: event.sequence, live: null }), "data-replace": "" }, String(event.sequence)) },
  { label: "Time", at: "sub", cell: (event) => h("time", { class: "num", datetime: event.occurred_at, title: absolute(new Date(event.occurred_at)) }, clockTime(new Date(event.occurred_at))) },
  { label: "Topic", class: "topic", at: "side", cell: (event) => h("span", { class: `topic-name ${toneOf(event)}` }, h("span", { class: "dot", "aria-hidden": "true" }), event.topic) },
  { label: "What happened", at: "main", class: "said", cell: (event) => h("span", null, sentence(event)) },
];

function chosenOf(shown) {
  const at = shown.route.query.get("at");
  return at && /^\d+$/.test(at) ? Number(at) : null;
}

function topics(route) {
  const value = route.query.get("topic") ?? "";
  return h("label", { key: "topic", class: "field" }, h("span", { class: "field-label" }, "Topic begins with"),
    h("input", { type: "search", name: "topic", value, list: "topics", placeholder: "all", "data-search": "", "aria-keyshortcuts": "/", autocomplete: "off", spellcheck: "false",
      onchange: (event) => go(changed({ topic: event.target.value || null, at: null }), { replace: true }) }),
    h("datalist", { id: "topics" }, TOPICS.map((topic) => h("option", { key: topic, value: topic }))));
}

function jump(event) {
  event.preventDefault();
  const text = new FormData(event.target).get("sequence").trim();
  if (/^\d+$/.test(text)) go(changed({ at: text }));
}

function state(feed, { refusal }) {
  if (refusal) return null;
  if (feed.live) return feed.pace.rate === null ? "Following what happens" : "Showing the latest";
  if (!feed.missed) return "Paused";
  return `Paused; ${feed.missedMore ? "more than " : ""}${plural(feed.missed, "new event")}`;
}

function controls(feed, shown) {
  const query = shown.route.query;
  const quiet = query.get("quiet") !== "no";
  return h("div", { key: "controls", class: "log-controls" },
    h("button", { key: "pause", type: "button", "aria-pressed": feed.live ? "false" : "true", "aria-keyshortcuts": "Space", onclick: () => log.space(shown) }, feed.live ? "Pause" : "Resume"),
    h("span", { key: "state", class: "soft log-state" }, state(feed, shown)),
    h("a", { key: "quiet", class: "quiet-link", href: changed({ quiet: quiet ? "no" : null }), "data-replace": "" }, quiet ? "Show renewals" : "Hide renewals"),
    h("form", { key: "jump", class: "jump", onsubmit: jump },
      h("label", null, h("span", { class: "unseen" }, "Sequence"), h("input", { name: "sequence", inputmode: "numeric", pattern: "[0-9]+", placeholder: "Sequence", value: query.get("at") ?? "", autocomplete: "off" })),
      h("button", { type: "submit" }, "Jump")));
}

/** What is not as it should be with what is shown. */
function notes(feed) {
  const { gap, pace } = feed;
  return [
    pace.rate === null || !feed.live ? null : h("p", { key: "fast", class: "banner info" }, h("span", null,
      h("b", null, "Too fast to show one by one: "), `${rough(pace.rate)} a second. These are the latest; pause or filter to read.`)),
    gap ? h("div", { key: "gap", class: "banner warn" },
      h("p", null, `Events are missing here, of those after ${count(gap.after)} and before ${count(gap.before)}: they were no longer kept when this page came to them.`),
      h("button", { type: "button", onclick: () => feed.forgetGap(), "aria-label": "Close this message" }, "Close")) : null,
  ];
}

function newer(feed) {
  if (feed.live || !(feed.missed || feed.missedMore)) return null;
  const number = feed.missed ? ` (${feed.missedMore ? "more than " : ""}${count(feed.missed)})` : "";
  return h("p", { key: "newer", class: "more-rows" }, h("button", { type: "button", onclick: () => feed.readNewer() }, `Show newer${number}`));
}

function older(feed) {
  return h("p", { key: "older", class: "more-rows" }, feed.older === null
    ? h("span", { class: "soft" }, "Here the kept history begins.")
    : h("button", { type: "button", onclick: () => feed.readOlder() }, "Show older"));
}

function list(feed, shown) {
  const chosen = chosenOf(shown);
  const refusal = shown.refusal ?? feed.error;
  const failed = refusal ? failure(refusal, shown.refusal ? "The events cannot be read." : "No more events could be read.") : null;
  if (!feed.loaded) return [failed ?? loading()];
  const rows = feed.events.toReversed();
  if (!rows.length) {
    return [failed, newer(feed), h("div", { key: "none", class: "empty" },
      h("p", { class: "strong" }, feed.older === null ? "No event is kept that matches." : `No event from ${count(feed.older)} on matches.`),
      h("p", null, "What happens from now on appears here by itself.")), feed.older === null ? null : older(feed)];
  }
  return [failed, newer(feed),
    table({ id: "log", label: "Events, the newest first", columns: COLUMNS, rows, key: (event) => String(event.sequence), total: -1, chosen: chosen === null ? null : String(chosen) }),
    older(feed),
    feed.events.length >= MOST ? h("p", { key: "most", class: "soft more-rows" }, `Not more than ${count(MOST)} are kept here at a time.`) : null];
}

export const log = {
  title: () => "Events",
  addresses: () => ({}),
  source: Feed,

  start(shown, connection, { same }) {
    const filter = filterOf(shown.route.query);
    const key = JSON.stringify(filter);
    const at = chosenOf(shown);
    const { ui } = shown;
    const known = at !== null && ui.feed?.events.some((event) => event.sequence === at);
    if (same && ui.key === key && (known || at === ui.at)) {
      ui.at = at;
      return;
    }
    // An event that is closed leaves the list as it is.
    if (same && ui.key === key && at === null) {
      ui.at = null;
      return;
    }
    ui.feed?.stop();
    ui.key = key;
    ui.at = at;
    ui.newest = null;
    ui.jumped = at;
    const feed = (ui.feed = new Feed(filter, at, () => ui.feed === feed && this.changed(shown)));
    feed.listen(connection);
  },

  changed(shown) {
    const { feed } = shown.ui;
    const before = shown.ui.newest;
    shown.ui.newest = feed.newest;
    if (before && feed.newest > before) {
      const known = feed.events.findLastIndex((event) => event.sequence <= before);
      // When none is left of what was there, nothing has been pushed anywhere.
      if (known >= 0) shown.ui.added = (shown.ui.added ?? 0) + feed.events.length - 1 - known;
    }
    shown.redraw();
    if (shown.ui.jumped !== null && feed.loaded) {
      const index = feed.events.toReversed().findIndex((event) => event.sequence <= shown.ui.jumped);
      shown.ui.jumped = null;
      if (index > 8) requestAnimationFrame(() => requestAnimationFrame(() => this.showRow(index)));
    }
  },

  /** Rows that came in at the top must not push away what is being read below. */
  drawn(shown) {
    const { added } = shown.ui;
    shown.ui.added = 0;
    const body = document.querySelector("#log .table-body");
    const row = body?.querySelector(".row");
    if (!added || !row || body.getBoundingClientRect().top >= 0) return;
    scrollBy({ top: added * row.getBoundingClientRect().height, behavior: "instant" });
    shown.redraw();
  },

  showRow(index) {
    const body = document.querySelector("#log .table-body");
    const row = body?.querySelector(".row");
    if (!row) return;
    const top = body.getBoundingClientRect().top + scrollY + index * row.getBoundingClientRect().height;
    scrollTo({ top: top - innerHeight / 3, behavior: "instant" });
  },

  stop(shown) {
    shown.ui.feed?.stop();
  },

  escape(shown) {
    if (chosenOf(shown) === null) return false;
    go(changed({ at: null }), { replace: true });
    return true;
  },

  space(shown) {
    const { feed } = shown.ui;
    if (feed.live) feed.pause();
    else feed.resume();
    return true;
  },

  render(shown) {
    const { feed } = shown.ui;
    const { route } = shown;
    const chosen = chosenOf(shown);
    const event = chosen === null ? null : feed.events.find((each) => each.sequence === chosen);
    return [heading("Events", controls(feed, shown)),
      filters(topics(route), field({ name: "agent", label: "Agent", hint: "its id", route }), field({ name: "task", label: "Task", route }), field({ name: "group", label: "Group", route })),
      notes(feed),
      h("div", { key: "split", class: event ? "log-split open" : "log-split" }, h("div", { key: "rows", class: "log-rows" }, list(feed, shown)),
        chosen !== null && feed.loaded ? eventPanel(chosen, event, feed) : null)];
  },
};
