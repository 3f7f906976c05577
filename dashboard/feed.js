// The events that the log shows: a stretch of the daemon's history, oldest first, never longer than MOST. It follows what
// happens, or stands still while somebody reads; then what comes is only counted. A stretch that grows at one end loses
// at the other.

import { address, get } from "./api.js";

export const MOST = 2000;
const PAGE = 200;
// Of a burst, the screen is told no more often than this.
const GATHER_MS = 100;

export class Feed {
  /** @type {any[]} ascending by sequence */ events = [];
  /** Whether it follows; else `missed` counts. */ live = true;
  missed = 0;
  /** `before` of the page before, or null at the beginning. */ older = null;
  /** What could not be read, and why. */ error = null;
  loaded = false;
  /** Told of events that are gone. */ gap = null;
  /** What the daemon had when it was last read. */ oldestKept = 0;
  lastKnown = 0;
  history = null;

  #last = 0;
  #filter;
  #told;
  #waiting = [];
  #timer = null;
  #abort = new AbortController();

  /** @param {Object} filter parameters of /events. @param {() => void} told after each change */
  constructor(filter, told) {
    this.#filter = filter;
    this.#told = told;
  }

  /** The latest, or those around a sequence. Resolves when they are there, or `error` is. */
  async begin(at = null) {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#waiting = [];
    this.missed = 0;
    this.live = at === null;
    const page = await this.#read(at === null ? { limit: PAGE } : { after: Math.max(0, at - PAGE / 2), limit: PAGE });
    if (!page) return;
    this.events = page.items;
    this.older = page.older;
    this.gap = null;
    this.#last = at === null ? (page.items.at(-1)?.sequence ?? page.last_sequence) : page.last_sequence;
    if (at === null) this.#last = Math.max(this.#last, page.newer ?? 0);
    this.loaded = true;
    this.#told();
  }

  async readOlder() {
    if (this.older === null) return;
    const page = await this.#read({ before: this.older, limit: PAGE });
    if (!page) return;
    this.events = [...page.items, ...this.events];
    this.older = page.older;
    if (this.events.length > MOST) {
      this.events.length = MOST;
      this.live = false;
    }
    this.#told();
  }

  /** Goes on upwards from the newest that is shown. Follows once there is no more. */
  async readNewer() {
    const page = await this.#read({ after: this.newest, limit: PAGE });
    if (!page) return;
    this.#append(page.items);
    this.missed = Math.max(0, page.last_sequence - this.newest);
    if (page.items.length < PAGE) this.resume();
    this.#told();
  }

  get newest() {
    return this.events.at(-1)?.sequence ?? this.#last;
  }

  /** Where the stream is to begin. */
  get after() {
    return this.#last;
  }

  get filter() {
    return this.#filter;
  }

  pause() {
    this.#flush();
    this.live = false;
    this.#told();
  }

  resume() {
    this.live = true;
    this.missed = 0;
  }

  stop() {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  /** One event of the stream. */
  take(event) {
    if (event.sequence <= this.#last) return;
    this.#last = event.sequence;
    if (this.live) {
      this.#waiting.push(event);
      if (this.#waiting.length > MOST) this.#waiting.splice(0, this.#waiting.length - MOST);
    } else {
      this.missed++;
    }
    this.#timer ??= setTimeout(() => {
      this.#flush();
      this.#told();
    }, GATHER_MS);
  }

  /** The stream has come this far, with nothing for this filter. */
  progress(sequence) {
    this.#last = Math.max(this.#last, sequence);
  }

  #flush() {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#append(this.#waiting.splice(0));
  }

  #append(events) {
    if (!events.length) return;
    this.events = [...this.events, ...events];
    if (this.events.length > MOST) {
      this.events = this.events.slice(-MOST);
      this.older = this.events[0].sequence;
    }
  }

  async #read(where) {
    const { signal } = this.#abort;
    try {
      const page = await get(address("events", { ...this.#filter, ...where }), signal);
      this.error = null;
      this.oldestKept = page.oldest_kept_sequence;
      this.lastKnown = page.last_sequence;
      return signal.aborted ? null : page;
    } catch (error) {
      if (signal.aborted) return null;
      this.error = error;
      this.#told();
      return null;
    }
  }
}
