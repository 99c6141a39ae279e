/** How far the journal in Redis runs ahead of its archive, looked at several times a second. */
import { setTimeout as pause } from "node:timers/promises";
import { backlogBytes, globalKeys } from "../../sdk/internal.ts";
import { readCursor } from "../../sdk/postgres/index.ts";
import type { ChaosStack } from "../chaos/stack.ts";
import { keys } from "./scene.ts";

const LOOK_MS = 100;

export interface Look {
  /** Last record of the journal, and the last that Postgres is known to have. */
  seq: number;
  archived: number;
  /** Of the journal's stream, its archived tail included. */
  bytes: number;
  /** Submissions that no one has taken yet. */
  queued: number;
}

export class Gauge {
  readonly #stack: ChaosStack;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();
  #changedMs = performance.now();
  /** Postgres is not asked: what it was last known to have is what it has. */
  isAway = false;
  seen: Look = { seq: 0, archived: 0, bytes: 0, queued: 0 };
  /** The most of each that was seen, from the start on. */
  readonly peak = { records: 0, bytes: 0, queued: 0 };
  /** Longest time of the absence in which nothing was journalled, ms. */
  standstillMs = 0;

  constructor(stack: ChaosStack) {
    this.#stack = stack;
  }

  /** Records that are not archived. */
  get backlog(): number {
    return Math.max(0, this.seen.seq - this.seen.archived);
  }

  start(): void {
    this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      await this.#look().catch(() => undefined); // an answer that does not come is no look
      await pause(LOOK_MS, undefined, { signal: this.#stop.signal }).catch(() => undefined);
    }
  }

  async #look(): Promise<void> {
    const { redis, db } = this.#stack;
    const [seq, bytes, queued] = await Promise.all([
      redis.hget(keys.meta, "seq"),
      backlogBytes(redis, keys),
      redis.xlen(globalKeys.submissions),
    ]);
    const cursor = this.isAway ? null : await readCursor(db, 0).catch(() => null);
    const now = performance.now();
    if (!this.isAway || Number(seq ?? 0) !== this.seen.seq) {
      this.#changedMs = now;
    }
    this.standstillMs = Math.max(this.standstillMs, Math.round(now - this.#changedMs));
    const archived = cursor?.seq ?? this.seen.archived;
    this.seen = { seq: Number(seq ?? 0), archived, bytes, queued };
    this.peak.records = Math.max(this.peak.records, this.backlog);
    this.peak.bytes = Math.max(this.peak.bytes, bytes);
    this.peak.queued = Math.max(this.peak.queued, queued);
  }
}
