/**
 * Trouble with the world that comes back with every try, as long as it lasts: a database that is away, a
 * server that is a replica for now, one that loads its data. It is told once for each cause, whoever
 * meets it, then now and then, or a log would have thousands of lines about one thing; and once when the
 * last one that met it is through. Tries come more slowly meanwhile.
 */
import type { Logger } from "pino";
import { errorCode } from "./errors.ts";

const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 1000;
const TOLD_AGAIN_MS = 30_000;
const REASON_CHARS_MAX = 300;
/** Texts may hold what differs each time: with so many causes it begins anew. */
const CAUSES_MAX = 100;

export interface TroubleOptions {
  logger: Logger;
  nowMs: () => number;
  /** What does not succeed, and what is said when it does again. */
  says: { fails: string; goesOn: string };
}

interface Cause {
  sinceMs: number;
  toldMs: number;
  times: number;
  /** Who met it, and is not through. */
  open: Set<string>;
  /** Whether somebody who met it is through. */
  isMended: boolean;
}

export class Trouble {
  readonly #o: TroubleOptions;
  readonly #causes = new Map<string, Cause>();
  /** How often on end each has failed. */
  readonly #times = new Map<string, number>();

  constructor(options: TroubleOptions) {
    this.#o = options;
  }

  /** It failed once more, for `who` of those that share this; how long to wait before the next, ms. */
  meet(error: unknown, who = ""): number {
    const times = this.#times.get(who) ?? 0;
    this.#times.set(who, times + 1);
    this.#tell(error, who);
    return Math.min(PAUSE_MS_MIN * 2 ** Math.min(times, 16), PAUSE_MS_MAX);
  }

  /** It succeeded. */
  over(who = ""): void {
    if (this.#times.delete(who)) {
      this.#leave(who, true);
    }
  }

  /** It will not try any more: whether the others are through is for them to say. */
  giveUp(who = ""): void {
    if (this.#times.delete(who)) {
      this.#leave(who, false);
    }
  }

  #tell(error: unknown, who: string): void {
    const nowMs = this.#o.nowMs();
    const name = causeOf(error);
    if (!this.#causes.has(name) && this.#causes.size >= CAUSES_MAX) {
      this.#causes.clear();
    }
    const begun = { sinceMs: nowMs, toldMs: -Infinity, times: 0, open: new Set<string>() };
    const cause = this.#causes.get(name) ?? { ...begun, isMended: false };
    this.#causes.set(name, cause);
    cause.open.add(who);
    cause.times += 1;
    if (nowMs - cause.toldMs >= TOLD_AGAIN_MS) {
      cause.toldMs = nowMs;
      const facts = { ...(who !== "" && { what: who }), ...factsOf(error), times: cause.times };
      this.#o.logger.warn(facts, this.#o.says.fails);
    }
  }

  /** Ends what nobody meets any more; those that end with one are told with one line. */
  #leave(who: string, isMended: boolean): void {
    const ended: string[] = [];
    let [times, sinceMs] = [0, Infinity];
    for (const [name, cause] of this.#causes) {
      if (cause.open.delete(who)) {
        cause.isMended ||= isMended;
        if (cause.open.size === 0) {
          this.#causes.delete(name);
          if (cause.isMended) {
            ended.push(name);
            times += cause.times;
            sinceMs = Math.min(sinceMs, cause.sinceMs);
          }
        }
      }
    }
    if (ended.length > 0) {
      const forMs = Math.round(this.#o.nowMs() - sinceMs);
      this.#o.logger.warn({ causes: ended, times, forMs }, this.#o.says.goesOn);
    }
  }
}

/** What has a code is known by it; a server's answer by its first word: what follows may differ. */
function causeOf(error: unknown): string {
  const code = errorCode(error);
  if (code !== null) {
    return code;
  }
  const { name, message } = error as Error;
  return isReply(error) ? (message.split(" ", 1)[0] ?? "") : `${name} ${message}`;
}

/** The stack of what has a code, or is a server's answer, is the driver's; the command of any length. */
function factsOf(error: unknown): object {
  const code = errorCode(error);
  const isKnown = code !== null || isReply(error);
  const facts = isKnown
    ? { reason: (error as Error).message.slice(0, REASON_CHARS_MAX) }
    : { err: error };
  return code === null ? facts : { ...facts, code };
}

function isReply(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}
