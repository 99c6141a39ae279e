/**
 * Reads all that Redis holds of one run, at one moment: first the names of what there is to read,
 * then all of it in one MULTI. If that shows other names, the run moved: once more.
 */
import type { ChainableCommander, Redis } from "ioredis";
import type { Ir } from "../../compiler/ir.ts";
import {
  connectionAt,
  commonQueueKey,
  finishPrefix,
  foreignKeys,
  GROUP,
  isForeign,
  parseEntry,
  parseWait,
  partitionKeys,
  partitionMs,
  PRIORITIES,
  type ForeignKey,
  type Hash,
  type RunSnapshot,
  type StandingEntry,
} from "../../sdk/internal.ts";
import { compareIds, type StreamIndex } from "./streams.ts";

const TRIES = 8;
/** Units asked for in one round trip: one after the other, ten thousand take ten seconds from afar. */
const PAGE = 500;
const HELD_MAX = 10_000;
const HELD_BORDER = "\x1e";

/** What there is to read of a run, by name. */
interface Names {
  maps: string[];
  elements: string[];
  timers: string[];
  children: string[];
}

/** A snapshot, and whether all its streams were looked through to their end. */
export interface Snapshot extends RunSnapshot {
  isWhole: boolean;
}

/**
 * Null: the run is not in Redis. "moving": it moved between all tries. A list: keys of it are of
 * another type, so it cannot be read.
 */
export async function readSnapshot(
  redis: Redis,
  partition: number,
  runId: string,
  irOf: (hash: string) => Promise<Ir | null>,
  streams: StreamIndex,
): Promise<Snapshot | "moving" | ForeignKey[] | null> {
  try {
    return await readWhole(redis, partition, runId, irOf, streams);
  } catch (error) {
    const found = isForeign(error) ? await foreignKeys(redis, partitionKeys(partition), runId) : [];
    if (found.length === 0) {
      throw error;
    }
    return found;
  }
}

async function readWhole(
  redis: Redis,
  partition: number,
  runId: string,
  irOf: (hash: string) => Promise<Ir | null>,
  streams: StreamIndex,
): Promise<Snapshot | "moving" | null> {
  const keys = partitionKeys(partition);
  let known = await firstLook(redis, partition, runId);
  for (let attempt = 0; attempt < TRIES && known !== null; attempt++) {
    const run = known.get(runId) ?? {};
    const queueKeys = streamsOf(await irOf(run["ir"] ?? ""), partition, run["m"] ?? "");
    for (const key of queueKeys) {
      await streams.refresh(key);
    }
    const names = namesOf(runId, known, queueKeys);
    const reader = new Reader(redis, keys, runId, names, queueKeys, streams);
    const snapshot = await reader.read();
    if (snapshot === null || !snapshot.units.has(runId)) {
      known = await firstLook(redis, partition, runId);
      continue;
    }
    const now = namesOf(runId, withListed(snapshot), queueKeys);
    if (JSON.stringify(names) === JSON.stringify(now)) {
      return snapshot;
    }
    known = await firstLook(redis, partition, runId);
  }
  return known === null ? null : "moving";
}

/** Its units, and the maps that are on its list and have no hash. */
function withListed({ units, maps }: Snapshot): Map<string, Hash> {
  const listed = [...maps].map((map) => [map, units.get(map) ?? {}] as const);
  return new Map([...units, ...listed]);
}

/** The run and its maps, as they are now or a moment later. */
async function firstLook(
  redis: Redis,
  partition: number,
  runId: string,
): Promise<Map<string, Hash> | null> {
  const keys = partitionKeys(partition);
  const run = await redis.hgetall(keys.run(runId));
  if (run["s"] === undefined && Object.keys(run).length === 0) {
    return null;
  }
  const units = new Map([[runId, run as Hash]]);
  const add = async (names: readonly string[]): Promise<void> => {
    for (let from = 0; from < names.length; from += PAGE) {
      const page = names.slice(from, from + PAGE);
      const hashes = await Promise.all(page.map((name) => redis.hgetall(keys.run(name))));
      page.forEach((name, i) => units.set(name, hashes[i] as Hash));
    }
  };
  await add(await redis.smembers(keys.maps(runId)));
  await add(livingElements(units));
  return units;
}

/** Elements that have begun and have no result. */
function livingElements(units: ReadonlyMap<string, Hash>): string[] {
  return [...units].flatMap(([name, hash]) => {
    const next = hash["by"] === undefined ? 0 : Number(hash["next"] ?? 0);
    const indexes = Array.from({ length: next }, (_, i) => i);
    const living = indexes.filter((i) => {
      return hash[`r${i}`] === undefined && hash[`e${i}`] === undefined;
    });
    return living.map((i) => `${name}#${i}`);
  });
}

/** Every name that these units lead to, in a fixed order. */
function namesOf(
  runId: string,
  units: ReadonlyMap<string, Hash>,
  queues: readonly string[],
): Names {
  const maps = [...units.keys()].filter((name) => name !== runId && !/#\d+$/.test(name));
  const timers = new Set<string>();
  const children = new Set<string>();
  for (const [unit, hash] of units) {
    for (const [field, value] of Object.entries(hash)) {
      if (/^d\d+$/.test(field) && hash["by"] === undefined) {
        timers.add(value);
      } else if (/^w\d+$/.test(field)) {
        const wait = parseWait(value)?.wait;
        const isChild = wait?.kind === "child" && wait.run !== undefined;
        void (isChild && children.add(wait.run as string));
      }
    }
    if (hash["s"] === "finishing") {
      const epoch = hash["e"] ?? "";
      queues.forEach((queue) => timers.add(`${finishPrefix(unit, epoch)}|||${queue}`));
    }
  }
  timers.add(`run|${runId}|${units.get(runId)?.["e"] ?? ""}||||`);
  return {
    maps: maps.sort(),
    elements: livingElements(units).sort(),
    timers: [...timers].sort(),
    children: [...children].sort(),
  };
}

/** Streams in which tokens of a workflow may stand, the bodies of its maps included. */
export function streamsOf(ir: Ir | null, partition: number, place: string): string[] {
  const keys = partitionKeys(partition);
  const [namespace = "", priority] = place.split("|");
  const level = PRIORITIES.find((known) => known === priority) ?? "normal";
  const own = queuesOf(ir).flatMap((queue) => {
    const name = namespace + queue;
    return [keys.queue(name, level), keys.entryQueue(name, level)];
  });
  const common = commonQueueKey(keys.queue(`${namespace}x`, level));
  return [...new Set([...own, common])];
}

function queuesOf(ir: Ir | null): string[] {
  const bodies = (ir?.nodes ?? []).flatMap(({ body }) => (body === undefined ? [] : [body]));
  return [...(ir?.queues ?? []), ...bodies.flatMap((body) => queuesOf(body))];
}

type Take = (reply: unknown) => void;

class Reader {
  readonly #multi: ChainableCommander;
  readonly #takes: Take[] = [];
  readonly #names: Names;
  readonly #keys: ReturnType<typeof partitionKeys>;
  readonly #runId: string;
  readonly #queueKeys: readonly string[];
  readonly #streams: StreamIndex;
  #isMoved = false;
  #delivered = new Map<string, string>();
  #found: { key: string; id: string; fields: string[]; consumer?: string }[] = [];

  constructor(
    redis: Redis,
    keys: ReturnType<typeof partitionKeys>,
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
