/**
 * Puts sleeping runs back into Redis: those whose earliest timer is nearly due, and those that
 * somebody has asked for. Each is folded from its journal, as after a loss of Redis (rebuild-rows.ts).
 *
 * Several may be at it at one time (a former holder of the role that does not know it yet), so each
 * leaves a ticket in a run's place before it reads the journal, and the run is written only if the
 * ticket is still there. The row says that it is awake only afterwards, and only while the
 * partition's epoch is the same; whoever dies before leaves a row that is asleep and due, and the next
 * one finds the run in Redis and says so. A child that ended while its parent slept is put back after
 * the parent: its release then wakes the token that waits for it.
 *
 * A run that cannot be woken - its journal cannot be read, or it is too large for one call - is put
 * off and logged, and may be cancelled meanwhile; one in whose place something else stands is rebuilt as
 * one that is damaged, and is awake by that; whatever fails at one run, those beside it are woken
 * in the same look.
 */
import {
  beginWake,
  PAUSE_CAUSES,
  pauseRun,
  Profiles,
  redisTimeMs,
  releaseRuns,
  resumeRun,
  stageBlobs,
  suspectRun,
  wakeRun,
  type HotState,
  type RunProfile,
} from "../sdk/internal.ts";
import {
  claimWake,
  dueSleepers,
  isValueFault,
  isPaused,
  journalPages,
  listPauses,
  markAwake,
  putOffWake,
  runsById,
  type Awake,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { boundHashes } from "./bindings.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Children } from "./children.ts";
import { childrenAwaited, putBackEnded } from "./ended-children.ts";
import { Loop } from "./loop.ts";
import { publishIrs } from "./publish.ts";
import { NotStored } from "./rebuild-rows.ts";
import { triedFields } from "./repair-tries.ts";
import { foldPages, writeRun } from "./write-run.ts";
import { CommandList } from "./writer.ts";

/** So long before its earliest timer is due, a run is woken. */
export const WAKE_LEAD_MS = 5000;
const BATCH = 50;
const LOOK_MS = 250;
/** After others were at the same runs, or these could not be put back yet. */
const AGAIN_MS = 50;
/** After a run could not be woken. */
const PUT_OFF_MS = 60_000;

/** A rebuild is asked for once more after this. */
const REBUILT_MS = 2000;

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
  /** What failed in this look that may pass by itself. */
  #fault: Error | null = null;

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
    this.#fault = null;
    const woken = await this.#wake(due, epoch);
    if (this.#fault !== null) {
      throw this.#fault as Error;
    }
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
    const damaged = runs.filter((_, i) => turns[i]?.kind === "damaged").map(({ runId }) => runId);
    await this.#haveRebuilt(damaged);
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

  /** Something else stands in their places: their rebuild, which removes it, wakes them. */
  async #haveRebuilt(runIds: readonly string[]): Promise<void> {
    if (runIds.length > 0) {
      for (const runId of runIds) {
        await suspectRun(this.#scripts, { runId, status: "", epoch: "" });
      }
      const { db, logger } = this.#context;
      const facts = { partition: this.#partition, runs: runIds };
      logger.error(facts, "something else stands in the places of sleeping runs: they are rebuilt");
      const nowMs = await redisTimeMs(this.#scripts);
      await putOffWake(db, [...runIds], nowMs + WAKE_LEAD_MS + REBUILT_MS);
    }
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
    const published = new Set<string>();
    const nowMs = await redisTimeMs(this.#scripts);
    const write = async ({ row }: { row: RunRow }): Promise<Woken | null> => {
      const { profile, state } = await this.#folded(row, published);
      const scripts = this.#scripts;
      const staged = await stageBlobs(this.#context.db, scripts, row.id);
      const list = new CommandList();
      if (staged !== null) {
        const blobs = scripts.keys.blobs(row.id);
        list.rename(staged, blobs);
        list.persist(blobs);
      }
      list.del(scripts.keys.run(row.id));
      writeRun(list, profile, row, state, nowMs);
      const { commands } = list;
      const isOurs = await wakeRun(scripts, { runId: row.id, ticket, commands });
      return isOurs ? { row, state } : null;
    };
    return this.#each(rows.map(wrapped), (run) =>
      write(run).catch(async (error: unknown) => {
        void (isLasting(error) && (await this.#letEnd(ticket, run.row, error)));
        throw error;
      }),
    );
  }

  /** One that cannot be woken may be cancelled where it is: its ticket says what fails. */
  async #letEnd(ticket: string, row: RunRow, error: unknown): Promise<void> {
    const { keys } = this.#scripts;
    const list = new CommandList();
    list.hset(keys.run(row.id), triedFields(row, 1, error));
    list.zadd(keys.release, await redisTimeMs(this.#scripts), row.id);
    await wakeRun(this.#scripts, { runId: row.id, ticket, commands: list.commands });
  }

  /** Runs that are in Redis although their rows are asleep: whoever put them back went no further. */
  async #found(there: ReadonlyMap<string, number>): Promise<Woken[]> {
    const rows = await runsById(this.#context.db, [...there.keys()]);
    return this.#each(rows.map(wrapped), async ({ row }) => {
      const { state } = await this.#folded(row);
      return { row: { ...row, epoch: there.get(row.id) ?? row.epoch }, state };
    });
  }

  /** The state that a run's journal leads to. Its workflows are put where workers look for them. */
  async #folded(
    row: RunRow,
    published?: Set<string>,
  ): Promise<{ profile: RunProfile; state: HotState }> {
    const { db, irs } = this.#context;
    const workflows = await irs.load([row.irHash, ...boundHashes(row.bindings)]);
    const stored = workflows.get(row.irHash);
    if (stored === undefined) {
      throw new NotStored(row.irHash);
    }
    if (published !== undefined) {
      const fresh = [...workflows.values()].filter(({ hash }) => !published.has(hash));
      await publishIrs(this.#context, fresh);
      fresh.forEach(({ hash }) => published.add(hash));
    }
    const { partition, namespace, priority } = row;
    const profile = new Profiles().add(stored.ir, row.irHash, { partition, namespace, priority });
    return { profile, state: await foldPages(profile, journalPages(db, row.id)) };
  }

  /** What follows once they are in Redis; returns how many rows say so now. */
  async #settle(woken: readonly Woken[], epoch: number): Promise<number> {
    if (woken.length === 0) {
      return 0;
    }
    const { db } = this.#context;
    const pauses = await listPauses(db);
    const settled = await this.#each(woken, async ({ row, state }) => {
      const ended = await putBackEnded(this.#context, this.#partition, childrenAwaited(state));
      if (ended.length > 0) {
        await releaseRuns(this.#scripts, ended, []);
      }
      if (isPaused(pauses, row.workflow, row.version)) {
        await pauseRun(this.#scripts, row.id, "workflow");
      } else if (state.pauseCauses.includes(PAUSE_CAUSES.workflow)) {
        await resumeRun(this.#scripts, row.id, "workflow");
      }
      return row;
    });
    const awake = settled.flatMap((row): Awake[] =>
      row.sleepSeq === null ? [] : [{ runId: row.id, seq: row.sleepSeq, epoch: row.epoch }],
    );
    const marked = await markAwake(db, { partition: this.#partition, epoch }, awake);
    // One that was woken because nobody waits for it is cancelled before it sleeps again.
    this.#children.look(settled.flatMap((row) => row.parentRunId ?? []));
    return marked.length;
  }

  /**
   * What `work` gives for each of these runs that is not null. One whose values make it fail is put
   * off; of others the look ends with what failed, after all have had their turn.
   */
  async #each<R extends { row: RunRow }, T>(
    runs: readonly R[],
    work: (run: R) => Promise<T | null>,
  ): Promise<T[]> {
    const done: T[] = [];
    for (const run of runs) {
      try {
        const one = await work(run);
        void (one !== null && done.push(one));
      } catch (error) {
        if (isLasting(error)) {
          await this.#putOff(run.row.id, error);
        } else {
          this.#fault = error as Error;
        }
      }
    }
    return done;
  }

  async #putOff(runId: string, error: unknown): Promise<void> {
    const { db, logger } = this.#context;
    logger.error(
      { err: error, partition: this.#partition, run: runId, againMs: PUT_OFF_MS },
      "a run cannot be woken: it stays asleep, with all it has, and is tried again; " +
        "what it lacks is to be put back into Postgres",
    );
    await putOffWake(db, [runId], (await redisTimeMs(this.#scripts)) + WAKE_LEAD_MS + PUT_OFF_MS);
  }
}

/** The next try fails as well, until somebody puts right what Postgres has. */
const isLasting = (error: unknown): boolean => isValueFault(error) || error instanceof NotStored;

const wrapped = (row: RunRow): { row: RunRow } => ({ row });

interface Woken {
  /** With the epoch that the run has in Redis. */
  row: RunRow;
  state: HotState;
}
