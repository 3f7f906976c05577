// Everything that names a thing links to it, the same way everywhere. Names are strangers' text: they stand in elements
// of their own that keep their writing direction to themselves.

import { h } from "./dom.js";
import { NOTHING } from "./format.js";
import { pathOf, withQuery } from "./router.js";

/** A name that anybody may have chosen. */
export function named(text, props = {}) {
  return h("bdi", { title: text, ...props }, text === "" ? "(no name)" : text);
}

// The ids that the daemon makes are long and say nothing: eight digits tell them apart.
const MADE = /^[0-9a-f]{32}$/;

function link(href, text, props = {}) {
  const { class: extra, ...rest } = props;
  if (MADE.test(text) && !extra) return h("a", { href, class: "name short", title: text, ...rest }, text.slice(0, 8));
  return h("a", { href, class: extra ? `name ${extra}` : "name", ...rest }, named(text));
}

// Not everything that names an agent by its id tells its name too, but mostly something else on the page has.
const names = new Map();
const MOST_NAMES = 5000;

function nameOf(id, name) {
  if (name === null || name === undefined) return names.get(id);
  if (!names.has(id) && names.size >= MOST_NAMES) names.delete(names.keys().next().value);
  names.set(id, name);
  return name;
}

/** An agent by its name, or by its id where nothing told the name. */
export function agentLink(id, name, props) {
  if (!id) return h("span", { class: "soft" }, NOTHING);
  return link(pathOf("agents", id), nameOf(id, name) ?? `${id.slice(0, 8)}…`, props);
}

export function leaseLink(task, props) {
  return link(pathOf("leases", task), task, props);
}

export function taskLink(id, props) {
  return link(pathOf("tasks", id), id, props);
}

export function groupLink(group, props) {
  return link(pathOf("elections", group), group, props);
}

export function policyLink(id, props) {
  return link(pathOf("policies", id), id, props);
}

/** The events of something, in the log. @param {{agent?: string, task?: string, group?: string, topic?: string}} filter */
export function eventsLink(filter, text = "All its events") {
  return h("a", { href: withQuery("/log", filter) }, text);
}

/** What is to be typed or pasted somewhere else. */
export function code(text) {
  return h("code", { title: text }, h("bdi", null, text));
}

/** The id of a thing that has a name besides. */
export function idOf(id) {
  return h("span", { class: "id" }, id);
}
