// Every view, and every state of one that is worth showing to somebody else, has an address: the path says which view
// and which thing, the query says filters, page and selection. So reloading, going back and sending a link all work.

/** The views, in the order of the navigation. `jump` is the key after `g`. */
export const VIEWS = [
  { name: "overview", path: "/", label: "Overview", jump: "o" },
  { name: "agents", path: "/agents", label: "Agents", jump: "a" },
  { name: "leases", path: "/leases", label: "Leases", jump: "l" },
  { name: "elections", path: "/elections", label: "Elections", jump: "e" },
  { name: "tasks", path: "/tasks", label: "Tasks", jump: "t" },
  { name: "policies", path: "/policies", label: "Policies", jump: "p" },
  { name: "watchers", path: "/watchers", label: "Watchers", jump: "w" },
  { name: "log", path: "/log", label: "Events", jump: "v" },
];

/** @typedef {{view: string, id: string|null, query: URLSearchParams}} Route */

/** @returns {Route} */
export function parse(location) {
  const query = new URLSearchParams(location.search);
  const [first, second] = location.pathname.split("/").slice(1);
  const found = VIEWS.find((each) => each.path === `/${first}`);
  if (!found) return { view: "unknown", id: null, query };
  let id = query.get("id");
  try {
    if (second) id = decodeURIComponent(second);
  } catch {
    return { view: "unknown", id: null, query };
  }
  return { view: found.name, id, query };
}

/** The path of one thing. URLs swallow the segments `.` and `..`, however they are written: those go into the query. */
export function pathOf(list, id) {
  return id === "." || id === ".." ? `/${list}?id=${id}` : `/${list}/${encodeURIComponent(id)}`;
}

/** A path with parameters. One may be a list; what is empty is left out. */
export function withQuery(path, parameters = {}) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    for (const each of [value].flat()) if (each !== null && each !== undefined && each !== "") query.append(name, each);
  }
  const text = query.toString();
  return text ? path + (path.includes("?") ? "&" : "?") + text : path;
}

/** The present address with some parameters changed: `null` removes one. */
export function changed(parameters) {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(parameters)) {
    query.delete(name);
    for (const each of [value].flat()) if (each !== null && each !== "") query.append(name, each);
  }
  const text = query.toString();
  return location.pathname + (text ? `?${text}` : "");
}

let arrived = () => {};

/** @param {{replace?: boolean, state?: Object}} how `replace` for what should not be a step of its own, as typing. */
export function go(url, { replace = false, state = {} } = {}) {
  if (replace) {
    history.replaceState({ ...history.state, ...state }, "", url);
  } else {
    history.replaceState({ ...history.state, scroll: scrollY }, "");
    history.pushState(state, "", url);
  }
  arrived({ back: false, replace });
}

/** Calls back whenever the address has changed, and takes the clicks on our own links. */
export function startRouting(callback) {
  arrived = callback;
  history.scrollRestoration = "manual";
  addEventListener("popstate", () => arrived({ back: true, replace: false }));
  addEventListener("pagehide", () => history.replaceState({ ...history.state, scroll: scrollY }, ""));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href]");
    if (!link || event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || link.target) return;
    if (link.origin !== location.origin || link.hash || parse(link).view === "unknown") return;
    event.preventDefault();
    go(link.pathname + link.search, { replace: link.dataset.replace !== undefined, state: stepOf(link) });
  });
}

// A list's cursor only leads forward, so the way back is kept beside the address: the pages before this one.
function stepOf(link) {
  return link.dataset.trail === undefined ? {} : { trail: JSON.parse(link.dataset.trail) };
}
