/** What the last runs wait for, when for a while none has ended: a slow end must have a reason. */
import type { Ir } from "../../compiler/ir.ts";
import { definitionsByHash } from "../../sdk/postgres/definitions.ts";
import { explainRun, type Reason } from "../../supervisor/index.ts";
import { LEASE_MS, type ChaosStack } from "./stack.ts";

const QUIET_MS = 15_000;
const RUNS_MAX = 8;

export class LastRuns {
  readonly #stack: ChaosStack;
  readonly #log: (text: string) => void;
  #ended = -1;
  #sinceMs = 0;
  /** What each of them waited for, and for how much longer by the clock of Redis. */
  readonly reasons: string[] = [];

  constructor(stack: ChaosStack, log: (text: string) => void) {
    this.#stack = stack;
    this.#log = log;
  }

  /** Told how many have ended and which have not; asks these if it has been quiet for long. */
  async look(ended: number, open: readonly { id: string; status: string }[]): Promise<void> {
    const now = performance.now();
    if (ended !== this.#ended) {
      this.#ended = ended;
      this.#sinceMs = now;
    } else if (now - this.#sinceMs > QUIET_MS) {
      this.#sinceMs = now;
      for (const { id, status } of open.slice(0, RUNS_MAX)) {
        await this.#ask(id, status);
      }
    }
  }

  async #ask(runId: string, status: string): Promise<void> {
    const { redis, db } = this.#stack;
    const irOf = async (hash: string): Promise<Ir | null> => {
      const [definition] = await definitionsByHash(db, [hash]);
      return definition === undefined ? null : (JSON.parse(definition.ir) as Ir);
    };
    const { reasons } = await explainRun({ redis, partition: 0, runId, irOf, leaseMs: LEASE_MS });
    const [seconds] = await redis.time();
    const nowMs = Number(seconds) * 1000;
    const texts = reasons.map((reason) => `${reason.kind}${dueIn(reason, nowMs)}: ${reason.text}`);
    const text = `${runId} ${status}: ${texts.join("; ") || "no reason"}`;
    this.reasons.push(text);
    this.#log(`still open: ${text}`);
  }
}

function dueIn(reason: Reason, nowMs: number): string {
  const due = "dueMs" in reason ? reason.dueMs : null;
  return due === null ? "" : ` (due in ${((due - nowMs) / 1000).toFixed(0)} s)`;
}
