/**
 * Rows of runs that have begun, changed late.
 *
 * A change of a run's row is what the run costs Postgres most. Under load nearly all that begin
 * end soon after, and then one change says both. So a row may say QUEUED for up to HOLD_MS after
 * the journal beside it says that the run has begun; without load, or while a workflow is paused, whose
 * runs are found by their rows, it is changed at once.
 *
 * Nothing rests on the row meanwhile: a run with a journal is neither started again by the sweep
 * nor taken for new by a rebuild. A process that dies leaves rows that say QUEUED too long; the
 * next session of the partition corrects them (`correctBegun`).
 */
import type { RunChange } from "../sdk/postgres/index.ts";

/** Less than the age at which the start sweep looks at rows that say QUEUED. */
export const HOLD_MS = 4000;
/**
 * So many of those held before are written with a block, which is not to wait for all of them; or as
 * many as it adds, so that no more wait than have begun in HOLD_MS, however many begin.
 */
export const DUE_MAX = 1000;

export interface BegunPlan {
  /** Changes to write with the block. */
  write: readonly RunChange[];
  /** Those that wait for a later one. */
  hold: readonly RunChange[];
  /** Of the monotonic clock. */
  atMs: number;
}

export class Begun {
  /** Oldest first. */
  readonly #held = new Map<string, { change: RunChange; sinceMs: number }>();

  get isEmpty(): boolean {
    return this.#held.size === 0;
  }

  /**
   * Which changes of a block are to be written, with those held before that are due. `settle` is
   * for when they are written; until then this may be asked again. `atOnce`: runs whose row must not
   * wait. Without load nothing does.
   */
  plan(
    changes: readonly RunChange[],
    { isLoad, atMs, atOnce }: { isLoad: boolean; atMs: number; atOnce: ReadonlySet<string> },
  ): BegunPlan {
    const write: RunChange[] = [];
    const hold: RunChange[] = [];
    const named = new Set<string>();
    for (const change of changes) {
      const begun = this.#held.get(change.id)?.change;
      named.add(change.id);
      if (begun !== undefined) {
        const startedAtMs = change.startedAtMs ?? begun.startedAtMs;
        write.push({ ...change, status: change.status ?? begun.status, startedAtMs });
      } else {
        const waits = isLoad && isBeginning(change) && !atOnce.has(change.id);
        (waits ? hold : write).push(change);
      }
    }
    for (const id of atOnce) {
      const begun = this.#held.get(id)?.change;
      if (begun !== undefined && !named.has(id)) {
        named.add(id);
        write.push(begun);
      }
    }
    const dueMax = Math.max(DUE_MAX, hold.length);
    let due = 0;
    for (const [id, { change, sinceMs }] of this.#held) {
      // Oldest first: behind one that is not due none is, and most of them are behind it.
      if (due >= dueMax || (isLoad && atMs - sinceMs < HOLD_MS)) {
        break;
      }
      if (!named.has(id)) {
        due++;
        write.push(change);
      }
    }
    return { write, hold, atMs };
  }

  /** What a plan says was done. */
  settle({ write, hold, atMs }: BegunPlan): void {
    write.forEach(({ id }) => this.#held.delete(id));
    hold.forEach((change) => this.#held.set(change.id, { change, sinceMs: atMs }));
  }
}

/** It has begun, and nothing else has changed. */
function isBeginning({ status, startedAtMs, businessStatus }: RunChange): boolean {
  return status === "RUNNING" && startedAtMs !== null && businessStatus === undefined;
}
