/**
 * Tidying up what processes that died left behind: consumers, rows of the worker registry, IRs that
 * no unfinished run uses, old answers, runs whose command was killed. Any number may run; nothing
 * here is urgent. How old something is goes by the database's clock: a machine's may be set ahead.
 */
import type { Redis } from "ioredis";
import {
  GROUP,
  globalKeys,
  INTAKE_GROUP,
  partitionKeys,
  PRIORITIES,
  removeConsumer,
} from "../sdk/internal.ts";
import {
  collectBlobs,
  databaseTimeMs,
  FIRST_BLOB,
  removeDeadWorkers,
  usedHashes,
  type BlobCursor,
} from "../sdk/postgres/index.ts";
import { Apart } from "./apart.ts";
import type { SupervisorContext } from "./context.ts";
import { KnownQueues } from "./known-queues.ts";
import { Loop } from "./loop.ts";
import { NamespaceWatch } from "./namespaces.ts";

const LOOK_MS = 60_000;
const DEAD_AFTER_MS = 600_000;
const IR_UNUSED_MS = 3_600_000;
const IR_LEFT_SECONDS = 3600;
/** Each look at what unfinished runs use goes through all that have sub-workflows. */
const IR_BATCH = 1000;
const REPLIES_MAX = 10_000;
const BLOB_UNUSED_MS = 3_600_000;
const BLOB_BATCH = 2000;

export class Reaper extends Loop {
  readonly #context: SupervisorContext;
  readonly #namespaces: NamespaceWatch;
  readonly #apart = new Apart();
  #blobs: BlobCursor = FIRST_BLOB;
  readonly #queues: KnownQueues;

  constructor(context: SupervisorContext) {
    super({
      name: "reaper",
      logger: context.logger,
      step: async () => {
        await this.look();
        return LOOK_MS;
      },
    });
    this.#context = context;
    this.#queues = new KnownQueues(context);
    this.#namespaces = new NamespaceWatch(context);
  }

  /** Tidies up once. */
  async look(): Promise<void> {
    const { redis } = this.#context;
    await this.#apart.run([
      ["consumers", () => this.#removeConsumers()],
      ["intakes", () => this.#removeIntakes()],
      ["namespaces", () => this.#namespaces.look()],
      ["workers", () => this.#removeWorkers()],
      ["irs", () => this.#removeIrs()],
      ["blobs", () => this.#removeBlobs()],
      ["replies", () => redis.xtrim(globalKeys.replies, "MAXLEN", "~", REPLIES_MAX)],
    ]);
  }

  /** A page at each look, round and round: most blobs are in use, and stay with their runs. */
  async #removeBlobs(): Promise<void> {
    const { db } = this.#context;
    const before = (await databaseTimeMs(db)) - BLOB_UNUSED_MS;
    this.#blobs = (await collectBlobs(db, before, this.#blobs, BLOB_BATCH)) ?? FIRST_BLOB;
  }

  /** What they have read is remembered: their consumers are still there. */
  async #removeWorkers(): Promise<void> {
    const { db } = this.#context;
    await this.#queues.hearWorkers();
    await removeDeadWorkers(db, (await databaseTimeMs(db)) - DEAD_AFTER_MS);
  }

  async #removeConsumers(): Promise<void> {
    const queues = await this.#queues.look();
    const partitions = Array.from({ length: this.#context.deployment.partitions }, (_, p) => p);
    await this.#apart.run(partitions.map((p) => [p, () => this.#removeFrom(p, queues)]));
  }

  async #removeFrom(p: number, queues: ReadonlySet<string>): Promise<void> {
    const keys = partitionKeys(p);
    for (const queue of queues) {
      for (const priority of PRIORITIES) {
        for (const key of [keys.queue(queue, priority), keys.entryQueue(queue, priority)]) {
          for (const consumer of await silentConsumers(this.#context.redis, key, GROUP)) {
            await removeConsumer(this.#context.redis, key, consumer);
          }
        }
      }
    }
  }

  async #removeIntakes(): Promise<void> {
    const { redis } = this.#context;
    for (const consumer of await silentConsumers(redis, globalKeys.submissions, INTAKE_GROUP)) {
      await removeConsumer(redis, globalKeys.submissions, consumer, INTAKE_GROUP);
    }
  }

  /**
   * Lets unused IRs expire. A start publishes its IR after committing its row: either it comes
   * after our EXPIRE and takes the expiry off, or the second look at the rows finds it. All that are
   * due go, however many come: each page leaves what was due.
   */
  async #removeIrs(): Promise<void> {
    const { redis, db } = this.#context;
    const nowMs = await databaseTimeMs(db);
    const due = [0, nowMs - IR_UNUSED_MS, "LIMIT", 0, IR_BATCH] as const;
    for (let isFull = true; isFull && !this.#context.signal.aborted;) {
      const old = await redis.zrangebyscore(globalKeys.irUse, ...due);
      isFull = old.length === IR_BATCH;
      await this.#removeUnused(old, nowMs);
    }
  }

  async #removeUnused(old: readonly string[], nowMs: number): Promise<void> {
    const { redis, db } = this.#context;
    if (old.length === 0) {
      return;
    }
    const used = await usedHashes(db, old);
    const unused = old.filter((hash) => !used.has(hash));
    await Promise.all(unused.map((hash) => redis.expire(globalKeys.ir(hash), IR_LEFT_SECONDS)));
    if (unused.length > 0) {
      await redis.zrem(globalKeys.irUse, ...unused);
    }
    const again = [...used, ...(await usedHashes(db, unused))];
    await Promise.all(again.map((hash) => redis.persist(globalKeys.ir(hash))));
    if (again.length > 0) {
      await redis.zadd(globalKeys.irUse, ...again.flatMap((hash) => [nowMs, hash]));
    }
  }
}

/** Consumers of a group that hold nothing and have not been heard of for long. */
async function silentConsumers(redis: Redis, key: string, group: string): Promise<string[]> {
  const list = (await redis.xinfo("CONSUMERS", key, group).catch(() => [])) as unknown[][];
  return list.flatMap(([, name, , pending, , idleMs]) =>
    pending === 0 && Number(idleMs) > DEAD_AFTER_MS ? [String(name)] : [],
  );
}
