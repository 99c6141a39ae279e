/**
 * Compiled workflows by hash, with their profiles: read once and kept.
 *
 * They are read from Redis, where the supervisor puts them before any token names them. On a cluster
 * the server of one may be away, or back without what it had; Postgres has it too, if the worker was
 * given a way to ask. Only what neither has is unknown: while that cannot be said, a load goes on.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis } from "ioredis";
import { assertIr, type Ir } from "../compiler/ir.ts";
import {
  bodyAt,
  globalKeys,
  inTime,
  isOfCluster,
  isServerTrouble,
  parseQueueKey,
  Profiles,
  Recent,
  writeAnyway,
  type RunProfile,
} from "../sdk/internal.ts";
import type { WorkerOptions } from "./options.ts";

/**
 * Characters of the IRs kept per worker. What is made of an IR takes about one and a half times as much
 * memory, without the plans of its nodes.
 */
export const IR_CHARS_MAX = 64 * 1024 * 1024;
/** For a server of a cluster to answer, before Postgres is asked. */
const ANSWER_MS = 500;
/** For Postgres to answer, before Redis is asked again. */
const STORED_MS = 1000;
/** For how long a lane waits for a workflow: for both to be asked. */
const LANE_MS = 1500;
const AGAIN_MS = 500;

interface Kept {
  ir: Ir;
  /** Profiles by hash, its own or that of a map's body in it, and by queue key, as tokens name them. */
  known: Map<string, Map<string, RunProfile>>;
}

interface Load {
  kept: Promise<Kept | null>;
  sinceMs: number;
}

export class Workflows {
  readonly #redis: Redis;
  readonly #stored: WorkerOptions["stored"];
  readonly #profiles = new Profiles();
  readonly #kept: Recent<Kept>;
  readonly #loads = new Map<string, Load>();
  #misses = 0;

  constructor(redis: Redis, stored?: WorkerOptions["stored"], charsMax = IR_CHARS_MAX) {
    this.#redis = redis;
    this.#kept = new Recent(charsMax);
    this.#stored = stored;
  }

