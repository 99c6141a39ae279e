/**
 * The archived journal: one row per run and block.
 *
 * A run that goes round for months has any number of rows, and a fold of a part of them is a state of
 * long ago: whoever reads a run reads all of it, by pages that are bounded in rows and in bytes.
 */
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
/** Rows of a page, and bytes of their texts: beyond, only the first is given. */
const PAGE = 500;
const PAGE_BYTES_MAX = 8 * 1024 * 1024;
/** `bytes` is of the rows before; a text's length stands beside it, so none is read for that. */
const READ = {
  name: "journal_read",
  text: `SELECT "seqFrom", transitions, "inPage" FROM (
      SELECT seq_from AS "seqFrom", transitions, count(*) OVER ()::integer AS "inPage",
        sum(octet_length(transitions)) OVER (ORDER BY seq_from) - octet_length(transitions) AS bytes
      FROM (
        SELECT seq_from, transitions FROM journal
        WHERE run_id = $1 AND seq_from > $2 AND seq_to >= $3 ORDER BY seq_from LIMIT $4
      ) AS rows
    ) AS weighed WHERE bytes < $5 ORDER BY "seqFrom"`,
};
/** Rows that a page backwards has of one run, and of all runs unless that is less than one of each. */
const BACK_PAGE = 20;
const BACK_ROWS = 2000;
/** As above: a row counts if those before it leave room, and `found` is how many there would be. */
const READ_BACK = {
  name: "journal_read_back",
  text: `SELECT "runId", "seqFrom", transitions, found FROM (
      SELECT place, "runId", "seqFrom", transitions, count(*) OVER ()::integer AS found,
        sum(octet_length(transitions)) OVER (ORDER BY place, "seqFrom" DESC)
          - octet_length(transitions) AS bytes
      FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS asked ("runId", before, place)
      CROSS JOIN LATERAL (
        SELECT seq_from AS "seqFrom", transitions FROM journal
        WHERE run_id = asked."runId" AND seq_from < asked.before
        ORDER BY seq_from DESC LIMIT $3
      ) AS rows
    ) AS weighed WHERE bytes < $4 ORDER BY place, "seqFrom" DESC`,
};
const READ_MANY = {
  name: "journal_read_many",
  text: `SELECT run_id AS "runId", transitions FROM journal WHERE run_id = ANY($1::text[])
    ORDER BY run_id, seq_from`,
};
const SIZES = {
  name: "journal_sizes",
  text: `SELECT run_id AS "runId", sum(octet_length(transitions))::bigint AS bytes FROM journal
    WHERE run_id = ANY($1::text[]) GROUP BY run_id`,
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

/** Archived transitions of a run from record `fromSeq` on, in order, page by page. */
export async function* journalPages(
  db: Queryable,
  runId: string,
  fromSeq = 0,
): AsyncGenerator<ArchivedTransition[]> {
  for (let after = -1; ;) {
    const values = [runId, after, fromSeq, PAGE, PAGE_BYTES_MAX];
    const rows = await db.query<{ seqFrom: number; transitions: string; inPage: number }>(
      READ,
      values,
    );
    const last = rows.at(-1);
    if (last === undefined) {
      return;
    }
    const page = rows.flatMap(({ transitions }) => parseSegment(runId, transitions));
    yield fromSeq === 0
      ? page
      : page.filter(({ position }) => Number.parseInt(position, 10) >= fromSeq);
    if (rows.length === last.inPage && last.inPage < PAGE) {
      return;
    }
    after = last.seqFrom;
  }
}

/** The same as a list: for who looks at it more than once, or shows all of it. */
export async function readJournal(
  db: Queryable,
  runId: string,
  fromSeq = 0,
): Promise<ArchivedTransition[]> {
  const all: ArchivedTransition[] = [];
  for await (const page of journalPages(db, runId, fromSeq)) {
    for (const one of page) {
      all.push(one);
    }
  }
  return all;
}

/**
 * Archived transitions of several runs, of each the last before a record first: `before` has it by run
 * id. `isEnough` is asked for each transition, and once it has said so, no more of that run is read. The
 * runs share their pages, so there are as many questions as one run needs, not as there are runs.
 */
export async function readBackwards(
  db: Queryable,
  before: ReadonlyMap<string, number>,
  isEnough: (one: Transition) => boolean,
): Promise<void> {
  const open = new Map(before);
  while (open.size > 0) {
    const limit = Math.max(1, Math.min(BACK_PAGE, Math.floor(BACK_ROWS / open.size)));
    const asked = [...open.keys()];
    const rows = await db.query<{
      runId: string;
      seqFrom: number;
      transitions: string;
      found: number;
    }>(READ_BACK, [textArray(asked), bigintArray([...open.values()]), limit, PAGE_BYTES_MAX]);
    const counts = new Map<string, number>();
    for (const { runId, seqFrom, transitions } of rows) {
      counts.set(runId, (counts.get(runId) ?? 0) + 1);
      if (open.has(runId)) {
        const back = parseSegment(runId, transitions).reverse();
        const isDone = back.some(({ transition }) => isEnough(transition));
        void (isDone ? open.delete(runId) : open.set(runId, seqFrom));
      }
    }
    // Of the run at which a page was cut off, and of those behind it, there may be more.
    const cut = rows.length < (rows[0]?.found ?? 0) ? (rows.at(-1)?.runId ?? "") : null;
    const isWhole = cut === null ? asked : asked.slice(0, asked.indexOf(cut));
    isWhole.forEach((runId) => void ((counts.get(runId) ?? 0) < limit && open.delete(runId)));
  }
}

/** How large the journals of these runs are, by run id; one without any is left out. */
export async function journalSizes(
  db: Queryable,
  runIds: readonly string[],
): Promise<Map<string, number>> {
  const rows = await db.query<{ runId: string; bytes: number }>(SIZES, [textArray(runIds)]);
  return new Map(rows.map(({ runId, bytes }) => [runId, bytes]));
}

/** Archived transitions of several runs, in order, by run id; ask for their sizes before. */
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
