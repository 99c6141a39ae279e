/**
 * Reads what there is of a run by name in one MULTI, so that all of it is of one moment. Entries of
 * its streams are asked for by the ids that the index of streams knows; whether it knows all of them
 * is seen in the same moment, for what stands behind its last id is read with them.
 */
import type { ChainableCommander, Redis } from "ioredis";
import {
  connectionAt,
  GROUP,
  isForeign,
  parseEntry,
  partitionMs,
  type Hash,
  type PartitionKeys,
  type RunSnapshot,
  type StandingEntry,
} from "../../sdk/internal.ts";
import type { Names } from "./snapshot-names.ts";
import { compareIds, type StreamIndex } from "./streams.ts";

const HELD_MAX = 10_000;
const HELD_BORDER = "\x1e";

/** A snapshot, and whether all its streams were looked through to their end. */
export interface Snapshot extends RunSnapshot {
  isWhole: boolean;
}

type Take = (reply: unknown) => void;

/** Reads once. */
export class SnapshotReader {
  readonly #multi: ChainableCommander;
  readonly #takes: Take[] = [];
  readonly #names: Names;
  readonly #keys: PartitionKeys;
  readonly #runId: string;
  readonly #queueKeys: readonly string[];
  readonly #streams: StreamIndex;
  #isMoved = false;
  #delivered = new Map<string, string>();
  #found: { key: string; id: string; fields: string[]; consumer?: string }[] = [];

  constructor(
    redis: Redis,
    keys: PartitionKeys,
    runId: string,
    names: Names,
    queueKeys: readonly string[],
    streams: StreamIndex,
  ) {
    this.#multi = connectionAt(redis, keys.meta).multi();
    this.#keys = keys;
    this.#runId = runId;
    this.#names = names;
    this.#queueKeys = queueKeys;
    this.#streams = streams;
  }

