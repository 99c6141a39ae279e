/**
 * Calls of the Lua scripts of one partition, under its certificate.
 *
 * A server that restarted, was promoted or was flushed may have lost transitions that Postgres
 * has. Nobody may write to it before a supervisor has compared the two (20 §8). So nobody but the
 * supervisor loads scripts: their text begins with a line that names deployment and partition,
 * which gives every partition its own SHA-1, and a server without it answers NOSCRIPT. The caller
 * waits. A flushed server has lost the partition epoch, which every script checks: the same wait.
 */
import { createHash, randomBytes } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import type { Redis } from "ioredis";
import { GavotteError } from "../errors.ts";
import { partitionKeys, type PartitionKeys } from "../keys.ts";
import { SCRIPTS, type ScriptName } from "./scripts.gen.ts";

export type ScriptArg = string | number | Buffer;

export interface ScriptRunnerOptions {
  redis: Redis;
  /** The deployment's id, part of the certificate line. */
  deployment: string;
  partition: number;
  /** Gives up waiting for a certificate when aborted; without it, waits for ever. */
  signal?: AbortSignal;
  /** Told once when a wait begins and once when it ends. */
  onUncertified?: (waiting: boolean) => void;
}

const EPOCH_REFUSED = -100;
const NONCE_BYTES = 6;
const WAIT_MS_MIN = 20;
const WAIT_MS_MAX = 500;

/** Source of a script as it is loaded for one partition. */
export function certifiedSource(name: ScriptName, deployment: string, partition: number): string {
  return `-- gavotte ${deployment} {${partition}} ${name}\n${SCRIPTS[name]}`;
}

export class ScriptRunner {
  readonly keys: PartitionKeys;
  readonly partition: number;
  readonly redis: Redis;
  readonly #options: ScriptRunnerOptions;
  readonly #shas: { [name: string]: string } = {};
  #epoch: string | null = null;
  #random = Buffer.alloc(0);

  constructor(options: ScriptRunnerOptions) {
    this.#options = options;
    this.redis = options.redis;
    this.partition = options.partition;
    this.keys = partitionKeys(options.partition);
    for (const name of Object.keys(SCRIPTS) as ScriptName[]) {
      const source = certifiedSource(name, options.deployment, options.partition);
      this.#shas[name] = createHash("sha1").update(source).digest("hex");
    }
  }

  /** SHA-1 of every script of this partition: all present means the server is certified. */
  get shas(): string[] {
    return Object.values(this.#shas);
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
    const sha = this.#shas[name] as string;
    for (let attempt = 0; ; attempt++) {
      try {
        const reply = await this.redis.evalsha(sha, keys.length, ...keys, ...args);
        this.#told(false, attempt);
        return reply;
      } catch (error) {
        if (!isTransient(error)) {
          throw error;
        }
        await this.#wait(attempt);
      }
    }
  }

  /**
   * Calls a script whose first argument is the partition's epoch. A refused epoch is read anew and
   * the call repeated, unless `sameEpoch`: then the refusal is an error, for callers whose
   * arguments were computed from what another epoch may have changed.
   */
  async transition(
    name: ScriptName,
    keys: string[],
    args: ScriptArg[],
    options: { sameEpoch?: boolean } = {},
  ): Promise<unknown> {
    for (let attempt = 0; ; attempt++) {
      const epoch = this.#epoch ?? (await this.#readEpoch());
      if (epoch !== null) {
        const reply = await this.call(name, keys, [epoch, ...args]);
        if ((Array.isArray(reply) ? reply[0] : reply) !== EPOCH_REFUSED) {
          this.#told(false, attempt);
          return reply;
        }
        this.#epoch = null;
        if (options.sameEpoch === true) {
          throw new GavotteError(
            "GV_PARTITION_UNCERTIFIED",
            `partition ${this.partition} has a new epoch; read the state again and repeat`,
          );
        }
      }
      await this.#wait(attempt);
    }
  }

  async #readEpoch(): Promise<string | null> {
    this.#epoch = await this.redis.hget(this.keys.meta, "epoch");
    return this.#epoch;
  }

  async #wait(attempt: number): Promise<void> {
    this.#told(true, attempt);
    const ms = Math.min(WAIT_MS_MIN * 2 ** Math.min(attempt, 10), WAIT_MS_MAX);
    try {
      await delay(ms, undefined, this.#options.signal ? { signal: this.#options.signal } : {});
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

/** No certificate yet, or a server that is full, loading or a replica: passes by itself. */
function isTransient(error: unknown): boolean {
  const message = error instanceof Error ? error.message : "";
  return /^(NOSCRIPT|OOM|LOADING|READONLY|BUSY|MISCONF|CLUSTERDOWN|TRYAGAIN|MASTERDOWN)\b/.test(
    message,
  );
}
