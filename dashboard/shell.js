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
    connecting: ["grey", "Connecting"], live: ["ok", "Live"], lost: ["crit", "Stale"], resting: ["grey", "Resting"],
  }[connection.state];
  return [h("span", { class: `state ${tone}` }, shape(connection.state === "live" ? "alive" : connection.state === "lost" ? "failed" : "pending"), h("span", null, word))];
}

function retrying(connection) {
  const seconds = Math.ceil((connection.nextTry - Date.now()) / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
}

/** Across the page: that nothing here is true any more, or that the daemon is another than it was. */
export function banner(connection, { note }) {
  if (connection.state === "lost") {
    const heard = connection.heardAt;
    return [h("div", { key: "lost", class: "banner crit" }, shape("critical"), h("p", null,
      h("b", null, heard ? "Stale: " : "No daemon: "),
      heard
        ? ["the daemon has not been heard since ", h("time", { datetime: heard.toISOString(), title: absolute(heard) }, clockTime(heard)),
          ` (${duration(Date.now() - heard)}). What is shown is from then. `]
        : "nothing answers at this address. ",
      retrying(connection)),
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
