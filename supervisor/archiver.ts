/**
 * The archiver of a partition: copies the journal into Postgres, exactly once, and finalises runs.
 *
 * Exactly once, because the copy and the cursor move in one transaction, and the cursor moves only
 * from where this archiver read it: two archivers, a repeated block or a commit whose answer was
 * lost end in a cursor that stands elsewhere, and the transaction is rolled back. The role's lock
 * only saves work. A record is accepted only if it continues the cursor's chain, so a Redis that
 * was rolled back cannot pass, whatever its stream ids look like.
 *
 * A run must not stop its partition: what Postgres refuses of what a run says is left out, and its
 * journal archived all the same (commit-block.ts). A transition that cannot be folded is set apart
 * (fold-block.ts): its text is kept, and its run, of whose state nobody can be sure, is suspect.
 *
 * The next block is read while the last one is committed. Postgres away: the block waits, the
 * stream holds the backlog. After the commit the stream is trimmed to a bounded tail, for the live
 * feed, and ended runs are handed to the releaser.
 */
import { setTimeout as pause } from "node:timers/promises";
import type { Redis } from "ioredis";
import {
  BACKLOG_BYTES_SOFT,
  backlogBytes,
  partitionKeys,
  seenOf,
  suspectRun,
  type PartitionKeys,
} from "../sdk/internal.ts";
import {
  advanceCursor,
  changeRuns,
  correctBegun,
  isValueFault,
  listPauses,
  readCursor,
  whileDatabaseAway,
  type Cursor,
} from "../sdk/postgres/index.ts";
import { Begun } from "./begun.ts";
import { ChainBreak, readBlock, recordsOf, type Block } from "./block-reader.ts";
import { BlobsLost } from "./blobs.ts";
import { parentsIn } from "./block-rows.ts";
import type { Certifier } from "./certify.ts";
import type { Children } from "./children.ts";
import { commitBlock, CursorMoved, sparing, together } from "./commit-block.ts";
import { planCompensations, toCompensate, type Compensation } from "./compensation.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { pauseAfterErrors } from "./error-pauses.ts";
import { Finaliser, type Finalised } from "./finalise.ts";
import { foldBlock, type BlockFold, type RunFold } from "./fold-block.ts";
import { Loop } from "./loop.ts";
import type { RawRecord } from "./records.ts";
import { repairRuns, repairSuspects } from "./rebuild.ts";
import type { Releaser } from "./release.ts";
import type { Starter } from "./starter.ts";
import { endTrouble, meetTrouble } from "./trouble.ts";
import { Undoing } from "./undoing.ts";

/**
 * Under load the next block is gathered for so long: one row stands for all that a run did in a
 * block, so fewer blocks mean fewer rows (measured: 11 rows a run of ten steps without, 2 with it).
 * A block of fewer characters than LOAD_CHARS is no load, and nothing waits.
 */
const LINGER_MS = 60;
const LOAD_CHARS = 30_000;
/** Nothing has come for so long: the partition is quiet. After load it is asked sooner. */
const QUIET_MS = 1000;
const AFTER_LOAD_MS = 200;
const CERTIFICATE_WAIT_MS = 50;
/** Records kept in the stream behind the cursor. */
const TAIL_RECORDS = 1000;
/** And so much of their text: the tail stays far below what counts as a backlog. */
const TAIL_CHARS = BACKLOG_BYTES_SOFT / 8;
/** Between two looks whether a workflow is paused, under load. */
const PAUSES_MS = 1000;
/** Between two looks for runs whose repair was cut off. */
const SUSPECTS_MS = 30_000;

/** Statuses in Redis of a run that may go on. */
const MAY_BE_FROZEN: ReadonlySet<string> = new Set(["running", "paused", "finishing", "asleep"]);
const NEEDS_REPAIR = "a script failed half-way, or its journal has a gap; the run needs repair";
const SET_APART =
  "a transition cannot be read: it is set apart, and its text kept in the audit and the journal";

