/** Lists of runs for people, newest first. */
import { isTerminal, type RunStatus } from "../status.ts";
import { textArray } from "./arrays.ts";
import type { Queryable } from "./connect.ts";
import { RUN_COLUMNS, type RunRow } from "./runs.ts";
import { newestUnfinished } from "./unfinished.ts";

export interface RunFilter {
  tenant?: string;
  /** One, or any of these. */
  status?: RunStatus | readonly RunStatus[];
  workflow?: string;
  businessStatus?: string;
  /** Only children of this run. */
  parent?: string;
  /** Only runs created before this time, for the next page. */
  beforeMs?: number;
  /** And of those created at this time the ones that stand behind this run: many share a moment. */
  beforeId?: string;
  limit: number;
}

const MATCHES = `($1::text IS NULL OR tenant = $1) AND ($3::text IS NULL OR workflow = $3)
      AND ($4::bigint IS NULL OR created_at_ms <= $4 AND (created_at_ms < $4 OR id < $8::text))
      AND ($6::text IS NULL OR parent_run_id = $6)
      AND ($7::text IS NULL OR business_status = $7)`;
const LIST = {
  name: "runs_list",
  text: `SELECT ${RUN_COLUMNS} FROM runs WHERE ($2::text IS NULL OR status = $2) AND ${MATCHES}
    ORDER BY created_at_ms DESC, id DESC LIMIT $5`,
};
const UNFINISHED = {
  name: "runs_list_unfinished",
  text: newestUnfinished("$2", MATCHES, "$5"),
};

/**
 * Of several statuses: a page of each, merged by one statement and so of one moment. A run that goes
 * from one of them to another meanwhile would be in none of two lists, or in both.
 */
function severalOf(statuses: readonly RunStatus[]): { name: string; text: string } {
  const parts = statuses.map((status, i) => {
    const own = `($2::text[])[${i + 1}]`;
    return isTerminal(status)
      ? `(SELECT ${RUN_COLUMNS} FROM runs WHERE status = ${own} AND ${MATCHES}
          ORDER BY created_at_ms DESC, id DESC LIMIT $5)`
      : `(${newestUnfinished(own, MATCHES, "$5")})`;
  });
  const kinds = statuses.map((status) => (isTerminal(status) ? "e" : "u")).join("");
  return {
    name: `runs_list_several_${kinds}`,
    text: `SELECT * FROM (${parts.join("\n    UNION ALL ")}) AS page
    ORDER BY "createdAtMs" DESC, id DESC LIMIT $5`,
  };
}

/** Runs, newest first. */
export async function listRuns(db: Queryable, filter: RunFilter): Promise<RunRow[]> {
  const { tenant = null, status = null, workflow = null, beforeMs = null, limit } = filter;
  const { parent = null, businessStatus = null, beforeId = null } = filter;
  const asked = status === null || typeof status === "string" ? null : [...new Set(status)];
  if (asked?.length === 0) {
    return [];
  }
  const statuses = asked === null ? status : textArray(asked);
  const values = [tenant, statuses, workflow, beforeMs, limit, parent, businessStatus, beforeId];
  return db.query<RunRow & { [column: string]: unknown }>(statementOf(asked ?? status), values);
}

function statementOf(status: RunFilter["status"] | null): { name: string; text: string } {
  if (status === null || status === undefined) {
    return LIST;
  }
  if (typeof status !== "string") {
    return severalOf(status);
  }
  return isTerminal(status) ? LIST : UNFINISHED;
}
