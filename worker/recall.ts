/**
 * Telling handlers to stop whose token is not wanted any more: their run was cancelled or has failed,
 * a join has fired without them, their round or map is over, somebody has settled their node by hand.
 *
 * Scripts name most such runs in the partition's `halted`; a lane hears of them with every read
 * (news.ts). A worker whose hands are full does not read, so it asks by itself for what it has had for
 * a while. The record of a token is read once for each halt of its run, and, because not all that makes
 * a token void is a halt, about as often as its lease is renewed: a handler that hangs must not keep its
 * place in the worker for ever. What is void gets its abort signal. Its answer is refused by the record,
 * as it would be without.
 */
import type { Redis } from "ioredis";
import type { Held, Leases } from "./leases.ts";
import type { Preparer } from "./prepare.ts";

/** Whatever is held for less is about to be settled: nobody asks because of it. */
const BRIEF_MS = 1000;

/** When a token's record was read last, and for which halt of its run. */
interface Look {
  atMs: number;
  haltedMs: number | undefined;
}

export class Recall {
  readonly #redis: Redis;
  readonly #leases: Leases;
  readonly #preparer: Preparer;
  readonly #everyMs: number;
  readonly #nowMs: () => number;
  readonly #looks = new WeakMap<Held, Look>();

  /** `everyMs`: how often a record is read without a halt. `nowMs`: the leases' clock. */
  constructor(options: {
    redis: Redis;
    leases: Leases;
    preparer: Preparer;
    everyMs: number;
    nowMs: () => number;
  }) {
    this.#redis = options.redis;
    this.#leases = options.leases;
    this.#preparer = options.preparer;
    this.#everyMs = options.everyMs;
    this.#nowMs = options.nowMs;
  }

  /** One look; aborts what is void. */
  async look(): Promise<void> {
    const { news } = this.#preparer;
    const now = this.#nowMs();
    const held = this.#leases.all().filter(({ sinceMs }) => now - sinceMs > BRIEF_MS);
    if (held.length === 0) {
      return;
    }
    await news.look(this.#redis);
    const due = held.filter((one) => this.#isDue(one, now));
    const areVoid = await this.#preparer.areVoid(due.map(({ token }) => token));
    due.forEach((one, i) => {
      if (areVoid[i] === true && this.#leases.has(one)) {
        one.abort.abort(new Error("nobody waits for the node any more, or its run has ended"));
      }
    });
  }

  #isDue(one: Held, now: number): boolean {
    const last = this.#looks.get(one) ?? { atMs: one.sinceMs, haltedMs: undefined };
    const haltedMs = this.#preparer.news.halts().get(one.token.runId) ?? last.haltedMs;
    const isDue = haltedMs !== last.haltedMs || now - last.atMs >= this.#everyMs;
    if (isDue) {
      this.#looks.set(one, { atMs: now, haltedMs });
    }
    return isDue;
  }
}
