/**
 * What a run's end leaves in its row: output, error, and the timers to take off.
 *
 * A workflow with an `output` template brings its output in the journal. Without one the output is
 * that of the terminal nodes, which the run hash still holds: it is released only after the commit
 * that this prepares. Should it be gone all the same, the archived journal has them too.
 */
import {
  BlobError,
  partitionKeys,
  RunView,
  terminalFields,
  terminalOutput,
  type RunError,
  type Transition,
} from "../sdk/internal.ts";
import { parseSegment, readJournals, runsById, type RunChange } from "../sdk/postgres/index.ts";
import { resolveOutput } from "./blobs.ts";
import type { SupervisorContext } from "./context.ts";
import type { BlockFold, RunFold } from "./fold-block.ts";
import type { StoredIr } from "./ir-store.ts";

export interface Finalised {
  changes: RunChange[];
  ended: EndedRun[];
}

export interface EndedRun {
  runId: string;
  /** Timer members that may still be armed. */
  timers: string[];
  /** It may have keys of maps. */
  hasMaps: boolean;
}

/** Hashes of running runs, so that a run's end need not look it up. */
const HASHES_MAX = 50_000;

export class Finaliser {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #hashes = new Map<string, string>();
  /** Its starts are remembered. */
  #block: BlockFold | null = null;

  constructor(context: SupervisorContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
  }

  /** Changes of rows that a block makes. Reads only; may be repeated. */
  async finalise(block: BlockFold): Promise<Finalised> {
    const changed = [...block.runs.values()].filter((run) => run.status !== null);
    const ended = changed.filter((run) => run.endedAtMs !== null);
    const irs = await this.irsOf(block, ended);
    const [outputs, timers] = await Promise.all([
      this.#outputs(ended, irs),
      this.#timers(ended, irs),
    ]);
    const errors = await this.#errors(ended, irs);
    const written = await this.#written(changed);
    const changes = changed.map((run): RunChange => {
      const error = errors.get(run.runId) ?? null;
      return {
        id: run.runId,
        status: run.status as RunChange["status"],
        startedAtMs: run.startedAtMs,
        endedAtMs: run.endedAtMs,
        output: written.get(run.runId) ?? outputs.get(run.runId) ?? null,
        error: error === null ? null : JSON.stringify(error),
        atMs: run.tTo,
      };
    });
    const release = ended.map(({ runId }) => ({
      runId,
      timers: timers.get(runId) ?? [],
      hasMaps: irs.get(runId)?.hasMaps ?? true,
    }));
    return { changes, ended: release };
  }

  /** The workflows of `runs`; a run of which nothing is known is absent. */
  async irsOf(
    block: BlockFold,
    runs: readonly { runId: string }[],
  ): Promise<Map<string, StoredIr>> {
    const { irs, db } = this.#context;
    if (this.#block !== block) {
      this.#block = block;
      for (const { runId, irHash } of block.runs.values()) {
        if (irHash !== null) {
          this.#remember(runId, irHash);
        }
      }
    }
    const unknown = runs.filter(({ runId }) => !this.#hashes.has(runId));
    for (const row of await runsById(
      db,
      unknown.map(({ runId }) => runId),
    )) {
      this.#remember(row.id, row.irHash);
    }
    const hashes = runs.flatMap(({ runId }) => this.#hashes.get(runId) ?? []);
    const stored = await irs.load(hashes);
    const byRun = new Map<string, StoredIr>();
    for (const { runId } of runs) {
      const ir = stored.get(this.#hashes.get(runId) ?? "");
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

  /** Outputs that the journal brings, large ones in full. */
  async #written(runs: readonly RunFold[]): Promise<Map<string, string>> {
    const written = new Map<string, string>();
    for (const { runId, output } of runs) {
      if (output !== null) {
        written.set(runId, await this.#resolve(runId, output));
      }
    }
    return written;
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

  async #outputs(
    ended: readonly RunFold[],
    irs: ReadonlyMap<string, StoredIr>,
  ): Promise<Map<string, string>> {
    const wanted = ended.filter((run) => run.status === "COMPLETED" && run.output === null);
    const keys = partitionKeys(this.#partition);
    const outputs = new Map<string, string>();
    const gone: RunFold[] = [];
    await Promise.all(
      wanted.map(async (run) => {
        const ir = irs.get(run.runId);
        const terminals = ir?.terminals ?? [];
        // Its only terminal node ended last: the journal has just brought the output.
        const { done } = run;
        const isOnly = terminals.length === 1 && done?.node === terminals[0];
        if (isOnly && done !== null && done.output !== null) {
          outputs.set(run.runId, done.output);
          return;
        }
        const fields = terminalFields(terminals);
        const values = await this.#context.redis.hmget(keys.run(run.runId), "s", ...fields);
        // Released, redriven, or rolled back since its end was read: then the journal tells.
        if (values[0] !== "completed") {
          gone.push(run);
        } else if (ir !== undefined) {
          const resolve = (text: string): Promise<string> => this.#resolve(run.runId, text);
          const read = values.slice(1);
          outputs.set(run.runId, await terminalOutput(ir.ir, terminals, read, resolve));
        }
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
      const now = parseSegment(run.runId, `[${run.parts.join(",")}]`);
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
      const names = await context.redis.hkeys(keys.run(runId));
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

/** The run as its whole journal tells it. */
function fold(stored: StoredIr, transitions: readonly Transition[]): RunView {
  const view = new RunView(stored.ir);
  transitions.forEach((transition) => view.apply(transition, 0));
  return view;
}
