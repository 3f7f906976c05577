// The daemon's interface as functions: addresses, one-time questions, and the four things that can be done.

import { withQuery } from "./router.js";

/** An address below `/api/v1/`. */
export const address = withQuery;

/** One thing's address; its name may hold any character. */
export function thing(list, id) {
  return `${list}/${encodeURIComponent(id)}`;
}

export function liveURL(addresses) {
  return "/api/v1/live?" + addresses.map((each) => `q=${encodeURIComponent(each)}`).join("&");
}

export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

async function answerOf(response) {
  const body = await response.json().catch(() => null);
  if (response.ok && body) return body;
  throw new Refused(response.status, body?.error?.message ?? `The daemon answered with HTTP status ${response.status}.`);
}

/** Why there is no stream at an address: `Refused`, or null when there is one after all. Throws what `fetch` throws. */
export async function whyNot(url) {
  const abort = new AbortController();
  const response = await fetch(url, { signal: abort.signal, cache: "no-store" });
  if (response.ok) {
    abort.abort();
    return null;
  }
  return answerOf(response).catch((error) => error);
}

/** @returns {Promise<any>} the answer's body. Throws `Refused`, or what `fetch` throws when nobody answers. */
export async function get(where, signal) {
  return answerOf(await fetch(`/api/v1/${where}`, { signal, cache: "no-store", headers: { accept: "application/json" } }));
}

/** @returns {Promise<{done: boolean, sequence: number}>} */
export async function act(name, body, token) {
  return answerOf(await fetch(`/api/v1/actions/${name}`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-agentkeeper-token": token },
    body: JSON.stringify(body),
  }));
}
