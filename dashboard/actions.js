// The four things that can be done from here, where the daemon was started to allow it. Each asks first, naming the thing
// and what will follow; the answer of a refusal stands in the same dialog. What was done is seen as its event.

import { act, Refused } from "./api.js";
import { h, patch } from "./dom.js";
import { named } from "./links.js";

const CONSEQUENCES = {
  "release-lease": {
    button: "Release", title: "Release this lease by force?", done: "The lease is released.",
    text: (lease) => [named(lease.holder_name ?? lease.holder_agent_id, { class: "strong" }), " loses ", named(lease.task_id, { class: "strong" }),
      lease.kind === "claim" ? " and the task goes back to the queue." : " at once, and the next in line can have it.",
      " The worker may still be at it: it finds out when it renews, or when its token is turned away."],
    body: (lease) => ({ task_id: lease.task_id, token: lease.token }),
  },
  "deregister-agent": {
    button: "Deregister", title: "Deregister this agent?", done: "The agent is deregistered.",
    text: (agent) => [named(agent.name, { class: "strong" }), " is DEAD from then on. Its leases end, its tasks go back to the queue, and where it leads ",
      "the next candidate does. It cannot come back: a process that is still running has to register anew."],
    body: (agent) => ({ agent_id: agent.agent_id }),
  },
  "requeue-task": {
    button: "Requeue", title: "Put this task back into the queue?", done: "The task is back in the queue.",
    text: (task) => [named(task.type, { class: "strong" }), " ", named(task.task_id, { class: "strong" }), task.status === "dead"
      ? " is pending again, with all its retries given back."
      : " is taken from the agent that works on it, and may be done twice: that agent finds out when it reports."],
    body: (task) => ({ task_id: task.task_id }),
  },
  "delete-policy": {
    button: "Delete", title: "Delete this policy?", done: "The policy is deleted.",
    text: (policy) => [named(policy.id, { class: "strong" }), policy.effect === "deny"
      ? " no longer denies anything: what another policy allows is then allowed."
      : " no longer allows anything: what no other policy allows is then denied."],
    body: (policy) => ({ id: policy.id }),
  },
};

let connection;
let say = () => {};

/** @param {import("./connection.js").Connection} to */
export function allowActions(to, announce) {
  connection = to;
  say = announce;
}

/** Whether to show buttons at all. */
export function canAct() {
  return Boolean(connection?.session.actions);
}

/** A button that asks first; nothing where nothing can be done. */
export function actionButton(name, thing, { small = false } = {}) {
  if (!canAct()) return null;
  const { button, title } = CONSEQUENCES[name];
  return h("button", {
    type: "button", key: name, class: small ? "danger small" : "danger", "aria-haspopup": "dialog", title: title.replace("?", "…"),
    onclick: (event) => confirm(name, thing, event.currentTarget),
  }, `${button}…`);
}

function confirm(name, thing, from) {
  const { button, title, text, body, done } = CONSEQUENCES[name];
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  dialog.setAttribute("aria-labelledby", "dialog-title");
  dialog.setAttribute("aria-describedby", "dialog-text");
  let busy = false;
  let error = null;
  const show = () => patch(dialog, [
    h("form", { key: "form", onsubmit: submit },
      h("h2", { id: "dialog-title" }, title),
      h("p", { id: "dialog-text" }, text(thing)),
      h("p", { class: "refusal", role: "alert" }, error ?? ""),
      h("div", { class: "dialog-buttons" },
        h("button", { key: "cancel", type: "button", onclick: () => dialog.close() }, "Cancel"),
        h("button", { key: "do", type: "submit", class: "danger solid", disabled: busy }, busy ? "Asking…" : button))),
  ]);
  async function submit(event) {
    event.preventDefault();
    if (busy) return;
    busy = true;
    error = null;
    show();
    try {
      await attempt(name, body(thing));
      dialog.close();
      say(done);
    } catch (refusal) {
      error = refusal instanceof Refused ? refusal.message : "The daemon cannot be reached. Nothing may have been done.";
    }
    busy = false;
    show();
  }
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (from.isConnected) from.focus();
    else document.getElementById("title")?.focus();
  });
  show();
  document.body.append(dialog);
  dialog.showModal();
}

// A token is one process's: after a restart the first try is refused, and the second has the new one.
async function attempt(name, body) {
  const token = connection.session.token;
  try {
    return await act(name, body, token);
  } catch (refusal) {
    if (refusal.status !== 403) throw refusal;
    const session = await connection.renewSession();
    if (!session.actions || session.token === token) throw refusal;
    return act(name, body, session.token);
  }
}
