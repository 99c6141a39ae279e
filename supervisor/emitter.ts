/**
 * Emits again what was in flight when Redis was lost: a queue entry, or a timer and the field that
 * names it. A part of write-run.ts.
 */
import {
  commonQueueKey,
  executesNothing,
  heldItem,
  packEntry,
  packWait,
  timerMember,
  type EntryKind,
  type HotState,
  type HotToken,
  type PartitionKeys,
  type RunProfile,
} from "../sdk/internal.ts";

type Fields = { [field: string]: string };

/** Where a run is written: a pipeline, a transaction, or a list of commands (writer.ts). */
export interface Writer {
  del(...keys: string[]): unknown;
  hset(key: string, fields: Fields): unknown;
  rpush(key: string, value: string): unknown;
  sadd(key: string, member: string): unknown;
  xadd(key: string, id: "*", field: string, value: string): unknown;
  xgroup(create: "CREATE", key: string, group: string, id: "0", make: "MKSTREAM"): unknown;
  zadd(key: string, score: number, member: string): unknown;
}

/** Emits for one unit: a run, or an element of a map. */
export class Emitter {
  /** Where entries of a paused run wait; null: they are queued. */
  held: string | null = null;
  nowMs = 0;
  readonly profile: RunProfile;
  readonly keys: PartitionKeys;
  /** The unit's name. */
  readonly name: string;
  /** The unit's. */
  readonly epoch: string;
  readonly #pipeline: Writer;

  constructor(
    pipeline: Writer,
    keys: PartitionKeys,
    profile: RunProfile,
    name: string,
    epoch: string,
  ) {
    this.#pipeline = pipeline;
    this.keys = keys;
    this.profile = profile;
    this.name = name;
    this.epoch = epoch;
  }

  /** The same for an element of one of the unit's maps. */
  inside(profile: RunProfile, name: string, epoch: string): Emitter {
    const emitter = new Emitter(this.#pipeline, this.keys, profile, name, epoch);
    emitter.held = this.held;
    emitter.nowMs = this.nowMs;
    return emitter;
  }

  /** Every token of the unit; adds to its fields. */
  unit(state: HotState, fields: { [field: string]: string }): void {
    for (const [node, token] of state.tokens) {
      if (state.isCurrent(token.scope)) {
        this.token(node, token, fields);
      }
    }
  }

  /** Its time in the queue begins anew. */
  #late(node: number, token: HotToken, queue: string, fields: { [field: string]: string }): void {
    const max = this.profile.ir.nodes[node]?.queue_timeout_ms;
    if (max !== undefined && token.state === "a" && kindAgain(token) !== "answered") {
      const { scope, attempt } = token;
      const at = { runId: this.name, epoch: this.epoch, node, scope, attempt };
      const member = timerMember({ kind: "late", ...at, queue: commonQueueKey(queue) });
      fields[`d${node}`] = member;
      this.#pipeline.zadd(this.keys.timers, this.nowMs + max, member);
    }
  }

  token(node: number, token: HotToken, fields: { [field: string]: string }): void {
    const queue = this.profile.queueKeys[this.profile.ir.nodes[node]?.queue ?? 0] as string;
    const { scope, attempt, state, timer } = token;
    const base = { runId: this.name, epoch: this.epoch, node, scope, attempt };
    if (timer !== null) {
      const member = timerMember({ kind: timer.kind, ...base, queue });
      fields[`d${node}`] = member;
      this.#pipeline.zadd(this.keys.timers, timer.dueMs, member);
    }
    if (state === "w" && token.wait !== undefined) {
      fields[`w${node}`] = packWait(token.wait, queue);
    } else if (state === "a" || state === "k") {
      const payload = state === "k" ? token.rest : answerOf(token);
      this.entry(node, token, state === "k" ? "skip" : kindAgain(token), payload);
      if (this.held === null) {
        this.#late(node, token, queue, fields);
      }
    }
  }

  /** An entry for a token. */
  entry(node: number, token: HotToken, kind: EntryKind, payload: string): void {
    const own = this.profile.queueKeys[this.profile.ir.nodes[node]?.queue ?? 0] as string;
    const queue = executesNothing(kind, token.answer) ? commonQueueKey(own) : own;
    const { scope, attempt, state } = token;
    const entry = packEntry({
      ...{ runId: this.name, epoch: this.epoch, node, scope, attempt },
      irHash: this.profile.irHash,
      kind,
      arrivals: state === "k" ? "" : token.rest,
      payload,
    });
    if (this.held === null) {
      this.#pipeline.xadd(queue, "*", "t", entry);
    } else {
      this.#pipeline.rpush(this.held, heldItem(queue, entry));
    }
  }
}

/** As what an active token is emitted again. */
export function kindAgain(token: HotToken): "run" | "resumed" | "answered" {
  return !token.isResumed ? "run" : token.answer === undefined ? "resumed" : "answered";
}

/** What ended the token's wait, as its entry carries it; "" for one that did not wait. */
export function answerOf(token: HotToken): string {
  return kindAgain(token) === "answered" ? JSON.stringify(token.answer) : "";
}
