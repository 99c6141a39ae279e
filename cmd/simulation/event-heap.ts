/**
 * Virtual time: a heap of what will happen, whose clock jumps from one to the next.
 *
 * As the interpreter's own agenda, at one time answers come before limits and each kind in the order
 * in which it was entered; a heap, because a simulation of many runs has many things ahead.
 */
import type { Appointment } from "../../compiler/reference/index.ts";

type Entry = Appointment & { order: number };

export class EventHeap {
  now = 0;
  #order = 0;
  readonly #heap: Entry[] = [];

  enter(appointment: Appointment): void {
    const { at, isLimit } = appointment;
    this.#heap.push({
      ...{ at: Math.max(at, this.now), isLimit, order: this.#order++ },
      ...{ isDue: () => appointment.isDue(), happen: () => appointment.happen() },
    });
    this.#rise(this.#heap.length - 1);
  }

  /** Something that happens whatever comes before. */
  after(ms: number, happen: () => void): void {
    this.enter({ at: this.now + ms, isLimit: false, isDue: () => true, happen });
  }

  /** The clock jumps to what is next and still means something; false if nothing is ahead. */
  advance(): boolean {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      if (!next.isDue()) continue;
      this.now = next.at;
      next.happen();
      return true;
    }
    return false;
  }

  #take(): Entry | undefined {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (last === undefined || last === first) return first;
    this.#heap[0] = last;
    this.#sink();
    return first;
  }

  #rise(from: number): void {
    for (let at = from; at > 0;) {
      const up = (at - 1) >> 1;
      if (!this.#isBefore(at, up)) return;
      this.#swap(at, up);
      at = up;
    }
  }

  #sink(): void {
    for (let at = 0; ;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      const least = this.#isBefore(right, left) ? right : left;
      if (!this.#isBefore(least, at)) return;
      this.#swap(at, least);
      at = least;
    }
  }

  #swap(a: number, b: number): void {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return;
    this.#heap[a] = second;
    this.#heap[b] = first;
  }

  /** Whether the entry at `a` comes before that at `b`; one that is not there comes last. */
  #isBefore(a: number, b: number): boolean {
    const [first, second] = [this.#heap[a], this.#heap[b]];
    if (first === undefined || second === undefined) return first !== undefined;
    if (first.at !== second.at) return first.at < second.at;
    if (first.isLimit !== second.isLimit) return second.isLimit;
    return first.order < second.order;
  }
}