export interface ArchiverOptions {
  context: SupervisorContext;
  partition: number;
  certifier: Certifier;
  releaser: Releaser;
  children: Children;
  starter: Starter;
  /** Told of runs whose end is committed. */
  onEnded?: (runIds: readonly string[]) => void;
  /** Told when a timer was armed that is due at this time (Redis' clock). */
  onDue?: (dueMs: number) => void;
}

/** How a block is archived; `isSparing`: without what cannot be folded and rows that are refused. */
interface Manner {
  isLoad: boolean;
  signal: AbortSignal;
  /** Runs of which it is decided whether they pause: once, however often the block is tried. */
  decided: Set<string>;
  isSparing?: boolean;
}

export class Archiver extends Loop {
  readonly #options: ArchiverOptions;
  readonly #keys: PartitionKeys;
  readonly #finaliser: Finaliser;
  readonly #undoing: Undoing;
  readonly #redis: Redis;
  #begun = new Begun();
  #isPausing = false;
  #pausesAtMs = 0;
  #sweepAtMs = 0;
  /** Blocks behind the cursor: where each began. */
  #tail: { seq: number; streamId: string; chars: number }[] = [];

  constructor(options: ArchiverOptions) {
    const { context, partition } = options;
    const redis = context.openRedis(`archiver ${partition}`, partitionKeys(partition).ev);
    super({
      name: `archive ${partition}`,
      logger: context.logger,
      step: (signal) => this.#step(signal),
      interrupt: () => redis.disconnect(),
    });
    this.#options = options;
    this.#redis = redis;
    this.#keys = partitionKeys(partition);
    this.#finaliser = new Finaliser(context, partition);
    this.#undoing = new Undoing(context, options.starter);
  }

