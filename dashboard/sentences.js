// What an event says, as a sentence with links in it, and its tone. The daemon's topics are for programs; this is the one
// place that puts them into words.

import { h } from "./dom.js";
import { duration } from "./format.js";
import { agentLink, groupLink, leaseLink, named, policyLink, taskLink } from "./links.js";

/** Why something happened, where the topic alone does not say. */
const REASONS = {
  silence: "after too long a silence",
  deregistered: "signed off",
  forced: "forced by an operator",
  ran_out: "its time ran out",
  holder_died: "its holder died",
  not_delivered: "the grant did not reach the client",
  campaigned: "a candidate came",
  resigned: "the leader resigned",
  leader_died: "the leader died",
};

export function reasonText(reason) {
  return REASONS[reason] ?? reason;
}

const TONES = {
  "agent.registered": "ok", "agent.recovered": "ok", "agent.unreachable": "warn", "agent.died": "crit",
  "lease.acquired": "info", "lease.renewed": "grey", "lease.released": "ok", "lease.expired": "warn",
  "leader.changed": "info", "policy.set": "info", "policy.deleted": "warn",
  "task.created": "grey", "task.claimed": "info", "task.renewed": "grey", "task.completed": "ok", "task.failed": "warn",
  "task.requeued": "warn", "task.dead": "crit",
};

export function toneOf(event) {
  // Signing off is how an agent is meant to end.
  if (event.topic === "agent.died" && event.reason === "deregistered") return "grey";
  return TONES[event.topic] ?? "grey";
}

const who = (event) => agentLink(event.agent_id, event.agent_name ?? event.subject.agent?.name);
const because = (event) => (event.reason ? h("span", { class: "soft" }, ` (${reasonText(event.reason)})`) : null);

const SENTENCES = {
  "agent.registered": (event) => [who(event), " registered"],
  "agent.recovered": (event) => [who(event), " is back"],
  "agent.unreachable": (event) => [who(event), " has fallen silent"],
  "agent.died": (event) => (event.reason === "deregistered" ? [who(event), " signed off"] : [who(event), " died", because(event)]),
  "lease.acquired": (event, { lease }) => [who(event), " holds ", leaseLink(lease.task_id), h("span", { class: "soft" }, ` for ${duration(Date.parse(lease.expires_at) - Date.parse(lease.acquired_at))}`)],
  "lease.renewed": (event, { lease }) => [who(event), " renewed ", leaseLink(lease.task_id)],
  "lease.released": (event, { lease }) => [who(event), " released ", leaseLink(lease.task_id)],
  "lease.expired": (event, { lease }) => [who(event), " lost ", leaseLink(lease.task_id), because(event)],
  "leader.changed": (event, { election }) => (election.leader_agent_id
    ? [agentLink(election.leader_agent_id, event.agent_id === election.leader_agent_id ? event.agent_name : null), " leads ", groupLink(election.group),
      h("span", { class: "soft" }, `, term ${election.term}`), because(event)]
    : ["Nobody leads ", groupLink(election.group), because(event)]),
  "policy.set": (event, { policy }) => ["Policy ", policyLink(policy.id), ` set: ${policy.effect}`],
  "policy.deleted": (event, { policy }) => ["Policy ", policyLink(policy.id), " deleted", because(event)],
  "task.created": (event, { task }) => [typed(task), " ", taskLink(task.task_id), " queued"],
  "task.claimed": (event, { task }) => [who(event), " works on ", typed(task), " ", taskLink(task.task_id)],
  "task.renewed": (event, { task }) => [who(event), " goes on with ", typed(task), " ", taskLink(task.task_id)],
  "task.completed": (event, { task }) => [who(event), " completed ", typed(task), " ", taskLink(task.task_id)],
  "task.failed": (event, { task }) => [who(event), " failed at ", typed(task), " ", taskLink(task.task_id), told(task)],
  "task.requeued": (event, { task }) => [typed(task), " ", taskLink(task.task_id), " is back in the queue", because(event)],
  "task.dead": (event, { task }) => [typed(task), " ", taskLink(task.task_id), " failed for good", told(task)],
};

const typed = (task) => named(task.type, { class: "type" });
const told = (task) => (task.failure_reason ? h("span", { class: "soft" }, ": ", named(task.failure_reason)) : null);

export function sentence(event) {
  // A newer daemon may have a topic that this page has not heard of.
  const words = SENTENCES[event.topic];
  try {
    return words ? words(event, event.subject) : [event.topic];
  } catch {
    return [event.topic];
  }
}
