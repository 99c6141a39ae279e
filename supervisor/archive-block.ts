/**
 * Archiving one block: folded, worked out, committed with the cursor (commit-block.ts), and told to
 * whoever goes on with what it says.
 *
 * Nobody is told before the commit. A run must not stop its partition: what Postgres refuses of what
 * a run says is left out, and its journal archived all the same. A transition that cannot be folded
 * is set apart (fold-block.ts): its text is kept, and its run, of whose state nobody can be sure, is
 * suspect. Postgres away: the block waits, and the stream holds the backlog.
 */
import { isValueFault, whileDatabaseAway, type Cursor } from "../sdk/postgres/index.ts";
import type { BegunRows } from "./begun-rows.ts";
import { BlockEnds } from "./block-ends.ts";
import { recordsOf, type Block } from "./block-reader.ts";
import { parentsIn } from "./block-rows.ts";
import type { Children } from "./children.ts";
import { commitBlock, sparing, together } from "./commit-block.ts";
import type { SupervisorContext } from "./context.ts";
import type { SupervisorCounts } from "./counts.ts";
import type { BlockFold } from "./block-fold.ts";
import { foldBlock } from "./fold-block.ts";
import type { Releaser } from "./release.ts";
import type { RunRepairs } from "./run-repairs.ts";
import type { Starter } from "./starter.ts";
import { endTrouble, meetTrouble } from "./trouble.ts";
import { Undoing } from "./undoing.ts";

const NEEDS_REPAIR = "a script failed half-way, or its journal has a gap; the run needs repair";
const SET_APART =
  "a transition cannot be read: it is set apart, and its text kept in the audit and the journal";

/** Who is told what a block says. */
export interface BlockListeners {
  releaser: Releaser;
  children: Children;
  starter: Starter;
  /** Told of runs whose end is committed. */
  onEnded?: (runIds: readonly string[]) => void;
  /** Told when a timer was armed that is due at this time (Redis' clock). */
  onDue?: (dueMs: number) => void;
}

export interface BlockArchiveOptions extends BlockListeners {
  context: SupervisorContext;
  partition: number;
  begun: BegunRows;
  repairs: RunRepairs;
}

/** How a block is archived; `isSparing`: without what cannot be folded and rows that are refused. */
interface Manner {
  isLoad: boolean;
  signal: AbortSignal;
  /** Runs of which it is decided whether they pause: once, however often the block is tried. */
  decided: Set<string>;
  isSparing?: boolean;
}

export class BlockArchive {
  readonly #options: BlockArchiveOptions;
  readonly #ends: BlockEnds;
  readonly #undoing: Undoing;

  constructor(options: BlockArchiveOptions) {
    const { context, partition, starter } = options;
    this.#options = options;
    this.#ends = new BlockEnds(context, partition);
    this.#undoing = new Undoing(context, starter);
  }

  /**
   * Archives a block that continues `cursor`; if values of its runs are refused, record by record.
   * Throws CursorMoved, BlobsLost.
   */
  async add(cursor: Cursor, block: Block, isLoad: boolean, signal: AbortSignal): Promise<void> {
    const decided = new Set<string>();
    try {
      await this.#archive(cursor, block, { isLoad, signal, decided });
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      const { context, partition } = this.#options;
      const facts = { err: error, partition, seq: cursor.seq + 1, records: block.records.length };
      context.logger.error(facts, "a block is refused; it is archived record by record");
      let from = cursor;
      for (const one of recordsOf(block)) {
        await this.#archiveRecord(from, one, { isLoad: false, signal, decided });
        from = one.to;
      }
    }
  }

  /** Whatever a run put into a record, the journal goes on after it. */
  async #archiveRecord(cursor: Cursor, record: Block, how: Manner): Promise<void> {
    try {
      await this.#archive(cursor, record, how);
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      await this.#archive(cursor, record, { ...how, isSparing: true });
    }
  }

  async #archive(from: Cursor, block: Block, how: Manner): Promise<void> {
    const { context, partition, begun, repairs, releaser, children, onDue, onEnded } =
      this.#options;
    const { isLoad, signal, decided, isSparing = false } = how;
    const { to } = block;
    const fold = foldBlock(block.records, isSparing);
    if (fold.dueMs !== null) {
      onDue?.(fold.dueMs);
    }
    fold.suspects.forEach((run) => context.logger.error({ run, partition }, NEEDS_REPAIR));
    fold.apart.forEach(({ runId: run, position }) =>
      context.logger.error({ run, partition, position }, SET_APART),
    );
    await repairs.freeze(fold.apart.map(({ runId }) => runId));
    const who = `archive ${partition}`;
    const onWait = (error: unknown): void => meetTrouble(context.logger, who, error);
    const side = isSparing ? sparing(context.logger, { partition, seq: to.seq }) : together;
    const begunMs = context.clock.monotonicMs();
    const done = await whileDatabaseAway(
      async () => {
        const ends = await this.#ends.workOut(fold, { decided, isSparing });
        const atOnce = new Set(fold.asleep.map(({ runId }) => runId));
        const rows = await begun.plan(ends.changes, { isLoad, atOnce });
        const { irs, compensations } = ends;
        const said = { changes: rows.write, irs };
        await commitBlock(context, partition, { from, to, fold, done: said, compensations }, side);
        return { ...ends, rows };
      },
      { signal, onWait },
    );
    endTrouble(context.logger, who, "over");
    count(context.counts, block, fold, context.clock.monotonicMs() - begunMs);
    begun.settle(done.rows);
    this.#ends.forget(done.ended);
    releaser.add(done.ended);
    releaser.evict(fold.asleep);
    children.look(parentsIn(fold, done.irs));
    const ended = done.ended.map(({ runId }) => runId);
    onEnded?.(ended);
    await this.#undoing.look(
      done.compensations.map(({ run }) => run),
      ended,
    );
    await repairs.repair(fold.suspects);
  }
}

/** What a block says that is committed. */
function count(counts: SupervisorCounts, block: Block, fold: BlockFold, ms: number): void {
  counts.records += block.records.length;
  counts.transitions += fold.transitions;
  counts.deadLetters += fold.dead.length;
  counts.commits.observe(ms);
  for (const { startedAtMs, endedAtMs, status } of fold.runs.values()) {
    counts.started += startedAtMs === null ? 0 : 1;
    if (endedAtMs !== null && status !== null) {
      counts.end(status);
    }
  }
}
