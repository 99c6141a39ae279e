/**
 * What a run's end leaves in its row: output, error, and the timers to take off.
 *
 * A workflow with an `output` template brings its output in the journal. Without one the output is
 * that of the terminal nodes, which the run hash still holds: it is released only after the commit
 * that this prepares. Should it be gone all the same, the archived journal has them too.
 */
import {
  BlobError,
  isBlobText,
  parseBlobText,
  partitionKeys,
  RunView,
  terminalFields,
  terminalOutput,
  unlessForeign,
  type RunError,
  type Transition,
} from "../sdk/internal.ts";
import {
  isValueFault,
  parseSegment,
  readJournals,
  runsById,
  type RunChange,
} from "../sdk/postgres/index.ts";
import { resolveOutput } from "./blobs.ts";
import type { SupervisorContext } from "./context.ts";
import { transitionsOf, type BlockFold, type RunFold } from "./block-fold.ts";
import type { StoredIr } from "./ir-store.ts";
import { readDone } from "./records.ts";

export interface Finalised {
  changes: readonly RunChange[];
  ended: EndedRun[];
  /** Workflows of the runs that the block says something about beyond plain steps. */
  irs: ReadonlyMap<string, StoredIr>;
}

export interface EndedRun {
  runId: string;
  /** Timer members that may still be armed. */
  timers: string[];
  /** It may have keys of maps. */
  hasMaps: boolean;
}

/** What ends leave, by run. */
interface Ends {
  outputs: Map<string, string>;
  errors: Map<string, RunError>;
  timers: Map<string, string[]>;
}

/** Hashes of running runs, so that a run's end need not look it up. */
const HASHES_MAX = 50_000;

/** Of one run, in full; a statement takes about as much again, and less than 1 GiB. */
const OUTPUT_BYTES_MAX = 256 * 1024 * 1024;

export class Finaliser {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #outputBytesMax: number;
  readonly #hashes = new Map<string, string>();
  constructor(context: SupervisorContext, partition: number, outputBytesMax = OUTPUT_BYTES_MAX) {
    this.#context = context;
    this.#partition = partition;
    this.#outputBytesMax = outputBytesMax;
  }

  /**
   * Changes of rows that a block makes. Reads only; may be repeated. With `apart` each ended run is
   * looked at by itself: one whose end cannot be worked out is told, and has as little as in `bare`.
   */
  async finalise(
    block: BlockFold,
    apart?: (run: RunFold, error: unknown) => void,
  ): Promise<Finalised> {
    const { ended } = block;
    const irs = await this.#irs(block);
    const { outputs, errors, timers } =
      apart === undefined ? await this.#ends(ended, irs) : await this.#endsApart(ended, irs, apart);
    const changes = changesOf(block, outputs, errors);
    const release = ended.map(({ runId }) => ({
      runId,
      timers: timers.get(runId) ?? [],
      hasMaps: irs.get(runId)?.hasMaps ?? true,
    }));
    return { changes, ended: release, irs };
  }

  async #ends(ended: readonly RunFold[], irs: ReadonlyMap<string, StoredIr>): Promise<Ends> {
    const [outputs, timers] = await Promise.all([
      this.#outputs(ended, irs),
      this.#timers(ended, irs),
    ]);
    return { outputs, errors: await this.#errors(ended, irs), timers };
  }

