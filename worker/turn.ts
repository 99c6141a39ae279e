/**
 * A lane's turn, for which other lanes wait. It is over when it is ended, and by itself when nothing has
 * gone on in it for some seconds: a server that is away holds up no other's runs.
 *
 * Ticks are counted and not time. After a handler that has blocked the event loop for long, there is at
 * most one until what Redis has answered meanwhile is heard.
 */
const TICKS_MAX = 12;

export class Turn {
  readonly #late: () => void;
  readonly #timer: NodeJS.Timeout;
  #ticks = 0;
  #isOver = false;

  /** `late` is called if it is over by itself, after some times `tickMs` in which it has not gone on. */
  constructor(tickMs: number, late: () => void) {
    this.#late = late;
    this.#timer = setInterval(() => this.#tick(), tickMs).unref();
  }

  /** Something has gone on. False: it is over, and what was to come of it must not be begun any more. */
  goesOn(): boolean {
    this.#ticks = 0;
    return !this.#isOver;
  }

  /** Whether that has ended it: it was not over. */
  end(): boolean {
    const wasOver = this.#isOver;
    this.#isOver = true;
    clearInterval(this.#timer);
    return !wasOver;
  }

  #tick(): void {
    this.#ticks += 1;
    if (this.#ticks >= TICKS_MAX && this.end()) {
      this.#late();
    }
  }
}
