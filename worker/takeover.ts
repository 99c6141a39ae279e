/**
 * Takes over what a worker that stopped answering has left behind.
 *
 * How many stale entries (stale.ts) are executed together tells how often they were delivered (21 A13: a
 * payload that kills its worker must not take all others to the dead letters with it):
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
 * A look goes on page by page until there is no more, or no room: then another one is due.
 */
import { setImmediate as nextTurn } from "node:timers/promises";
import { recount } from "../sdk/internal.ts";
import type { HandBacks } from "./hand-backs.ts";
import type { LaneOptions } from "./lane-options.ts";
import type { Held } from "./leases.ts";
import { BATCH_MAX } from "./options.ts";
import { quarantine } from "./quarantine.ts";
import type { Room } from "./room.ts";
import { claim, pagesOfStale, type Claimed, type StaleEntry } from "./stale.ts";
import type { Turn } from "./turn.ts";

/**
 * What kills its process does so soon. Work that takes longer is not waited for to execute what is
 * stale, or a handler that never answers would stand between a lane and its queues.
 */
const SOON_MS = 2000;
/** Entries delivered once that are taken over together. */
const TOGETHER_MAX = 16;

/** How what was claimed is executed. */
export interface Executing {
  /** They fail without being executed. */
  poison: boolean;
  /** They are waited for so long. */
  waitMs: number;
  /** If it is over by then, they are not begun. */
  turn: Turn | null;
}

/** What of its lane it works with. */
export interface TakeoverLane {
  room: Pick<Room, "now" | "make" | "open">;
  handBacks: Pick<HandBacks, "isLookDue">;
  /** Nothing new is begun. */
  isIdle: () => boolean;
  /** Reads and begins nothing more; resolves when nothing younger than `ms` is in its hands. */
  withdraw(ms: number): Promise<void>;
  /** Executes tokens; resolves when they are settled, or waited for: to those that are not. */
  execute(claimed: Claimed, how: Executing): Promise<readonly Held[]>;
}

/** Looks of one lane. */
export class Takeover {
  readonly #o: LaneOptions;
  readonly #lane: TakeoverLane;
  /** The look under way: resolves to whether something is left, for want of room. */
  #looking: Promise<boolean> | null = null;

  constructor(options: LaneOptions, lane: TakeoverLane) {
    this.#o = options;
    this.#lane = lane;
  }

  /** Executes what is stale; or joins the look under way. */
  async look(): Promise<void> {
    const { room, handBacks } = this.#lane;
    if (this.#looking === null) {
      // One that is under way may have asked before the last of them was handed back.
      handBacks.isLookDue = false;
      this.#looking = this.#takeStale().finally(() => {
        this.#looking = null;
        room.open();
      });
    }
    const isLeft = await this.#looking;
    handBacks.isLookDue ||= isLeft;
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
      if (this.#lane.isIdle() || count <= 0 || turn?.goesOn() === false) {
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
    const { room, isIdle } = this.#lane;
    const count = Math.min(least, this.#o.slots.max);
    return room.now >= least ? room.now : await room.make(count, SOON_MS, isIdle);
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
          this.#lane.room.open();
          await nextTurn();
          await this.#lane.withdraw(SOON_MS);
          untilMs = nowMs() + SOON_MS;
        }
        const isItsTurn = turn.goesOn() && (await this.#roomFor(1)) > 0 && turn.goesOn();
        if (!isItsTurn || this.#lane.isIdle()) {
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
    this.#lane.room.open();
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
    void this.#o.trial.whenOver().then(() => (this.#lane.handBacks.isLookDue = true));
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
    const { counts } = this.#o;
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
        counts.takenOver += claimed.tokens.length;
        counts.poison += poison ? claimed.tokens.length : 0;
        return await this.#lane.execute(claimed, { poison, waitMs, turn });
      }
    } catch (error) {
      const about = { err: error, entry: found[0]?.entryId, entries: found.length };
      logger.warn(about, "stale entries not taken over");
    }
    return [];
  }
}
