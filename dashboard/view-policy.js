// One policy, and when it was set.

import { actionButton } from "./actions.js";
import { address, thing } from "./api.js";
import { h } from "./dom.js";
import { history } from "./history.js";
import { code, named } from "./links.js";
import { badge, facts, failure, heading, loading, section } from "./parts.js";
import { withQuery } from "./router.js";

export const policy = {
  title: ({ id }) => `Policy ${id}`,
  addresses: ({ id }) => ({ overview: "overview", one: thing("policies", id), events: address("events", { topic: "policy.", limit: 1000 }) }),
  render({ route: { id }, answers }) {
    const one = answers.one;
    if (!one) return [heading(named(id)), loading()];
    // The daemon filters events by agent, task and group; policies change rarely enough to be picked out here.
    const own = answers.events?.status === 200
      ? { ...answers.events, body: { ...answers.events.body, items: answers.events.body.items.filter((event) => event.subject.policy?.id === id) } } : answers.events;
    const events = section("events", "What has happened", history(own, { none: "The kept events do not reach back to when it was set." }));
    if (one.status !== 200) return [heading(named(id)), failure(one, "There is no such policy."), own?.body?.items?.length ? events : null];
    const it = one.body.policy;
    return [
      heading(named(id), badge(it.effect), h("span", { class: "heading-end" }, actionButton("delete-policy", it))),
      facts([["Subject", code(it.subject)], ["Action", code(it.action)], ["Resource", code(it.resource)]]),
      h("p", { key: "note", class: "soft lead" }, "A ", h("code", null, "*"), " stands for any run of characters. What one policy denies no other can allow; what none allows is denied."),
      h("p", { key: "links", class: "see" }, h("a", { href: withQuery("/policies", { of: it.subject }) }, "Policies of this subject"),
        h("a", { href: withQuery("/policies", { subject: it.subject, action: it.action, resource: it.resource }) }, "Ask about it")), events];
  },
};
