/**
 * Until when runs may be started, and under which epoch of their partition.
 *
 * A deadline is by the clock of the partition's server, and asked before the rows' status is read;
 * the epoch is one that this process had heard of before it. Whatever is started later, or under
 * another epoch, is refused: the run may have ended since, and nothing be left that says so (21 A9). An
 * old deadline only refuses earlier, so it is used again for a moment; an old epoch never is.
 */
import { setTimeout as delay } from "node:timers/promises";
import { inTime, redisTimeMs, START_WINDOW_MS, type Redis } from "../sdk/internal.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";

/** By partition. */
export type Deadlines = ReadonlyMap<number, { notAfterMs: number; since: string }>;

/** Of all of their servers that have answered. */
type Times = ReadonlyMap<number, number>;

const SERVER_MS = 1000;
/** For so long deadlines are used again: an earlier one only refuses earlier. */
const DEADLINES_MS = 1000;
/** So long a process that begins waits for certificates: mostly they are on their way. */
const HEAR_MS = 5000;
const HEAR_AGAIN_MS = 20;

export class StartDeadlines {
  readonly #context: SupervisorContext;
  #times: Times = new Map();
  #timesAtMs = -Infinity;
  /** Until then, monotonic, it waits for epochs that it has not heard of; null: all were known. */
  #hearUntilMs: number | null = null;

  constructor(context: SupervisorContext) {
    this.#context = context;
  }

  /**
   * By the clock of each partition's server: its time plus the start window. A server that is away has
   * none, nor a partition of which this process has heard no epoch yet: a run might have ended under
   * any. What is to be started there stays QUEUED for the sweep.
   */
  async read(): Promise<Deadlines> {
    const times = await this.#timesSoon();
    await this.#hear([...times.keys()]);
    const deadlines = new Map<number, { notAfterMs: number; since: string }>();
    for (const [partition, notAfterMs] of times) {
      // Never an old one: a start that was refused for it would be refused again.
      const since = scriptsOf(this.#context, partition).knownEpoch;
      void (since !== null && deadlines.set(partition, { notAfterMs, since }));
    }
    return deadlines;
  }

  /** Looks for the epochs of partitions in which this process has called nothing yet. */
  async #hear(partitions: readonly number[]): Promise<void> {
    const { clock, signal } = this.#context;
    for (;;) {
      const all = partitions.map((partition) => scriptsOf(this.#context, partition));
      const unheard = all.filter(({ knownEpoch }) => knownEpoch === null);
      if (unheard.length === 0) {
        return;
      }
      this.#hearUntilMs ??= clock.monotonicMs() + HEAR_MS;
      await Promise.all(unheard.map((of) => inTime(of.look(), SERVER_MS, undefined)));
      const isOver = signal.aborted || clock.monotonicMs() >= this.#hearUntilMs;
      if (isOver || unheard.every(({ knownEpoch }) => knownEpoch !== null)) {
        return;
      }
      await delay(HEAR_AGAIN_MS);
    }
  }

  async #timesSoon(): Promise<Times> {
    const askedMs = this.#context.clock.monotonicMs();
    if (askedMs - this.#timesAtMs < DEADLINES_MS) {
      return this.#times;
    }
    const times = await this.#askTimes();
    // One that is missing is asked for again at once.
    if (times.size === this.#context.deployment.partitions) {
      [this.#times, this.#timesAtMs] = [times, askedMs];
    }
    return times;
  }

  async #askTimes(): Promise<Times> {
    const byServer = new Map<Redis, Promise<number | null>>();
    const deadlines = new Map<number, number>();
    for (let partition = 0; partition < this.#context.deployment.partitions; partition++) {
      const { redis } = scriptsOf(this.#context, partition);
      byServer.set(redis, byServer.get(redis) ?? this.#deadline(partition, redis));
    }
    // All of them together: an answer that fails while another one is awaited would be nobody's, and an
    // error that is nobody's ends the process.
    const times = await Promise.all(byServer.values());
    const at = new Map([...byServer.keys()].map((redis, i) => [redis, times[i]]));
    for (let partition = 0; partition < this.#context.deployment.partitions; partition++) {
      const ms = at.get(scriptsOf(this.#context, partition).redis);
      void (typeof ms === "number" && deadlines.set(partition, ms));
    }
    return deadlines;
  }

  /** Where servers are many, none is waited for: the others are not to stand still. */
  async #deadline(partition: number, redis: Redis): Promise<number | null> {
    const asked = redisTimeMs(scriptsOf(this.#context, partition)).then(
      (ms) => ms + START_WINDOW_MS,
    );
    return redis === this.#context.redis ? asked : inTime(asked, SERVER_MS, null);
  }
}
