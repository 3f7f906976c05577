// Everything by keyboard. One letter keys never act while somebody types, and never together with Ctrl, Alt or Meta,
// which belong to the browser. Arrow keys walk a list's rows by their links, so Enter is what it is on any link.

import { h, patch } from "./dom.js";
import { go, VIEWS } from "./router.js";

const JUMP_WITHIN_MS = 1500;
const HELP = [
  ["/", "search or filter what is shown"],
  ["↓ ↑ or j k", "walk over the rows of a list"],
  ["Enter", "open the row"],
  ["Esc", "close what is open; leave a field"],
  ...VIEWS.map(({ jump, label }) => [`g ${jump}`, `go to ${label.toLowerCase()}`]),
  ["Space", "pause and resume the events, or press what has the focus"],
  ["?", "this list"],
];

let jumping = 0;

function showHelp() {
  if (document.querySelector("dialog[open]")) return;
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  patch(dialog, [
    h("h2", { id: "dialog-title" }, "Keys"),
    h("dl", { class: "keys" }, HELP.map(([key, what]) => h("div", { key }, h("dt", null, key.split(" ").map((each) => (each === "or" ? " or " : h("kbd", null, each)))), h("dd", null, what)))),
    h("div", { class: "dialog-buttons" }, h("button", { type: "button", onclick: () => dialog.close() }, "Close")),
  ]);
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}

function typing(target) {
  return target.matches?.("input, textarea, select, [contenteditable]");
}

function walk(step) {
  const row = document.activeElement?.closest?.(".table-body > .row");
  let next = row ? (step > 0 ? row.nextElementSibling : row.previousElementSibling) : document.querySelector(".table-body > .row");
  while (next && !next.matches(".row")) next = step > 0 ? next.nextElementSibling : next.previousElementSibling;
  const link = next?.querySelector("a");
  if (!link) return Boolean(row);
  link.focus();
  return true;
}

/** @param {{escape: () => boolean, space: () => boolean}} view what the view shown does with them */
export function startKeys(view) {
  document.getElementById("help").addEventListener("click", showHelp);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (document.querySelector("dialog[open]")) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    if (handle(event, view)) event.preventDefault();
  });
}

function handle(event, view) {
  const jump = VIEWS.find((each) => each.jump === event.key);
  if (jump && performance.now() - jumping < JUMP_WITHIN_MS) {
    jumping = 0;
    go(jump.path);
    return true;
  }
  jumping = event.key === "g" ? performance.now() : 0;
  switch (event.key) {
    case "?": showHelp(); return true;
    case "/": {
      const field = document.querySelector("[data-search]");
      field?.focus();
      field?.select();
      return Boolean(field);
    }
    case "ArrowDown": case "j": return walk(1);
    case "ArrowUp": case "k": return walk(-1);
    case "Escape": return view.escape();
    case " ": return event.target.matches("a, button, pre") ? false : view.space();
    default: return false;
  }
}
