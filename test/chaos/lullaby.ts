/** Has runs fall asleep that wait for no more than a moment, so that faults meet sleepers and wakers. */
import { setTimeout as pause } from "node:timers/promises";
import { globalKeys, hibernateRuns, ScriptRunner } from "../../sdk/internal.ts";
import type { ChaosStack } from "./stack.ts";

const AWAKE = {
  name: "chaos_awake",
  text: `SELECT id FROM runs WHERE status = 'RUNNING' AND asleep_since_ms IS NULL
    ORDER BY random() LIMIT 50`,
};
const ROUND_MS = 150;

export class Lullaby {
  /** How often a run fell asleep. */
  count = 0;
  readonly #stack: ChaosStack;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(stack: ChaosStack) {
    this.#stack = stack;
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#round().catch(() => undefined); // a store is away
      await pause(ROUND_MS, undefined, { signal }).catch(() => undefined);
    }
  }

  async #round(): Promise<void> {
    const { redis, db } = this.#stack;
    const deployment = await redis.hget(globalKeys.deployment, "id");
    const rows = await db.query<{ id: string }>(AWAKE);
    if (deployment !== null && rows.length > 0) {
      const options = { redis, deployment, partition: 0, signal: this.#stop.signal };
      const ids = rows.map(({ id }) => id);
      const answers = await hibernateRuns(new ScriptRunner(options), ids, 0);
      this.count += answers.filter((answer) => answer === "asleep").length;
    }
  }
}
