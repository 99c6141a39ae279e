/**
 * Before tokens are executed: is their run still running, and what must be read for them.
 *
 * A token fresh from the queue that carries its input and reads nothing else is ready at once, unless
 * its run is known to have been halted (news.ts, 21 B1), or its round may be over without it; everything
 * else is checked against its record in the run, in one pipeline per batch.
 */
import type { Redis } from "ioredis";
import type { IrNode } from "../compiler/ir.ts";
import {
  followChain,
  type ChainPlace,
  type Fields,
  needsOf,
  type PartitionKeys,
  partitionKeys,
  type ReadyToken,
  RunData,
  type RunProfile,
} from "../sdk/internal.ts";
import { laterToken } from "./chain.ts";
import { Elements } from "./elements.ts";
import { entryMs, isElsewhere, isOverdue } from "./entry-place.ts";
import { takesInput, type Prepared } from "./prepared.ts";
import { News, repliesOf } from "./news.ts";
import { resolveBlobs } from "./resolve-blobs.ts";
import { asItsRun, CHECKED, checkedFields, isOpen, kindOf } from "./token-state.ts";
import type { Workflows } from "./workflows.ts";

/**
 * `late`: it stood in its queue for too long. `drop`: the token is void, acknowledge its entry
 * (`passed`: what else of its chain is settled).
 * `hold`: its run is paused, put it aside. `unknown`: its workflow is stored nowhere. `later`: nobody
 * who knows its workflow answers, and it is not waited for, or it cannot be read.
 */
export type Preparation =
  | { kind: "ready"; prepared: Prepared }
  | { kind: "late"; prepared: Prepared }
  | { kind: "drop"; token: ReadyToken; profile: RunProfile; passed?: readonly number[] }
  | { kind: "hold"; token: ReadyToken }
  | { kind: "unknown"; token: ReadyToken }
  | { kind: "later"; token: ReadyToken; loading: Promise<unknown> };

/** Null: unknown; undefined: not yet read. */
type Profile = RunProfile | null | undefined;

export class Preparer {
  /** What is known of halted runs, and Redis' time: kept up to date by who reads the queues. */
  readonly news: News;
  readonly #redis: Redis;
  readonly #workflows: Workflows;
  readonly #keys: PartitionKeys;
  readonly #elements: Elements;

