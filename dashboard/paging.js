// Long lists come in pages, by a cursor that leads forward. The way back is the trail of pages that led here, which the
// browser keeps with the address. A filter that matches rarely can make a page come back empty although there is more:
// then the next one is asked for, for a while.

import { h } from "./dom.js";
import { count } from "./format.js";
import { changed, go } from "./router.js";

export const PAGE_ROWS = 200;
const MOST_HOPS = 50;
let hops = 0;

function trail() {
  return history.state?.trail ?? [];
}

/** How many rows lie before this page, as far as that is known: every page but the last is full, unless filtered. */
export function rowsBefore() {
  return trail().length * PAGE_ROWS;
}

/** Whether a page was empty but not the last: the next one is on its way. */
export function hopping(body) {
  if (!body || body.items.length || !body.next) {
    hops = 0;
    return false;
  }
  if (hops >= MOST_HOPS) return false;
  hops++;
  queueMicrotask(() => go(changed({ page: body.next }), { replace: true }));
  return true;
}

/**
 * @param {{items: any[], next: string|null, total: number}} body
 * @param {{total?: number, order?: string}} known how many there are behind the filters, where that is known
 */
export function pager(body, route, what, { total = body.total, order = "oldest first" } = {}) {
  const page = route.query.get("page");
  const before = trail();
  const shown = body.items.length;
  if (!page && !body.next) {
    const part = shown === total ? "" : ` of ${count(total)}`;
    return h("p", { key: "pager", class: "pager soft" }, `${count(shown)}${part} ${what}`, shown > 1 ? `, ${order}` : "");
  }
  const back = before.length ? before.at(-1) : null;
  return h("nav", { key: "pager", class: "pager", "aria-label": "Pages" },
    h("span", { class: "soft" }, before.length || !page ? `Page ${before.length + 1}: ` : "",
      `${count(shown)} of ${count(total)} ${what}, ${order}`),
    h("span", { class: "pager-links" },
      page ? h("a", { key: "first", href: changed({ page: null }), "data-trail": "[]" }, "First") : null,
      before.length ? h("a", {
        key: "back", href: changed({ page: back || null }), "data-trail": JSON.stringify(before.slice(0, -1)), rel: "prev",
      }, "Previous") : null,
      body.next ? h("a", {
        key: "next", href: changed({ page: body.next }), "data-trail": JSON.stringify([...before, page ?? ""].slice(-200)), rel: "next",
      }, "Next") : null));
}
