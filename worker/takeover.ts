/**
 * Takes over what a worker that stopped answering has left behind.
 *
 * Redis never offers a delivered entry again by itself. Entries idle for longer than the lease are
 * claimed, and how many of them together tells how often they were delivered (21 A13: a payload that
 * kills its worker must not take all others to the dead letters with it):
 *
 * - Never, for it was handed back: it has killed nobody, and is executed beside the rest.
 * - Once: nearly all of these were only beside what has killed. They go beside the rest too, a few at a
 *   time: at most so many are suspects once more if one of them kills. Else a dead worker would cost
 *   each survivor its reading for as long as all that the dead one held takes, one after the other.
 * - More often: alone, nothing that was begun lately in the lane's hands, and none of the latter two
 *   begun beside it in the process before it has ended or outlived its trial (trial.ts). The lane reads
 *   on sooner: what is read has not been delivered before, and if it is beside a killer, and then once
 *   more, it is tried itself, and not beside that one. Those that were delivered oftenest go first: who
 *   was accused alone is tried before who was not.
 *
 * A look goes on page by page until there is no more, or no room. Idleness is Redis' own, so a machine
 * with a wrong clock steals nothing.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Redis } from "ioredis";
import { GROUP, parseEntry, recount, writeAnyway, type ReadyToken } from "../sdk/internal.ts";
import { idsByQueue } from "./give-back.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { BATCH_MAX } from "./options.ts";
import { quarantine, type Garbage } from "./quarantine.ts";
import type { Turn } from "./turn.ts";

/**
 * What kills its process does so soon. Work that takes longer is not waited for to execute what is
 * stale, or a handler that never answers would stand between a lane and its queues.
 */
const SOON_MS = 2000;
/** Entries delivered once that are taken over together. */
const TOGETHER_MAX = 16;

export interface StaleEntry {
  queueKey: string;
  entryId: string;
  /** For how long nobody has touched it. */
  idleMs: number;
  /** Deliveries so far. */
  deliveries: number;
}

type PendingReply = [id: string, consumer: string, idleMs: number, deliveries: number][];

/** In each queue from that id on; what is not answered is left out. */
async function lookInto(
  redis: Redis,
  fromByQueue: ReadonlyMap<string, string>,
  leaseMs: number,
  count: number,
): Promise<StaleEntry[][]> {
  const pipeline = redis.pipeline();
  for (const [key, from] of fromByQueue) {
    pipeline.call("XPENDING", key, GROUP, "IDLE", leaseMs, from, "+", count);
  }
  const replies = (await pipeline.exec()) ?? [];
  return [...fromByQueue.keys()].map((queueKey, i) => {
    const [error, reply] = replies[i] ?? [];
    const entries = error === null ? (reply as PendingReply) : [];
    return entries.map(([entryId, , idleMs, deliveries]) => {
      return { queueKey, entryId, idleMs, deliveries };
    });
  });
}

const longestFirst = (found: readonly StaleEntry[][]): StaleEntry[] =>
  found.flat().sort((a, b) => b.idleMs - a.idleMs);

/**
 * Entries idle for at least `leaseMs`, at most `count` per queue. What has lain for longest comes first:
 * whoever takes only some of them, because it dies soon as well, leaves no queue behind for ever.
 */
export async function findStale(
  redis: Redis,
  queueKeys: readonly string[],
  leaseMs: number,
  count: number,
): Promise<StaleEntry[]> {
  const first = new Map(queueKeys.map((key) => [key, "-"]));
  return longestFirst(await lookInto(redis, first, leaseMs, count));
}

/**
 * All of them, page by page; each once, also if it is handed back meanwhile. The next page is asked
 * for when this one has been dealt with.
 */
export async function* pagesOfStale(
  redis: Redis,
  queueKeys: readonly string[],
  leaseMs: number,
): AsyncGenerator<StaleEntry[]> {
  let from = new Map(queueKeys.map((key) => [key, "-"]));
  while (from.size > 0) {
    const found = await lookInto(redis, from, leaseMs, BATCH_MAX);
    const full = found.flatMap((entries) => entries[BATCH_MAX - 1] ?? []);
    from = new Map(full.map(({ queueKey, entryId }) => [queueKey, `(${entryId}`]));
    yield longestFirst(found);
  }
}

/** What a claim has brought. */
export interface Claimed {
  tokens: ReadyToken[];
  /** Of each token, for how long nobody had touched it. */
  idleMs: number[];
  /** What is no token. */
  garbage: Garbage[];
}

/**
 * Claims stale entries in one step; those that somebody else has are not among them, nor those that
 * are gone (then nothing stays pending of them).
 */
