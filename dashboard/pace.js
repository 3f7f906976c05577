// How fast events come, and whether that is too fast to show them one by one. Nobody reads thousands a second, and a
// browser that takes them all has time for nothing else; then the latest are looked at now and then, until it is calmer.

/** Events in a second that are still taken one by one. */
const FASTEST = 5000;
const SECOND_MS = 1000;

export class Pace {
  /** Events a second, as far as it is known, while they are too fast; else null. @type {number|null} */ rate = null;
  #second = 0;
  #inSecond = 0;
  /** Of the last look. */ #mark = null;

  /** One has come. Says whether it is too fast now. */
  took() {
    const now = performance.now();
    if (now - this.#second >= SECOND_MS) {
      this.#second = now;
      this.#inSecond = 0;
    }
    if (++this.#inSecond < FASTEST) return false;
    this.rate = FASTEST;
    this.#mark = null;
    return true;
  }

  /**
   * A look at the latest: they tell how many of all events are wanted ones. Says whether it is calm again.
   * @param {{clock_ms: number, last_sequence: number}} answer @param {number} share of all events, 0 to 1
   */
  looked({ clock_ms: clock, last_sequence: last }, share) {
    this.#mark ??= { clock, last };
    const passed = clock - this.#mark.clock;
    if (passed < SECOND_MS) return false;
    this.rate = Math.round((((last - this.#mark.last) * share) / passed) * 1000);
    this.#mark = { clock, last };
    // Well below, or it would go to and fro.
    if (this.rate > FASTEST / 2) return false;
    this.rate = null;
    this.#inSecond = 0;
    return true;
  }
}
