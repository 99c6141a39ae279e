/** The archived journal: one row per run and block. */
import type { Transition } from "../journal.ts";
import { bigintArray, integerArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export interface Segment {
  partition: number;
  runId: string;
  seqFrom: number;
  seqTo: number;
  tFrom: number;
  tTo: number;
  /** JSON text: `[[position, t, transition without its run], …]`. */
  transitions: string;
}

/** A transition as it is read back. */
export interface ArchivedTransition {
  position: string;
  t: number;
  transition: Transition;
}

const INSERT = {
  name: "journal_insert",
  text: `INSERT INTO journal (partition, run_id, seq_from, seq_to, t_from, t_to, transitions)
    SELECT * FROM unnest($1::integer[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[],
      $6::bigint[], $7::text[])`,
};
const READ = {
  name: "journal_read",
  text: `SELECT seq_from AS "seqFrom", transitions FROM journal
    WHERE run_id = $1 AND seq_to >= $2 ORDER BY seq_from LIMIT $3`,
};
const BACK_PAGE = 20;
const READ_BACK = {
  name: "journal_read_back",
  text: `SELECT seq_from AS "seqFrom", transitions FROM journal
    WHERE run_id = $1 AND seq_from < $2 ORDER BY seq_from DESC LIMIT $3`,
};
const READ_MANY = {
  name: "journal_read_many",
  text: `SELECT run_id AS "runId", transitions FROM journal WHERE run_id = ANY($1::text[])
    ORDER BY run_id, seq_from`,
};

/** Adds segments. */
export async function insertSegments(tx: Queryable, segments: readonly Segment[]): Promise<void> {
  if (segments.length > 0) {
    await tx.query(INSERT, [
      integerArray(segments.map((s) => s.partition)),
      textArray(segments.map((s) => s.runId)),
      bigintArray(segments.map((s) => s.seqFrom)),
      bigintArray(segments.map((s) => s.seqTo)),
      bigintArray(segments.map((s) => s.tFrom)),
      bigintArray(segments.map((s) => s.tTo)),
      textArray(segments.map((s) => s.transitions)),
    ]);
  }
}

/** Archived transitions of a run from record `fromSeq` on, at most `segmentsMax` blocks of them. */
export async function readJournal(
  db: Queryable,
  runId: string,
  fromSeq = 0,
  segmentsMax = 10_000,
): Promise<ArchivedTransition[]> {
  const rows = await db.query<{ transitions: string }>(READ, [runId, fromSeq, segmentsMax]);
  const all = rows.flatMap((row) => parseSegment(runId, row.transitions));
  return fromSeq === 0
    ? all
    : all.filter(({ position }) => Number.parseInt(position, 10) >= fromSeq);
}

/** Archived transitions of a run before record `beforeSeq`, the last first, read page by page. */
export async function* journalBackwards(
  db: Queryable,
  runId: string,
  beforeSeq: number,
): AsyncGenerator<ArchivedTransition> {
  for (let before = beforeSeq; ;) {
    const values = [runId, before, BACK_PAGE];
    const rows = await db.query<{ seqFrom: number; transitions: string }>(READ_BACK, values);
    for (const { seqFrom, transitions } of rows) {
      yield* parseSegment(runId, transitions).reverse();
      before = seqFrom;
    }
    if (rows.length < BACK_PAGE) {
      return;
    }
  }
}

/** Archived transitions of several runs, in order, by run id. */
export async function readJournals(
  db: Queryable,
  runIds: readonly string[],
): Promise<Map<string, ArchivedTransition[]>> {
  const rows = await db.query<{ runId: string; transitions: string }>(READ_MANY, [
    textArray(runIds),
  ]);
  const byRun = new Map<string, ArchivedTransition[]>();
  for (const { runId, transitions } of rows) {
    const list = byRun.get(runId) ?? [];
    byRun.set(runId, list);
    for (const one of parseSegment(runId, transitions)) {
      list.push(one);
    }
  }
  return byRun;
}

/** The transitions of one row; they name no run, the row does. */
export function parseSegment(runId: string, text: string): ArchivedTransition[] {
  const items = JSON.parse(text) as [string, number, Transition][];
  return items.map(([position, t, transition]) => {
    transition.r ??= runId;
    return { position, t, transition };
  });
}
