/**
 * Circuits by hand: what there is of them, and opening or closing one whatever its executions come to.
 *
 * The state is in Redis only (redis/circuit-scripts.ts), so an order by hand ends with a loss of Redis,
 * too. Who gave it, and why, is in the audit in Postgres, before it takes effect.
 */
import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";
import type { Clock } from "./clock.ts";
import { insertAudit, type Database } from "./postgres/index.ts";
import {
  closeCircuit,
  listCircuit,
  listCircuits,
  openCircuit,
  readCircuit,
  type CircuitView,
} from "./redis/circuit-scripts.ts";
import type { Note } from "./redis/pause-scripts.ts";

export class CircuitControl {
  readonly #redis: Redis;
  readonly #db: Database;
  readonly #clock: Clock;

  constructor(options: { redis: Redis; db: Database; clock: Clock }) {
    this.#redis = options.redis;
    this.#db = options.db;
    this.#clock = options.clock;
  }

  /** Circuits that are not closed or have failures, by name. */
  list(): Promise<CircuitView[]> {
    return listCircuits(this.#redis);
  }

  /**
   * Opens a circuit, also one that nothing has asked for yet: for `forMs`, after which one execution
   * may try; without it until it is closed by hand.
   */
  async open(name: string, { forMs = null, ...note }: Note & { forMs?: number | null }) {
    const until = forMs === null ? null : new Date(this.#clock.nowMs() + forMs).toISOString();
    await this.#audit("circuit.open", name, note, { until });
    await listCircuit(this.#redis, name, this.#clock.nowMs());
    await openCircuit(this.#redis, name, forMs);
  }

  /** Closes a circuit and forgets its failures; false: it was closed and had none. */
  async close(name: string, note: Note): Promise<boolean> {
    await this.#audit("circuit.close", name, note, {});
    return closeCircuit(this.#redis, name);
  }

  async #audit(action: string, circuit: string, note: Note, after: object): Promise<void> {
    const { state } = await readCircuit(this.#redis, circuit);
    await insertAudit(this.#db, [
      {
        ...{ id: randomUUID(), atMs: this.#clock.nowMs(), who: note.by ?? "", action },
        ...{ runId: null, node: null, scope: null, reason: note.why ?? "" },
        before: JSON.stringify({ circuit, state }),
        after: JSON.stringify({ circuit, ...after }),
      },
    ]);
  }
}
