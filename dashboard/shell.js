// What stands around every view: where one is, whether what is shown is true, and what is told to a screen reader.

import { h } from "./dom.js";
import { count, clockTime, absolute, duration } from "./format.js";
import { shape } from "./parts.js";
import { VIEWS } from "./router.js";

export function navigation(route, overview) {
  const urgent = overview?.attention?.filter((each) => each.severity !== "info") ?? [];
  return VIEWS.map(({ name, path, label }) => h("a", {
    key: name, href: path, "aria-current": route.view === name ? (route.id === null ? "page" : "true") : null,
  }, label, name === "overview" && urgent.length
    ? h("span", { class: "nav-count", title: "Things that need attention" }, count(urgent.length), h("span", { class: "unseen" }, " need attention")) : null));
}

/** In a word, at the top of the page. */
export function connectionState(connection) {
  const [tone, word] = {
    connecting: ["grey", "Connecting"], live: ["ok", "Live"], lost: ["crit", "Stale"], refused: ["warn", "Refused"], resting: ["grey", "Resting"],
  }[connection.state];
  const figure = { live: "alive", lost: "failed", refused: "warning" }[connection.state] ?? "pending";
  return [h("span", { class: `state ${tone}` }, shape(figure), h("span", null, word))];
}

function retrying(connection) {
  const seconds = Math.ceil((connection.nextTry - Date.now()) / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
}

function whyStale({ heardAt: heard, reason }) {
  const time = heard && h("time", { datetime: heard.toISOString(), title: absolute(heard) }, clockTime(heard));
  if (reason) return [h("b", null, "Not live: "), sentence(reason.message), heard ? [" What is shown is from ", time, "."] : null];
  if (heard) return [h("b", null, "Stale: "), "the daemon has not been heard since ", time, ` (${duration(Date.now() - heard)}). What is shown is from then.`];
  return [h("b", null, "No daemon: "), "nothing answers at this address."];
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** Across the page: that nothing here is true any more, or that the daemon is another than it was. */
export function banner(connection, { note }) {
  if (connection.state === "lost") {
    return [h("div", { key: "lost", class: "banner crit" }, shape("critical"), h("p", null, whyStale(connection), " ", retrying(connection)),
    h("button", { type: "button", "data-retry": "" }, "Try now"))];
  }
  if (!note) return [];
  const at = new Date(note.at);
  const time = h("time", { datetime: note.at, title: absolute(at) }, clockTime(at));
  return [h("div", { key: note.kind, class: `banner ${note.kind === "anew" ? "warn" : "info"}` }, shape(note.kind === "anew" ? "warning" : "info"),
    h("p", null, note.kind === "anew"
      ? [h("b", null, "The daemon began anew"), " at ", time, ": all that was before is gone",
        note.durable ? "; its data directory is another one." : ", because it keeps its state in memory. With --data-dir it would still be there."]
      : [h("b", null, "The daemon was restarted"), " at ", time, ". Nothing that it had answered is lost."]),
    h("button", { type: "button", "data-dismiss": "", "aria-label": "Close this message" }, "Close"))];
}

/** For those who listen. Sparingly: what moves all the time is not told. */
export function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => (place.textContent = text));
}
