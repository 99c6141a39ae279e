/**
 * Names of the queues that listed workflows have: those of which runs may be under way, also in each
 * standing namespace; and of those that workers read or have read.
 *
 * Workflows may be many and large, so no more than the names of their queues comes from Postgres, and
 * once. One that moves in the list while it is read may be missed: the next look finds it.
 */
import { connectionAt, globalKeys } from "../sdk/internal.ts";
import { queuesByHash } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import {
  listNamespaceNames,
  namespaceOf,
  NAMESPACES_MAX,
  servedQueues,
} from "./standing-namespaces.ts";

/** Workflows of which Postgres reads the queues at one time. */
const QUEUES_BATCH = 200;
/** Names of queues of workers that are remembered. */
const SERVED_MAX = 10_000;

export class KnownQueues {
  readonly #context: Pick<SupervisorContext, "redis" | "db">;
  /** Queues of the workflows that were listed at the last look, by hash. */
  #byHash = new Map<string, readonly string[]>();
  readonly #namespacesMax: number;
  #namespaces: readonly string[] = [];
  /** A worker's row may go before its consumers do. */
  readonly #served = new Set<string>();

  /** Of standing namespaces those used last, `namespacesMax` at most. */
  constructor(
    context: Pick<SupervisorContext, "redis" | "db">,
    namespacesMax: number = NAMESPACES_MAX,
  ) {
    this.#context = context;
    this.#namespacesMax = namespacesMax;
  }

  /** As of the last look. */
  get names(): ReadonlySet<string> {
    const all = new Set([...this.#byHash.values()].flat());
    const spaces = new Set([...this.#namespaces, ...[...this.#served].map(namespaceOf)]);
    spaces.delete("");
    const some = [...spaces].slice(0, this.#namespacesMax);
    const inSpaces = [...all].flatMap((name) => some.map((space) => space + name));
    const open = new Set(["", ...some]);
    const served = [...this.#served].filter((name) => open.has(namespaceOf(name)));
    return new Set([...all, ...inSpaces, ...served]);
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
    this.#namespaces = await listNamespaceNames(this.#context, this.#namespacesMax);
    await this.hearWorkers();
    return this.names;
  }

  /** Remembers what workers read that are in the registry. */
  async hearWorkers(): Promise<void> {
    for (const name of await servedQueues(this.#context)) {
      void (this.#served.size < SERVED_MAX && this.#served.add(name));
    }
  }
}