  async #step(signal: AbortSignal): Promise<number> {
    const { context, partition, certifier } = this.#options;
    if (certifier.epoch === null) {
      return CERTIFICATE_WAIT_MS;
    }
    const cursor = await readCursor(context.db, partition);
    if (cursor === null || cursor.epoch !== certifier.epoch) {
      return CERTIFICATE_WAIT_MS;
    }
    try {
      await this.#session(cursor, signal);
    } catch (error) {
      if (error instanceof ChainBreak) {
        await certifier.rollBack(cursor.epoch, error.message);
      } else if (error instanceof BlobsLost) {
        return CERTIFICATE_WAIT_MS; // the certifier's business
      } else if (!(error instanceof CursorMoved)) {
        throw error;
      }
    }
    return 0;
  }

  /** Archives from `cursor` on, until it breaks, moves, or the service stops. */
  async #session(from: Cursor, signal: AbortSignal): Promise<void> {
    const { certifier, context, partition } = this.#options;
    this.#begun = new Begun();
    await this.#sweepSuspects();
    await correctBegun(context.db, partition);
    await this.#trimOld(from);
    let cursor = from;
    let next = this.#readAhead(cursor);
    while (!signal.aborted && certifier.epoch === cursor.epoch) {
      const block = await next;
      if (block === null) {
        await this.#writeBegun(cursor);
        await this.#compareTail(cursor);
        await this.#trimOld(cursor);
        await this.#sweepSuspects();
        next = this.#readAhead(cursor);
        continue;
      }
      const isLoad = block.chars > LOAD_CHARS;
      next = this.#readAhead(block.to, isLoad, isLoad && !block.hasMore ? LINGER_MS : 0);
      await this.#archive(cursor, block, isLoad, signal);
      cursor = block.to;
      this.#trim(block);
    }
  }

  /** Between two blocks, now and then: runs whose repair was cut off. */
  async #sweepSuspects(): Promise<void> {
    const { context, partition } = this.#options;
    const now = context.clock.monotonicMs();
    if (now >= this.#sweepAtMs) {
      this.#sweepAtMs = now + SUSPECTS_MS;
      await this.#repair(() => repairSuspects(context, partition));
    }
  }

  /**
   * What fails at a repair is tried again at the next look: the runs are marked in Postgres. Thrown from
   * here it would keep all that the partition does from its archive, for as long as one run fails.
   */
  async #repair(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const { context, partition } = this.#options;
      context.logger.warn({ err: error, partition }, "a repair was cut off; it is tried again");
    }
  }

  /** A read whose failure is seen when it is awaited, which may be after the next commit or never. */
  #readAhead(cursor: Cursor, isLoad = false, lingerMs = 0): Promise<Block | null> {
    const waitMs = isLoad ? AFTER_LOAD_MS : QUIET_MS;
    const read = (): Promise<Block | null> => readBlock(this.#redis, this.#keys.ev, cursor, waitMs);
    const block = lingerMs > 0 ? pause(lingerMs).then(read) : read();
    block.catch(() => undefined);
    return block;
  }

  /** When idle: records that are not behind the cursor's stream id would never be read. */
  async #compareTail(cursor: Cursor): Promise<void> {
    const [epoch, nonce] = await this.#options.context.redis.hmget(
      this.#keys.meta,
      "epoch",
      "nonce",
    );
    if (epoch !== String(cursor.epoch)) {
      throw new CursorMoved(); // the certifier's business
    }
    if (nonce === cursor.nonce) {
      return;
    }
    const late = await this.#options.context.redis.xrange(
      this.#keys.ev,
      `(${cursor.streamId}`,
      "+",
      "COUNT",
      1,
    );
    if (late.length === 0) {
      throw new ChainBreak(`the tail is not record ${cursor.seq}, and nothing follows it`);
    }
  }

  /** Archives a block; if values of its runs are refused, record by record. */
  async #archive(
    cursor: Cursor,
    block: Block,
    isLoad: boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const decided = new Set<string>();
    try {
      await this.#archiveBlock(cursor, block, { isLoad, signal, decided });
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
      await this.#archiveBlock(cursor, record, how);
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      await this.#archiveBlock(cursor, record, { ...how, isSparing: true });
    }
  }

  async #archiveBlock(from: Cursor, block: Block, how: Manner): Promise<void> {
    const { context, partition, releaser, children, onDue, onEnded } = this.#options;
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
    await this.#freeze(fold.apart);
    const onWait = (error: unknown): void => meetTrouble(context.logger, this.name, error);
    const side = isSparing ? sparing(context.logger, { partition, seq: to.seq }) : together;
    const done = await whileDatabaseAway(
      async () => {
        const finalised = await this.#finalise(fold, isSparing);
        const compensations = await this.#compensations(fold, finalised.irs, isSparing);
        const pauses = pauseAfterErrors(context, partition, fold, finalised.irs, decided);
        await (isSparing ? this.#spared(pauses, () => [], [...fold.runs.values()]) : pauses);
        const atOnce = new Set(fold.asleep.map(({ runId }) => runId));
        const when = { isLoad: await this.#mayWait(isLoad), atMs: context.clock.monotonicMs() };
        const rows = this.#begun.plan(finalised.changes, { ...when, atOnce });
        const said = { ...finalised, changes: rows.write };
        await commitBlock(context, partition, { from, to, fold, done: said, compensations }, side);
        return { ...finalised, compensations, rows };
      },
      { signal, onWait },
    );
    endTrouble(context.logger, this.name, "over");
    this.#begun.settle(done.rows);
    this.#finaliser.forget(done.ended);
    releaser.add(done.ended);
    releaser.evict(fold.asleep);
    children.look(parentsIn(fold, done.irs));
    onEnded?.(done.ended.map(({ runId }) => runId));
    await this.#undoing.look(
      done.compensations.map(({ run }) => run),
      done.ended.map(({ runId }) => runId),
    );
    if (fold.suspects.length > 0) {
      await this.#repair(() => repairRuns(context, partition, fold.suspects));
    }
  }

  /** Before the commit: what goes on in a run whose journal has a gap could not be told from it. */
  async #freeze(apart: BlockFold["apart"]): Promise<void> {
    const scripts = scriptsOf(this.#options.context, this.#options.partition);
    for (const runId of new Set(apart.map((one) => one.runId))) {
      const seen = await seenOf(scripts, runId);
      if (MAY_BE_FROZEN.has(seen.status)) {
        await suspectRun(scripts, seen);
      }
    }
  }

  /** What ends leave in rows; `isSparing`: of one, its status if that is all there is. */
  async #finalise(fold: BlockFold, isSparing: boolean): Promise<Finalised> {
    if (!isSparing) {
      return this.#finaliser.finalise(fold);
    }
    const each = this.#finaliser.finalise(fold, (run, error) => this.#leaveOut(error, [run]));
    return this.#spared(each, () => this.#finaliser.bare(fold), fold.ended);
  }

  /** What undoes the block's ended runs; `isSparing`: without those that cannot be worked out. */
  async #compensations(
    fold: BlockFold,
    irs: Finalised["irs"],
    isSparing: boolean,
  ): Promise<Compensation[]> {
    const { context, partition } = this.#options;
    const plan = async (runs: RunFold[]): Promise<Compensation[]> =>
      planCompensations(context, partition, runs, irs, await this.#finaliser.history(runs));
    const runs = toCompensate(fold.ended, irs);
    if (!isSparing) {
      return plan(runs);
    }
    const planned: Compensation[] = [];
    for (const run of runs) {
      planned.push(...(await this.#spared(plan([run]), () => [], [run])));
    }
    return planned;
  }

  /** What `work` gives; `instead`, if what these runs hold makes it fail. */
  async #spared<T>(work: Promise<T>, instead: () => T, runs: readonly RunFold[]): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      this.#leaveOut(error, runs);
      return instead();
    }
  }

  #leaveOut(error: unknown, runs: readonly RunFold[]): void {
    const { context, partition } = this.#options;
    const facts = { err: error, partition, runs: runs.map(({ runId }) => runId) };
    context.logger.error(facts, "what the end of a run leaves cannot be worked out");
  }

  /** Whether rows may wait to say that runs have begun: who pauses a workflow goes by its rows. */
  async #mayWait(isLoad: boolean): Promise<boolean> {
    const { clock, db } = this.#options.context;
    const now = clock.monotonicMs();
    if (isLoad && now >= this.#pausesAtMs) {
      const pauses = await listPauses(db);
      this.#isPausing = pauses.some(({ kind }) => kind === "workflow");
      this.#pausesAtMs = now + PAUSES_MS;
    }
    return isLoad && !this.#isPausing;
  }

  /** Nothing comes: rows of runs that have begun say so. */
  async #writeBegun(cursor: Cursor): Promise<void> {
    const { db, clock } = this.#options.context;
    while (!this.#begun.isEmpty) {
      const when = { isLoad: false, atMs: clock.monotonicMs(), atOnce: new Set<string>() };
      const rows = this.#begun.plan([], when);
      await db.transaction(async (tx) => {
        // Where it stands: nobody else has archived what comes after.
        if (!(await advanceCursor(tx, cursor, cursor))) {
          throw new CursorMoved();
        }
        await changeRuns(tx, rows.write);
      });
      this.#begun.settle(rows);
    }
  }

  /** What is archived must not count as a backlog: at the start, and when nothing comes. */
  async #trimOld({ seq, streamId }: Cursor): Promise<void> {
    const { redis, tailChars = TAIL_CHARS } = this.#options.context;
    if ((await backlogBytes(redis, this.#keys)) > 2 * tailChars) {
      await redis.xtrim(this.#keys.ev, "MINID", streamId);
      this.#tail = [{ seq, streamId, chars: 0 }];
    }
  }

  /** Trims the stream to a tail of about TAIL_RECORDS; what it misses, a later trim removes. */
  #trim(block: Block): void {
    const { seq, streamId: from } = block.records[0] as RawRecord;
    this.#tail.push({ seq, streamId: from, chars: block.chars });
    const { tailChars = TAIL_CHARS } = this.#options.context;
    let chars = 0;
    const keep = this.#tail.findLastIndex((old) => {
      chars += old.chars;
      return old.seq <= block.to.seq - TAIL_RECORDS || chars > tailChars;
    });
    if (keep > 0) {
      const { streamId } = this.#tail[keep] as { streamId: string };
      this.#tail = this.#tail.slice(keep);
      const { redis, logger } = this.#options.context;
      redis.xtrim(this.#keys.ev, "MINID", streamId).catch((error: unknown) => {
        logger.warn({ err: error }, "the journal's stream was not trimmed");
      });
    }
  }
}
