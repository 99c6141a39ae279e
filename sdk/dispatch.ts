/**
 * The emergency stop: one order in Postgres that ends all dispatching in the deployment, until it is
 * taken back.
 *
 * Supervisors start no run while it stands; workers are told as they are told of paused queues
 * (supervisor/pauses.ts), and begin nothing more. It outlives Redis and every process. Nothing is
 * changed of any run: whatever was ready stays in its queue.
 */
import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import type { Clock } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import { EVERY_QUEUE, globalKeys } from "./keys.ts";
import {
  EVERY_VERSION,
  insertAudit,
  listPauses,
  putPause,
  removePause,
  stopOf,
  type Database,
  type Pause,
  type Queryable,
} from "./postgres/index.ts";
import type { Note } from "./redis/pause-scripts.ts";
import { queueStreams, underWay, type UnderWay } from "./redis/under-way.ts";

export interface DispatchOptions {
  redis: Redis;
  db: Database;
  clock: Clock;
  deployment(): Promise<{ id: string; partitions: number }>;
}

export interface DrainOptions {
  /** The lease of the workers, ms. */
  leaseMs: number;
  /** Gives up after so long, ms. */
  waitMs: number;
  /** Told at each look. */
  onLook?: (state: UnderWay) => void;
}

const LOOK_MS = 250;
const ALL = { kind: "all", name: "", version: EVERY_VERSION, state: "paused" } as const;

export class Dispatch {
  readonly #o: DispatchOptions;

  constructor(options: DispatchOptions) {
    this.#o = options;
  }

  /** Stops the deployment; one that is stopped stays so, by whoever did it first. */
  async stop(note: Note = {}): Promise<void> {
    const changedAtMs = this.#o.clock.nowMs();
    await this.#o.db.transaction(async (tx) => {
      const before = stopOf(await listPauses(tx));
      if (before === null) {
        await putPause(tx, { ...ALL, who: note.by ?? "", reason: note.why ?? "", changedAtMs });
        await this.#audit(tx, "all.stop", note);
      }
    });
    await this.#o.redis.sadd(globalKeys.pausedQueues, EVERY_QUEUE);
  }

  /** Takes that back: what is ready is read again within seconds. Throws GV_NOT_PAUSED. */
  async resume(note: Note = {}): Promise<void> {
    await this.#o.db.transaction(async (tx) => {
      if (!(await removePause(tx, ALL))) {
        const message = 'the deployment is not stopped; "gavotte pauses" lists what is paused';
        throw new GavotteError("GV_NOT_PAUSED", message);
      }
      await this.#audit(tx, "all.resume", note);
    });
    await this.#o.redis.srem(globalKeys.pausedQueues, EVERY_QUEUE);
  }

  /** Who has stopped the deployment, and when; null: nobody. */
  async stopped(): Promise<Pause | null> {
    return stopOf(await listPauses(this.#o.db));
  }

  /**
   * Waits until nobody executes anything and nobody reads a queue any more: from then on nothing
   * begins. Resolves with what is still under way when its time is over.
   */
  async drained({ leaseMs, waitMs, onLook }: DrainOptions): Promise<UnderWay> {
    const { redis } = this.#o;
    const untilMs = performance.now() + waitMs;
    const streams = await queueStreams(redis, (await this.#o.deployment()).partitions);
    for (;;) {
      const state = await underWay(redis, streams, leaseMs);
      onLook?.(state);
      const isOver = state.executing.size === 0 && state.reading.size === 0;
      if (isOver || performance.now() >= untilMs) {
        return state;
      }
      await sleep(LOOK_MS);
    }
  }

  async #audit(tx: Queryable, action: string, note: Note): Promise<void> {
    const { clock } = this.#o;
    await insertAudit(tx, [
      {
        ...{ id: randomUUID(), atMs: clock.nowMs(), who: note.by ?? "", action },
        ...{ runId: null, node: null, scope: null, reason: note.why ?? "" },
        ...{ before: null, after: null },
      },
    ]);
  }
}
