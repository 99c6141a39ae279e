/**
 * Who waits for room in a lane: its reader, and a look for stale entries, for which room is kept that
 * is not read for. Else a lane that always finds more to read would never take anything over. While it
 * is closed there is none to be read for, however much is free.
 */
import { within } from "./within.ts";

export class Room {
  readonly #now: () => number;
  #kept = 0;
  #isClosed = false;
  #readers: (() => void)[] = [];
  #taker: (() => void) | null = null;

  /** `now`: how many tokens may come into the lane. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get now(): number {
    return this.#now();
  }

  /** The room to read for. */
  get toRead(): number {
    return this.#isClosed ? 0 : this.#now() - this.#kept;
  }

  /** Until `wake`. */
  wait(): Promise<void> {
    return new Promise((resolve) => this.#readers.push(resolve));
  }

  /** There may be some by now. */
  changed(): void {
    this.#taker?.();
    if (this.#readers.length > 0 && this.toRead > 0) {
      this.wake();
    }
  }

  /** Has whoever waits look again. */
  wake(): void {
    this.#taker?.();
    this.#readers.splice(0).forEach((go) => go());
  }

  /** Nothing is read, until `open`. */
  close(): void {
    this.#isClosed = true;
  }

  /** All the room there is is read for. */
  open(): void {
    this.#isClosed = false;
    this.keep(0);
  }

  /** Reads for so many less from now on. */
  keep(count: number): void {
    this.#kept = count;
    this.wake();
  }

  /** Keeps room until there is so much, for `ms` at most; resolves to the most that there was. */
  async make(count: number, ms: number, isOver: () => boolean): Promise<number> {
    this.keep(count);
    let most = 0;
    const made = new Promise<void>((resolve) => {
      this.#taker = (): void => {
        most = Math.max(most, this.#now());
        if (most >= count || isOver()) {
          resolve();
        }
      };
      this.#taker();
    });
    await within(ms, made);
    this.#taker = null;
    return most;
  }
}
