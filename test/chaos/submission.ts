/**
 * Who submits. Redis alone acknowledges the queue (25 §Queue submission), so it does what a careful
 * client does: it says each run's id itself, and submits again what has no row.
 */
import { setTimeout as pause } from "node:timers/promises";
import { uuidv7 } from "uuidv7";
import { globalKeys } from "../../sdk/internal.ts";
import type { Listeners } from "./listeners.ts";
import type { ChaosStack } from "./stack.ts";
import type { Submitted } from "./verdict.ts";
import type { Watch } from "./watch.ts";
import { inputOf, type Workload } from "./workloads.ts";

const BATCH = 50;
/** A lost Redis takes submissions with it, which are submitted again later: no reason to stop. */
const PATIENCE_MS = 3000;
/** So often what is missing is looked for. */
const AGAIN_BATCHES = 4;
const KNOWN = { name: "chaos_known", text: "SELECT id FROM runs WHERE id = ANY($1::text[])" };

export class Submission {
  /** What was submitted so far. */
  readonly runs: Submitted[] = [];
  readonly #stack: ChaosStack;
  readonly #workloads: readonly Workload[];
  readonly #log: (text: string) => void;

  constructor(stack: ChaosStack, workloads: readonly Workload[], log: (text: string) => void) {
    this.#stack = stack;
    this.#workloads = workloads;
    this.#log = log;
  }

  /**
   * Keeps about so many runs going, so that there is always something to break, until there are
   * `max()` of them. `loses`: Redis may lose what is submitted.
   */
  async keepGoing(
    { watch, listeners }: { watch: Watch; listeners: Listeners },
    { inFlight, max, loses }: { inFlight: number; max: () => number; loses: boolean },
  ): Promise<void> {
    for (let batches = 1; this.runs.length < max(); batches++) {
      const limit = performance.now() + (loses ? PATIENCE_MS : Infinity);
      while (this.runs.length - watch.ended > inFlight && performance.now() < limit) {
        await pause(10);
      }
      const count = Math.min(BATCH, max() - this.runs.length);
      const batch = Array.from({ length: count }, (_, i) => this.#next(this.runs.length + i));
      this.runs.push(...batch);
      await this.#submit(batch);
      listeners.watch(batch);
      if (batches % AGAIN_BATCHES === 0) {
        await this.again();
      }
    }
  }

  #next(n: number): Submitted {
    const workload = this.#workloads[n % this.#workloads.length] as Workload;
    return { runId: uuidv7(), n, workload };
  }

  /** A store that is away is no reason to give up: what did not arrive is submitted again. */
  async #submit(runs: readonly Submitted[]): Promise<void> {
    for (const { runId, n, workload } of runs) {
      const text = JSON.stringify({
        ...{ workflow: workload.document, run_id: runId, input: inputOf(n) },
        ...{ idempotency_key: runId, ...workload.scenario?.submission },
      });
      const sent = this.#stack.redis.xadd(globalKeys.submissions, "*", "submission", text);
      await sent.catch(() => undefined);
    }
  }

  /** Submits again what has no row, once nothing waits in the queue. */
  async again(): Promise<void> {
    const { redis, db } = this.#stack;
    const waiting = await redis.xlen(globalKeys.submissions).catch(() => 1);
    if (waiting > 0) {
      return;
    }
    const known = new Set<string>();
    for (let from = 0; from < this.runs.length; from += 1000) {
      const ids = this.runs.slice(from, from + 1000).map(({ runId }) => runId);
      const rows = await db.query<{ id: string }>(KNOWN, [ids]).catch(() => []);
      rows.forEach(({ id }) => known.add(id));
    }
    const missing = this.runs.filter(({ runId }) => !known.has(runId));
    if (known.size > 0 && missing.length > 0) {
      this.#log(`${missing.length} submissions were lost with Redis: submitted again`);
      await this.#submit(missing);
    }
  }
}