  /** Null: entries were added meanwhile that it does not know. */
  async read(): Promise<Snapshot | null> {
    const snapshot = this.#ask();
    const held: string[] = [];
    this.#add(
      (multi) => multi.lrange(this.#keys.held(this.#runId), 0, HELD_MAX),
      (reply) => {
        held.push(...(reply as string[]));
      },
    );
    this.#queueKeys.forEach((key) => this.#askStream(key));
    const replies = (await this.#multi.exec()) ?? [];
    replies.forEach(([error, reply], i) => {
      if (isForeign(error)) {
        throw error as Error;
      }
      this.#takes[i]?.(error === null ? reply : null);
    });
    if (this.#isMoved) {
      return null;
    }
    return { ...snapshot(), entries: [...this.#standing(), ...heldEntries(held)] };
  }

  #add(ask: (multi: ChainableCommander) => unknown, take: Take): void {
    ask(this.#multi);
    this.#takes.push(take);
  }

  #ask(): () => Omit<Snapshot, "entries"> {
    const { maps, elements, timers, children } = this.#names;
    const keys = this.#keys;
    const runId = this.#runId;
    const read = {
      ...{ units: new Map<string, Hash>(), children: new Map<string, Hash>() },
      ...{ timers: new Map<string, number>(), maps: new Set<string>() },
      ...{ signals: {} as Hash, blobs: new Set<string>(), seq: 0, nowMs: 0 },
      ...{ isListedPaused: false, isListedRelease: false },
    };
    const take = (into: Map<string, Hash>, name: string): void =>
      this.#add(
        (multi) => multi.hgetall(keys.run(name)),
        (reply) => {
          void (Object.keys(reply as Hash).length > 0 && into.set(name, reply as Hash));
        },
      );
    [runId, ...maps, ...elements].forEach((unit) => take(read.units, unit));
    children.forEach((child) => take(read.children, child));
    this.#add(
      (multi) => multi.smembers(keys.maps(runId)),
      (reply) => {
        read.maps = new Set(reply as string[]);
      },
    );
    this.#add(
      (multi) => multi.hgetall(keys.signals(runId)),
      (reply) => {
        read.signals = reply as Hash;
      },
    );
    this.#add(
      (multi) => multi.hkeys(keys.blobs(runId)),
      (reply) => {
        read.blobs = new Set(reply as string[]);
      },
    );
    timers.forEach((member) =>
      this.#add(
        (multi) => multi.zscore(keys.timers, member),
        (score) => {
          void (score !== null && read.timers.set(member, Number(score)));
        },
      ),
    );
    this.#add(
      (multi) => multi.zscore(keys.paused, runId),
      (score) => {
        read.isListedPaused = score !== null;
      },
    );
    this.#add(
      (multi) => multi.zscore(keys.release, runId),
      (score) => {
        read.isListedRelease = score !== null;
      },
    );
    this.#askTail(read);
    const isWhole = this.#queueKeys.every((key) => this.#streams.isWhole(key));
    return () => ({ runId, ...read, isWhole });
  }

  /** Where the partition's journal ends, and its time. */
  #askTail(read: { seq: number; nowMs: number }): void {
    let clock: string | null = null;
    this.#add(
      (multi) => multi.hmget(this.#keys.meta, "seq", "clock"),
      (reply) => {
        const [seq, set = null] = reply as (string | null)[];
        read.seq = Number(seq ?? 0);
        clock = set;
      },
    );
    this.#add(
      (multi) => multi.time(),
      (time) => {
        read.nowMs = partitionMs(time as [number, number], clock);
      },
    );
  }

  #askStream(key: string): void {
    const ids = this.#streams.idsOf(key, this.#runId);
    const last = this.#streams.lastId(key);
    for (const id of ids) {
      this.#add(
        (multi) => multi.xrange(key, id, id),
        (reply) => {
          const [entry] = reply as [string, string[]][];
          void (entry !== undefined && this.#found.push({ key, id, fields: entry[1] }));
        },
      );
      this.#add(
        (multi) => multi.xpending(key, GROUP, id, id, 1),
        (reply) => {
          const [pending] = (reply ?? []) as [string, string][];
          const entry = this.#found.at(-1);
          if (pending !== undefined && entry?.key === key && entry.id === id) {
            entry.consumer = pending[1];
          }
        },
      );
    }
    if (ids.length > 0) {
      this.#add(
        (multi) => multi.xinfo("GROUPS", key),
        (reply) => {
          const groups = ((reply ?? []) as unknown[][]).map(asPairs);
          const group = groups.find((one) => one.get("name") === GROUP);
          this.#delivered.set(key, String(group?.get("last-delivered-id") ?? "0-0"));
        },
      );
    }
    if (this.#streams.isWhole(key)) {
      const from = last === "-" ? "-" : `(${last}`;
      this.#add(
        (multi) => multi.xrange(key, from, "+", "COUNT", 1000),
        (reply) => {
          const entries = (reply ?? []) as [string, string[]][];
          const own = entries.some(([id, f]) => parseEntry(key, id, f)?.runId === this.#runId);
          this.#isMoved ||= own || entries.length === 1000;
        },
      );
    }
  }

  #standing(): StandingEntry[] {
    return this.#found.flatMap(({ key, id, fields, consumer }): StandingEntry[] => {
      const token = parseEntry(key, id, fields);
      if (token === null) {
        return [];
      }
      const isDelivered = compareIds(id, this.#delivered.get(key) ?? "0-0") <= 0;
      return consumer === undefined
        ? [{ token, state: isDelivered ? "lost" : "queued" }]
        : [{ token, state: "pending", consumer }];
    });
  }
}

/** Entries as they are held with a paused run. */
export function heldEntries(held: readonly string[]): StandingEntry[] {
  return held.flatMap((item): StandingEntry[] => {
    const border = item.indexOf(HELD_BORDER);
    const token = parseEntry(item.slice(0, border), "", ["t", item.slice(border + 1)]);
    return token === null ? [] : [{ token, state: "held" }];
  });
}

function asPairs(flat: readonly unknown[]): Map<string, unknown> {
  const pairs = new Map<string, unknown>();
  for (let i = 0; i + 1 < flat.length; i += 2) {
    pairs.set(String(flat[i]), flat[i + 1]);
  }
  return pairs;
}
