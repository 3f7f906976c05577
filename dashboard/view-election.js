// One group: its leader, who would lead next, and how it came to that.

import { address, thing } from "./api.js";
import { h } from "./dom.js";
import { count } from "./format.js";
import { earlier, history } from "./history.js";
import { agentLink, eventsLink, named } from "./links.js";
import { badge, facts, failure, heading, loading, section, shape, when } from "./parts.js";

function candidates(list, total) {
  if (!list.length) return h("p", { class: "soft" }, "Nobody is a candidate. The next one to campaign leads at once.");
  return [h("ol", { class: "queue" }, list.map((each, index) => h("li", { key: each.agent_id },
    agentLink(each.agent_id, each.name), " ", index === 0 ? h("span", { class: "badge ok" }, shape("leader"), "leads") : null,
    each.status === "alive" ? null : badge(each.status)))),
  total > list.length ? h("p", { class: "soft" }, `The first ${count(list.length)} of ${count(total)}.`) : null];
}

export const election = {
  title: ({ id }) => `Election ${id}`,
  addresses: ({ id }) => ({ overview: "overview", one: thing("elections", id), events: address("events", { group: id, limit: 100 }) }),
  render({ route: { id }, answers }) {
    const one = answers.one;
    if (!one) return [heading(named(id)), loading()];
    const events = section("events", "Changes", history(answers.events, { none: "The kept events do not reach back to its last change." }), earlier(answers.events, 100, { group: id }));
    if (one.status !== 200) return [heading(named(id)), failure(one, "There is no such election."), answers.events?.body?.items?.length ? events : null];
    const { election: it, candidates: list } = one.body;
    return [
      heading(named(id)),
      facts([
        ["Leader", it.leader_agent_id ? agentLink(it.leader_agent_id, it.leader_name) : h("span", { class: "badge warn" }, shape("unreachable"), "nobody")],
        ["Term", h("span", { class: "num" }, count(it.term))],
        ["Elected", it.elected_at ? when(it.elected_at) : null],
        ["Last change", when(it.changed_at)],
      ]),
      h("p", { key: "links", class: "see" }, eventsLink({ group: id }, "Its events")),
      section("candidates", "Candidates, in the order in which they lead", candidates(list, it.candidates)), events];
  },
};
