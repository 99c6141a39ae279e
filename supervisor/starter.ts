/**
 * Starting runs whose rows are committed: their IR is put where workers look for it
 * (start-workflows.ts), then the start script creates their hot state.
 *
 * A start is never late: it carries a deadline by Redis' clock, read before the row's status was
 * (start-deadlines.ts), and release leaves a tombstone that outlives the deadline twice (21 A9). A
 * loss of Redis takes the tombstones with it: so a start is also refused under another epoch of its
 * partition than the one that was known before the row was read, and its row is read again. Where
 * none was known, nothing is started. So starting a row twice, from any number of processes, is
 * harmless; what was too late or whose process died stays QUEUED and the sweep takes it up again
 * (start-sweep.ts).
 */
import type { Priority } from "../compiler/ir.ts";
import {
  inTime,
  isFull,
  SCRIPT_BATCH_MAX,
  START,
  startRuns,
  type RunStart,
} from "../sdk/internal.ts";
import { isPaused, listPauses, stopOf } from "../sdk/postgres/index.ts";
import { boundHashes } from "./bindings.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { MemoryGauge } from "./memory-gauge.ts";
import { StartDeadlines, type Deadlines } from "./start-deadlines.ts";
import { StartProfiles } from "./start-profiles.ts";
import { largeOf, withLarge } from "./start-values.ts";
import { noteNamespaces } from "./standing-namespaces.ts";
import { StartWorkflows } from "./start-workflows.ts";

export interface Startable {
  id: string;
  irHash: string;
  partition: number;
  namespace: string;
  priority: Priority;
  input: string;
  /** 1 if absent: it was never in Redis. */
  epoch?: number;
  /** JSON text: reference to hash of the workflows that its tree may run. */
  bindings?: string | null;
  /** JSON text of the fields that it begins with in the middle. */
  start?: string | null;
}

const START_MS = 5000;
/** Text of inputs, and of what is given for nodes, in one start call; a call holds at least one run. */
const START_CHARS_MAX = 4_000_000;

export class Starter {
  readonly #context: SupervisorContext;
  readonly #profiles = new StartProfiles();
  readonly #memory: MemoryGauge;
  readonly #deadlines: StartDeadlines;
  readonly #workflows: StartWorkflows;

  constructor(context: SupervisorContext) {
    this.#context = context;
    this.#memory = new MemoryGauge(context);
    this.#deadlines = new StartDeadlines(context);
    this.#workflows = new StartWorkflows(context);
  }

  /** Until when starts are allowed. Call it before the rows' status is read. */
  deadlines(): Promise<Deadlines> {
    return this.#deadlines.read();
  }

  /**
   * Starts what is not started yet; returns how many runs this call started. None where Redis is
   * almost full: their rows stay QUEUED, and the sweep starts them when there is room.
   */
  async start(runs: readonly Startable[], deadlines: Deadlines): Promise<number> {
    const tight = await this.#memory.tight(new Set(runs.map((run) => run.partition)));
    const roomy = tight.size === 0 ? runs : runs.filter((run) => !tight.has(run.partition));
    if (roomy.length === 0) {
      return 0;
    }
    noteNamespaces(
      this.#context,
      roomy.map(({ namespace }) => namespace),
    );
    try {
      return await this.#start(roomy, deadlines);
    } catch (error) {
      if (!isFull(error)) {
        throw error;
      }
      this.#memory.refused();
      return 0;
    }
  }

  async #start(runs: readonly Startable[], deadlines: Deadlines): Promise<number> {
    const bound = runs.flatMap(({ bindings }) => boundHashes(bindings));
    const irs = await this.#context.irs.load([...runs.map((run) => run.irHash), ...bound]);
    // Pauses are read after the rows are committed: one that comes later finds them in Postgres.
    const [pauses, there] = await Promise.all([
      listPauses(this.#context.db),
      this.#workflows.publish(irs),
    ]);
    if (stopOf(pauses) !== null) {
      return 0; // they stay QUEUED, and the sweep starts them when all is resumed
    }
    const starts = new Map<number, RunStart[]>();
    for (const run of runs) {
      const stored = irs.get(run.irHash);
      if (stored === undefined) {
        this.#context.logger.error({ run: run.id, ir: run.irHash }, "its definition is not stored");
        continue;
      }
      const profile = this.#profiles.of(stored.ir, run);
      const { id: runId, epoch = 1, input, bindings = null, start = null } = run;
      const { notAfterMs } = deadlines.get(run.partition) ?? {};
      const needs = [run.irHash, ...boundHashes(bindings)].filter((hash) => irs.has(hash));
      const isReadable = needs.every((hash) => there.has(hash));
      if (notAfterMs === undefined || !isReadable) {
        continue;
      }
      const list = starts.get(run.partition) ?? [];
      starts.set(run.partition, list);
      const paused = isPaused(pauses, stored.ir.name, stored.ir.workflow_version);
      list.push({ profile, runId, epoch, input, notAfterMs, paused, bindings, start });
    }
    const counts = await Promise.all(
      [...starts].map(([partition, list]) => {
        const { since } = deadlines.get(partition) as { since: string };
        return this.#startSoon(partition, list, since);
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** On a cluster what takes long goes on by itself: the sweep looks after it. */
  async #startSoon(partition: number, list: RunStart[], since: string): Promise<number> {
    const starting = this.#startIn(partition, list, since);
    const isShared = scriptsOf(this.#context, partition).redis === this.#context.redis;
    return isShared ? starting : inTime(starting, START_MS, 0);
  }

  async #startIn(partition: number, list: RunStart[], since: string): Promise<number> {
    const scripts = scriptsOf(this.#context, partition);
    let started = 0;
    while (list.length > 0) {
      let count = 0;
      let chars = 0;
      for (const run of list) {
        chars += run.input.length + (run.start?.length ?? 0);
        for (const { bytes } of largeOf(run)) {
          chars += bytes;
        }
        if (count > 0 && (count >= SCRIPT_BATCH_MAX || chars > START_CHARS_MAX)) {
          break;
        }
        count++;
      }
      const codes = await startRuns(
        scripts,
        await withLarge(this.#context.db, list.splice(0, count)),
        since,
      );
      started += codes.filter((code) => code === START.started).length;
    }
    return started;
  }
}