export async function claim(
  redis: Redis,
  metaKey: string,
  entries: readonly StaleEntry[],
  consumer: string,
  leaseMs: number,
): Promise<Claimed> {
  const queues = [...idsByQueue(entries)];
  // Counted in the same step: whoever finds the count unchanged has lost no entry.
  const replies = await writeAnyway(redis, [
    ...queues.map(([key, ids]) => ["XCLAIM", key, GROUP, consumer, leaseMs, ...ids]),
    ["HINCRBY", metaKey, "taken", 1],
  ]);
  const idleMs = new Map(entries.map((one) => [`${one.queueKey} ${one.entryId}`, one.idleMs]));
  const claimed: Claimed = { tokens: [], idleMs: [], garbage: [] };
  for (const [i, [queueKey]] of queues.entries()) {
    for (const one of replies[i] as ([string, string[] | null] | null)[]) {
      const [entryId, fields] = one ?? ["", null];
      const token = fields === null ? null : parseEntry(queueKey, entryId, fields);
      if (token !== null) {
        claimed.tokens.push(token);
        claimed.idleMs.push(idleMs.get(`${queueKey} ${entryId}`) ?? 0);
      } else if (fields !== null) {
        claimed.garbage.push({ queueKey, entryId, fields });
      }
    }
  }
  return claimed;
}

/** How what was claimed is executed. */
export interface Executing {
  /** They fail without being executed. */
  poison: boolean;
  /** They are waited for so long. */
  waitMs: number;
  /** If it is over by then, they are not begun. */
  turn: Turn | null;
}

/** What a look for stale entries asks of its lane. */
export interface TakeoverLane {
  isQuiet(): boolean;
  /** So many tokens are begun now if they are admitted now. */
  room(): number;
  /** Leaves room for so many by reading less until some are executed; how much it is after `ms`. */
  makeRoom(count: number, ms: number): Promise<number>;
  /** Reads and begins nothing more; resolves when nothing younger than `ms` is in its hands. */
  withdraw(ms: number): Promise<void>;
  /** Executes tokens; resolves when they are settled, or waited for: to those that are not. */
  execute(claimed: Claimed, how: Executing): Promise<readonly Held[]>;
  /** Reads again. */
  readOn(): void;
  /** Another look is needed, and not only after half a lease. */
  lookSoon(): void;
}

/** Looks of one lane. */
export class Takeover {
  readonly #o: LaneOptions;
  readonly #lane: TakeoverLane;
  #looking: Promise<boolean> | null = null;

  constructor(options: LaneOptions, lane: TakeoverLane) {
    this.#o = options;
    this.#lane = lane;
  }

  /** Whether a look is under way. */
  get isLooking(): boolean {
    return this.#looking !== null;
  }