  async #endsApart(
    ended: readonly RunFold[],
    irs: ReadonlyMap<string, StoredIr>,
    apart: (run: RunFold, error: unknown) => void,
  ): Promise<Ends> {
    const all: Ends = { outputs: new Map(), errors: new Map(), timers: new Map() };
    for (const run of ended) {
      try {
        const own = await this.#ends([run], irs);
        own.outputs.forEach((output, id) => all.outputs.set(id, output));
        own.errors.forEach((error, id) => all.errors.set(id, error));
        own.timers.forEach((timers, id) => all.timers.set(id, timers));
      } catch (error) {
        if (!isValueFault(error)) {
          throw error;
        }
        apart(run, error);
        void (run.error !== null && all.errors.set(run.runId, run.error));
      }
    }
    return all;
  }

  /** What can be said without a look at anything but the block: statuses, and errors that it has. */
  bare(block: BlockFold): Finalised {
    const ended = block.ended.map(({ runId }) => ({ runId, timers: [], hasMaps: true }));
    const errors = block.ended.flatMap(({ runId, error }): [string, RunError][] =>
      error === null ? [] : [[runId, error]],
    );
    return { changes: changesOf(block, new Map(), new Map(errors)), ended, irs: new Map() };
  }

  /** The workflows of runs that need a look; a run of which nothing is known is absent. */
  async #irs(block: BlockFold): Promise<Map<string, StoredIr>> {
    const { irs, db } = this.#context;
    const wanted = new Set([...block.leaveChildren, ...block.withErrors]);
    [block.ended, block.dead, block.audit].forEach((list) =>
      list.forEach(({ runId }) => wanted.add(runId)),
    );
    block.redriven.forEach(({ id }) => wanted.add(id));
    block.runs.forEach(({ runId, inRounds }) => void (inRounds && wanted.add(runId)));
    // Apart from what is remembered, which may be forgotten in the middle of a block.
    const hashes = new Map<string, string>();
    for (const runId of wanted) {
      const hash = block.runs.get(runId)?.irHash ?? this.#hashes.get(runId);
      if (hash !== undefined) {
        hashes.set(runId, hash);
      }
    }
    for (const { runId, irHash } of block.runs.values()) {
      if (irHash !== null) {
        this.#remember(runId, irHash);
      }
    }
    const unknown = [...wanted].filter((runId) => !hashes.has(runId));
    for (const row of await runsById(db, unknown)) {
      hashes.set(row.id, row.irHash);
      this.#remember(row.id, row.irHash);
    }
    const stored = await irs.load(hashes.values());
    const byRun = new Map<string, StoredIr>();
    for (const [runId, hash] of hashes) {
      const ir = stored.get(hash);
      if (ir !== undefined) {
        byRun.set(runId, ir);
      }
    }
    return byRun;
  }

  /** Forgets runs whose end is committed. */
  forget(ended: readonly EndedRun[]): void {
    ended.forEach(({ runId }) => this.#hashes.delete(runId));
  }

  #remember(runId: string, hash: string): void {
    if (this.#hashes.size >= HASHES_MAX) {
      this.#hashes.clear();
    }
    this.#hashes.set(runId, hash);
  }

  /** A blob that is gone or damaged leaves its reference: the run has ended all the same. */
  async #resolve(runId: string, text: string): Promise<string> {
    try {
      return await resolveOutput(this.#context, this.#partition, runId, text);
    } catch (error) {
      if (!(error instanceof BlobError)) {
        throw error;
      }
      this.#context.logger.error({ err: error, run: runId }, "the run's output is not complete");
      return text;
    }
  }

  /** Outputs of runs, large ones in full: as the journal brings them, else as the hash has them. */
  async #outputs(
    ended: readonly RunFold[],
    irs: ReadonlyMap<string, StoredIr>,
  ): Promise<Map<string, string>> {
    const outputs = new Map<string, string>();
    const wanted: RunFold[] = [];
    for (const run of ended) {
      const output = run.output ?? outputIn(run, irs.get(run.runId));
      if (output !== null) {
        const { runId } = run;
        outputs.set(runId, isBlobText(output) ? await this.#resolve(runId, output) : output);
      } else if (run.status === "COMPLETED") {
        wanted.push(run);
      }
    }
    const gone: RunFold[] = [];
    await Promise.all(
      wanted.map(async (run) => {
        const output = await this.#readOutput(run.runId, irs.get(run.runId));
        void (output === null ? gone.push(run) : outputs.set(run.runId, output));
      }),
    );
    for (const [runId, transitions] of await this.history(gone)) {
      const ir = irs.get(runId);
      if (ir !== undefined) {
        outputs.set(runId, JSON.stringify(fold(ir, transitions).output));
      }
    }
    return outputs;
  }

  /** From the hash; null: released, redriven, or rolled back since its end was read. */
  async #readOutput(runId: string, ir: StoredIr | undefined): Promise<string | null> {
    const key = partitionKeys(this.#partition).run(runId);
    const fields = terminalFields(ir?.terminals ?? []);
    const read = this.#context.redis.hmget(key, "s", ...fields);
    const [status, ...values] = await unlessForeign(read, []);
    if (status !== "completed" || ir === undefined) {
      return null;
    }
    // What does not fit beside the rest stays a reference, and can be read by itself.
    let room = this.#outputBytesMax;
    const resolve = async (text: string): Promise<string> => {
      room -= parseBlobText(text)?.bytes ?? text.length;
      if (room >= 0) {
        return this.#resolve(runId, text);
      }
      this.#context.logger.error({ run: runId }, "the run's output is too large to be kept whole");
      return text;
    };
    return terminalOutput(ir.ir, ir.terminals, values, resolve);
  }

  async #errors(
    ended: readonly RunFold[],
    irs: ReadonlyMap<string, StoredIr>,
  ): Promise<Map<string, RunError>> {
    const errors = new Map<string, RunError>();
    const unnamed: RunFold[] = [];
    for (const run of ended) {
      if (run.error !== null) {
        errors.set(run.runId, run.error);
      } else if (run.status === "FAILED") {
        unnamed.push(run);
      }
    }
    for (const [runId, transitions] of await this.history(unnamed)) {
      const ir = irs.get(runId);
      const error = ir === undefined ? null : fold(ir, transitions).error;
      errors.set(runId, error ?? { code: "HANDLER_ERROR", message: "a node failed" });
    }
    return errors;
  }

  /** All transitions of runs: those archived and those of the block at hand. */
  async history(runs: readonly RunFold[]): Promise<Map<string, Transition[]>> {
    const all = new Map<string, Transition[]>();
    if (runs.length === 0) {
      return all;
    }
    const archived = await readJournals(
      this.#context.db,
      runs.map((run) => run.runId),
    );
    for (const run of runs) {
      const before = archived.get(run.runId) ?? [];
      const now = parseSegment(run.runId, transitionsOf(run));
      all.set(
        run.runId,
        [...before, ...now].map(({ transition }) => transition),
      );
    }
    return all;
  }

  async #timers(
    ended: readonly RunFold[],
    irs: ReadonlyMap<string, StoredIr>,
  ): Promise<Map<string, string[]>> {
    const runs = ended.filter(({ runId }) => irs.get(runId)?.hasTimers ?? true);
    return armedTimers(
      this.#context,
      this.#partition,
      runs.map((run) => run.runId),
    );
  }
}

