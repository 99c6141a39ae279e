/**
 * Trouble with the world that comes back with every try, as long as it lasts: a server that is a
 * replica for now, one that loads its data. It is told once for each cause and then now and then, or a
 * log would have thousands of lines about one thing; and tries come more slowly meanwhile.
 */
import type { Logger } from "pino";
import { errorCode } from "../sdk/internal.ts";

const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 1000;
const TOLD_AGAIN_MS = 30_000;
const REASON_CHARS_MAX = 300;

export interface TroubleOptions {
  logger: Logger;
  nowMs: () => number;
  /** What does not succeed, and what is said when it does again. */
  says: { fails: string; goesOn: string };
}

export class Trouble {
  readonly #o: TroubleOptions;
  /** When each cause was told. */
  readonly #toldMs = new Map<string, number>();
  #times = 0;

  constructor(options: TroubleOptions) {
    this.#o = options;
  }

  /** It failed once more; how long to wait before the next try, ms. */
  meet(error: unknown): number {
    const pauseMs = Math.min(PAUSE_MS_MIN * 2 ** Math.min(this.#times, 16), PAUSE_MS_MAX);
    this.#times += 1;
    const cause = causeOf(error);
    const nowMs = this.#o.nowMs();
    if (nowMs - (this.#toldMs.get(cause) ?? -Infinity) >= TOLD_AGAIN_MS) {
      this.#toldMs.set(cause, nowMs);
      this.#o.logger.warn({ ...factsOf(error), times: this.#times }, this.#o.says.fails);
    }
    return pauseMs;
  }

  /** It succeeded. */
  over(): void {
    if (this.#times > 0) {
      this.#o.logger.warn({ times: this.#times }, this.#o.says.goesOn);
      this.#toldMs.clear();
      this.#times = 0;
    }
  }
}

/** A server's answers begin with a word for their kind; what follows may differ each time. */
function causeOf(error: unknown): string {
  const { name, message } = error as Error;
  return isReply(error) ? (message.split(" ", 1)[0] ?? "") : `${name} ${message}`;
}

/** Of a server's answer its text: the stack is the driver's, and the command may be of any length. */
function factsOf(error: unknown): object {
  return isReply(error)
    ? { reason: (error as Error).message.slice(0, REASON_CHARS_MAX) }
    : { err: error, code: errorCode(error) };
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}
