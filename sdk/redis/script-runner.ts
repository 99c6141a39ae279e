/**
 * Calls of the Lua scripts of one partition, under its certificate.
 *
 * A server that restarted, was promoted or was flushed may have lost transitions that Postgres
 * has. Nobody may write to it before a supervisor has compared the two (20 §8). So nobody but the
 * supervisor loads scripts: their text begins with a line that names deployment, partition and its
 * epoch, which gives every certificate its own SHA-1, and a server without it answers NOSCRIPT. The
 * caller waits. A flushed server has lost the partition epoch, which every script checks: the same
 * wait. A node of a cluster that was primary, became a replica and was promoted again still has the
 * scripts of then: they are of an epoch that is over.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { GavotteError } from "../errors.ts";
import { partitionKeys, type PartitionKeys } from "../keys.ts";
import { connectionAt, isOfCluster } from "./cluster-router.ts";
import { scriptCounts } from "./script-counts.ts";
import { SCRIPTS, type ScriptName } from "./scripts.gen.ts";

export type ScriptArg = string | number | Buffer;

export interface ScriptRunnerOptions {
  redis: Redis;
  /** The deployment's id, part of the certificate line. */
  deployment: string;
  partition: number;
  /** Gives up waiting for a certificate when aborted; without it and patience, waits for ever. */
  signal?: AbortSignal;
  /** How long one call waits for a certificate: for callers who want an answer, not the work done. */
  patienceMs?: number;
  /**
   * Told when the partition has another epoch than the one this runner has worked under. Transitions
   * that were begun before then fail: what they rest on may be lost.
   */
  onNewEpoch?: () => void;
  /** Told once when a wait begins and once when it ends. */
  onUncertified?: (waiting: boolean) => void;
}

const EPOCH_REFUSED = -100;
const NONCE_BYTES = 6;
const MUST_WAIT = Symbol("no certificate");
const SCRIPT_NAMES = Object.keys(SCRIPTS) as ScriptName[];
const QUIET_MS = 500;
const WAIT_MS_MIN = 20;
const WAIT_MS_MAX = 500;

/** Source of a script as it is loaded for one partition under one epoch. */
export function certifiedSource(
  name: ScriptName,
  deployment: string,
  partition: number,
  epoch: number | string,
): string {
  return `-- gavotte ${deployment} {${partition}} ${epoch} ${name}\n${SCRIPTS[name]}`;
}

export class ScriptRunner {
  readonly keys: PartitionKeys;
  readonly partition: number;
  readonly redis: Redis;
  readonly #options: ScriptRunnerOptions;
  /** By script, under the epoch that was read last. */
  #shas = new Map<ScriptName, string>();
  #shasOf = "";
  #epoch: string | null = null;
  /** The last epoch there was. */
  #known: string | null = null;
  /** What a call was answered last that waits for something else than a certificate. */
  #refusal: Error | null = null;
  /** The partition has an epoch, but under that none of this version's scripts. */
  #hasOthers = false;
  /** When a call was answered last, monotonic ms. */
  #calledMs = -Infinity;
  #random = Buffer.alloc(0);
  /**
   * On a cluster, a key that never exists. While the slot migrates a server answers TRYAGAIN to a
   * script that names a key which is not there: so no script runs on one half of a partition, though
   * it finds some of its keys only on its way (docs/redis-cluster.md).
   */
  readonly #guard: string[];

  constructor(options: ScriptRunnerOptions) {
    this.#options = options;
    this.partition = options.partition;
    this.keys = partitionKeys(options.partition);
    this.redis = connectionAt(options.redis, this.keys.meta);
    this.#guard = isOfCluster(options.redis) ? [this.keys.guard] : [];
  }

  /** The epoch that was heard of last; null before the first. */
  get knownEpoch(): string | null {
    return this.#known;
  }

