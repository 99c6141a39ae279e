/** Approvals: what people are asked, who may answer, what was said. Copies of the journal. */
import type { Json } from "../../compiler/ir.ts";
import { bigintArray, integerArray, textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";

export type ApprovalState = "open" | "approved" | "rejected" | "expired" | "cancelled";

export interface NewApproval {
  /** Address of the wait. */
  id: string;
  runId: string;
  home: string;
  nodeIndex: number;
  node: string;
  scope: string;
  attempt: number;
  title: string;
  description: string | null;
  /** JSON list of names. */
  assignees: string;
  /** JSON Schema as JSON text. */
  form: string | null;
  required: number;
  openedAtMs: number;
  expiresAtMs: number | null;
}

/** The token, of a run, that an approval is asked for. */
export interface AskedToken {
  home: string;
  nodeIndex: number;
  scope: string;
  attempt: number;
  /** The approval, if it was asked for in the same block; null: the one of this token that is open. */
  id: string | null;
}

/** A decision on an approval. */
export interface NewDecision extends AskedToken {
  runId: string;
  actor: string;
  approved: boolean;
  /** JSON text. */
  data: string;
  decidedAtMs: number;
  position: string;
}

/** The end of the wait of this token, or of all waits within a place of a run. */
export interface ClosedApproval {
  runId: string;
  /** Null: every open approval of the run whose path begins with `within` is closed. */
  token: AskedToken | null;
  /**
   * Way to rounds of loops and elements of maps, as paths of approvals begin: home, scope and a
   * closing slash. "" of a run that has ended.
   */
  within?: string;
  state: Exclude<ApprovalState, "open">;
  atMs: number;
}

/**
 * What a block of the journal says about approvals, in its order. The same token may ask again - after
 * a redrive, in a map that is tried again - and what is said is said of what was asked last. So what has
 * no id is said of what earlier blocks have left open: it has to be written before `opened`.
 */
export interface ApprovalChanges {
  opened: NewApproval[];
  decisions: NewDecision[];
  closed: ClosedApproval[];
}

export interface ApprovalDecision {
  actor: string;
  approved: boolean;
  data: Json;
  decided_at_ms: number;
}

export interface ApprovalRow extends NewApproval {
  state: ApprovalState;
  closedAtMs: number | null;
  decisions: ApprovalDecision[];
}

export interface ApprovalFilter {
  state?: ApprovalState;
  /** Only what this person may decide: named, or nobody is. */
  assignee?: string;
  runId?: string;
  limit: number;
}

const OPEN = {
  name: "approvals_open",
  text: `INSERT INTO approvals (id, run_id, home, node_index, node, scope, attempt, title,
      description, assignees, form, required, opened_at_ms, expires_at_ms)
    SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::text[], $6::text[],
      $7::integer[], $8::text[], $9::text[], $10::text[], $11::text[], $12::integer[],
      $13::bigint[], $14::bigint[])
    ON CONFLICT DO NOTHING`,
};
/** Of a node that waits again in another round the earlier wait is void. */
const SUPERSEDE = {
  name: "approvals_supersede",
  text: `UPDATE approvals a SET state = 'cancelled', closed_at_ms = u.at
    FROM unnest($1::text[], $2::text[], $3::text[], $4::integer[], $5::bigint[])
      AS u(id, run_id, home, node_index, at)
    WHERE a.run_id = u.run_id AND a.home = u.home AND a.node_index = u.node_index
      AND a.state = 'open' AND a.opened_at_ms <= u.at AND NOT a.id = ANY($1::text[])`,
};
const DECIDE = {
  name: "approvals_decide",
  text: `INSERT INTO approval_decisions (approval_id, actor, approved, data, decided_at_ms, position)
    SELECT a.id, u.actor, u.approved = 1, u.data, u.at, u.position
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::integer[], $6::text[],
      $7::integer[], $8::text[], $9::bigint[], $10::text[], $11::text[])
      AS u(run_id, home, node_index, scope, attempt, actor, approved, data, at, position, id)
    JOIN approvals a ON a.run_id = u.run_id AND a.home = u.home AND a.node_index = u.node_index
      AND a.scope = u.scope AND a.attempt = u.attempt
      AND (a.id = u.id OR (u.id IS NULL AND a.state = 'open'))
    ON CONFLICT DO NOTHING`,
};
const CLOSE = {
  name: "approvals_close",
  text: `UPDATE approvals a SET state = u.state, closed_at_ms = u.at
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::integer[], $6::text[],
      $7::bigint[], $8::text[]) AS u(run_id, home, node_index, scope, attempt, state, at, id)
    WHERE a.run_id = u.run_id AND a.home = u.home AND a.node_index = u.node_index
      AND a.scope = u.scope AND a.attempt = u.attempt AND a.state = 'open'
      AND (u.id IS NULL OR a.id = u.id)`,
};
/** By the first that ended it, and not what was asked later at the same place: a redrive may. */
const CLOSE_WITHIN = {
  name: "approvals_close_within",
  text: `WITH void AS (
      SELECT a.id, min(u.at) AS at
      FROM unnest($1::text[], $2::text[], $3::bigint[]) AS u(run_id, path, at)
      JOIN approvals a ON a.run_id = u.run_id AND a.state = 'open' AND a.opened_at_ms <= u.at
        AND starts_with(concat_ws('/', nullif(a.home, ''), nullif(a.scope, ''), ''), u.path)
      GROUP BY a.id)
    UPDATE approvals a SET state = 'cancelled', closed_at_ms = void.at
    FROM void WHERE a.id = void.id`,
};
const COLUMNS = `id, run_id AS "runId", home, node_index AS "nodeIndex", node, scope, attempt, title,
  description, assignees, form, required, state, opened_at_ms AS "openedAtMs",
  expires_at_ms AS "expiresAtMs", closed_at_ms AS "closedAtMs",
  COALESCE((SELECT json_agg(json_build_object('actor', d.actor, 'approved', d.approved, 'data',
      d.data, 'decided_at_ms', d.decided_at_ms) ORDER BY d.decided_at_ms, d.actor)
    FROM approval_decisions d WHERE d.approval_id = approvals.id), '[]') AS said`;
const LIST = {
  name: "approvals_list",
  text: `SELECT ${COLUMNS} FROM approvals WHERE ($1::text IS NULL OR state = $1)
      AND ($2::text IS NULL OR assignees = '[]' OR gv_json(assignees) @> to_jsonb($2::text))
      AND ($3::text IS NULL OR run_id = $3)
    ORDER BY opened_at_ms DESC, id DESC LIMIT $4`,
};
const READ = {
  name: "approvals_read",
  text: `SELECT ${COLUMNS} FROM approvals WHERE id = $1`,
};

/** Approvals that are asked for, in the journal's order. Repeated, it changes nothing. */
export async function openApprovals(tx: Queryable, rows: readonly NewApproval[]): Promise<void> {
  if (rows.length === 0) {
    return;
  }
  const ids = textArray(rows.map((a) => a.id));
  const runIds = textArray(rows.map((a) => a.runId));
  const homes = textArray(rows.map((a) => a.home));
  const nodes = integerArray(rows.map((a) => a.nodeIndex));
  const opened = bigintArray(rows.map((a) => a.openedAtMs));
  await tx.query(SUPERSEDE, [ids, runIds, homes, nodes, opened]);
  await tx.query(OPEN, [
    ...[ids, runIds, homes, nodes],
    textArray(rows.map((a) => a.node)),
    textArray(rows.map((a) => a.scope)),
    integerArray(rows.map((a) => a.attempt)),
    textArray(rows.map((a) => a.title)),
    textArray(rows.map((a) => a.description)),
    textArray(rows.map((a) => a.assignees)),
    textArray(rows.map((a) => a.form)),
    integerArray(rows.map((a) => a.required)),
    opened,
    bigintArray(rows.map((a) => a.expiresAtMs)),
  ]);
}

/** Decisions on approvals that are there. Repeated, it changes nothing. */
export async function decideApprovals(tx: Queryable, rows: readonly NewDecision[]): Promise<void> {
  if (rows.length > 0) {
    await tx.query(DECIDE, [
      textArray(rows.map((d) => d.runId)),
      textArray(rows.map((d) => d.home)),
      integerArray(rows.map((d) => d.nodeIndex)),
      textArray(rows.map((d) => d.scope)),
      integerArray(rows.map((d) => d.attempt)),
      textArray(rows.map((d) => d.actor)),
      integerArray(rows.map((d) => (d.approved ? 1 : 0))),
      textArray(rows.map((d) => d.data)),
      bigintArray(rows.map((d) => d.decidedAtMs)),
      textArray(rows.map((d) => d.position)),
      textArray(rows.map((d) => d.id)),
    ]);
  }
}

/** Ends of approvals that are open. Repeated, it changes nothing. */
export async function closeApprovals(
  tx: Queryable,
  rows: readonly ClosedApproval[],
): Promise<void> {
  const tokens = rows.filter((change) => change.token !== null);
  const places = rows.filter((change) => change.token === null);
  if (tokens.length > 0) {
    await tx.query(CLOSE, [
      textArray(tokens.map((c) => c.runId)),
      textArray(tokens.map((c) => c.token?.home ?? "")),
      integerArray(tokens.map((c) => c.token?.nodeIndex ?? -1)),
      textArray(tokens.map((c) => c.token?.scope ?? "")),
      integerArray(tokens.map((c) => c.token?.attempt ?? 0)),
      textArray(tokens.map((c) => c.state)),
      bigintArray(tokens.map((c) => c.atMs)),
      textArray(tokens.map((c) => c.token?.id ?? null)),
    ]);
  }
  if (places.length > 0) {
    await tx.query(CLOSE_WITHIN, [
      textArray(places.map((c) => c.runId)),
      textArray(places.map((c) => c.within ?? "")),
      bigintArray(places.map((c) => c.atMs)),
    ]);
  }
}

type Said = Omit<ApprovalDecision, "data"> & { data: string };
type Row = Omit<ApprovalRow, "decisions"> & { said: Said[]; [column: string]: unknown };

/** Approvals, newest first. */
export async function listApprovals(db: Queryable, filter: ApprovalFilter): Promise<ApprovalRow[]> {
  const { state = null, assignee = null, runId = null, limit } = filter;
  return (await db.query<Row>(LIST, [state, assignee, runId, limit])).map(rowOf);
}

/** One approval, null if there is none. */
export async function readApproval(db: Queryable, id: string): Promise<ApprovalRow | null> {
  const [row] = await db.query<Row>(READ, [id]);
  return row === undefined ? null : rowOf(row);
}

function rowOf({ said, ...row }: Row): ApprovalRow {
  const decisions = said.map(({ data, ...rest }) => ({ ...rest, data: JSON.parse(data) as Json }));
  return { ...row, decisions } as ApprovalRow;
}
