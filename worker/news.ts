/**
 * What a lane hears of its Redis along with every read: the time there, and which runs ended badly
 * or were paused within the last half minute (21 B1). Their tokens may still stand in a queue.
 *
 * It is asked in the same round trip, behind the entries, so a run that was halted before they were
 * read is known with them. Only what is new is asked for: scripts write the time of the same clock.
 */
import type { Redis } from "ioredis";

type Pipeline = ReturnType<Redis["pipeline"]>;
type Replies = readonly [error: Error | null, value: unknown][];

/** Entries that are older are checked by the records of their run: halts are forgotten by then. */
export const FRESH_MS = 30_000;
/** An answer that took longer says too little of what Redis' clock shows when it is heard. */
export const LATE_MS = 1000;
/** How often it is asked again for an answer in time. */
const LOOKS_MAX = 3;
/** Redis' clock may step back by this much between two questions. */
const SLACK_MS = 1000;

export class News {
  readonly #key: string;
  /** When each of them was halted, oldest first. */
  readonly #halted = new Map<string, number>();
  #sinceMs = 0;
  /** Redis' clock before this process's monotonic one, ms. */
  #aheadMs = 0;
  /** The last question had no answer: any run may have been halted since. */
  #isDeaf = false;
  /** What Redis' clock showed when it was heard last, ms. */
  #heardMs = 0;
  /** Until Redis' clock shows this, the ids of entries do not say when they were added. */
  #doubtMs = 0;

  /** `key`: the partition's runs that were halted. */
  constructor(key: string) {
    this.#key = key;
  }

  /** Redis' time now, in ms, as of the last read. */
  nowMs(): number {
    return performance.now() + this.#aheadMs;
  }

  /** Whether a run may have been halted lately. What goes on since may still be named. */
  isHalted(runId: string): boolean {
    return this.#isDeaf || (this.#halted.size > 0 && this.#halted.has(runId));
  }

  /**
   * Whether an entry with this time in its id may have stood in its queue for so long that a halt of
   * its run is forgotten. After Redis' clock was set back that may be any: streams go on with the ids
   * they had reached, until the clock shows more than those.
   */
  isOld(entryMs: number, redisMs: number): boolean {
    this.#mistrust(entryMs, redisMs);
    return entryMs < redisMs - FRESH_MS || redisMs < this.#doubtMs;
  }

  /** Runs that were halted lately, and when, Redis time in ms. */
  halts(): ReadonlyMap<string, number> {
    return this.#halted;
  }

  /** Adds the question to a pipeline. The time comes first: what is halted later, is so after it. */
  ask(pipeline: Pipeline): void {
    pipeline.time().zrangebyscore(this.#key, this.#sinceMs, "+inf", "WITHSCORES");
  }

  /** Takes the replies to `ask`. */
  hear(time: [string, string], halted: readonly string[]): void {
    const redisMs = Number(time[0]) * 1000 + Number(time[1]) / 1000;
    this.#aheadMs = redisMs - performance.now();
    this.#sinceMs = Math.floor(redisMs) - SLACK_MS;
    this.#isDeaf = false;
    this.#mistrust(this.#heardMs, redisMs);
    this.#heardMs = redisMs;
    for (let i = 0; i < halted.length; i += 2) {
      const runId = halted[i] as string;
      this.#halted.delete(runId);
      this.#halted.set(runId, Number(halted[i + 1]));
    }
    for (const [runId, ms] of this.#halted) {
      if (ms >= redisMs - FRESH_MS) {
        break;
      }
      this.#halted.delete(runId);
    }
  }

  /** Redis' clock has shown `earlierMs`, and shows `redisMs` now. */
  #mistrust(earlierMs: number, redisMs: number): void {
    if (earlierMs > redisMs + LATE_MS) {
      this.#doubtMs = Math.max(this.#doubtMs, earlierMs + FRESH_MS);
    }
  }

  /** Asks by itself; again if the answer was heard late. */
  async look(redis: Redis): Promise<void> {
    for (let looks = 1; ; looks++) {
      const pipeline = redis.pipeline();
      this.ask(pipeline);
      const askedMs = performance.now();
      const [time, halted] = await repliesOf(pipeline);
      if (performance.now() - askedMs <= LATE_MS || looks === LOOKS_MAX) {
        this.hear(time as [string, string], halted as string[]);
        return;
      }
    }
  }

  /**
   * Takes the replies to `ask` that came with entries; `isLate`: it is unknown how old they are.
   * Never fails, or the entries would be lost with it until their lease is over: without an answer
   * each is checked by the records of its run.
   */
  async hearOrLook(redis: Redis, replies: Replies, isLate: boolean): Promise<void> {
    const [time, halted] = replies;
    if (!isLate && time?.[0] === null && halted?.[0] === null) {
      this.hear(time[1] as [string, string], halted[1] as string[]);
      return;
    }
    await this.look(redis).catch(() => {
      this.#isDeaf = true;
    });
  }
}

/** The replies of a pipeline; throws the first error among them. */
export async function repliesOf(pipeline: Pipeline): Promise<unknown[]> {
  return ((await pipeline.exec()) ?? []).map(([error, value]) => {
    if (error !== null) {
      throw error;
    }
    return value;
  });
}
