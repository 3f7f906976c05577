// A list that shows only the rows that can be seen, and a few around them: a page of two hundred costs what a screenful
// costs. All rows are equally high, which is what makes that possible; the document itself scrolls, as on any page. The
// row that has the focus stays, wherever it is scrolled to, for else the focus would be lost.
//
// It is made of divs with a table's roles, since rows lie on a grid that a phone folds into two lines. Arrow keys walk
// over the rows' first links (keys.js).

import { h } from "./dom.js";

const AROUND = 10;
const UNKNOWN_ROW_PX = 44;
const FEW = 40;

let guessed = false;

/** Whether the last drawing had to guess how high rows are, and should be done again now that there are some. */
export function takeGuess() {
  const was = guessed;
  guessed = false;
  return was;
}

/**
 * @typedef {{label: string, cell: (row: any) => any, at?: "main"|"side"|"sub"|"end", class?: string}} Column
 * `at` is where a phone puts the cell; without, a phone leaves it out.
 * @param {{id: string, label: string, columns: Column[], rows: any[], key: (row: any) => string, first?: number,
 *   total?: number, chosen?: string|null, kind?: string}} table `kind` names the style of its grid.
 */
export function table({ id, label, columns, rows, key, first = 0, total = rows.length, chosen = null, kind = id }) {
  const shown = visible(id, rows.length);
  const children = [];
  let filled = 0;
  for (const index of shown.indexes) {
    if (index > filled) children.push(gap(`gap ${filled}`, (index - filled) * shown.height));
    const row = rows[index];
    const name = key(row);
    children.push(h("div", {
      key: name, role: "row", class: "row", "data-row": index, "aria-rowindex": first + index + 2,
      "aria-current": chosen === name ? "true" : null,
    }, columns.map((column, place) => cell(column, place, row))));
    filled = index + 1;
  }
  if (filled < rows.length) children.push(gap("gap end", (rows.length - filled) * shown.height));
  return h("div", { key: id, id, role: "table", class: `table t-${kind}`, "aria-label": label, "aria-rowcount": total < 0 ? -1 : total + 1 },
    h("div", { role: "rowgroup", class: "table-head" }, h("div", { role: "row", class: "row", "aria-rowindex": 1 },
      columns.map((column, place) => h("div", { key: place, role: "columnheader", class: column.class }, column.label)))),
    h("div", { key: "body", role: "rowgroup", class: "table-body" }, children));
}

function cell(column, place, row) {
  const classes = [column.at ? `at-${column.at}` : "not-small", column.class].filter(Boolean).join(" ");
  return h("div", { key: place, role: "cell", class: classes }, column.cell(row));
}

function gap(key, height) {
  return h("div", { key, class: "gap", "aria-hidden": "true", style: { height: `${height}px` } });
}

function visible(id, count) {
  const body = document.querySelector(`#${CSS.escape(id)} > .table-body`);
  const rows = body?.querySelectorAll(":scope > .row") ?? [];
  const height = rows.length ? rows[0].getBoundingClientRect().height : UNKNOWN_ROW_PX;
  if (!rows.length && count) guessed = true;
  if (!rows.length) return { height, indexes: range(0, Math.min(count, FEW)) };
  const top = body.getBoundingClientRect().top;
  const from = Math.max(0, Math.floor(-top / height) - AROUND);
  const to = Math.min(count, Math.ceil((innerHeight - top) / height) + AROUND);
  const indexes = range(Math.min(from, Math.max(0, count - 1)), Math.max(to, Math.min(count, AROUND)));
  const focused = Number(document.activeElement?.closest?.(`#${CSS.escape(id)} .row`)?.dataset.row ?? NaN);
  if (focused < indexes[0]) indexes.unshift(focused);
  else if (focused > indexes.at(-1) && focused < count) indexes.push(focused);
  return { height, indexes };
}

function range(from, to) {
  return Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}
