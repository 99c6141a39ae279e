/**
 * The beginnings of one worker under rate limits: those of one key one after the other.
 *
 * Redis counts a start when it lets it begin. A worker whose event loop stands still in that moment
 * begins it later, and what comes next, on time, would be too near. So the next one of a key asks only
 * when the one before has its answer, and not before its distance to it is over by the worker's own
 * clock. Between two workers as much as one of them was late by is left.
 *
 * Whoever is to wait for no more than HOLD_MS in all waits here, with its place in the worker: to be
 * parked for so short a time would make it late again. Where more are late than that they wait in Redis.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { IrRateLimit } from "../compiler/ir.ts";
import { distanceOf, type Distance } from "../sdk/internal.ts";

/** The longest that a token whose start is now waits in its worker, ms. */
const HOLD_MS = 500;
/** From how many keys on those that nobody waits for are forgotten. */
const KEYS_KEPT = 1_000;

export interface TurnOptions {
  /** Monotonic ms. */
  nowMs: () => number;
  /** How long one may wait here, and how it waits: only tests say. */
  holdMs?: number;
  pause?: (ms: number) => Promise<unknown>;
}

interface Pace {
  /** The beginning of the last in line, or that it has to wait elsewhere. */
  last: Promise<unknown>;
  inLine: number;
  /** An interval after the last beginning, monotonic ms. */
  freeMs: number;
}

export class RateTurns {
  readonly #nowMs: () => number;
  readonly #holdMs: number;
  readonly #pause: (ms: number) => Promise<unknown>;
  readonly #paces = new Map<string, Pace>();

  constructor({ nowMs, holdMs = HOLD_MS, pause = (ms) => sleep(ms) }: TurnOptions) {
    this.#nowMs = nowMs;
    this.#holdMs = holdMs;
    this.#pause = pause;
  }

  /** Keys that are remembered. */
  get size(): number {
    return this.#paces.size;
  }

  /**
   * 0 when it is to begin, now; else ms until it may ask again. `ask` asks Redis, as `beginSlot`
   * does, and is told how long the token would still wait here.
   */
  async begin(
    key: string,
    limit: Pick<IrRateLimit, "limit" | "per_ms">,
    ask: (holdMs: number) => Promise<number>,
  ): Promise<number> {
    const pace = this.#paceOf(key);
    const untilMs = this.#nowMs() + this.#holdMs;
    pace.inLine++;
    const mine = pace.last.then(() => this.#turn(pace, distanceOf(limit), untilMs, ask));
    pace.last = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      pace.inLine--;
    }
  }

  async #turn(
    pace: Pace,
    { intervalUs, slackUs }: Distance,
    untilMs: number,
    ask: (holdMs: number) => Promise<number>,
  ): Promise<number> {
    const aheadMs = (): number => Math.ceil(pace.freeMs - slackUs / 1000 - this.#nowMs());
    for (;;) {
      const leftMs = Math.max(0, untilMs - this.#nowMs());
      const tooSoonMs = Math.max(0, aheadMs());
      const isHere = tooSoonMs > 0 && tooSoonMs <= leftMs;
      const answer = isHere ? -tooSoonMs : await ask(tooSoonMs > 0 ? 0 : leftMs);
      if (answer > 0) {
        return answer;
      }
      if (answer === 0) {
        // It counts in Redis by now: so it begins, as soon as it may here.
        await this.#passed(aheadMs());
        pace.freeMs = Math.max(this.#nowMs(), pace.freeMs) + intervalUs / 1000;
        return 0;
      }
      await this.#passed(-answer);
    }
  }

  async #passed(ms: number): Promise<void> {
    if (ms > 0) {
      await this.#pause(ms);
    }
  }

  #paceOf(key: string): Pace {
    const known = this.#paces.get(key);
    if (known !== undefined) {
      return known;
    }
    if (this.#paces.size >= KEYS_KEPT) {
      for (const [name, { inLine, freeMs }] of this.#paces) {
        if (inLine === 0 && freeMs <= this.#nowMs()) {
          this.#paces.delete(name);
        }
      }
    }
    const pace = { last: Promise.resolve(), inLine: 0, freeMs: 0 };
    this.#paces.set(key, pace);
    return pace;
  }
}
