// Who may do what, and the question that everybody asks of it: may SUBJECT do ACTION on RESOURCE, and which policy says so?
// Question and answer are in the address, so that "no, and here is why" can be sent to somebody.

import { actionButton, canAct } from "./actions.js";
import { address } from "./api.js";
import { h } from "./dom.js";
import { field, filters } from "./filters.js";
import { named, policyLink } from "./links.js";
import { hopping, PAGE_ROWS, pager, rowsBefore } from "./paging.js";
import { badge, command, empty, failure, heading, loading, section, shape } from "./parts.js";
import { changed, go } from "./router.js";
import { table } from "./table.js";

function columns() {
  return [
    { label: "Policy", at: "main", cell: (policy) => policyLink(policy.id) },
    { label: "Effect", at: "side", cell: (policy) => badge(policy.effect) },
    { label: "Subject", at: "sub", cell: (policy) => [h("code", null, named(policy.subject)), h("code", { class: "small-only" }, ` ${policy.action} ${policy.resource}`)] },
    { label: "Action", cell: (policy) => h("code", null, named(policy.action)) },
    { label: "Resource", cell: (policy) => h("code", null, named(policy.resource)) },
    canAct() ? { label: h("span", { class: "unseen" }, "Remove"), class: "action", cell: (policy) => actionButton("delete-policy", policy, { small: true }) } : null,
  ].filter(Boolean);
}

/** The three parts of the question; complete or not. */
function questionOf(query) {
  return { subject: query.get("subject") ?? "", action: query.get("action") ?? "", resource: query.get("resource") ?? "" };
}

function complete(question) {
  return Object.values(question).every((each) => each !== "");
}

function part(name, label, hint, question) {
  return h("label", { key: name, class: "field" }, h("span", { class: "field-label" }, label),
    h("input", { type: "text", name, value: question[name], placeholder: hint, required: true, autocomplete: "off", spellcheck: "false", maxlength: "4096" }));
}

function ask(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  go(changed({ subject: form.get("subject"), action: form.get("action"), resource: form.get("resource") }), { replace: true });
}

function verdict(answer) {
  if (!answer) return null;
  if (answer.status !== 200) return h("p", { class: "verdict deny" }, shape("warning"), answer.body?.error?.message ?? "That cannot be answered.");
  const { allowed, reason, policy } = answer.body;
  return h("p", { class: allowed ? "verdict allow" : "verdict deny" }, shape(allowed ? "allow" : "deny"), h("b", null, allowed ? "Yes. " : "No. "),
    named(reason),
    policy ? h("span", { class: "rule" }, policyLink(policy.id), ": ", ["subject", "action", "resource"].map((each) => [h("code", { key: each }, named(policy[each])), " "])) : null);
}

export const policies = {
  title: () => "Policies",
  addresses({ query }) {
    const question = questionOf(query);
    return {
      overview: "overview", list: address("policies", { subject_prefix: query.get("of"), limit: PAGE_ROWS, page: query.get("page") }),
      ...(complete(question) ? { check: address("check", question) } : {}),
    };
  },
  render({ route, answers, addresses }) {
    const question = questionOf(route.query);
    const answered = answers.check?.address === addresses.check ? answers.check : null;
    const form = section("ask", "May it?", h("form", { class: "ask", onsubmit: ask },
      part("subject", "Subject", "agent:anna", question), part("action", "Action", "call", question), part("resource", "Resource", "tool:browser", question),
      h("button", { type: "submit", class: "solid" }, "Check")),
    h("div", { role: "status", class: "verdict-place" }, complete(question) ? verdict(answered) : null));
    const search = filters(field({ name: "of", label: "Subject begins with", search: true, route }));
    const list = answers.list;
    const head = [heading("Policies"), form, search];
    if (!list) return [...head, loading()];
    if (list.status !== 200) return [...head, failure(list, "That cannot be listed.")];
    if (hopping(list.body)) return [...head, loading()];
    if (!list.body.items.length && !list.body.next) {
      return [...head, list.body.total
        ? empty(h("p", { class: "strong" }, "No policy matches."), h("p", null, h("a", { href: "/policies" }, "Show all policies")))
        : empty(h("p", { class: "strong" }, "There are no policies, so CheckPolicy denies everything."), h("p", null, "To allow something:"), command("agentkeeper policies set browse allow 'agent:*' call 'tool:*'"))];
    }
    return [...head, pager(list.body, route, "policies", { order: "by id" }),
      table({ id: "policies", kind: canAct() ? "policies-act" : "policies", label: "Policies", columns: columns(), rows: list.body.items, key: (policy) => policy.id, first: rowsBefore(), total: list.body.total })];
  },
};
