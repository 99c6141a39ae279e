/**
 * Names of the queues that listed workflows have: those of which runs may be under way.
 *
 * Workflows may be many and large, so no more than the names of their queues comes from Postgres, and
 * once. One that moves in the list while it is read may be missed: the next look finds it.
 */
import { connectionAt, globalKeys } from "../sdk/internal.ts";
import { queuesByHash } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";

/** Workflows of which Postgres reads the queues at one time. */
const QUEUES_BATCH = 200;

export class KnownQueues {
  readonly #context: Pick<SupervisorContext, "redis" | "db">;
  /** Queues of the workflows that were listed at the last look, by hash. */
  #byHash = new Map<string, readonly string[]>();

  constructor(context: Pick<SupervisorContext, "redis" | "db">) {
    this.#context = context;
  }

  /** As of the last look. */
  get names(): ReadonlySet<string> {
    return new Set([...this.#byHash.values()].flat());
  }

  /** Reads what is new; returns all names. */
  async look(): Promise<ReadonlySet<string>> {
    const { redis, db } = this.#context;
    const server = connectionAt(redis, globalKeys.irUse);
    const listed = new Map<string, readonly string[]>();
    for (let at = 0, isFull = true; isFull; at += QUEUES_BATCH) {
      const page = await server.zrange(globalKeys.irUse, at, at + QUEUES_BATCH - 1);
      isFull = page.length === QUEUES_BATCH;
      const found = await queuesByHash(
        db,
        page.filter((hash) => !this.#byHash.has(hash)),
      );
      page.forEach((hash) => listed.set(hash, this.#byHash.get(hash) ?? found.get(hash) ?? []));
    }
    this.#byHash = listed;
    return this.names;
  }
}