function changesOf(
  block: BlockFold,
  outputs: ReadonlyMap<string, string>,
  errors: ReadonlyMap<string, RunError>,
): RunChange[] {
  const changes: RunChange[] = [];
  for (const run of block.runs.values()) {
    const { runId, status, startedAtMs, endedAtMs, businessStatus, tTo: atMs } = run;
    // A child's row is inserted as that of a run that has begun.
    const isNews = status !== null && (run.child === null || status !== "RUNNING");
    if (isNews || businessStatus !== undefined) {
      const failure = errors.get(runId);
      const error = failure === undefined ? null : JSON.stringify(failure);
      const output = outputs.get(runId) ?? null;
      const own = businessStatus === undefined ? {} : { businessStatus };
      changes.push({ id: runId, status, startedAtMs, endedAtMs, output, error, atMs, ...own });
    }
  }
  return changes;
}

/** Timer members that runs noted in their hash, by run. */
export async function armedTimers(
  context: SupervisorContext,
  partition: number,
  runIds: readonly string[],
): Promise<Map<string, string[]>> {
  const keys = partitionKeys(partition);
  const timers = new Map<string, string[]>();
  await Promise.all(
    runIds.map(async (runId) => {
      const names = await unlessForeign(context.redis.hkeys(keys.run(runId)), []);
      const armed = names.filter((name) => /^d\d+$/.test(name));
      if (armed.length > 0) {
        const members = await context.redis.hmget(keys.run(runId), ...armed);
        timers.set(
          runId,
          members.filter((member) => member !== null),
        );
      }
    }),
  );
  return timers;
}

/** The output of a run whose only terminal node ended last: the journal has just brought it. */
function outputIn({ done, status }: RunFold, ir: StoredIr | undefined): string | null {
  if (status !== "COMPLETED" || done === null || ir?.terminals.length !== 1) {
    return null;
  }
  const last = readDone(done);
  return last !== null && last.node === ir.terminals[0] ? last.output : null;
}

/** The run as its whole journal tells it. */
function fold(stored: StoredIr, transitions: readonly Transition[]): RunView {
  const view = new RunView(stored.ir);
  transitions.forEach((transition) => view.apply(transition, 0));
  return view;
}
