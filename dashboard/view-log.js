// Everything that happens, as it happens. The newest is at the top; whoever scrolls down to read is not pushed around,
// and may also pause it, or jump to the sequence that a log line or a colleague names.

import { h } from "./dom.js";
import { absolute, clockTime, count, plural } from "./format.js";
import { field, filters } from "./filters.js";
import { Feed, MOST } from "./feed.js";
import { eventPanel } from "./event-panel.js";
import { failure, heading, loading } from "./parts.js";
import { changed, go, withQuery } from "./router.js";
import { sentence, toneOf } from "./sentences.js";
import { table } from "./table.js";

// `progress` comes every 5 s when nothing else does.
const SILENCE_MS = 12000;
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

function controls(feed, shown) {
  const query = shown.route.query;
  const quiet = query.get("quiet") !== "no";
  return h("div", { key: "controls", class: "log-controls" },
    h("button", { key: "pause", type: "button", "aria-pressed": feed.live ? "false" : "true", "aria-keyshortcuts": "Space", onclick: () => log.space(shown) }, feed.live ? "Pause" : "Resume"),
    h("span", { key: "state", class: "soft log-state" }, feed.live ? "Following what happens" : feed.missed ? `Paused; ${plural(feed.missed, "new event")}` : "Paused"),
    h("a", { key: "quiet", class: "quiet-link", href: changed({ quiet: quiet ? "no" : null }), "data-replace": "" }, quiet ? "Show renewals" : "Hide renewals"),
    h("form", { key: "jump", class: "jump", onsubmit: jump },
      h("label", null, h("span", { class: "unseen" }, "Sequence"), h("input", { name: "sequence", inputmode: "numeric", pattern: "[0-9]+", placeholder: "Sequence", value: query.get("at") ?? "", autocomplete: "off" })),
      h("button", { type: "submit" }, "Jump")));
}

function list(feed, shown) {
  const chosen = chosenOf(shown);
  if (feed.error) return [failure({ status: feed.error.status ?? 503, body: { error: { message: feed.error.message } } }, "The events cannot be read.")];
  if (!feed.loaded) return [loading()];
  const rows = feed.events.toReversed();
  const newer = !feed.live && feed.missed
    ? h("p", { key: "newer", class: "more-rows" }, h("button", { type: "button", onclick: () => feed.readNewer() }, `Show newer (${count(feed.missed)})`)) : null;
  if (!rows.length) return [newer, h("div", { key: "none", class: "empty" }, h("p", { class: "strong" }, "No event is kept that matches."), h("p", null, "What happens from now on appears here by itself."))];
  return [newer,
    table({ id: "log", label: "Events, the newest first", columns: COLUMNS, rows, key: (event) => String(event.sequence), total: -1, chosen: chosen === null ? null : String(chosen) }),
    h("p", { key: "older", class: "more-rows" }, feed.older === null
      ? h("span", { class: "soft" }, "Here the kept history begins.")
      : h("button", { type: "button", onclick: () => feed.readOlder() }, "Show older")),
    feed.events.length >= MOST ? h("p", { key: "most", class: "soft more-rows" }, `Not more than ${count(MOST)} are kept here at a time.`) : null];
}

export const log = {
  title: () => "Events",
  addresses: () => ({}),

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
    ui.connection = connection;
    const feed = (ui.feed = new Feed(filter, () => shown.ui.feed === feed && this.changed(shown)));
    shown.ui.jumped = at;
    this.listen(shown, feed, at);
  },

  /** First what is kept, then what comes: the stream begins where the page ended. */
  async listen(shown, feed, at) {
    await feed.begin(at);
    if (shown.ui.feed !== feed) return;
    shown.ui.connection.show(this.source(shown, feed));
  },

  source(shown, feed) {
    const anew = () => {
      shown.ui.jumped = null;
      if (shown.ui.feed === feed) this.listen(shown, feed, null);
    };
    return {
      url: () => withQuery("/events", { ...feed.filter, after: feed.after }),
      silenceMs: SILENCE_MS,
      anew: () => queueMicrotask(anew),
      events: {
        hello: ({ history }) => {
          if (feed.history !== null && feed.history !== history) anew();
          feed.history = history;
        },
        message: (event) => feed.take(event),
        gap: (gap) => {
          feed.gap = gap;
          this.changed(shown);
        },
        progress: ({ sequence }) => feed.progress(sequence),
      },
    };
  },

  changed(shown) {
    const { feed } = shown.ui;
    const before = shown.ui.newest;
    shown.ui.newest = feed.newest;
    if (before && feed.newest > before) {
      const known = feed.events.findLastIndex((event) => event.sequence <= before);
      shown.ui.added = (shown.ui.added ?? 0) + feed.events.length - 1 - known;
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
    else if (feed.missed) this.listen(shown, feed, null);
    else feed.resume();
    shown.redraw();
    return true;
  },

  render(shown) {
    const { feed } = shown.ui;
    const { route } = shown;
    const chosen = chosenOf(shown);
    const event = chosen === null ? null : feed.events.find((each) => each.sequence === chosen);
    return [heading("Events", controls(feed, shown)),
      filters(topics(route), field({ name: "agent", label: "Agent", hint: "its id", route }), field({ name: "task", label: "Task", route }), field({ name: "group", label: "Group", route })),
      feed.gap ? h("p", { key: "gap", class: "banner warn" }, feed.gap.history_changed ? "The events before are gone: the daemon began anew." : `The events after ${count(feed.gap.after)} and before ${count(feed.gap.oldest_kept_sequence)} are no longer kept.`) : null,
      h("div", { key: "split", class: event ? "log-split open" : "log-split" }, h("div", { key: "rows", class: "log-rows" }, list(feed, shown)),
        chosen !== null && feed.loaded ? eventPanel(chosen, event, feed) : null)];
  },
};
