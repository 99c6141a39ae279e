/** Whether a process does its work: what /readyz answers, and two metrics say. */
import { inTime, type Clock } from "../../sdk/internal.ts";
import type { Database } from "../../sdk/postgres/index.ts";
import type { Watched } from "./watched.ts";

export interface Health {
  isReady: boolean;
  /** Null: nothing in this process asks it, as beside another one that has the embedded stack. */
  redis: boolean | null;
  /** Of a worker null: it goes on without. */
  postgres: boolean | null;
}

const ANSWER_MS = 1000;
/** Whoever asks meanwhile has the same answer. */
const FRESH_MS = 1000;

export interface HealthOptions {
  watched: Watched;
  db: Database;
  clock: Clock;
  /** Everything has started, and nothing is being stopped. */
  isRunning: () => boolean;
}

export class HealthLook {
  readonly #o: HealthOptions;
  /** Questions that are not answered yet, by whom they are asked of. */
  readonly #asked = new Map<object, Promise<boolean>>();
  #looking: Promise<Health> | null = null;
  #untilMs = -Infinity;

  constructor(options: HealthOptions) {
    this.#o = options;
  }

  /** As of a moment ago. Never fails. */
  look(): Promise<Health> {
    const nowMs = this.#o.clock.monotonicMs();
    if (this.#looking === null || nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + FRESH_MS;
      this.#looking = this.#look();
    }
    return this.#looking;
  }

  async #look(): Promise<Health> {
    const { workers, supervisors, gateways } = this.#o.watched;
    const parts = [...workers, ...supervisors, ...gateways];
    const needsDatabase = supervisors.length + gateways.length > 0;
    const text = "SELECT 1 AS one";
    const [redis, postgres] = await Promise.all([
      Promise.all(parts.map((part) => this.#isUp(part, () => part.ping()))),
      needsDatabase
        ? this.#isUp(this.#o.db, () => this.#o.db.query({ name: "metrics_ready", text }))
        : null,
    ]);
    const isHeard = redis.every(Boolean);
    const isReady = this.#o.isRunning() && isHeard && postgres !== false;
    return { isReady, redis: parts.length === 0 ? null : isHeard, postgres };
  }

  /** Of a store that is away a question waits for it: it is not asked again meanwhile. */
  #isUp(of: object, check: () => Promise<unknown>): Promise<boolean> {
    let asked = this.#asked.get(of);
    if (asked === undefined) {
      asked = check()
        .then(
          () => true,
          () => false,
        )
        .finally(() => this.#asked.delete(of));
      this.#asked.set(of, asked);
    }
    return inTime(asked, ANSWER_MS, false);
  }
}
