// The page itself: which view is shown, what it listens to, and when it is drawn. A view is an object of functions:
//   title(route)       the document's title
//   addresses(route)   what it shows, by name: addresses under /api/v1/, kept up to date by one stream
//   render(shown)      all that it shows, as wanted nodes; called again whenever anything has changed
// and, where it listens to something else, source (to what), start(shown, connection), stop(shown), drawn(), escape(), space().
// Nothing else holds state: what the daemon says comes anew, what the reader chose is in the address.

import { allowActions } from "./actions.js";
import { liveURL } from "./api.js";
import { clock, startTicking, tick } from "./clock.js";
import { Connection } from "./connection.js";
import { patch } from "./dom.js";
import { startKeys } from "./keys.js";
import { failure, heading } from "./parts.js";
import { parse, startRouting } from "./router.js";
import { banner, connectionState, navigation, say } from "./shell.js";
import { takeGuess } from "./table.js";
import { agent } from "./view-agent.js";
import { agents } from "./view-agents.js";
import { election } from "./view-election.js";
import { elections } from "./view-elections.js";
import { lease } from "./view-lease.js";
import { leases } from "./view-leases.js";
import { log } from "./view-log.js";
import { overview } from "./view-overview.js";
import { policies } from "./view-policies.js";
import { policy } from "./view-policy.js";
import { task } from "./view-task.js";
import { tasks } from "./view-tasks.js";
import { unknown } from "./view-unknown.js";
import { watchers } from "./view-watchers.js";

const LISTS = { overview, agents, leases, elections, tasks, policies, watchers, log, unknown };
const THINGS = { agents: agent, leases: lease, elections: election, tasks: task, policies: policy };
// The stream says something every 2 s; after three times that it is taken for dead.
const SILENCE_MS = 6000;

const main = document.getElementById("main");
let route;
let view;
let drawing = false;

/** What the view may look at. `answers` has those that have come, by the names of `addresses`. */
const shown = {
  route: null, answers: {}, addresses: {}, ui: {}, daemon: null, note: null, refusal: null,
  redraw: () => draw(),
};

const connection = new Connection({ changed: draw, restarted });
allowActions(connection, say);

function draw() {
  if (drawing) return;
  drawing = true;
  const now = () => {
    if (!drawing) return;
    drawing = false;
    drawNow();
  };
  // A hidden tab draws nothing until it is looked at.
  requestAnimationFrame(now);
}

function drawNow() {
  shown.daemon = connection.daemon;
  shown.refusal = connection.state === "refused" ? connection.reason : null;
  document.documentElement.dataset.connection = connection.state;
  patch(document.getElementById("nav"), navigation(route, shown.answers.overview?.body));
  patch(document.getElementById("connection"), connectionState(connection));
  patch(document.getElementById("banner"), banner(connection, shown));
  const wanted = content();
  keepingFocus(() => patch(main, wanted));
  document.title = `${view.title(route)} · AgentKeeper`;
  tick();
  view.drawn?.(shown);
  if (takeGuess()) draw();
  restoreScroll();
}

// A view that cannot be drawn says so in its own place, and all around it goes on.
function content() {
  try {
    if (shown.refusal && !view.source) return [heading(view.title(route)), failure(shown.refusal, "This cannot be shown.")];
    return view.render(shown);
  } catch (error) {
    console.error(`${view.title(route)} could not be drawn:`, error);
    return [heading(view.title(route)), failure(error, "This view could not be drawn from what the daemon said.")];
  }
}

// What had the focus may be gone, with the lease that it named. Then the row that follows has it, or the view's title:
// were it lost, the next Tab would begin at the top of the page.
function keepingFocus(change) {
  const focused = document.activeElement;
  const inside = focused !== main && main.contains(focused);
  const next = inside ? focused.closest(".row")?.nextElementSibling : null;
  change();
  if (!inside || focused.isConnected) return;
  const link = next?.isConnected ? next.querySelector("a") : null;
  (link ?? document.getElementById("title"))?.focus({ preventScroll: true });
}

function source() {
  const names = Object.keys(shown.addresses);
  return {
    url: () => liveURL(Object.values(shown.addresses)),
    silenceMs: SILENCE_MS,
    anew: () => (shown.answers = {}),
    events: {
      answer: ({ q, status, body }) => {
        if (typeof body?.clock_ms === "number") clock.sample(body.clock_ms);
        shown.answers[names[q]] = { status, body, address: shown.addresses[names[q]] };
        draw();
      },
      alive: ({ clock_ms }) => clock.sample(clock_ms),
    },
  };
}

let scrollTo = null;

function restoreScroll() {
  if (scrollTo === null) return;
  if (view.source || Object.keys(shown.addresses).every((name) => shown.answers[name])) {
    window.scrollTo(0, scrollTo);
    scrollTo = null;
  }
}

function arrive({ back, first = false }) {
  const before = route;
  const oldView = view;
  route = parse(location);
  view = (route.id !== null && THINGS[route.view]) || LISTS[route.view];
  shown.route = route;
  const same = before && oldView === view && before.id === route.id;
  if (!same) {
    oldView?.stop?.(shown);
    shown.ui = {};
    shown.note = null;
    // The overview's numbers are true in every view; all else belongs to what was shown.
    shown.answers = shown.answers.overview && !view.source ? { overview: shown.answers.overview } : {};
    scrollTo = back || first ? (history.state?.scroll ?? 0) : 0;
  }
  const addresses = view.addresses(route);
  const other = JSON.stringify(addresses) !== JSON.stringify(shown.addresses);
  // Another page of the same list begins at its top.
  if (same && other && before.query.get("page") !== route.query.get("page")) scrollTo = back ? (history.state?.scroll ?? 0) : 0;
  shown.addresses = addresses;
  if (view.source) view.start(shown, connection, { same });
  else if (other || !same || first) connection.show(source());
  drawNow();
  if (!same) bringToSight(document.querySelector("#nav [aria-current]"));
  if (!same && !first) document.getElementById("title")?.focus({ preventScroll: true });
}

/** Where the names of the views don't fit, this one is shown. Not by `scrollIntoView`: in Chromium 150 the first Tab then
 * goes on from there, and past what leads to the content. */
function bringToSight(link) {
  const nav = link?.parentElement;
  if (nav) nav.scrollLeft = link.offsetLeft - nav.offsetLeft - (nav.clientWidth - link.offsetWidth) / 2;
}

function restarted(before, now) {
  const anew = before.history !== now.history;
  shown.note = anew
    ? { kind: "anew", at: now.started_at, durable: now.durable }
    : { kind: "restarted", at: now.started_at };
  say(anew ? "The daemon began anew: what was before is gone." : "The daemon was restarted.");
  draw();
}

startKeys({ escape: () => view.escape?.(shown) ?? false, space: () => view.space?.(shown) ?? false });
startRouting((how) => arrive(how));
addEventListener("scroll", () => view.render && main.querySelector(".table-body, [data-windowed]") && draw(), { passive: true });
addEventListener("resize", draw);
document.getElementById("banner").addEventListener("click", (event) => {
  if (event.target.matches("[data-retry]")) connection.retry();
  if (event.target.matches("[data-dismiss]")) {
    shown.note = null;
    draw();
  }
});
arrive({ back: false, first: true });
startTicking();
setInterval(() => connection.state === "lost" && draw(), 1000);
