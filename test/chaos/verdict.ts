/** What must hold when the dust has settled, counted over all runs. */
import { partitionKeys, type Transition } from "../../sdk/internal.ts";
import { readJournals, type Database } from "../../sdk/postgres/index.ts";
import type { Redis } from "../../sdk/internal.ts";
import { expectedOf, inputOf, type Workload } from "./workloads.ts";

export interface Verdict {
  submitted: number;
  /** Rows that have a terminal status, by status. */
  ended: { [status: string]: number };
  /** Runs without a row, or without an end. */
  lost: string[];
  /** Runs whose status or output is not the oracle's. */
  wrong: { runId: string; workflow: string; found: unknown; expected: unknown }[];
  /** Transitions that are in the journal twice: ends of a run, completions of one token. */
  doubled: string[];
  /** Processes that ended by themselves. */
  fallen: string[];
  /** Keys of runs, timers and pending entries that are left in Redis. */
  leftovers: string[];
}

export interface Submitted {
  runId: string;
  n: number;
  workload: Workload;
}

type Row = { id: string; status: string; output: string | null };
const ROWS = {
  name: "chaos_rows",
  text: "SELECT id, status, output FROM runs WHERE id = ANY($1::text[])",
};
const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
const BATCH = 200;

/** Judges all runs. Reads everything, so call it when nothing moves any more. */
export async function judge(
  db: Database,
  redis: Redis,
  runs: readonly Submitted[],
): Promise<Verdict> {
  const verdict: Verdict = {
    ...{ submitted: runs.length, ended: {}, lost: [], wrong: [], doubled: [], fallen: [] },
    leftovers: await leftovers(redis),
  };
  for (let from = 0; from < runs.length; from += BATCH) {
    await judgeBatch(db, runs.slice(from, from + BATCH), verdict);
  }
  return verdict;
}

async function judgeBatch(
  db: Database,
  runs: readonly Submitted[],
  verdict: Verdict,
): Promise<void> {
  const ids = runs.map(({ runId }) => runId);
  const rows = new Map((await db.query<Row>(ROWS, [ids])).map((row) => [row.id, row]));
  const journals = await readJournals(db, ids);
  for (const { runId, n, workload } of runs) {
    const row = rows.get(runId);
    if (row === undefined || !FINAL.has(row.status)) {
      verdict.lost.push(`${runId} ${row?.status ?? "has no row"}`);
      continue;
    }
    verdict.ended[row.status] = (verdict.ended[row.status] ?? 0) + 1;
    const expected = expectedOf(workload, runId, inputOf(n));
    const output =
      row.status === "COMPLETED" ? (JSON.parse(row.output ?? "null") as unknown) : null;
    const found = { status: row.status, output };
    if (sorted(found) !== sorted(expected)) {
      verdict.wrong.push({ runId, workflow: workload.ir.name, found, expected });
    }
    const transitions = (journals.get(runId) ?? []).map(({ transition }) => transition);
    verdict.doubled.push(...doubled(runId, transitions));
  }
}

/** A token ends once: the same node in the same scope of the same home never completes twice. */
function doubled(runId: string, transitions: readonly Transition[]): string[] {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const t of transitions) {
    const home = (t as { m?: string }).m ?? "";
    const isEnd = /^run\.(completed|failed|cancelled)$/.test(t.e);
    const name = isEnd ? "end" : t.e === "node.completed" ? `${home} ${t.n} ${t.s}` : null;
    if (name !== null) {
      if (seen.has(name)) {
        twice.push(`${runId}: ${t.e} ${name}`);
      }
      seen.add(name);
    }
  }
  return twice;
}

/** JSON with sorted keys: a join's members come in the order of the edges, not of arrival. */
function sorted(value: unknown): string {
  return JSON.stringify(value, (_, v: unknown) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v,
  );
}

async function leftovers(redis: Redis): Promise<string[]> {
  const keys = partitionKeys(0);
  const left: string[] = [];
  for (let cursor = "0"; ;) {
    const [next, found] = await redis.scan(cursor, "MATCH", keys.pattern, "COUNT", 1000);
    for (const key of found) {
      if (key.startsWith(keys.run("")) || /:q:/.test(key)) {
        const length = key.includes(":q:") ? await redis.xlen(key) : 1;
        left.push(...(length > 0 ? [`${key} (${length})`] : []));
      }
    }
    cursor = next;
    if (cursor === "0") {
      break;
    }
  }
  const timers = await redis.zcard(keys.timers);
  return timers > 0 ? [...left, `${keys.timers} (${timers})`] : left;
}
