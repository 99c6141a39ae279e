/**
 * Who is to blame if this process dies: one suspect at a time, of all its lanes (21 A13).
 *
 * What was delivered twice without a result may be what kills, or have been beside that each time. To
 * tell, it is tried alone: nothing else that was delivered before begins until it has ended, or has
 * lived for a lease, as what kills rarely does.
 *
 * What outlives its trial goes on, for hours perhaps, while the next are tried: else many long steps
 * that were begun again and again by chance would be taken over one after the other. Meanwhile they are
 * not charged their delivery, so whoever kills in its own trial accuses only itself. When nobody is on
 * trial they are charged again: what kills later than in its trial ends as poison, too.
 *
 * What was delivered once waits for the end of a trial, and the next one for what was so let in: no
 * lane's suspects, however many, keep another lane from taking over the rest. Either is a turn of its
 * lane's, which is over by itself if its server does not answer (turn.ts).
 */
import { setTimeout as sleep } from "node:timers/promises";
import { Turn } from "./turn.ts";
import { within } from "./within.ts";

/** For deliveries to be counted anew: what cannot be said to Redis by then stays as it is for now. */
const COUNT_MS = 2000;
/** For every lane that was refused to look again, before another trial begins. */
const REST_MS = 2000;
/** In a lane's turn. */
const TICK_MS = 500;

export interface Suspect {
  isHeld(): boolean;
  /** Resolves when it is held no more. */
  whenGone(): Promise<void>;
  /** Takes this delivery off its count (-1), or puts it back (1), if it is ours still. */
  recount(by: -1 | 1): Promise<unknown>;
}

export class Trial {
  readonly #restMs: number;
  readonly #tickMs: number;
  readonly #countMs: number;
  #over: Promise<void> | null = null;
  #end: () => void = () => undefined;
  /** Those that have outlived theirs and go on. */
  readonly #outlived = new Set<Suspect>();
  /** Those of them that are not charged for now, in the trial under way. */
  #cleared = new Set<Suspect>();
  /** Lanes that take over what was delivered once. */
  #others = 0;
  #isOtherRefused = false;
  #isResting = false;

  constructor(restMs = REST_MS, tickMs = TICK_MS, countMs = COUNT_MS) {
    this.#restMs = restMs;
    this.#tickMs = tickMs;
    this.#countMs = countMs;
  }

  get isUnderWay(): boolean {
    return this.#over !== null;
  }

  /** Resolves when the one that is under way is over. */
  async whenOver(): Promise<void> {
    await this.#over;
  }

  /**
   * A turn to take over what was delivered once: until it is over or `letOthersGo`, no trial begins.
   * Null: one is under way.
   */
  holdForOthers(): Turn | null {
    if (this.isUnderWay) {
      this.#isOtherRefused = true;
      return null;
    }
    this.#others += 1;
    return new Turn(this.#tickMs, () => (this.#others -= 1));
  }

  letOthersGo(turn: Turn): void {
    this.#others -= turn.end() ? 1 : 0;
  }

  /**
   * Begins one, which is under way until its turn is over or `end`. Null: one is under way already, or
   * it is somebody else's turn.
   */
  async begin(): Promise<Turn | null> {
    if (this.isUnderWay || this.#isResting || this.#others > 0) {
      return null;
    }
    this.#over = new Promise((resolve) => (this.#end = resolve));
    const left = [...this.#outlived].filter((one) => one.isHeld() || !this.#outlived.delete(one));
    const cleared = this.#cleared;
    // Answered late, it may be over.
    await this.#recount(left, -1, (one) =>
      cleared === this.#cleared ? cleared.add(one) : one.recount(1),
    );
    return new Turn(this.#tickMs, () => void this.#finish(null, 0));
  }

  /** Ends it as soon as the suspect has ended, or lived for so long; null: there is none. */
  async end(turn: Turn, suspect: Suspect | null, ms: number): Promise<void> {
    if (turn.end()) {
      await this.#finish(suspect, ms);
    }
  }

  async #finish(suspect: Suspect | null, ms: number): Promise<void> {
    if (suspect !== null) {
      await within(ms, suspect.whenGone());
    }
    const cleared = [...this.#cleared].filter((one) => one.isHeld());
    this.#cleared = new Set();
    await this.#recount(cleared, 1, () => undefined);
    if (suspect?.isHeld() === true) {
      this.#outlived.add(suspect);
    }
    if (this.#isOtherRefused) {
      this.#isOtherRefused = false;
      this.#isResting = true;
      void sleep(this.#restMs, undefined, { ref: false }).then(() => (this.#isResting = false));
    }
    this.#over = null;
    this.#end();
  }

  async #recount(
    suspects: readonly Suspect[],
    by: -1 | 1,
    then: (one: Suspect) => unknown,
  ): Promise<void> {
    const all = suspects.map(async (one) => {
      await one.recount(by);
      await then(one);
    });
    await within(this.#countMs, Promise.allSettled(all));
  }
}
