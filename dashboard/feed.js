// The events that the log shows: a stretch of the daemon's history, never longer than MOST, and beside it what has come
// since and is not shown. It follows what happens, or stands still while somebody reads. A stretch that grows at one end
// loses at the other.
//
// It is what the connection listens to: first a page is read, then the stream opened where the page ends. A page that
// cannot be read is a stream that is not opened, and both are tried again when the daemon answers.

import { address, get, liveURL } from "./api.js";
import { clock } from "./clock.js";
import { Pace } from "./pace.js";
import { withQuery } from "./router.js";
import { merge, nothing, stretchOf, touch } from "./stretch.js";

export const MOST = 2000;
const PAGE = 200;
// Of a burst, the screen is told no more often than this.
const GATHER_MS = 100;
// `progress` comes every 5 s when nothing else does.
const SILENCE_MS = 12000;

export class Feed {
  /** Whether it follows. */ live;
  /** Whether anything has been read yet. */ loaded = false;
  /** What the daemon has, as far as it has said so. */ oldestKept = 1;
  lastKnown = 0;
  /** Why older or newer ones could not be read. @type {Error|null} */ error = null;
  pace = new Pace();

  #filter;
  #at;
  #told;
  #reopen = () => {};
  /** Whether what is shown is where the stream goes on from. */ #begun = false;
  #shown = nothing(0);
  #ahead = nothing(0);
  /** What came since `ahead` was told of. */ #came = nothing(0);
  #gap = null;
  #history = null;
  #timer = null;
  #abort = new AbortController();

  /**
   * @param {Object} filter parameters of /events. @param {number|null} at a sequence to begin around, or the latest
   * @param {() => void} told after each change
   */
  constructor(filter, at, told) {
    this.#filter = filter;
    this.#at = at;
    this.#told = told;
    this.live = at === null;
  }

  /** Ascending. */
  get events() {
    return this.#shown.events;
  }

  get newest() {
    return this.events.at(-1)?.sequence ?? this.#shown.to;
  }

  /** Where the page before ends; null when nothing before is kept. */
  get older() {
    return this.#shown.from >= this.oldestKept ? this.#shown.from + 1 : null;
  }

  /** How many have come that are not shown. */
  get missed() {
    return this.#ahead.events.length;
  }