  /**
   * Executes what is stale; or joins the look under way. Resolves to whether some of it is left, for
   * want of room.
   */
  look(): Promise<boolean> {
    return (this.#looking ??= this.#takeStale().finally(() => {
      this.#looking = null;
      this.#lane.readOn();
    }));
  }

  async #takeStale(): Promise<boolean> {
    const { redis, reader, leaseMs, unreadable, deliveriesMax } = this.#o;
    for await (const page of pagesOfStale(redis, reader.openKeys, leaseMs)) {
      const stale = await unreadable.notLeft(page);
      // One that was beside a killer twice must be executed once more, and alone, before it is poison.
      const suspectFrom = deliveriesMax > 2 ? 2 : 1;
      const free = stale.filter(({ deliveries }) => deliveries === 0);
      const once = stale.filter(({ deliveries: n }) => n > 0 && n < suspectFrom);
      const others = stale.filter(({ deliveries }) => deliveries >= suspectFrom);
      const isAllTaken =
        (await this.#takeTogether(free, BATCH_MAX, 0, null)) &&
        (await this.#takeOnce(once)) &&
        (await this.#takeAlone(others));
      if (!isAllTaken) {
        return true;
      }
    }
    return false;
  }

  /** By batches, each waited for so long; whether there was room for all, and time in this turn. */
  async #takeTogether(
    entries: readonly StaleEntry[],
    batchMax: number,
    waitMs: number,
    turn: Turn | null,
  ): Promise<boolean> {
    for (let at = 0; at < entries.length;) {
      const wanted = Math.min(batchMax, entries.length - at);
      const count = Math.min(wanted, await this.#roomFor(Math.min(TOGETHER_MAX, wanted)));
      if (this.#lane.isQuiet() || count <= 0 || turn?.goesOn() === false) {
        return false;
      }
      await this.#take(entries.slice(at, at + count), waitMs, turn);
      at += count;
    }
    return true;
  }

  /**
   * How much room there is or, if that is less, has been within a moment. Beside lanes with a backlog
   * there is none to be seen between two turns: what ends makes some, and the next lane takes it.
   */
  async #roomFor(least: number): Promise<number> {
    const room = this.#lane.room();
    return room >= least ? room : await this.#lane.makeRoom(least, SOON_MS);
  }

  /** Those that were delivered once, unless one is on trial; whether there was room for all. */
  async #takeOnce(entries: readonly StaleEntry[]): Promise<boolean> {
    const { trial } = this.#o;
    if (entries.length === 0) {
      return true;
    }
    const turn = trial.holdForOthers();
    if (turn === null) {
      this.#lookAfterTrial();
      return true;
    }
    try {
      const isAllTaken = await this.#takeTogether(entries, TOGETHER_MAX, SOON_MS, turn);
      return isAllTaken && turn.goesOn();
    } finally {
      trial.letOthersGo(turn);
    }
  }

  /** One by one, until one is on trial for longer than soon; whether there was room for all. */
  async #takeAlone(entries: readonly StaleEntry[]): Promise<boolean> {
    const { nowMs, trial } = this.#o;
    let untilMs = -Infinity;
    for (const entry of [...entries].sort((a, b) => b.deliveries - a.deliveries)) {
      // Before it begins: those that have outlived theirs are not charged in a trial of nobody, either.
      if ((await this.#roomFor(1)) <= 0) {
        return false;
      }
      const turn = await trial.begin();
      if (turn === null) {
        this.#lookAfterTrial();
        break;
      }
      let left: readonly Held[] = [];
      try {
        if (nowMs() > untilMs) {
          // Between two stretches of this the lane reads on.
          this.#lane.readOn();
          await nextTurn();
          await this.#lane.withdraw(SOON_MS);
          untilMs = nowMs() + SOON_MS;
        }
        const isItsTurn = turn.goesOn() && (await this.#roomFor(1)) > 0 && turn.goesOn();
        if (!isItsTurn || this.#lane.isQuiet()) {
          return false;
        }
        left = await this.#take([entry], SOON_MS, turn);
        if (!turn.goesOn()) {
          return false;
        }
      } finally {
        await this.#judge(turn, left);
      }
    }
    this.#lane.readOn();
    return true;
  }

  /** Ends a trial, of one that is not settled yet when it has lived for a lease. */
  async #judge(turn: Turn, [held]: readonly Held[]): Promise<void> {
    const { trial, leases, scripts, consumer, leaseMs } = this.#o;
    if (held === undefined) {
      await trial.end(turn, null, 0);
      return;
    }
    const { queueKey, entryId } = held.token;
    const suspect = {
      isHeld: () => leases.has(held),
      whenGone: () => leases.whenGone([held]),
      recount: (by: -1 | 1) => recount(scripts, queueKey, consumer, [entryId], by),
    };
    void trial.end(turn, suspect, leaseMs - SOON_MS);
  }

  /** What is left now is looked for as soon as no trial is under way. */
  #lookAfterTrial(): void {
    void this.#o.trial.whenOver().then(() => this.#lane.lookSoon());
  }

  /**
   * Executes those that are still stale, while it is this lane's turn; which are not settled after
   * `waitMs`. Never fails.
   */
  async #take(
    found: readonly StaleEntry[],
    waitMs: number,
    turn: Turn | null,
  ): Promise<readonly Held[]> {
    const { redis, scripts, reader, consumer, leaseMs, deliveriesMax, logger, unreadable } =
      this.#o;
    try {
      // A look may take long: what has been paused meanwhile stays where it is, or is left to others.
      const left = await unreadable.notLeft(found);
      const open = new Set(reader.openKeys);
      const entries = left.filter(({ queueKey }) => open.has(queueKey));
      if (entries.length === 0) {
        return [];
      }
      const poison = entries.some(({ deliveries }) => deliveries >= deliveriesMax);
      // What is begun before a new epoch is heard of would be in vain.
      await scripts.look();
      if (turn?.goesOn() === false) {
        return [];
      }
      const claimed = await claim(redis, scripts.keys.meta, entries, consumer, leaseMs);
      await quarantine(this.#o, claimed.garbage);
      if (claimed.tokens.length > 0) {
        return await this.#lane.execute(claimed, { poison, waitMs, turn });
      }
    } catch (error) {
      const about = { err: error, entry: found[0]?.entryId, entries: found.length };
      logger.warn(about, "stale entries not taken over");
    }
    return [];
  }
}