  /** SHA-1 of every script under an epoch: all present means the server is certified. */
  shas(epoch: number | string): string[] {
    return SCRIPT_NAMES.map((name) => this.#shaOf(name, epoch));
  }

  /** Whether a supervisor has certified the server for this partition. */
  async isCertified(): Promise<boolean> {
    const epoch = await this.redis.hget(this.keys.meta, "epoch");
    if (epoch === null) {
      return false;
    }
    const present = (await this.redis.script("EXISTS", ...this.shas(epoch))) as number[];
    return !present.includes(0);
  }

  /**
   * To be called before work is taken: who has called nothing for a while may not have heard of a
   * new epoch, and what is begun before that is heard of fails. Never fails itself.
   */
  async look(): Promise<void> {
    if (performance.now() - this.#calledMs > QUIET_MS) {
      await this.#readEpoch().catch(() => null);
    }
  }

  /** A nonce for one journal record: random, drawn by the hundred. */
  nonce(): string {
    if (this.#random.length === 0) {
      this.#random = randomBytes(NONCE_BYTES * 128);
    }
    const nonce = this.#random.toString("base64url", 0, NONCE_BYTES);
    this.#random = this.#random.subarray(NONCE_BYTES);
    return nonce;
  }

  /** Calls a script that takes no epoch. Waits while the partition has no certificate. */
  async call(name: ScriptName, keys: string[], args: ScriptArg[]): Promise<unknown> {
    const begunMs = performance.now();
    for (let attempt = 0; ; attempt++) {
      const epoch = this.#epoch ?? (await this.#readEpoch());
      const sent = epoch === null ? MUST_WAIT : await this.#send(name, epoch, keys, args);
      if (sent !== MUST_WAIT) {
        this.#told(false, attempt);
        return sent;
      }
      await this.#wait(attempt, begunMs);
    }
  }

  /** See `callAnywhere`. */
  callAnywhere(name: ScriptName, keys: string[], args: ScriptArg[]): Promise<unknown> {
    return callAnywhere(this.#options.redis, name, keys, args);
  }

  /** One attempt; MUST_WAIT: there is no certificate of this epoch, or the server is not itself. */
  async #send(
    name: ScriptName,
    epoch: string,
    keys: string[],
    args: ScriptArg[],
  ): Promise<unknown> {
    const count = keys.length + this.#guard.length;
    const sentMs = performance.now();
    try {
      const sha = this.#shaOf(name, epoch);
      const reply = await this.redis.evalsha(sha, count, ...keys, ...this.#guard, ...args);
      this.#calledMs = performance.now();
      scriptCounts.times.observe(this.#calledMs - sentMs);
      scriptCounts.add(name, "ok");
      return reply;
    } catch (error) {
      const passes = isTransient(error);
      scriptCounts.add(name, passes ? "waits" : "errors");
      if (!passes) {
        throw error;
      }
      this.#hasOthers = error.message.startsWith("NOSCRIPT");
      this.#refusal = this.#hasOthers ? null : error;
      this.#epoch = null;
      return MUST_WAIT;
    }
  }

  #shaOf(name: ScriptName, epoch: number | string): string {
    if (String(epoch) !== this.#shasOf) {
      this.#shas = new Map();
      this.#shasOf = String(epoch);
    }
    let sha = this.#shas.get(name);
    if (sha === undefined) {
      const source = certifiedSource(name, this.#options.deployment, this.partition, epoch);
      sha = createHash("sha1").update(source).digest("hex");
      this.#shas.set(name, sha);
    }
    return sha;
  }

  /**
   * Calls a script whose first argument is the partition's epoch. A refused epoch is read anew and
   * the call repeated, unless `sameEpoch` (or there is an `onNewEpoch`): then another epoch is an
   * error, for callers whose arguments were computed from what it may have changed: under the epoch
   * `since` if that was long ago, default the one heard of last. That a call before has waited for a
   * certificate, and this one does, is no reason to forget it.
   */
  async transition(
    name: ScriptName,
    keys: string[],
    args: ScriptArg[],
    options: { sameEpoch?: boolean; since?: string | null } = {},
  ): Promise<unknown> {
    let begun = options.since ?? this.#known;
    const begunMs = performance.now();
    const isBound = options.sameEpoch === true || this.#options.onNewEpoch !== undefined;
    for (let attempt = 0; ; attempt++) {
      const epoch = this.#epoch ?? (await this.#readEpoch());
      begun ??= this.#known;
      if (isBound && this.#known !== begun) {
        this.#epoch = null; // for the caller's next attempt, whose arguments are new
        throw new GavotteError(
          "GV_PARTITION_UNCERTIFIED",
          `partition ${this.partition} has a new epoch; read the state again and repeat`,
        );
      }
      if (epoch !== null) {
        const reply = await this.#send(name, epoch, keys, [epoch, ...args]);
        const code = Array.isArray(reply) ? (reply[0] as unknown) : reply;
        if (code !== MUST_WAIT && code !== EPOCH_REFUSED) {
          this.#told(false, attempt);
          return reply;
        }
        this.#epoch = null;
      }
      await this.#wait(attempt, begunMs);
    }
  }

  async #readEpoch(): Promise<string | null> {
    this.#epoch = await this.redis.hget(this.keys.meta, "epoch");
    const before = this.#known;
    this.#hasOthers &&= this.#epoch !== null;
    if (this.#epoch !== null && this.#epoch !== before) {
      this.#known = this.#epoch;
      void (before !== null && this.#options.onNewEpoch?.());
    }
    return this.#epoch;
  }

  async #wait(attempt: number, begunMs: number): Promise<void> {
    this.#told(true, attempt);
    const { signal, patienceMs = Infinity } = this.#options;
    const ms = Math.min(WAIT_MS_MIN * 2 ** Math.min(attempt, 10), WAIT_MS_MAX);
    if (performance.now() + ms > begunMs + patienceMs) {
      const why = this.#refusal === null ? "" : ` (Redis says ${this.#refusal.message})`;
      const others = this.#hasOthers ? ", of the same version as this program" : "";
      const message =
        `partition ${this.partition} was not certified by a supervisor within ${patienceMs} ms${why}; ` +
        `nothing was done: see that one runs${others} ("gavotte doctor" tells), and try again`;
      throw new GavotteError("GV_PARTITION_UNCERTIFIED", message, { cause: this.#refusal });
    }
    try {
      await delay(ms, undefined, signal ? { signal } : {});
    } catch (cause) {
      const message = `partition ${this.partition} is not certified by a supervisor yet`;
      throw new GavotteError("GV_PARTITION_UNCERTIFIED", message, { cause });
    }
  }

  #told(waiting: boolean, attempt: number): void {
    if (waiting ? attempt === 0 : attempt > 0) {
      this.#options.onUncertified?.(waiting);
    }
  }
}

/**
 * Calls a script whose keys are of no partition and whose loss is harmless: it needs no certificate,
 * and its keys may lie on another node of a cluster.
 */
export async function callAnywhere(
  redis: Redis,
  name: ScriptName,
  keys: string[],
  args: ScriptArg[],
): Promise<unknown> {
  const source = SCRIPTS[name];
  const sha = createHash("sha1").update(source).digest("hex");
  try {
    return await redis.evalsha(sha, keys.length, ...keys, ...args);
  } catch (error) {
    if (!(error instanceof Error) || !error.message.startsWith("NOSCRIPT")) {
      throw error;
    }
    return redis.eval(source, keys.length, ...keys, ...args);
  }
}

/**
 * Whether an error is of the server, or of the way to it: it says nothing about what was asked for,
 * which is asked for again.
 */
export function isServerTrouble(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const { code, message } = error as Error & { code?: unknown };
  const isOfWay = typeof code === "string" && /^(E[A-Z]+|GV_[A-Z_]+)$/.test(code);
  return (
    isOfWay ||
    isTransient(error) ||
    /^(Connection is closed|Command aborted|Command timed out|MOVED|ASK)\b/.test(message)
  );
}

/** No certificate yet, or a server that is full, loading or a replica: passes by itself. */
function isTransient(error: unknown): error is Error {
  const message = error instanceof Error ? error.message : "";
  return /^(NOSCRIPT|OOM|LOADING|READONLY|BUSY|MISCONF|CLUSTERDOWN|TRYAGAIN|MASTERDOWN)\b/.test(
    message,
  );
}
