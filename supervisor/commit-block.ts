/**
 * The transaction that archives a block: the journal's rows, and with them all that they say about
 * runs, children, approvals, dead letters and who did what.
 *
 * The rows beside the journal's come from what runs hold, and the database may refuse one: a key too
 * long for an index, say. A block whose rows were refused is archived record by record, and the
 * record at fault with `sparing`: row by row, without what is refused. Its journal rows stay, so all
 * that it said can still be read; what is left out is logged with its run and record.
 */
import type { Logger } from "pino";
import { PAUSE_CAUSES } from "../sdk/internal.ts";
import {
  advanceCursor,
  closeApprovals,
  changeRuns,
  decideApprovals,
  insertAudit,
  insertBlobs,
  insertChildren,
  insertDeadLetters,
  insertSegments,
  isValueFault,
  markSuspects,
  openApprovals,
  redriveRuns,
  settleLettersOfTrees,
  sleepRuns,
  wakeParents,
  type ArchivedBlob,
  type Cursor,
  type FallenAsleep,
  type Queryable,
  type RunChange,
} from "../sdk/postgres/index.ts";
import {
  approvalsIn,
  childrenEnded,
  childrenIn,
  lettersIn,
  redrivenIn,
  treesToSettle,
} from "./block-rows.ts";
import { blobPortions, blobsToArchive } from "./blobs.ts";
import { insertCompensations, type Compensation } from "./compensation.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import type { Finalised } from "./finalise.ts";
import { auditEntries } from "./fold-audit.ts";
import { segmentsOf, type BlockFold } from "./block-fold.ts";

/** Somebody else moved the cursor: read it again. */
export class CursorMoved extends Error {}

export interface BlockCommit {
  from: Cursor;
  to: Cursor;
  fold: BlockFold;
  /** Rows of runs to change, and the workflows of those that the block says more about. */
  done: Pick<Finalised, "changes" | "irs">;
  compensations: readonly Compensation[];
}

/** A row beside the journal's: the id of a run, or what has one. */
type SideRow = string | { runId: string | null } | { id: string } | Compensation;

interface SideRows<T> {
  /** What they are, for the log. */
  what: string;
  rows: readonly T[];
  write: (tx: Queryable, rows: readonly T[]) => Promise<void>;
  /** What is written of a row that is refused; without, nothing is. */
  instead?: (row: T) => T;
}

/** Writes rows of one sort. */
export type SideWriter = <T extends SideRow>(tx: Queryable, side: SideRows<T>) => Promise<void>;

/** All of them in one statement. */
export const together: SideWriter = (tx, { rows, write }) => write(tx, rows);

/** Row by row, without those that are refused. */
export function sparing(logger: Logger, place: { partition: number; seq: number }): SideWriter {
  return async (tx, { what, rows, write, instead }) => {
    for (const row of rows) {
      const error = await refusal(tx, () => write(tx, [row]));
      if (error !== null) {
        const facts = { err: error, ...place, run: runOf(row), what };
        logger.error(facts, "a row is left out of the archive; the journal has what it would say");
        if (instead !== undefined) {
          await refusal(tx, () => write(tx, [instead(row)]));
        }
      }
    }
  };
}

const SAVE = { name: "side_row_save", text: "SAVEPOINT side_row" };
const KEEP = { name: "side_row_keep", text: "RELEASE SAVEPOINT side_row" };
const UNDO = { name: "side_row_undo", text: "ROLLBACK TO SAVEPOINT side_row" };

/** Why a row's values are refused; null: it is written. Throws what is no fault of theirs. */
async function refusal(tx: Queryable, write: () => Promise<void>): Promise<unknown> {
  await tx.query(SAVE);
  try {
    await write();
  } catch (error) {
    if (!isValueFault(error)) {
      throw error;
    }
    await tx.query(UNDO);
    return error;
  }
  await tx.query(KEEP);
  return null;
}

function runOf(row: SideRow): string | null {
  if (typeof row === "string") {
    return row;
  }
  if ("run" in row) {
    return row.run.id;
  }
  return "runId" in row ? row.runId : row.id;
}

/** Archives a block, if the cursor stands where the block begins. Throws CursorMoved. */
export async function commitBlock(
  context: SupervisorContext,
  partition: number,
  { from, to, fold, done, compensations }: BlockCommit,
  side: SideWriter = together,
): Promise<void> {
  const letters = lettersIn(partition, fold, done.irs);
  const approvals = approvalsIn(fold, done.irs);
  const audit = auditEntries(partition, fold.audit, done.irs);
  const redriven = redrivenIn(fold, done.irs);
  const settled = treesToSettle(fold, done.irs);
  // Before the transaction, which must not wait for Redis with its locks; more than this are rare.
  const [first = [], ...more] = blobPortions(fold.blobs);
  const texts = await blobsToArchive(scriptsOf(context, partition), first);
  await context.db.transaction(async (tx) => {
    if (!(await advanceCursor(tx, from, to))) {
      throw new CursorMoved();
    }
    const children = childrenIn(partition, fold);
    await side(tx, { what: "child", rows: children, write: insertChildren });
    await insertSegments(tx, segmentsOf(partition, fold));
    await side(tx, { what: "redrive", rows: redriven, write: redriveRuns });
    await side(tx, { what: "run", rows: done.changes, write: changeRuns, instead: withoutPayload });
    await side(tx, { what: "sleep", rows: fold.asleep, write: sleep, instead: awakeAtOnce });
    await side(tx, { what: "end of a child", rows: childrenEnded(fold), write: wakeParents });
    await side(tx, { what: "suspect", rows: fold.suspects, write: markSuspects });
    await side(tx, { what: "large output", rows: texts, write: keep });
    // By portions: a single record may refer to more than memory should hold.
    for (const uses of more) {
      const rows = await blobsToArchive(scriptsOf(context, partition), uses);
      await side(tx, { what: "large output", rows, write: keep });
    }
    await side(tx, { what: "compensation", rows: compensations, write: insertCompensations });
    await side(tx, { what: "dead letter", rows: letters, write: insertDeadLetters });
    await side(tx, { what: "settled letters", rows: settled, write: settleLettersOfTrees });
    for (const { opened, decisions, closed } of approvals) {
      await side(tx, { what: "approval", rows: opened, write: openApprovals });
      await side(tx, { what: "decision", rows: decisions, write: decideApprovals });
      await side(tx, { what: "end of an approval", rows: closed, write: closeApprovals });
    }
    await side(tx, { what: "audit entry", rows: audit, write: insertAudit });
  });

  function keep(tx: Queryable, rows: readonly ArchivedBlob[]): Promise<void> {
    return insertBlobs(tx, rows);
  }
}

function sleep(tx: Queryable, rows: readonly FallenAsleep[]): Promise<void> {
  return sleepRuns(tx, rows, PAUSE_CAUSES.workflow);
}

/** The run leaves Redis all the same, so its row must say that it is asleep. */
function awakeAtOnce(row: FallenAsleep): FallenAsleep {
  return { ...row, wakesAtMs: 0 };
}

/** That a run has ended is said even where what it ended with cannot be. */
function withoutPayload(change: RunChange): RunChange {
  return { ...change, output: null, error: null };
}
