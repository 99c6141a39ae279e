/**
 * The workers of one queue and what waits for them, first come, first served in each of its two
 * lines: what stands in front goes before what stands behind. With their measures.
 */
import { Line } from "./line.ts";

export class WorkerPool<T> {
  readonly workers: number;
  #busy = 0;
  readonly #front = new Line<T>();
  readonly #behind = new Line<T>();
  #changedAt = 0;
  #busyMs = 0;
  #waitingMs = 0;
  #heldUpMs = 0;
  #longest = 0;
  readonly #waits: number[] = [];
  #executions = 0;

  constructor(workers: number) {
    this.workers = workers;
  }

  get free(): number {
    return this.workers - this.#busy;
  }

  /** Milliseconds that workers have worked, all together. */
  get busyMs(): number {
    return this.#busyMs;
  }

  /** The sum over time of how many have waited while every worker was busy. */
  get waitingMs(): number {
    return this.#waitingMs;
  }

  /** The sum over time of how many have waited though a worker was free: a limit held them up. */
  get heldUpMs(): number {
    return this.#heldUpMs;
  }

  /** The most that have waited at one time. */
  get longest(): number {
    return this.#longest;
  }

  /** How long executions have waited before they began; those within a chain have not. */
  get waits(): readonly number[] {
    return this.#waits;
  }

  get executions(): number {
    return this.#executions;
  }

  has(entry: T): boolean {
    return this.#front.has(entry) || this.#behind.has(entry);
  }

  add(entry: T, now: number, isBehind: boolean): void {
    this.#count(now);
    (isBehind ? this.#behind : this.#front).add(entry);
    if (this.free === 0) this.#longest = Math.max(this.#longest, this.#length);
  }

  /** The first that waits and may begin; it waits no longer. */
  take(now: number, mayBegin: (entry: T) => boolean): T | undefined {
    this.#count(now);
    const entry = this.#front.take(mayBegin) ?? this.#behind.take(mayBegin);
    // Who still waits now does so because nobody is free, or may not: only that is a queue.
    if (entry === undefined) this.#longest = Math.max(this.#longest, this.#length);
    return entry;
  }

  remove(entry: T, now: number): void {
    this.#count(now);
    void (this.#front.remove(entry) || this.#behind.remove(entry));
  }

  /** A worker begins; `isChained`: with what has not waited in the queue. */
  begin(now: number, waitMs: number, isChained: boolean): void {
    this.#count(now);
    this.#busy += 1;
    this.#executions += 1;
    if (!isChained) this.#waits.push(waitMs);
    this.#longest = Math.max(this.#longest, this.free > 0 ? 0 : this.#length);
  }

  end(now: number): void {
    this.#count(now);
    this.#busy -= 1;
  }

  get #length(): number {
    return this.#front.length + this.#behind.length;
  }

  /** Time has gone by since the last change. */
  #count(now: number): void {
    const ms = now - this.#changedAt;
    this.#busyMs += ms * this.#busy;
    if (this.free > 0) this.#heldUpMs += ms * this.#length;
    else this.#waitingMs += ms * this.#length;
    this.#changedAt = now;
  }
}
