// The one stream that the page listens to, and what is known about it. A stream is opened for what is shown now; when it
// breaks, or falls silent for longer than it ever may, the page says so at once and knocks again and again, less and
// less often. Before a new stream is opened the daemon is asked who it is: one with another history has forgotten
// everything that is on the screen. A daemon that answers, but not with this stream, is asked why: a question that is
// wrong is not asked again, and for want of room one knocks.
//
// A browser keeps only six connections to a host, shared by all tabs. So there is never more than one stream a page,
// and one that nobody looks at is given up after a while.

import { get, Refused, whyNot } from "./api.js";
import { clock } from "./clock.js";

const FIRST_PAUSE_MS = 400;
const LONGEST_PAUSE_MS = 8000;
const HIDDEN_FOR_MS = 15000;

/**
 * `url` may read first what the stream goes on from; without it no stream is opened. Nothing of it lasts `silenceMs`.
 * @typedef {{url: () => string|Promise<string>, events: Object<string, (data: any) => void>, silenceMs: number, anew?: () => void}} Source
 * @typedef {"connecting"|"live"|"lost"|"refused"|"resting"} State
 */

export class Connection {
  /** @type {State} */ state = "connecting";
  /** The last `status` of the daemon. */ daemon = null;
  /** Whether things can be done, and with which token. */ session = { actions: false, token: null };
  /** When the daemon was last heard. @type {Date|null} */ heardAt = null;
  /** When it is tried again, by `Date.now()`. */ nextTry = 0;
  /** What a daemon that answers says against this stream. @type {Refused|null} */ reason = null;

  #source = null;
  #stream = null;
  #attempt = 0;
  #timer = null;
  #hideTimer = null;
  #generation = 0;
  #told;

  /** @param {{changed: () => void, restarted: (before: any, now: any) => void}} told */
  constructor(told) {
    this.#told = told;
    document.addEventListener("visibilitychange", () => this.#visibility());
    addEventListener("online", () => this.retry());
    addEventListener("pagehide", () => this.#rest());
    addEventListener("pageshow", (event) => event.persisted && this.#wake());
    setInterval(() => this.#listen(), 500);
  }

  /** Listens to this from now on. @param {Source} source */
  show(source) {
    this.#source = source;
    if (this.state !== "resting") this.#open(this.state === "live");
  }

  /** Does not wait for the next try. */
  retry() {
    if (this.state !== "lost") return;
    this.#attempt = 0;
    this.#open(false);
  }

  /** The token may be one of a daemon that is gone. */
  async renewSession() {
    this.session = await get("session");
    return this.session;
  }

  async #open(known) {
    const generation = ++this.#generation;
    const isCurrent = () => generation === this.#generation;
    const source = this.#source;
    this.#drop();
    this.#timer = setTimeout(() => this.#lost(), source.silenceMs);
    let url;
    try {
      if (!known) await this.#knock();
    } catch (error) {
      if (isCurrent()) this.#lost(error);
      return;
    }
    if (!isCurrent()) return;
    try {
      url = await source.url();
    } catch (error) {
      if (isCurrent()) this.#refused(error);
      return;
    }
    if (!isCurrent()) return;
    const stream = new EventSource(url);
    this.#stream = stream;
    for (const [name, handle] of Object.entries(source.events)) {
      stream.addEventListener(name, (event) => {
        if (stream !== this.#stream) return;
        this.#heard();
        handle(JSON.parse(event.data));
      });
    }
    stream.onerror = () => stream === this.#stream && this.#broken(stream);
  }

  /** A browser says that a stream failed, and not why. What was no stream is asked for once more, and read. */
  async #broken(stream) {
    const generation = this.#generation;
    if (stream.readyState !== EventSource.CLOSED) return this.#lost();
    this.#stream = null;
    const error = await whyNot(stream.url).catch((error) => error);
    if (generation === this.#generation) this.#refused(error);
  }

  async #knock() {
    const [daemon, session] = await Promise.all([get("status"), get("session")]);
    const before = this.daemon;
    this.daemon = daemon;
    this.session = session;
    if (before && before.started_at !== daemon.started_at) clock.reset();
    clock.setWall(daemon.started_at, daemon.uptime_ms);
    if (before && before.history !== daemon.history) this.#source.anew?.();
    if (before && before.started_at !== daemon.started_at) this.#told.restarted(before, daemon);
    else this.#told.changed();
  }

  #heard() {
    this.heardAt = new Date();
    clearTimeout(this.#timer);
    this.#attempt = 0;
    if (this.state === "live") return;
    this.state = "live";
    this.reason = null;
    clock.thaw();
    this.#told.changed();
  }

  /** The daemon answers, but there is no stream. @param {any} error why, as far as it is known */
  #refused(error) {
    if (!(error instanceof Refused) || error.status >= 500) return this.#lost(error);
    this.#generation++;
    this.#drop();
    this.state = "refused";
    this.reason = error;
    this.#told.changed();
  }

  #lost(error = null) {
    this.#generation++;
    this.#drop();
    this.state = "lost";
    this.reason = error instanceof Refused ? error : null;
    clock.freeze();
    const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** this.#attempt++) * (0.8 + 0.4 * Math.random());
    this.nextTry = Date.now() + pause;
    this.#timer = setTimeout(() => this.#open(false), pause);
    this.#told.changed();
  }

  #drop() {
    clearTimeout(this.#timer);
    this.#stream?.close();
    this.#stream = null;
  }

  #listen() {
    if (this.state === "live" && this.#stream && Date.now() - this.heardAt > this.#source.silenceMs) this.#lost();
  }

  #visibility() {
    clearTimeout(this.#hideTimer);
    if (document.hidden) this.#hideTimer = setTimeout(() => this.#rest(), HIDDEN_FOR_MS);
    else this.#wake();
  }

  #rest() {
    this.#generation++;
    this.#drop();
    this.state = "resting";
    this.#told.changed();
  }

  #wake() {
    if (this.state !== "resting") return this.retry();
    this.state = "connecting";
    this.#open(false);
    this.#told.changed();
  }
}
