// Fields and choices above a list. What they are set to is in the address, and nowhere else.

import { h } from "./dom.js";
import { count } from "./format.js";
import { changed, go } from "./router.js";

const TYPING_MS = 200;
let typing = null;

// Another filter is another list: its pages begin anew.
const FIRST_PAGE = { page: null, at: null, before: null };

/**
 * A field for one parameter. What is typed counts once there was a short pause, or at once with Enter.
 * @param {{name: string, label: string, hint?: string, search?: boolean, wide?: boolean, route: import("./router.js").Route}} field
 */
export function field({ name, label, hint = "", search = false, wide = false, route }) {
  const value = route.query.get(name) ?? "";
  const apply = (text) => {
    clearTimeout(typing);
    typing = null;
    if ((new URLSearchParams(location.search).get(name) ?? "") !== text) {
      go(changed({ ...FIRST_PAGE, [name]: text || null }), { replace: true, state: { trail: [] } });
    }
  };
  return h("label", { key: `field ${name}`, class: wide ? "field wide" : "field" },
    h("span", { class: "field-label" }, label),
    h("input", {
      type: search ? "search" : "text", name, value, placeholder: hint, autocomplete: "off", spellcheck: "false",
      maxlength: "1024", "data-search": search ? "" : null, "aria-keyshortcuts": search ? "/" : null,
      oninput: (event) => {
        clearTimeout(typing);
        typing = setTimeout(apply, TYPING_MS, event.target.value);
      },
      // No expression: a handler that returns false would take the key away.
      onkeydown: (event) => {
        if (event.key === "Enter") apply(event.target.value);
      },
      onsearch: (event) => apply(event.target.value),
    }));
}

/**
 * One of several, as links: each can be opened in a tab of its own.
 * @param {{name: string, label: string, route: import("./router.js").Route, choices: [string, string, number?, string?][]}} choice
 * each with its value, its label, how many there are, and the tone of that number
 */
export function choice({ name, label, route, choices }) {
  const value = route.query.get(name) ?? "";
  return h("div", { key: `choice ${name}`, class: "choice", role: "group", "aria-label": label },
    choices.map(([each, text, number, tone]) => h("a", {
      key: each, href: changed({ ...FIRST_PAGE, [name]: each || null }), "aria-current": each === value ? "true" : null,
    }, text, number === undefined ? null : h("span", { class: tone ? `num ${tone}` : "num" }, count(number)))));
}

export function filters(...children) {
  return h("div", { key: "filters", class: "filters", role: "search" }, children);
}
