/**
 * The beginnings of one worker under rate limits, those of each key apart by the worker's own clock.
 *
 * Redis counts a start when it lets it begin. A worker whose event loop stands still in that moment
 * begins it later, and what comes next, on time, would be too near. So the next one of a key asks when
 * its distance to the one before is as good as over, and begins when it is over. Between two workers as
 * much as one of them was late by is left.
 *
 * Whoever is to wait for no more than HOLD_MS in all waits here, with its place in the worker: to be
 * parked for so short a time would make it late again. Where more are late than that they wait in Redis.
 *
 * Redis has the say. It may have lost what it counted, or its clock may have gone on without this one's
 * (a machine that was suspended): then its limit begins anew, and what is known here keeps nobody for
 * longer than HOLD_MS. Only what Redis cannot know is kept to in full: how late the last one began.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { IrRateLimit } from "../compiler/ir.ts";
import { distanceOf, type Distance } from "../sdk/internal.ts";

/** The longest that a token whose start is now waits in its worker, ms. */
const HOLD_MS = 500;
/** From how many keys on the one that was used longest ago is forgotten for another one. */
const KEYS_KEPT = 1_000;

export interface TurnOptions {
  /** Monotonic ms. */
  nowMs: () => number;
  /** How long one may wait here, and how it waits: only tests say. */
  holdMs?: number;
  pause?: (ms: number) => Promise<unknown>;
}

/** Asks Redis, as `beginSlot` does; it is told how long the token would still wait here. */
type Ask = (holdMs: number) => Promise<number>;

interface Pace {
  /** Those whose turn to ask has not come, in order. */
  line: (() => void)[];
  /** How many have their turn. */
  turns: number;
  /** An interval after the last beginning, monotonic ms. */
  freeMs: number;
  /** When the last one began, and at most how long after Redis had counted it. */
  begunMs: number;
  lateMs: number;
}

export class RateTurns {
  readonly #nowMs: () => number;
  readonly #holdMs: number;
  readonly #pause: (ms: number) => Promise<unknown>;
  /** In the order in which they were used. */
  readonly #paces = new Map<string, Pace>();
  /** What the last two answers took: a single slow one says nothing of the next. */
  #trips: [number, number] = [0, 0];

  constructor({ nowMs, holdMs = HOLD_MS, pause = (ms) => sleep(ms) }: TurnOptions) {
    this.#nowMs = nowMs;
    this.#holdMs = holdMs;
    this.#pause = pause;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#paces.size;
  }

  /** 0 when it is to begin, now; else ms until it may ask again. Those of a key ask in order. */
  async begin(
    key: string,
    limit: Pick<IrRateLimit, "limit" | "per_ms">,
    ask: Ask,
  ): Promise<number> {
    const pace = this.#paceOf(key);
    const distance = distanceOf(limit);
    const untilMs = this.#nowMs() + this.#holdMs;
    const turn = new Promise<void>((go) => pace.line.push(go));
    this.#admit(pace, distance);
    await turn;
    try {
      return await this.#turn(pace, distance, untilMs, ask);
    } finally {
      pace.turns--;
      this.#admit(pace, distance);
    }
  }

  /**
   * Gives as many their turn as it takes to have all starts of the limit in spite of the way to Redis.
   * Without slack it is one: of several that ask within an interval all but one would ask again.
   */
  #admit(pace: Pace, { intervalUs, slackUs }: Distance): void {
    const abreast = slackUs === 0 ? 1 : 1 + Math.floor((2000 * this.#tripMs()) / intervalUs);
    while (pace.turns < abreast && pace.line.length > 0) {
      pace.turns++;
      pace.line.shift()?.();
    }
  }

  async #turn(pace: Pace, distance: Distance, untilMs: number, ask: Ask): Promise<number> {
    for (;;) {
      const nowMs = this.#nowMs();
      const leftMs = Math.max(0, untilMs - nowMs);
      const aheadMs = this.#aheadMs(pace, distance);
      if (aheadMs > this.#holdMs && aheadMs <= pace.lateMs) {
        // Redis would let it begin, and does not know how late the one before was.
        return aheadMs;
      }
      const isHere = aheadMs <= leftMs;
      const answer =
        isHere && aheadMs > this.#tripMs() ? -aheadMs : await this.#asked(ask, isHere ? leftMs : 0);
      if (answer > 0) {
        return answer;
      }
      if (answer === 0) {
        // It counts in Redis by now: so it begins, as soon as it may here.
        await this.#apart(pace, distance);
        this.#begun(pace, distance, nowMs);
        return 0;
      }
      // So much earlier that it asks in the right moment.
      await this.#passed(-answer - this.#tripMs());
    }
  }

  /** Ms until one may begin here. */
  #aheadMs({ freeMs }: Pace, { slackUs }: Distance): number {
    return Math.ceil(freeMs - slackUs / 1000 - this.#nowMs());
  }

  /** Waits until one may begin here, but not for what Redis has forgotten. */
  async #apart(pace: Pace, distance: Distance): Promise<void> {
    const untilMs = this.#nowMs() + this.#holdMs;
    for (;;) {
      const ms = Math.min(this.#aheadMs(pace, distance), Math.ceil(untilMs - this.#nowMs()));
      if (ms <= 0) {
        return;
      }
      await this.#pause(ms);
    }
  }

  #begun(pace: Pace, distance: Distance, askedMs: number): void {
    const nowMs = this.#nowMs();
    const isAnew = this.#aheadMs(pace, distance) > 0;
    pace.freeMs = Math.max(nowMs, isAnew ? 0 : pace.freeMs) + distance.intervalUs / 1000;
    pace.begunMs = nowMs;
    pace.lateMs = Math.ceil(nowMs - askedMs);
  }

  async #asked(ask: Ask, holdMs: number): Promise<number> {
    const fromMs = this.#nowMs();
    const answer = await ask(holdMs);
    this.#trips = [this.#trips[1], this.#nowMs() - fromMs];
    return answer;
  }

  /** What an answer of Redis takes, as things are. */
  #tripMs(): number {
    return Math.min(...this.#trips);
  }

  async #passed(ms: number): Promise<void> {
    if (ms > 0) {
      await this.#pause(ms);
    }
  }

  #paceOf(key: string): Pace {
    const known = this.#paces.get(key);
    if (known === undefined) {
      this.#forget();
    }
    const pace = known ?? { line: [], turns: 0, freeMs: 0, begunMs: -Infinity, lateMs: 0 };
    this.#paces.delete(key); // so it stands at the end
    this.#paces.set(key, pace);
    return pace;
  }

  /** Makes room for a key, if one is in nobody's way: looks at no more than it forgets, and one. */
  #forget(): void {
    const keptMs = this.#nowMs() - this.#holdMs;
    for (const [key, { turns, begunMs }] of this.#paces) {
      if (this.#paces.size < KEYS_KEPT || turns > 0 || begunMs > keptMs) {
        return;
      }
      this.#paces.delete(key);
    }
  }
}
