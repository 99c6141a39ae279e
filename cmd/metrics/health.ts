/** Whether a process does its work: what /readyz answers, and two metrics say. */
import { inTime, type Clock } from "../../sdk/internal.ts";
import type { Database } from "../../sdk/postgres/index.ts";
import type { Watched } from "./watched.ts";

export interface Health {
  isReady: boolean;
  redis: boolean;
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
      Promise.all(parts.map((part) => isUp(part.ping()))),
      needsDatabase ? isUp(this.#o.db.query({ name: "metrics_ready", text })) : null,
    ]);
    const isHeard = parts.length > 0 && redis.every(Boolean);
    const isReady = this.#o.isRunning() && isHeard && postgres !== false;
    return { isReady, redis: isHeard, postgres };
  }
}

function isUp(check: Promise<unknown>): Promise<boolean> {
  const up = check.then(
    () => true,
    () => false,
  );
  return inTime(up, ANSWER_MS, false);
}
