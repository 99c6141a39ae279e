/**
 * How much waits in the partitions of this supervisor, for metrics. Looked at when it is asked for,
 * and kept for a moment: however many scrape, Redis is asked no more often.
 *
 * A server that does not answer in time is left out, and the look at it goes on: the next one asks
 * nothing there before it has ended. So scrapes of a Redis that is away do not pile up.
 */
import { connectionAt, globalKeys, inTime, partitionKeys } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import { KnownQueues } from "./known-queues.ts";
import { memoryUse } from "./memory-gauge.ts";
import { partitionLoad, type PartitionLoad } from "./partition-gauge.ts";

/** How old an answer may be. */
const FRESH_MS = 1000;
/** For all that is asked of the stores. */
const ANSWER_MS = 1000;
/** For what tells which queues there are. */
const QUEUES_MS = 500;
/** Standing namespaces whose queues are looked at, those used last: each has all queues there are. */
const NAMESPACES_LOOKED_AT = 20;

export interface Load {
  /** Of the partitions that are held here and could be asked. */
  partitions: PartitionLoad[];
  /** Submissions that nobody has answered; undefined: another process tells. */
  submissions?: number;
  /** Of the fullest server that was asked, in bytes; max 0: no end. */
  memory?: { used: number; max: number };
}

export class LoadGauge {
  readonly #context: SupervisorContext;
  readonly #queues: KnownQueues;
  readonly #held: () => readonly number[];
  readonly #busy = new Map<string, Promise<unknown>>();
  #looking: Promise<Load> | null = null;
  #untilMs = -Infinity;

  /** `held`: the partitions that this process speaks for. */
  constructor(context: SupervisorContext, held: () => readonly number[]) {
    this.#context = context;
    this.#held = held;
    this.#queues = new KnownQueues(context, NAMESPACES_LOOKED_AT);
  }

  /** As of a moment ago. Never fails: what cannot be asked is left out. */
  load(): Promise<Load> {
    const nowMs = this.#context.clock.monotonicMs();
    if (this.#looking === null || nowMs >= this.#untilMs) {
      this.#untilMs = nowMs + FRESH_MS;
      this.#looking = this.#look();
    }
    return this.#looking;
  }

  async #look(): Promise<Load> {
    const held = this.#held();
    if (held.length > 0) {
      // Postgres may be away: those that are known are looked at all the same.
      await this.#once("queues", () => this.#queues.look(), QUEUES_MS);
    }
    const partitions = Promise.all(held.map((p) => this.#once(`${p}`, () => this.#partition(p))));
    // What is of the deployment is told by the one who holds its first partition.
    const isFirst = held.includes(0);
    const submissions = isFirst ? this.#once("submissions", () => this.#submissions()) : undefined;
    const loads = (await partitions).filter((one) => one !== undefined);
    const waiting = await submissions;
    // Not of a server that does not answer: what is asked waits there for as long as it is away.
    const use = loads.length > 0 ? await this.#once("memory", () => this.#memory(held)) : undefined;
    return {
      partitions: loads,
      ...(waiting === undefined ? {} : { submissions: waiting }),
      ...(use === undefined || use.used === 0 ? {} : { memory: use }),
    };
  }

  /** Undefined: it has failed, or takes too long; then it goes on, and is not begun again. */
  #once<T>(what: string, ask: () => Promise<T>, ms = ANSWER_MS): Promise<T | undefined> {
    let asking = this.#busy.get(what) as Promise<T | undefined> | undefined;
    if (asking === undefined) {
      asking = ask()
        .catch(() => undefined)
        .finally(() => this.#busy.delete(what));
      this.#busy.set(what, asking);
    }
    return inTime(asking, ms, undefined);
  }

  #partition(p: number): Promise<PartitionLoad> {
    const { counts } = this.#context;
    return partitionLoad(this.#context, p, this.#queues.names, counts.cursors.get(p));
  }

  async #submissions(): Promise<number> {
    return connectionAt(this.#context.redis, globalKeys.submissions).xlen(globalKeys.submissions);
  }

  async #memory(held: readonly number[]): Promise<{ used: number; max: number }> {
    const { redis } = this.#context;
    const servers = new Set(held.map((p) => connectionAt(redis, partitionKeys(p).meta)));
    const uses = await Promise.all([...servers].map((server) => memoryUse(server)));
    const fullest = uses.sort((a, b) => share(b) - share(a))[0];
    return { used: fullest?.used ?? 0, max: fullest?.limit ?? 0 };
  }
}

function share({ used, limit }: { used: number; limit: number }): number {
  return limit > 0 ? used / limit : used / Number.MAX_SAFE_INTEGER;
}
