/**
 * Puts sleeping runs back into Redis: those whose earliest timer is nearly due, and those that
 * somebody has asked for. Each is folded from its journal, as after a loss of Redis (rebuild.ts).
 *
 * Several may be at it at one time (a former holder of the role that does not know it yet), so each
 * leaves a ticket in a run's place before it reads the journal, and the run is written only if the
 * ticket is still there. The row says that it is awake only afterwards, and only while the
 * partition's epoch is the same; whoever dies before leaves a row that is asleep and due, and the next
 * one finds the run in Redis and says so. A child that ended while its parent slept is put back after
 * the parent: its release then wakes the token that waits for it.
 */
import {
  beginWake,
  globalKeys,
  PAUSE_CAUSES,
  pauseRun,
  Profiles,
  redisTimeMs,
  releaseRuns,
  resumeRun,
  wakeRun,
  type HotState,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  claimWake,
  dueSleepers,
  isPaused,
  listPauses,
  markAwake,
  readJournals,
  runsById,
  type Awake,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { restoreBlobs } from "./blobs.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Children } from "./children.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { Loop } from "./loop.ts";
import type { StoredIr } from "./ir-store.ts";
import { foldHot, writeRun } from "./rebuild.ts";
import { boundHashes } from "./starter.ts";
import { CommandList } from "./writer.ts";

/** So long before its earliest timer is due, a run is woken. */
export const WAKE_LEAD_MS = 5000;
const BATCH = 50;
const LOOK_MS = 250;
/** After others were at the same runs, or these could not be put back yet. */
const AGAIN_MS = 50;

/** What the certifier of the partition knows. */
interface Certified {
  /** The partition's epoch; null: not certified. */
  readonly epoch: number | null;
}

export class Waker extends Loop {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #certified: Certified;
  readonly #children: Pick<Children, "look">;

  constructor(
    context: SupervisorContext,
    partition: number,
    certified: Certified,
    children: Pick<Children, "look">,
  ) {
    super({
      name: `waker ${partition}`,
      logger: context.logger,
      step: () => this.look(),
    });
    this.#context = context;
    this.#partition = partition;
    this.#certified = certified;
    this.#children = children;
  }

  /** Wakes what is due; resolves with the ms to wait before the next look. */
  async look(): Promise<number> {
    const { db, logger } = this.#context;
    const { epoch } = this.#certified;
    if (epoch === null) {
      return LOOK_MS;
    }
    const beforeMs = (await redisTimeMs(this.#scripts)) + WAKE_LEAD_MS;
    const due = await dueSleepers(db, this.#partition, beforeMs, BATCH);
    if (due.length === 0) {
      return LOOK_MS;
    }
    const woken = await this.#wake(due, epoch);
    logger.info({ partition: this.#partition, due: due.length, woken }, "runs were woken");
    return woken === 0 ? AGAIN_MS : 0;
  }

  get #scripts(): ReturnType<typeof scriptsOf> {
    return scriptsOf(this.#context, this.#partition);
  }

  async #wake(due: readonly RunRow[], epoch: number): Promise<number> {
    const runs = due.flatMap(({ id: runId, sleepSeq: seq }) =>
      seq === null ? [] : [{ runId, seq }],
    );
    const ticket = this.#scripts.nonce();
    const turns = await beginWake(this.#scripts, ticket, runs);
    const ours = runs.filter((_, i) => turns[i]?.kind === "yours").map(({ runId }) => runId);
    const rows = await claimWake(this.#context.db, ours);
    await this.#takeBack(ticket, ours, rows);
    const written = await this.#write(ticket, rows);
    const there = new Map<string, number>();
    runs.forEach(({ runId }, i) => {
      const turn = turns[i];
      void (turn?.kind === "awake" && there.set(runId, turn.epoch));
    });
    return this.#settle([...written, ...(await this.#found(there))], epoch);
  }

  /** Takes tickets back that were left in the places of runs which are not asleep any more. */
  async #takeBack(ticket: string, ours: readonly string[], rows: readonly RunRow[]): Promise<void> {
    const asleep = new Set(rows.map(({ id }) => id));
    for (const runId of ours.filter((id) => !asleep.has(id))) {
      const commands = [["DEL", this.#scripts.keys.run(runId)]];
      await wakeRun(this.#scripts, { runId, ticket, commands });
    }
  }

  /** Writes runs in whose places the ticket is; resolves with those that are awake by it. */
  async #write(ticket: string, rows: readonly RunRow[]): Promise<Woken[]> {
    const { redis, clock } = this.#context;
    const workflows = await this.#workflows(rows);
    for (const { hash, text } of workflows.values()) {
      await redis.set(globalKeys.ir(hash), text);
      await redis.zadd(globalKeys.irUse, clock.nowMs(), hash);
    }
    const woken: Woken[] = [];
    for (const { row, profile, state } of await this.#folded(rows, workflows)) {
      const list = new CommandList();
      list.del(this.#scripts.keys.run(row.id), this.#scripts.keys.blobs(row.id));
      await restoreBlobs(this.#context, this.#partition, row.id, list);
      writeRun(list, profile, row, state, clock.nowMs());
      const { commands } = list;
      if (await wakeRun(this.#scripts, { runId: row.id, ticket, commands })) {
        woken.push({ row, state });
      }
    }
    return woken;
  }

  /** Runs that are in Redis although their rows are asleep: whoever put them back went no further. */
  async #found(there: ReadonlyMap<string, number>): Promise<Woken[]> {
    const rows = await runsById(this.#context.db, [...there.keys()]);
    const folded = await this.#folded(rows, await this.#workflows(rows));
    return folded.map(({ row, state }) => {
      return { row: { ...row, epoch: there.get(row.id) ?? row.epoch }, state };
    });
  }

  #workflows(rows: readonly RunRow[]): Promise<Map<string, StoredIr>> {
    const bound = rows.flatMap((row) => boundHashes(row.bindings));
    return this.#context.irs.load([...rows.map((row) => row.irHash), ...bound]);
  }

  async #folded(
    rows: readonly RunRow[],
    workflows: ReadonlyMap<string, StoredIr>,
  ): Promise<(Woken & { profile: RunProfile })[]> {
    const ids = rows.map(({ id }) => id);
    const journals = await readJournals(this.#context.db, ids);
    const profiles = new Profiles();
    return rows.flatMap((row) => {
      const stored = workflows.get(row.irHash);
      if (stored === undefined) {
        return [];
      }
      const { partition, namespace, priority } = row;
      const profile = profiles.add(stored.ir, row.irHash, { partition, namespace, priority });
      return [{ row, profile, state: foldHot(profile, journals.get(row.id) ?? []) }];
    });
  }

  /** What follows once they are in Redis; returns how many rows say so now. */
  async #settle(woken: readonly Woken[], epoch: number): Promise<number> {
    if (woken.length === 0) {
      return 0;
    }
    const { db } = this.#context;
    const children = woken.flatMap(({ state }) => childrenAwaited(state));
    const ended = await putBackEnded(this.#context, this.#partition, children);
    if (ended.length > 0) {
      await releaseRuns(this.#scripts, ended, []);
    }
    const pauses = await listPauses(db);
    for (const { row, state } of woken) {
      if (isPaused(pauses, row.workflow, row.version)) {
        await pauseRun(this.#scripts, row.id, "workflow");
      } else if (state.pauseCauses.includes(PAUSE_CAUSES.workflow)) {
        await resumeRun(this.#scripts, row.id, "workflow");
      }
    }
    const awake = woken.flatMap(({ row }): Awake[] =>
      row.sleepSeq === null ? [] : [{ runId: row.id, seq: row.sleepSeq, epoch: row.epoch }],
    );
    const marked = await markAwake(db, { partition: this.#partition, epoch }, awake);
    // One that was woken because nobody waits for it is cancelled before it sleeps again.
    this.#children.look(woken.flatMap(({ row }) => row.parentRunId ?? []));
    return marked.length;
  }
}

interface Woken {
  /** With the epoch that the run has in Redis. */
  row: RunRow;
  state: HotState;
}
