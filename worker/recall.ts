/**
 * Telling handlers to stop whose token is not wanted any more: their run was cancelled or has failed,
 * or a join has fired without them.
 *
 * Scripts name such runs in the partition's `halted`; a lane hears of them with every read (news.ts). A
 * worker whose hands are full does not read, so it asks by itself for what it has had for a while. The
 * record of a token is read once for each halt of its run; what is void by it gets its abort signal.
 * Its answer is refused by the record, as it would be without.
 */
import type { Redis } from "ioredis";
import type { Held, Leases } from "./leases.ts";
import type { Preparer } from "./prepare.ts";

/** Whatever is held for less is about to be settled: nobody asks because of it. */
const BRIEF_MS = 1000;

export class Recall {
  readonly #redis: Redis;
  readonly #leases: Leases;
  readonly #preparer: Preparer;
  readonly #nowMs: () => number;
  /** The halt for which a record was read last. */
  readonly #seen = new WeakMap<Held, number>();

  /** `nowMs`: the leases' clock. */
  constructor(redis: Redis, leases: Leases, preparer: Preparer, nowMs: () => number) {
    this.#redis = redis;
    this.#leases = leases;
    this.#preparer = preparer;
    this.#nowMs = nowMs;
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
    for (const one of held) {
      const haltedMs = news.halts().get(one.token.runId);
      if (haltedMs === undefined || this.#seen.get(one) === haltedMs) {
        continue;
      }
      this.#seen.set(one, haltedMs);
      const [preparation] = await this.#preparer.prepare([one.token], true);
      if (preparation?.kind === "drop" && this.#leases.has(one)) {
        one.abort.abort(new Error("the node was cancelled, or its run has ended"));
      }
    }
  }
}