  constructor(
    redis: Redis,
    workflows: Workflows,
    partition: number,
    news?: News,
    elements?: Elements,
  ) {
    this.#redis = redis;
    this.#workflows = workflows;
    this.#keys = partitionKeys(partition);
    this.#elements = elements ?? new Elements(redis, this.#keys);
    this.news = news ?? new News(this.#keys.halted);
  }

  /**
   * Prepares a batch. `redelivered` tokens are always checked; those that have just come out of
   * their queue for the first time (`queued`) may have stood there for too long.
   */
  async prepare(
    tokens: readonly ReadyToken[],
    redelivered: boolean,
    queued = false,
  ): Promise<Preparation[]> {
    const profiles = await this.#profiles(tokens);
    const redisMs = this.news.nowMs();
    const fieldsOf = tokens.map((token, i) => {
      const isChecked =
        redelivered || this.news.isHalted(token.runId) || this.news.isOld(entryMs(token), redisMs);
      return this.#fields(token, profiles[i], isChecked);
    });
    const inMaps = tokens.filter((token) => token.unit !== token.runId);
    const [read, around] = await Promise.all([
      this.#read(tokens, fieldsOf),
      this.#elements.look(inMaps),
    ]);
    const result: Preparation[] = [];
    for (const [i, token] of tokens.entries()) {
      const profile = profiles[i];
      if (profile === null) {
        result.push({ kind: "unknown", token });
        continue;
      }
      if (profile === undefined) {
        const loading = this.#workflows.load(token.irHash, token.queueKey);
        // Nobody may ask for its end: the token may be somebody else's by then.
        loading.catch(() => undefined);
        result.push({ kind: "later", token, loading });
        continue;
      }
      const data = read[i] ?? NOTHING;
      const outside = around.get(token) ?? null;
      if (outside !== null) {
        asItsRun(data, outside.run);
      }
      const kind = data === NOTHING ? "ready" : kindOf(token, data);
      const node = profile.ir.nodes[token.node] as IrNode;
      // Also of one that is new: what a pause put aside comes back as a new entry, for a token that
      // another worker may have completed meanwhile as a part of its chain.
      const mayHaveMoved = kind === "drop" && isOpen(token, data) && !isElsewhere(token, profile);
      if (mayHaveMoved && token.kind !== "finish") {
        const { active, passed } = await this.#follow(token, profile);
        result.push(
          ...(active === null
            ? [{ kind, token, profile, passed }]
            : await this.prepare([laterToken(token, active)], true)),
        );
        continue;
      }
      if (kind === "ready") {
        const isLate = queued && isOverdue(token, node, redisMs);
        const known = new RunData(profile.ir, data, outside?.outside);
        const prepared = { token, profile, node, data: known };
        result.push({ kind: isLate ? "late" : kind, prepared });
      } else {
        result.push(kind === "hold" ? { kind, token } : { kind, token, profile });
      }
    }
    await resolveBlobs(this.#redis, this.#keys, result);
    return result;
  }

  /** Which of these, that are being executed, are void by now: nobody takes their results. */
  async areVoid(tokens: readonly ReadyToken[]): Promise<boolean[]> {
    const fieldsOf = tokens.map((token) =>
      token.kind === "finish" ? CHECKED : checkedFields(token),
    );
    const [read, around] = await Promise.all([
      this.#read(tokens, fieldsOf),
      this.#elements.look(tokens.filter((token) => token.unit !== token.runId)),
    ]);
    const looks = tokens.map(async (token, i) => {
      const data = read[i] as Map<string, string | null>;
      const outside = around.get(token);
      if (outside !== undefined) {
        asItsRun(data, outside.run);
      }
      const profile = this.#workflows.known(token.irHash, token.queueKey);
      if (!profile || kindOf(token, data) !== "drop") {
        return false;
      }
      // Its entry may stand for a later token of its chain.
      const mayHaveMoved = token.kind !== "finish" && isOpen(token, data);
      if (!mayHaveMoved || isElsewhere(token, profile)) {
        return true;
      }
      return (await this.#follow(token, profile)).active === null;
    });
    return Promise.all(looks);
  }

  /** A token of which nothing is read, to be failed; null: its workflow is not known. */
  unread(token: ReadyToken): Prepared | null {
    const profile = this.#workflows.known(token.irHash, token.queueKey);
    const node = profile?.ir.nodes[token.node];
    return profile === undefined || node === undefined
      ? null
      : { token, profile, node, data: new RunData(profile.ir), isUnread: true };
  }

  /** Reads the fields of each token, by name; nothing is sent if there is nothing to read. */
  async #read(
    tokens: readonly ReadyToken[],
    fieldsOf: readonly (readonly string[])[],
  ): Promise<(Map<string, string | null> | undefined)[]> {
    const asked = tokens.flatMap((_, i) => ((fieldsOf[i]?.length ?? 0) > 0 ? [i] : []));
    const read = new Array<Map<string, string | null> | undefined>(tokens.length);
    if (asked.length === 0) {
      return read;
    }
    const pipeline = this.#redis.pipeline();
    for (const i of asked) {
      pipeline.hmget(this.#keys.run((tokens[i] as ReadyToken).unit), ...(fieldsOf[i] as string[]));
    }
    const replies = await repliesOf(pipeline);
    asked.forEach((i, at) => {
      const values = replies[at] as (string | null)[];
      read[i] = new Map((fieldsOf[i] as string[]).map((field, f) => [field, values[f] ?? null]));
    });
    return read;
  }

  /** Where the chain of a redelivered entry stands by now; nowhere if its run has ended meanwhile. */
  async #follow(token: ReadyToken, profile: RunProfile): Promise<ChainPlace> {
    const key = this.#keys.run(token.unit);
    const walk = followChain(profile.ir, token);
    let step = walk.next();
    while (step.done !== true) {
      const fields = step.value.map((node) => `n${node}`);
      const [status, epoch, ...records] = await this.#redis.hmget(key, ...CHECKED, ...fields);
      if ((status !== "running" && status !== "paused") || epoch !== token.epoch) {
        return { active: null, passed: [] };
      }
      step = walk.next(records);
    }
    return step.value;
  }

  /** Null: there is no such workflow, or no such node in it. */
  async #profiles(tokens: readonly ReadyToken[]): Promise<Profile[]> {
    const known = tokens.map(({ irHash, queueKey }) => this.#workflows.known(irHash, queueKey));
    const found = known.includes(undefined) ? await this.#load(tokens) : known;
    return found.map((one, i) => (one?.ir.nodes[tokens[i]?.node ?? 0] || !one ? one : null));
  }

  /** One that cannot be read here, of a later version perhaps, holds up no other's token. */
  #load(tokens: readonly ReadyToken[]): Promise<Profile[]> {
    return Promise.all(
      tokens.map(({ irHash, queueKey }) =>
        this.#workflows.loadSoon(irHash, queueKey).catch(() => undefined),
      ),
    );
  }

  /** Fields to read for a token; none if it needs nothing and need not be checked. */
  #fields(token: ReadyToken, profile: Profile, isChecked: boolean): readonly string[] {
    if (!profile) {
      return NO_FIELDS;
    }
    if (token.kind === "finish") {
      return CHECKED; // whoever evaluates the output reads what that names, and nothing else
    }
    const needs = needsOf(profile.ir, token.node);
    const reads = token.payload === null ? token.kind !== "skip" : token.kind === "gather";
    const node = profile.ir.nodes[token.node] as IrNode;
    const own = reads && takesInput(node, token) ? needs.own : NO_FIELDS;
    if (token.unit !== token.runId) {
      return [...new Set([...checkedFields(token), "it", ...needs.context, ...own])];
    }
    const isFresh = !isChecked && !needs.isRaced;
    if (isFresh && own.length === 0 && (needs.context.length === 0 || token.kind === "skip")) {
      return NO_FIELDS;
    }
    return [...new Set([...checkedFields(token), ...needs.context, ...own])];
  }
}

const NO_FIELDS: readonly string[] = [];
const NOTHING: Fields & Map<string, string | null> = new Map();