  /** How often a workflow was here, and how often it had to be read. */
  get looks(): { hits: number; misses: number } {
    return { hits: this.#kept.hits, misses: this.#misses };
  }

  /** The profile if the workflow is here already: the hot path's look-up. */
  known(irHash: string, queueKey: string): RunProfile | undefined {
    const kept = this.#kept.get(rootHash(irHash));
    const profile = kept?.known.get(irHash)?.get(queueKey);
    return kept === undefined ? undefined : (profile ?? this.#add(kept, irHash, queueKey));
  }

  /** Reads the workflow if need be, for as long as it takes; null if there is none of this hash. */
  async load(irHash: string, queueKey: string): Promise<RunProfile | null> {
    const known = this.known(irHash, queueKey);
    if (known !== undefined) {
      return known;
    }
    // By now it may have made room for others: who waited for it has it all the same.
    const kept = await this.#load(rootHash(irHash)).kept;
    return kept === null ? null : (this.#add(kept, irHash, queueKey) ?? null);
  }

  /**
   * As `load`, but not for long, and for all who ask meanwhile no longer than for the first;
   * undefined: it goes on.
   */
  async loadSoon(irHash: string, queueKey: string): Promise<RunProfile | null | undefined> {
    const loading: Promise<RunProfile | null | undefined> = this.load(irHash, queueKey);
    const nowMs = performance.now();
    const { sinceMs = nowMs } = this.#loads.get(rootHash(irHash)) ?? {};
    return inTime(loading, Math.max(0, sinceMs + LANE_MS - nowMs), undefined);
  }

  /** The load of a workflow that is under way, or a new one. */
  #load(root: string): Load {
    let load = this.#loads.get(root);
    if (load === undefined) {
      this.#misses += 1;
      const kept = this.#find(root).finally(() => this.#loads.delete(root));
      load = { kept, sinceMs: performance.now() };
      this.#loads.set(root, load);
    }
    return load;
  }

  async #find(root: string): Promise<Kept | null> {
    // One question to Redis at a time: those to a server that is away wait for it.
    let asking: Promise<string | null> | null = null;
    const ask = (): Promise<string | null> =>
      (asking ??= this.#redis.get(globalKeys.ir(root)).finally(() => (asking = null)));
    for (;;) {
      const text = await this.#ask(root, ask());
      if (text === null) {
        return null;
      }
      const ir = text === undefined ? undefined : await this.#parse(root, text);
      if (text !== undefined && ir !== undefined) {
        const kept = { ir, known: new Map<string, Map<string, RunProfile>>() };
        this.#kept.set(root, kept, text.length);
        return kept;
      }
      if (this.#redis.status === "end") {
        throw new Error("Connection is closed: the worker has stopped");
      }
      await sleep(AGAIN_MS, undefined, { ref: false });
    }
  }

  /**
   * Redis' text may be damaged: then Postgres' is taken, and put in its place. Undefined: Postgres does
   * not answer.
   */
  async #parse(root: string, text: string): Promise<Ir | undefined> {
    try {
      return assertIr(JSON.parse(text));
    } catch (error) {
      const stored = this.#stored === undefined ? text : await this.#askStored(root);
      if (stored === undefined) {
        return undefined;
      }
      if (stored === null || stored === text) {
        throw error;
      }
      const ir = assertIr(JSON.parse(stored));
      const put = writeAnyway(this.#redis, [["SET", globalKeys.ir(root), stored]]);
      await put.catch(() => undefined);
      return ir;
    }
  }

  /**
   * Its text; null: there is none; undefined: who knows does not answer, or only with its own trouble.
   * Throws what else Redis says of it if Postgres has none.
   */
  async #ask(root: string, asked: Promise<string | null>): Promise<string | null | undefined> {
    const refused: Error[] = [];
    const answer = asked.catch((error: unknown) => {
      refused.push(error as Error);
      return null;
    });
    const isAwaited = this.#stored === undefined || !isOfCluster(this.#redis);
    const found = await (isAwaited ? answer : inTime(answer, ANSWER_MS, null));
    if (found !== null) {
      return found;
    }
    const stored = this.#stored === undefined ? null : await this.#askStored(root);
    if (typeof stored === "string") {
      this.#putBack(root, stored).catch(() => undefined);
    }
    const [error] = refused;
    if (stored !== null || error === undefined) {
      return stored;
    }
    if (isServerTrouble(error)) {
      return undefined;
    }
    throw error;
  }

  /** Undefined: Postgres does not answer. */
  async #askStored(root: string): Promise<string | null | undefined> {
    const asking = this.#stored?.ir(root).catch(() => undefined);
    return asking && inTime<string | null | undefined>(asking, STORED_MS, undefined);
  }

  /** Who needs it next finds it there as soon as its server is; the reaper looks whether it is used. */
  async #putBack(root: string, text: string): Promise<void> {
    await this.#redis.set(globalKeys.ir(root), text, "NX");
    await this.#redis.zadd(globalKeys.irUse, "NX", 0, root);
  }

  #add(kept: Kept, irHash: string, queueKey: string): RunProfile | undefined {
    const ir = bodyAt(kept.ir, irHash);
    const place = parseQueueKey(queueKey);
    if (ir === null || place === null) {
      return undefined;
    }
    const { partition, namespace, priority } = place;
    const at = { partition, namespace, priority };
    const profile = this.#profiles.add(ir, irHash, at, kept.ir);
    const known = kept.known.get(irHash) ?? new Map<string, RunProfile>();
    kept.known.set(irHash, known.set(queueKey, profile));
    return profile;
  }
}

/** The workflow's own hash, of that of a map's body in it. */
function rootHash(irHash: string): string {
  const slash = irHash.indexOf("/");
  return slash < 0 ? irHash : irHash.slice(0, slash);
}
