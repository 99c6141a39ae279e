/**
 * Releasing runs that have ended or are asleep: their keys go only after the archiver's commit.
 *
 * What a commit hands over is released at once. What a dead process left behind is found in the
 * partition's `release` set, where the script that ended a run has put it.
 */
import {
  evictRuns,
  isTerminal,
  partitionKeys,
  releaseRuns,
  SCRIPT_BATCH_MAX,
} from "../sdk/internal.ts";
import { runsById } from "../sdk/postgres/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { armedTimers, type EndedRun } from "./finalise.ts";
import { Loop } from "./loop.ts";
import { releaseMaps, releaseMapsOfEnded } from "./release-maps.ts";

const SWEEP_MS = 3000;
const QUEUE_MAX = 20_000;

/** A run and the record that tells of its sleep. */
interface Asleep {
  runId: string;
  seq: number;
}

export class Releaser extends Loop {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  #queue: EndedRun[] = [];
  #asleep: Asleep[] = [];
  #sweepAtMs = 0;
  /** Of this pass of the sweep: names still to look at, and those gone past. */
  #toSweep = 0;
  #passed = 0;

  constructor(context: SupervisorContext, partition: number) {
    super({
      name: `release ${partition}`,
      logger: context.logger,
      step: () => this.#step(),
    });
    this.#context = context;
    this.#partition = partition;
  }

  /** Hands over runs whose end is committed. Beyond a limit the sweep finds them later. */
  add(runs: readonly EndedRun[]): void {
    if (runs.length > 0 && this.#queue.length < QUEUE_MAX) {
      this.#queue.push(...runs);
      this.wake();
    }
  }

  /** Hands over runs whose sleep is committed. */
  evict(runs: readonly Asleep[]): void {
    if (runs.length > 0 && this.#asleep.length < QUEUE_MAX) {
      this.#asleep.push(...runs);
      this.wake();
    }
  }

  async #step(): Promise<number> {
    const asleep = this.#asleep.splice(0, SCRIPT_BATCH_MAX);
    if (asleep.length > 0) {
      await evictRuns(scriptsOf(this.#context, this.#partition), asleep);
      return 0;
    }
    const batch = this.#queue.splice(0, SCRIPT_BATCH_MAX);
    if (batch.length > 0) {
      await this.#release(batch);
      return 0;
    }
    const now = this.#context.clock.monotonicMs();
    if (now >= this.#sweepAtMs) {
      const left = await this.#sweep();
      this.#sweepAtMs = left ? 0 : now + SWEEP_MS;
      return left ? 1 : SWEEP_MS;
    }
    return this.#sweepAtMs - now;
  }

  async #release(batch: readonly EndedRun[]): Promise<void> {
    const timers = batch.flatMap((run) => run.timers);
    const scripts = scriptsOf(this.#context, this.#partition);
    const withMaps = batch.filter((run) => run.hasMaps).map((run) => run.runId);
    // Before the run: its hash and the list of its maps are what they are found by.
    await releaseMapsOfEnded(scripts, withMaps);
    await releaseRuns(
      scripts,
      batch.map((run) => run.runId),
      timers,
    );
  }

  /**
   * Releases a page of what is listed, ended and committed; true if the pass goes on. What stays
   * (not committed yet, or without a row, which `doctor --audit` names) is gone past, so it does not
   * keep the sweep from the rest. A pass ends: what comes to the list's end waits for the next.
   */
  async #sweep(): Promise<boolean> {
    const { redis } = this.#context;
    const { release } = partitionKeys(this.#partition);
    if (this.#toSweep <= 0) {
      this.#toSweep = await redis.zcard(release);
      this.#passed = 0;
    }
    const to = this.#passed + SCRIPT_BATCH_MAX - 1;
    const page = await redis.zrange(release, this.#passed, to, "WITHSCORES");
    const ids = page.filter((_, i) => i % 2 === 0);
    if (ids.length > 0) {
      await this.#releaseListed(ids);
      const scores = await redis.zmscore(release, ...ids);
      this.#passed += scores.filter((score, i) => score === page[2 * i + 1]).length;
    }
    this.#toSweep = ids.length < SCRIPT_BATCH_MAX ? 0 : this.#toSweep - ids.length;
    return this.#toSweep > 0;
  }

  async #releaseListed(ids: readonly string[]): Promise<void> {
    const scripts = scriptsOf(this.#context, this.#partition);
    const maps = ids.filter((id) => id.includes("!"));
    await releaseMaps(scripts, maps);
    const runIds = ids.filter((id) => !id.includes("!"));
    const rows = await runsById(this.#context.db, runIds);
    const asleep = rows.flatMap(({ id: runId, sleepSeq: seq }) =>
      seq === null ? [] : [{ runId, seq }],
    );
    await evictRuns(scripts, asleep);
    const committed = rows.filter((row) => isTerminal(row.status)).map((row) => row.id);
    if (committed.length > 0) {
      const timers = await armedTimers(this.#context, this.#partition, committed);
      await this.#release(
        committed.map((runId) => ({ runId, timers: timers.get(runId) ?? [], hasMaps: true })),
      );
    }
  }
}
