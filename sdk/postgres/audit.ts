/**
 * Who did what by hand. What was done to runs is copied from the journal by the archiver; orders about
 * a circuit or the whole deployment are written by whoever gives them.
 */
import { bigintArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export interface AuditEntry {
  /** `<partition>-<position>`: the same for the same transition. Of what has none: a UUID. */
  id: string;
  atMs: number;
  who: string;
  /** `run.pause`, `run.resume`, `run.redrive`, `node.complete`, `circuit.open`, `all.stop`, … */
  action: string;
  /** Null: it is about no run. */
  runId: string | null;
  node: string | null;
  scope: string | null;
  reason: string;
  /** JSON texts. */
  before: string | null;
  after: string | null;
}

type Row = AuditEntry & { [column: string]: unknown };

const INSERT = {
  name: "audit_insert",
  text: `INSERT INTO audit (id, at_ms, who, action, run_id, node, scope, reason, before, after)
    SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
      $7::text[], $8::text[], $9::text[], $10::text[])
    ON CONFLICT DO NOTHING`,
};
const LIST = {
  name: "audit_list",
  text: `SELECT id, at_ms AS "atMs", who, action, run_id AS "runId", node, scope, reason, before,
      after FROM audit WHERE ($1::text IS NULL OR run_id = $1)
    ORDER BY at_ms DESC, id DESC LIMIT $2`,
};

/** Adds entries; those already there stay as they are. */
export async function insertAudit(tx: Queryable, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length > 0) {
    await tx.query(INSERT, [
      textArray(entries.map((e) => e.id)),
      bigintArray(entries.map((e) => e.atMs)),
      textArray(entries.map((e) => e.who)),
      textArray(entries.map((e) => e.action)),
      textArray(entries.map((e) => e.runId)),
      textArray(entries.map((e) => e.node)),
      textArray(entries.map((e) => e.scope)),
      textArray(entries.map((e) => e.reason)),
      textArray(entries.map((e) => e.before)),
      textArray(entries.map((e) => e.after)),
    ]);
  }
}

/** Entries, newest first; of one run if it is named. */
export async function listAudit(
  db: Queryable,
  filter: { runId?: string; limit: number },
): Promise<AuditEntry[]> {
  return db.query<Row>(LIST, [filter.runId ?? null, filter.limit]);
}
