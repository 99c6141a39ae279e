/**
 * One run and everybody who watches it: the run's state is folded once, each change is written once
 * and sent to all.
 *
 * No gap and nothing twice: live transitions are buffered while the history is read, and whatever
 * is not after the feed's position is dropped. Who resumes waits among the watchers while the
 * history is read for it: what lies before the feed's position as of then comes from the history,
 * what lies after it has been heard live meanwhile.
 *
 * That the run has ended is told when Postgres has its end (ends.ts): what Redis says may be lost.
 * Of one that ends before it begins - it was cancelled while it waited for its turn, rejected, or had
 * to make room - there is no journal; its row tells.
 */
import { comparePositions, errorIn, RunView } from "../sdk/internal.ts";
import type { Ir } from "../compiler/ir.ts";
import type { EndOrBegin } from "../sdk/postgres/index.ts";
import type { Placed } from "./history.ts";
import { advance, endText, snapshotText, type FeedMessage } from "./messages.ts";

/** Somebody who watches a run. */
export interface Watcher {
  /** Takes a message of the feed; never throws, may drop it and ask for a snapshot later. */
  take(message: FeedMessage): void;
  /** Takes a text that is not a change: a snapshot. Never throws. */
  tell(text: string): void;
}

/** How far somebody has heard a run. */
export interface Place {
  position: string;
  /** One transition can be several messages: so many of this one; Infinity: all. */
  heard: number;
}

const BEGINNING = "0.-1";
/** Messages kept for one who resumes while its history is read; beyond, it gets a snapshot. */
const PENDING_MAX = 10_000;

export class RunFeed {
  readonly runId: string;
  readonly #ir: Ir;
  readonly #watchers = new Set<Watcher>();
  #view: RunView;
  #position = BEGINNING;
  /** Live transitions that came while the history is read; null: it is there. */
  #early: Placed[] | null = [];
  #loads = 0;
  readonly #whenArchived: (runId: string) => Promise<number>;
  readonly #whenKnown: ((runId: string) => Promise<EndOrBegin>) | undefined;
  /** The run's end, as long as Redis alone has it; and when Postgres has it, too. */
  #held: FeedMessage | null = null;
  #end: FeedMessage | null = null;

  /**
   * `whenArchived`: resolves with the time of the run's end when Postgres has it; `whenKnown`, of a
   * run without a journal: when Postgres has its end or its begin.
   */
  constructor(
    runId: string,
    ir: Ir,
    whenArchived: (runId: string) => Promise<number>,
    whenKnown?: (runId: string) => Promise<EndOrBegin>,
  ) {
    this.runId = runId;
    this.#ir = ir;
    this.#whenArchived = whenArchived;
    this.#whenKnown = whenKnown;
    this.#view = new RunView(ir);
  }

