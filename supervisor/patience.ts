/**
 * How long a batch of submissions waits for the compile thread: not at all, or a little.
 *
 * A file may have the thread for half a minute, while others of its batch wait to be committed and
 * answered. So a batch that has just been read waits for none: what needs the thread is put off, and the
 * rest goes on. What was put off (slow-lane.ts) is tried in batches which wait for the first of them,
 * since nothing comes of them otherwise, and for more as long as a commit is worth. What the thread is
 * at by then is not lost: the next batch has it.
 */
import { inTime, type Clock } from "../sdk/internal.ts";

/** Its turn at the thread has yet to come. */
export const LATER = Symbol("later");

/** Has `work` done by the thread, which is one thing, `what`, that this entry needs. */
export type Ask = <T>(
  entryId: string,
  what: string,
  work: () => Promise<T>,
) => Promise<T | typeof LATER>;

/** Tenants of entries that were put off, by the entries' ids. */
export type PutOff = Map<string, string>;

/** As long as it takes. */
export const askAtOnce: Ask = (_entryId, _what, work) => work();

/** What the thread was left with by the batch before, if anything. */
export interface Left {
  key?: string;
  answer?: Promise<unknown>;
}

/** With which batch an entry was read that was put off before. */
export type BatchOf = (entryId: string) => number | undefined;

export class Patience {
  /** The entries that were put off. */
  readonly later: PutOff = new Map();
  readonly #clock: Clock;
  readonly #waitMs: number;
  readonly #left: Left;
  readonly #batchOf: BatchOf;
  readonly #besides: PutOff;
  #first: string | null = null;
  #untilMs = 0;

  /**
   * `waitMs`: 0 for a batch that never waits. `left` is shared by batches that do. `besides`: what was
   * put off of the same batch, which is handled entry by entry.
   */
  constructor(
    clock: Clock,
    waitMs: number,
    left: Left = {},
    batchOf: BatchOf = () => undefined,
    besides: PutOff = new Map(),
  ) {
    this.#clock = clock;
    this.#waitMs = waitMs;
    this.#left = left;
    this.#batchOf = batchOf;
    this.#besides = besides;
  }

  /** What was put off is known to take long: nothing of it is tried on the event loop first. */
  get isLate(): boolean {
    return this.#waitMs > 0;
  }

  /**
   * Whether what an entry names may come with what is put off. Only what was read with it counts: of
   * what takes long there may always be more, and who names what is nowhere is to hear of it.
   *
   * And of that only what this pass has put off. A tenant's line is in order, files before who names
   * them, so what is not in the pass of his own is compiled. Files of other tenants may wait for
   * theirs longer than he does, and then he is told that there is none: as he is where they were read
   * a moment later. Would he wait for them, a page of such (tenant-lines.ts) would keep these files
   * from their turn for ever.
   */
  mayName(entryId: string): boolean {
    const batch = this.#batchOf(entryId);
    const ids = [...this.#besides.keys(), ...this.later.keys()];
    return ids.some((id) => this.#batchOf(id) === batch);
  }

  async ask<T>(entryId: string, what: string, work: () => Promise<T>): Promise<T | typeof LATER> {
    const now = this.#clock.monotonicMs();
    if (this.isLate && this.#first === null) {
      [this.#first, this.#untilMs] = [entryId, now + this.#waitMs];
    }
    const isFirst = this.#first === entryId;
    if (!isFirst && now >= this.#untilMs) {
      return LATER;
    }
    const left = this.#left;
    const key = `${entryId} ${what}`;
    const isLeft = left.key === key;
    const answer = isLeft ? (left.answer as Promise<T>) : work();
    if (isLeft) {
      delete left.key;
      delete left.answer;
    }
    const told = await (isFirst
      ? answer
      : inTime<T | typeof LATER>(answer, this.#untilMs - now, LATER));
    if (told === LATER) {
      this.#untilMs = 0;
      [left.key, left.answer] = [key, answer];
    }
    return told;
  }
}