  /** Whether there may be more of them than `missed`. */
  get missedMore() {
    return !touch(this.#shown, this.#ahead);
  }

  /** Events that are gone, of those between the oldest and the newest that are shown. */
  get gap() {
    const { from, to } = this.#shown;
    return this.#gap && from < this.#gap.before - 1 && to >= this.#gap.before - 1 ? this.#gap : null;
  }

  forgetGap() {
    this.#gap = null;
    this.#told();
  }

  /** Follows from now on. @param {import("./connection.js").Connection} connection */
  listen(connection) {
    const source = {
      url: () => this.#address(),
      silenceMs: SILENCE_MS,
      anew: () => this.#anew(),
      events: {
        hello: (hello) => this.#hello(hello),
        message: (event) => this.take(event),
        gap: (gap) => this.#gone(gap),
        progress: ({ sequence }) => this.#come(sequence),
        answer: ({ status, body }) => status === 200 && this.look(body),
        alive: ({ clock_ms }) => this.#calm({ clock_ms, last_sequence: this.#came.to }, 0),
      },
    };
    this.#reopen = () => connection.show(source);
    this.#reopen();
  }

  async #address() {
    if (!this.#begun) await this.begin();
    return this.pace.rate === null
      ? withQuery("/events", { ...this.#filter, after: this.#came.to })
      : liveURL([address("events", { ...this.#filter, limit: PAGE })]);
  }

  /** Reads the latest, or those around a sequence. Throws why it could not. */
  async begin() {
    this.#abort.abort();
    this.#abort = new AbortController();
    const page = await this.#read(this.#at === null ? { limit: PAGE } : { after: Math.max(0, this.#at - PAGE / 2), limit: PAGE });
    this.#history = page.history;
    this.#gap = null;
    this.error = null;
    this.#shown = stretchOf(page);
    this.#ahead = nothing(this.#at === null ? page.newer : page.last_sequence);
    this.#came = nothing(this.#ahead.to);
    this.#begun = true;
    this.loaded = true;
    this.#told();
  }

  async readOlder() {
    if (this.older === null) return;
    await this.#grow({ before: this.older }, "oldest");
    // The newest may have made room.
    if (this.missedMore) this.live = false;
    this.#told();
  }

  /** Goes on upwards from the newest that is shown. Follows once there is no more. */
  async readNewer() {
    this.#gather();
    if (this.missedMore) await this.#grow({ after: this.#shown.to }, "newest");
    if (this.missedMore) this.#told();
    else this.resume();
  }

  pause() {
    this.#gather();
    this.live = false;
    this.#told();
  }

  /** Follows again. When more has come than is kept here, from the latest on. */
  resume() {
    this.#gather();
    this.live = true;
    if (this.missedMore) {
      this.#anew();
      this.#reopen();
    } else {
      this.#gather();
    }
    this.#told();
  }

  stop() {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** One event of the stream. */
  take(event) {
    if (event.sequence <= this.#came.to) return;
    this.#came.events.push(event);
    this.#come(event.sequence);
    if (this.#came.events.length >= MOST) this.#gather();
    this.#timer ??= setTimeout(() => {
      this.#gather();
      this.#told();
    }, GATHER_MS);
    if (this.pace.took()) this.#reopen();
  }

  /** The latest, looked at now and then while they are too fast to be taken one by one. */
  look(page) {
    clock.sample(page.clock_ms);
    const latest = stretchOf(page);
    this.oldestKept = page.oldest_kept_sequence;
    this.lastKnown = page.last_sequence;
    this.#came = merge(this.#came, latest, MOST);
    this.#gather();
    this.#told();
    this.#calm(page, latest.events.length / Math.max(1, latest.to - latest.from));
  }

  #calm(answer, share) {
    if (this.pace.rate === null || !this.pace.looked(answer, share)) return;
    this.#reopen();
    this.#told();
  }

  /** The stream has come this far. */
  #come(sequence) {
    this.#came.to = Math.max(this.#came.to, sequence);
    this.lastKnown = Math.max(this.lastKnown, sequence);
  }

  #hello({ history, oldest_kept_sequence: oldest }) {
    this.oldestKept = oldest;
    if (history === this.#history) return;
    this.#anew();
    this.#reopen();
  }

  /** What is gone is nowhere: what comes after it is the next. */
  #gone({ after, oldest_kept_sequence: oldest, history_changed: changed }) {
    if (changed) {
      this.#anew();
      this.#reopen();
      return;
    }
    this.oldestKept = oldest;
    this.#gap = { after: this.gap?.after ?? after, before: oldest };
    this.#come(oldest - 1);
    this.#gather();
    this.#told();
  }

  /** What is shown is not what the stream goes on from: before it is opened, the latest are read. */
  #anew() {
    this.#begun = false;
    this.#at = null;
    this.live = true;
  }

  /** Takes what has come to what is ahead, and while it follows that to what is shown. */
  #gather() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ahead = merge(this.#ahead, this.#came, MOST);
    this.#came = nothing(this.#came.to);
    if (!this.live || !this.#begun) return;
    this.#shown = merge(this.#shown, this.#ahead, MOST);
    this.#ahead = nothing(this.#shown.to);
  }

  async #grow(where, keep) {
    const { signal } = this.#abort;
    try {
      const page = await this.#read(where);
      const more = stretchOf(page);
      if (where.after < more.from) {
        this.#gap = { after: where.after, before: more.from + 1 };
        more.from = where.after;
      }
      this.#shown = merge(this.#shown, more, MOST, keep);
      this.error = null;
    } catch (error) {
      if (!signal.aborted) this.error = error;
    }
  }

  async #read(where) {
    const { signal } = this.#abort;
    const page = await get(address("events", { ...this.#filter, limit: PAGE, ...where }), signal);
    signal.throwIfAborted();
    this.oldestKept = page.oldest_kept_sequence;
    this.lastKnown = page.last_sequence;
    return page;
  }
}
