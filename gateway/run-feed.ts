/**
 * One run and everybody who watches it: the run's state is folded once, each change is written once
 * and sent to all.
 *
 * No gap and nothing twice: live transitions are buffered while the history is read, and whatever
 * is not after the feed's position is dropped.
 */
import { comparePositions, isTerminal, RunView } from "../sdk/internal.ts";
import type { Ir } from "../compiler/ir.ts";
import type { Placed } from "./history.ts";
import { advance, endText, snapshotText, type FeedMessage } from "./messages.ts";

/** Somebody who watches a run. */
export interface Watcher {
  /** Takes a message of the feed; never throws, may drop it and ask for a snapshot later. */
  take(message: FeedMessage): void;
  /** Takes a text that is not a change: a snapshot, or an end. */
  tell(text: string): void;
}

export class RunFeed {
  readonly runId: string;
  readonly #ir: Ir;
  readonly #view: RunView;
  readonly #watchers = new Set<Watcher>();
  #position = "0.-1";
  /** Live transitions that came before the history was there; null: it is there. */
  #early: Placed[] | null = [];

  constructor(runId: string, ir: Ir) {
    this.runId = runId;
    this.#ir = ir;
    this.#view = new RunView(ir);
  }

  get isIdle(): boolean {
    return this.#watchers.size === 0;
  }

  /** The history up to now; live transitions go on from there. */
  begin(history: readonly Placed[]): void {
    const early = this.#early ?? [];
    this.#early = null;
    [...history, ...early].forEach((placed) => this.take(placed));
  }

  /** A transition from the stream. */
  take(placed: Placed): void {
    if (this.#early !== null) {
      this.#early.push(placed);
      return;
    }
    if (comparePositions(placed.position, this.#position) <= 0) {
      return;
    }
    this.#position = placed.position;
    const { transition, tMs, position } = placed;
    for (const message of advance(this.runId, this.#view, transition, tMs, position)) {
      this.#watchers.forEach((watcher) => watcher.take(message));
    }
  }

  /** Begins with a snapshot, or after `from` with what has happened since. */
  watch(watcher: Watcher, resume: { from: string; history: readonly Placed[] } | null): void {
    if (resume === null) {
      this.snapshot(watcher);
    } else {
      this.#replay(watcher, resume.from, resume.history);
    }
    this.#watchers.add(watcher);
  }

  /** Sends the state as it is now. */
  snapshot(watcher: Watcher): void {
    watcher.tell(snapshotText(this.runId, this.#view, this.#position));
    if (isTerminal(this.#view.status)) {
      watcher.tell(endText(this.runId, this.#view, this.#position));
    }
  }

  unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  /** What lies between `from` and the feed's own position; later changes come live. */
  #replay(watcher: Watcher, from: string, history: readonly Placed[]): void {
    const view = new RunView(this.#ir);
    for (const { transition, tMs, position } of history) {
      if (comparePositions(position, this.#position) > 0) {
        break;
      }
      const messages = advance(this.runId, view, transition, tMs, position);
      if (comparePositions(position, from) > 0) {
        messages.forEach((message) => watcher.take(message));
      }
    }
  }
}