  /**
   * Folds the run's history, read while live transitions are buffered, and tells everybody who
   * watches the result. To be called first, and again when what was folded so far may be void.
   */
  async load(read: () => Promise<Placed[]>): Promise<void> {
    const load = ++this.#loads;
    this.#early = [];
    const history = await read();
    if (load !== this.#loads) {
      return; // a later call began after this one, and knows better
    }
    const early = this.#early;
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    this.#early = null;
    this.#view = new RunView(this.#ir);
    this.#position = BEGINNING;
    this.#held = null;
    this.#end = null;
    [...history, ...early].forEach((placed) => this.take(placed));
    watchers.forEach((watcher) => this.watch(watcher));
    void (this.#position === BEGINNING && this.#watchRow());
  }

  /** Tells the end of a run that never begins. */
  async #watchRow(): Promise<void> {
    const load = this.#loads;
    const row = await this.#whenKnown?.(this.runId);
    if (row === undefined || row.startedAtMs !== null || load !== this.#loads) {
      return; // one that has begun has a journal
    }
    const e = row.status === "FAILED" ? "run.failed" : "run.cancelled";
    const error = errorIn(row.error);
    const err = error === null ? {} : { err: { error } };
    this.#view.apply({ r: this.runId, e, ...err }, row.endedAtMs ?? 0);
    const text = endText(this.runId, this.#view, this.#position);
    this.#end = { position: this.#position, text, withOutput: text, isEnd: true };
    this.#watchers.forEach((watcher) => watcher.take(this.#end as FeedMessage));
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
    if (transition.e === "run.redriven") {
      this.#tellEnd(); // only a run whose end is archived is redriven
      this.#end = null;
    }
    for (const message of advance(this.runId, this.#view, transition, tMs, position)) {
      if (message.isEnd) {
        void this.#hold(message, tMs);
      } else {
        this.#watchers.forEach((watcher) => watcher.take(message));
      }
    }
  }

  /** Keeps the run's end until Postgres has it. */
  async #hold(end: FeedMessage, atMs: number): Promise<void> {
    if (this.#held !== null || this.#end !== null) {
      return; // what comes behind an end changes nothing of it
    }
    this.#held = end;
    const load = this.#loads;
    while (load === this.#loads && this.#held === end) {
      // Another time is that of another end: of the attempt before, as long as the redrive is not
      // archived, or of the run as it went once more after this end was lost with Redis.
      if ((await this.#whenArchived(this.runId)) === atMs && this.#held === end) {
        this.#tellEnd();
      }
    }
  }

  #tellEnd(): void {
    const end = this.#held;
    if (end !== null) {
      this.#held = null;
      this.#end = end;
      this.#watchers.forEach((watcher) => watcher.take(end));
    }
  }

  /** Begins with a snapshot. */
  watch(watcher: Watcher): void {
    this.#watchers.add(watcher);
    this.snapshot(watcher);
  }

  /** Begins after `from`; with a snapshot if this journal does not know that position. */
  async resume(watcher: Watcher, from: Place, read: () => Promise<Placed[]>): Promise<void> {
    const until = this.#position;
    const pending: FeedMessage[] = [];
    let isLost = false;
    const waiting: Watcher = {
      take: (message) => (isLost ||= pending.push(message) > PENDING_MAX),
      tell: () => (isLost = true),
    };
    this.#watchers.add(waiting);
    let history: Placed[];
    try {
      history = await read();
      if (this.#early === null) {
        // The journal may be ahead of what was heard here, and `from` stand only there.
        history.forEach((placed) => this.take(placed));
      }
    } finally {
      this.#watchers.delete(waiting);
    }
    // A position that no transition has was told of what Redis has lost since.
    const isFrom = ({ position }: { position: string }): boolean => position === from.position;
    const isKnown = from.position === BEGINNING || history.some(isFrom) || pending.some(isFrom);
    if (isLost || !isKnown) {
      this.watch(watcher);
      return;
    }
    this.#replay(watcher, { from, until, history });
    unheard(
      pending.filter((message) => message !== this.#end),
      from,
    ).forEach((message) => watcher.take(message));
    this.#watchers.add(watcher);
    if (this.#end !== null) {
      watcher.take(this.#end);
    }
  }

  /** Sends the state as it is now. */
  snapshot(watcher: Watcher): void {
    watcher.tell(snapshotText(this.runId, this.#view, this.#position));
    if (this.#end !== null) {
      watcher.take(this.#end);
    }
  }

  unwatch(watcher: Watcher): void {
    this.#watchers.delete(watcher);
  }

  #replay(
    watcher: Watcher,
    { from, until, history }: { from: Place; until: string; history: readonly Placed[] },
  ): void {
    const view = new RunView(this.#ir);
    for (const { transition, tMs, position } of history) {
      if (comparePositions(position, until) > 0) {
        break;
      }
      // The last end is told when it is archived; one before it has been followed by a redrive.
      const isOpen = [this.#held?.position, this.#end?.position].includes(position);
      const messages = advance(this.runId, view, transition, tMs, position);
      const told = isOpen ? messages.filter(({ isEnd }) => !isEnd) : messages;
      unheard(told, from).forEach((message) => watcher.take(message));
    }
  }
}

/** Of messages in order, those that somebody who is so far has not heard. */
function unheard(messages: readonly FeedMessage[], from: Place): readonly FeedMessage[] {
  let same = 0;
  return messages.filter(({ position, isEnd }) => {
    const order = comparePositions(position, from.position);
    if (order !== 0) {
      return order > 0;
    }
    // A snapshot is all of its position, but for an end that was not archived yet.
    return ++same > from.heard || (isEnd && from.heard === Infinity);
  });
}
