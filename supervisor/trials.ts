/**
 * Submissions that an intake has left behind: it died, or lost its connection. One of them may be what
 * it died of, and would take whoever reads it next with it, and so on for ever; the rest only lay
 * beside that one, and nothing may happen to them (21 A13, as for tokens).
 *
 * So each is claimed and tried alone, while its intake has nothing else in hand, and the pending list
 * counts trials: claiming sets the number of deliveries to `TRIED` times the trials begun. Whatever
 * delivers it otherwise, be it a read, or takeovers by an earlier version, adds less than one such, and
 * accuses nobody. A process that still turns a while after it began a trial, or whose trial failed
 * while it lived, has shown the submission to be innocent, whatever kills it later: the count begins
 * anew. So one whose trial is interrupted by chance would have to meet with that in its first moments,
 * `TRIALS_MAX` times on end.
 *
 * It is no chance where processes die of something else at about the same age, each soon after it has
 * begun. So the age at which one tries a submission doubles with the trials that this has had: what
 * dies at three seconds comes to its first trial, and to none of the others; what is well comes to all.
 */
import { setTimeout as delay } from "node:timers/promises";
import { globalKeys, INTAKE_GROUP } from "../sdk/internal.ts";
import type { Entry } from "./admit-batch.ts";
import type { SupervisorContext } from "./context.ts";

/** Trials of one submission before it is set apart. */
export const TRIALS_MAX = 5;
/** Deliveries that mean a trial: more than any reads and takeovers add up to. */
const TRIED = 1_000_000;
/** With `LOOK_MS` and a trial below what clients wait: whoever waits is answered by the next one. */
export const IDLE_MS = 5000;
/** What kills its process does so soon. */
const SOON_MS = 2000;

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number][];

export interface LeftBehind {
  id: string;
  /** Trials that were begun and not survived. */
  trials: number;
}

/** In tests otherwise, ms. */
interface Times {
  /** How soon what kills does so. */
  soonMs?: number | undefined;
  /** The age at which a process tries what has not been tried. */
  youngMs?: number | undefined;
}

export class Trials {
  readonly #context: SupervisorContext;
  readonly #soonMs: number;
  readonly #youngMs: number;
  readonly #begunMs: number;

  constructor(context: SupervisorContext, { soonMs, youngMs }: Times = {}) {
    this.#context = context;
    this.#soonMs = soonMs ?? SOON_MS;
    this.#youngMs = youngMs ?? SOON_MS;
    this.#begunMs = context.clock.monotonicMs();
  }

  /**
   * Those that nobody has touched lately and that this process is old enough to try, at most `count`;
   * first those that were tried least.
   */
  async leftBehind(count: number): Promise<LeftBehind[]> {
    const { redis } = this.#context;
    for (let from = "-"; ;) {
      const page = ["IDLE", IDLE_MS, from, "+", count] as const;
      const pending = await redis.xpending(globalKeys.submissions, INTAKE_GROUP, ...page);
      const found = pending as Pending;
      const left = found.map(([id, , , n]) => ({ id, trials: Math.floor(n / TRIED) }));
      const ripe = left.filter(({ trials }) => this.#isOldEnough(trials));
      if (ripe.length > 0 || found.length < count) {
        return ripe.sort((a, b) => a.trials - b.trials);
      }
      from = `(${left.at(-1)?.id}`;
    }
  }

  #isOldEnough(trials: number): boolean {
    const ageMs = this.#context.clock.monotonicMs() - this.#begunMs;
    // One that is only to be set apart is tried by nobody.
    return ageMs >= this.#youngMs * (trials < TRIALS_MAX ? 2 ** trials : 1);
  }

  /** Takes it, and counts the trial that begins; null: somebody else has it, or it is gone. */
  async begin({ id, trials }: LeftBehind): Promise<Entry | null> {
    const [entry] = await this.#claim(id, IDLE_MS, ["RETRYCOUNT", TRIED * (trials + 1)]);
    return entry ?? null;
  }

  /**
   * Forgets the trials if this one lives long enough, or fails. One that only sets apart what is
   * known to kill is not counted, then. `isAtRisk`: what may kill is under way in a thread.
   */
  async outlive<T>(
    { id, trials }: LeftBehind,
    trial: Promise<T>,
    isAtRisk: () => boolean,
  ): Promise<T> {
    // Whoever has it by now keeps on with it: admitting it twice is harmless. A count that cannot be
    // told stays: it is one trial more.
    const count = (n: number): Promise<unknown> =>
      this.#claim(id, 0, ["RETRYCOUNT", n, "JUSTID"]).catch(() => undefined);
    const forget = (): Promise<unknown> => count(trials < TRIALS_MAX ? 1 : TRIED * trials);
    const over = new AbortController();
    const isOver = (): Promise<boolean> =>
      delay(this.#soonMs, false, { signal: over.signal }).catch(() => true);
    const watch = async (): Promise<void> => {
      for (let isLong = false; !isLong && !(await isOver());) {
        isLong = !isAtRisk();
        // Touched, it is not idle: nobody else takes it for left behind.
        await (isLong ? forget() : count(TRIED * (trials + 1)));
      }
    };
    void watch();
    try {
      return await trial;
    } catch (error) {
      await forget();
      throw error;
    } finally {
      over.abort();
    }
  }

  async #claim(id: string, idleMs: number, how: (string | number)[]): Promise<(Entry | null)[]> {
    const { redis, id: consumer } = this.#context;
    const key = globalKeys.submissions;
    return (await redis.xclaim(key, INTAKE_GROUP, consumer, idleMs, id, ...how)) as never;
  }
}
