/**
 * The audit that never stops: one unfinished run after the other, a few per minute, round and round.
 *
 * What it finds is logged and kept beside the partition's runs for `gavotte doctor`. It repairs
 * nothing: a run that is off is a defect of the engine or somebody's hand, and people should see it
 * before it is gone. Any number of supervisors may run it, each a few runs.
 */
import { partitionKeys, driftText, type Drift } from "../../sdk/internal.ts";
import { FIRST_RUN, unfinishedRuns } from "../../sdk/postgres/index.ts";
import type { SupervisorContext } from "../context.ts";
import { Loop } from "../loop.ts";
import { findDrifts } from "./audit-run.ts";
import { StreamIndex } from "./streams.ts";

const MINUTE_MS = 60_000;
const STREAM_PAGES_MAX = 5;
/** Runs whose findings are kept, per partition; and for how long. */
const KEPT_MAX = 100;
const KEPT_MS = 86_400_000;
/** Nothing to look at: the next look. */
const IDLE_MS = 10_000;

/** What was found about one run, as it is kept. */
export interface KeptFinding {
  atMs: number;
  drifts: Drift[];
}

export class AuditSampler extends Loop {
  readonly #context: SupervisorContext;
  #partition = 0;
  #after = FIRST_RUN;

  /** `runsPerMinute` at least 1. */
  constructor(context: SupervisorContext, runsPerMinute: number) {
    super({
      name: "audit",
      logger: context.logger,
      step: async () => ((await this.look()) ? MINUTE_MS / runsPerMinute : IDLE_MS),
    });
    this.#context = context;
  }

  /** Audits the next run; false: there was none in any partition. */
  async look(): Promise<boolean> {
    const { db, deployment } = this.#context;
    // One more than there are: the partition it stands in may only have run out.
    for (let tried = 0; tried <= deployment.partitions; tried++) {
      const partition = this.#partition;
      const [row] = await unfinishedRuns(db, partition, this.#after, 1);
      if (row !== undefined) {
        this.#after = row;
        await this.#audit(partition, row.id);
        return true;
      }
      await this.#forgetOld(partition);
      this.#partition = (partition + 1) % deployment.partitions;
      this.#after = FIRST_RUN;
    }
    return false;
  }

  async #audit(partition: number, runId: string): Promise<void> {
    const { redis, db, irs, logger, clock } = this.#context;
    const streams = new StreamIndex(redis, STREAM_PAGES_MAX);
    const found = await findDrifts({ redis, db, irs }, partition, runId, { streams });
    const drifts = found.filter(({ harmless }) => harmless !== true);
    const key = partitionKeys(partition).findings;
    if (drifts.length === 0) {
      await redis.hdel(key, runId);
      return;
    }
    logger.error(
      { run: runId, partition, drifts: drifts.map(driftText) },
      "an audit found a drift",
    );
    const kept: KeptFinding = { atMs: clock.nowMs(), drifts };
    if ((await redis.hlen(key)) < KEPT_MAX) {
      await redis.hset(key, runId, JSON.stringify(kept));
    }
  }

  /** Findings of runs that have ended since are kept for a day. */
  async #forgetOld(partition: number): Promise<void> {
    const { redis, clock } = this.#context;
    const key = partitionKeys(partition).findings;
    const all = Object.entries(await redis.hgetall(key));
    const old = all.filter(([, text]) => {
      return (JSON.parse(text) as KeptFinding).atMs < clock.nowMs() - KEPT_MS;
    });
    if (old.length > 0) {
      await redis.hdel(key, ...old.map(([runId]) => runId));
    }
  }
}
