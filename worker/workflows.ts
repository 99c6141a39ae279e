/** Compiled workflows by hash, read from Redis once and kept, with their profiles. */
import type { Redis } from "ioredis";
import { assertIr, type Ir } from "../compiler/ir.ts";
import { bodyAt, globalKeys, parseQueueKey, Profiles, type RunProfile } from "../sdk/internal.ts";

/** Workflows kept per worker; the least recently read ones are dropped all at once. */
const WORKFLOWS_MAX = 1000;

export class Workflows {
  readonly #redis: Redis;
  readonly #profiles = new Profiles(WORKFLOWS_MAX);
  readonly #irs = new Map<string, Ir>();
  /** Profiles by hash and queue key, as tokens name them: one look-up per token. */
  readonly #known = new Map<string, Map<string, RunProfile>>();

  constructor(redis: Redis) {
    this.#redis = redis;
  }

  /** The profile if the workflow is here already: the hot path's look-up. */
  known(irHash: string, queueKey: string): RunProfile | undefined {
    return this.#known.get(irHash)?.get(queueKey) ?? this.#add(irHash, queueKey);
  }

  /** Reads the workflow if need be; null if Redis has none of this hash. */
  async load(irHash: string, queueKey: string): Promise<RunProfile | null> {
    const known = this.known(irHash, queueKey);
    if (known !== undefined) {
      return known;
    }
    const root = rootHash(irHash);
    const text = await this.#redis.get(globalKeys.ir(root));
    if (text === null) {
      return null;
    }
    if (this.#irs.size >= WORKFLOWS_MAX) {
      this.#irs.clear();
    }
    this.#irs.set(root, assertIr(JSON.parse(text)));
    return this.#add(irHash, queueKey) ?? null;
  }

  #add(irHash: string, queueKey: string): RunProfile | undefined {
    const root = this.#irs.get(rootHash(irHash));
    const ir = root === undefined ? null : bodyAt(root, irHash);
    const place = parseQueueKey(queueKey);
    if (ir === null || place === null) {
      return undefined;
    }
    const { partition, namespace, priority } = place;
    const profile = this.#profiles.add(ir, irHash, { partition, namespace, priority }, root);
    if (this.#known.size >= WORKFLOWS_MAX) {
      this.#known.clear();
    }
    const known = this.#known.get(irHash) ?? new Map<string, RunProfile>();
    this.#known.set(irHash, known.set(queueKey, profile));
    return profile;
  }
}

/** The workflow's own hash, of that of a map's body in it. */
function rootHash(irHash: string): string {
  const slash = irHash.indexOf("/");
  return slash < 0 ? irHash : irHash.slice(0, slash);
}
