/**
 * The entries a worker holds, in memory that its lease thread reads too (lease-thread.ts).
 *
 * A message for each entry would cost more than the rest of what a plain step costs here; a slot is
 * a few stores. Nothing is locked: a slot that is read while it is written names an entry that does
 * not exist or is not ours, and renewing that changes nothing (scripts/renew_leases.lua).
 */

/** Slots at least: what does not fit is renewed by the event loop alone. */
export const LEASE_SLOTS = 4096;

/**
 * Slots for what a lane has in hand: as much as is executed at one time, and as much read ahead, with
 * what one read may bring over that. Memory that is never written to costs nothing.
 */
export function leaseSlots(concurrency: number): number {
  return Math.max(LEASE_SLOTS, 3 * concurrency);
}

/** Numbers of one slot: entry id (ms, serial), queue (index + 1, 0: free), last ms of the lease. */
const WIDTH = 4;
const [MS, SERIAL, QUEUE, UNTIL] = [0, 1, 2, 3];
/** Before the slots: when the event loop last turned. */
const BEAT = 0;
const HEAD = 1;

/** What the thread is to renew: entry ids by stream. */
export type LeasedIds = Map<string, string[]>;

export class LeaseTable {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Float64Array;
  readonly #queues: readonly string[];
  readonly #indexOf: Map<string, number>;
  readonly #free: number[] = [];
  readonly #slots: number;
  #used = 0;

  /** `queues`: every stream that entries come from. `at`: slots, or the buffer of the other side. */
  constructor(queues: readonly string[], at: number | SharedArrayBuffer = LEASE_SLOTS) {
    const bytes = (slots: number): number =>
      Float64Array.BYTES_PER_ELEMENT * (HEAD + slots * WIDTH);
    this.buffer = typeof at === "number" ? new SharedArrayBuffer(bytes(at)) : at;
    this.#cells = new Float64Array(this.buffer);
    this.#slots = (this.#cells.length - HEAD) / WIDTH;
    this.#queues = queues;
    this.#indexOf = new Map(queues.map((key, i) => [key, i]));
  }

  /** Says that the event loop turns; monotonic ms of the worker. */
  beat(nowMs: number): void {
    this.#cells[BEAT] = nowMs;
  }

  /** When the event loop last turned; 0 before it ever did. */
  get beatMs(): number {
    return this.#cells[BEAT] as number;
  }

  /** Takes a slot for an entry; -1 if the table is full or the stream is none of its own. */
  add(queueKey: string, entryId: string): number {
    const queue = this.#indexOf.get(queueKey);
    const slot = this.#free.pop() ?? (this.#used < this.#slots ? this.#used++ : -1);
    if (queue === undefined || slot < 0) {
      if (slot >= 0) {
        this.#free.push(slot);
      }
      return -1;
    }
    const dash = entryId.indexOf("-");
    const at = HEAD + slot * WIDTH;
    this.#cells[at + MS] = Number(entryId.slice(0, dash));
    this.#cells[at + SERIAL] = Number(entryId.slice(dash + 1));
    this.#cells[at + UNTIL] = Infinity;
    this.#cells[at + QUEUE] = queue + 1;
    return slot;
  }

  /** The thread renews this entry until then at most; Infinity: no limit of its own. */
  limit(slot: number, untilMs: number): void {
    if (slot >= 0) {
      this.#cells[HEAD + slot * WIDTH + UNTIL] = untilMs;
    }
  }

  remove(slot: number): void {
    if (slot >= 0) {
      this.#cells[HEAD + slot * WIDTH + QUEUE] = 0;
      this.#free.push(slot);
    }
  }

  /** Entries whose lease may be renewed at `nowMs`. */
  held(nowMs: number): LeasedIds {
    const ids: LeasedIds = new Map();
    for (let at = HEAD; at < this.#cells.length; at += WIDTH) {
      const queue = this.#queues[(this.#cells[at + QUEUE] as number) - 1];
      if (queue !== undefined && (this.#cells[at + UNTIL] as number) > nowMs) {
        const own = ids.get(queue) ?? [];
        ids.set(queue, own);
        own.push(`${this.#cells[at + MS]}-${this.#cells[at + SERIAL]}`);
      }
    }
    return ids;
  }
}
