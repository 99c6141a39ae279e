/**
 * What a supervisor counts of its work, for metrics: plain numbers, that somebody else makes text of.
 * Counted after what they count is committed. Nothing is decided by any of this.
 */
import { Durations } from "../sdk/internal.ts";
import type { Cursor } from "../sdk/postgres/index.ts";

export class SupervisorCounts {
  /** Submissions whose runs have their rows. */
  accepted = 0;
  /** Submissions that were refused, by the code of their first problem. */
  readonly rejected = new Map<string, number>();
  /** Runs that began, as the archive has it, and those that ended, by status. */
  started = 0;
  readonly ended = new Map<string, number>();
  deadLetters = 0;
  /** Records and transitions of the journal that were archived, in so many blocks. */
  records = 0;
  transitions = 0;
  /** How long blocks took, from being worked out until they were committed. */
  readonly commits = new Durations();
  timersFired = 0;
  /** Up to where the partitions are archived whose role is held here, or was. */
  readonly cursors = new Map<number, Cursor>();

  reject(code: string): void {
    this.rejected.set(code, (this.rejected.get(code) ?? 0) + 1);
  }

  end(status: string): void {
    this.ended.set(status, (this.ended.get(status) ?? 0) + 1);
  }
}
