/** What must hold when the dust has settled, counted over all runs. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { connectionAt, partitionKeys, type Transition } from "../../sdk/internal.ts";
import { readJournals, type Database } from "../../sdk/postgres/index.ts";
import type { Redis } from "../../sdk/internal.ts";
import { openRuns } from "./progress.ts";
import { CHILD, type Scenario } from "./scenarios.ts";
import { expectedOf, inputOf, type Workload } from "./workloads.ts";

export interface Verdict {
  submitted: number;
  /** Rows that have a terminal status, by status. */
  ended: { [status: string]: number };
  /** Runs without a row, or without an end; children and compensations too. */
  lost: string[];
  /** Runs whose status or output is not the oracle's. */
  wrong: { runId: string; workflow: string; found: unknown; expected: unknown; error: unknown }[];
  /** Transitions that are in the journal twice: ends of a run, completions of one token. */
  doubled: string[];
  /** Runs that failed and whose compensation did not end well. */
  notUndone: string[];
  /** Where runs have other runs than they should: more or fewer children, compensations. */
  miscounted: string[];
  /** Calls of functions, and how many of them were repetitions of the same attempt (allowed). */
  executions: number;
  repeated: number;
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

type Row = { id: string; status: string; output: string | null; error: unknown };
const ROWS = {
  name: "chaos_rows",
  text: "SELECT id, status, output, error FROM runs WHERE id = ANY($1::text[])",
};
const ALL = { name: "chaos_all", text: "SELECT id FROM runs WHERE id > $1 ORDER BY id LIMIT 200" };
const UNDONE = {
  name: "chaos_undone",
  text: "SELECT compensates AS id FROM runs WHERE compensates IS NOT NULL AND status = 'COMPLETED'",
};
const CHILDREN = {
  name: "chaos_children",
  text: "SELECT count(*)::int AS n FROM runs WHERE workflow = $1 AND status = 'COMPLETED'",
};
const UNDOING = {
  name: "chaos_undoing",
  text: "SELECT count(*)::int AS n FROM runs WHERE compensates IS NOT NULL",
};
const FINAL = new Set(["COMPLETED", "FAILED", "CANCELLED"]);
const BATCH = 200;

/**
 * Judges all runs. Reads everything, so call it when nothing moves any more. `calls` is the folder in
 * which the workers noted their calls.
 */
export async function judge(
  db: Database,
  redis: Redis,
  runs: readonly Submitted[],
  calls: string,
  partitions = 1,
): Promise<Verdict> {
  const all = Array.from({ length: partitions }, (_, partition) => leftovers(redis, partition));
  const verdict: Verdict = {
    ...{ submitted: runs.length, ended: {}, lost: [], wrong: [], doubled: [], fallen: [] },
    ...{
      notUndone: [],
      miscounted: [],
      leftovers: (await Promise.all(all)).flat(),
      ...countCalls(calls),
    },
  };
  for (let from = 0; from < runs.length; from += BATCH) {
    await judgeBatch(db, runs.slice(from, from + BATCH), verdict);
  }
  for (const { id, status } of await openRuns(db)) {
    if (!verdict.lost.some((text) => text.startsWith(id))) {
      verdict.lost.push(`${id} ${status}`);
    }
  }
  const undone = new Set((await db.query<{ id: string }>(UNDONE)).map(({ id }) => id));
  const toUndo = runs.filter(({ workload }) => workload.scenario?.isUndone === true);
  verdict.notUndone = toUndo.flatMap(({ runId }) => (undone.has(runId) ? [] : [runId]));
  verdict.miscounted = await miscounted(db, runs);
  await judgeJournals(db, verdict);
  return verdict;
}

async function miscounted(db: Database, runs: readonly Submitted[]): Promise<string[]> {
  const of = (count: (scenario: Scenario) => number): number =>
    runs.reduce((sum, { workload: { scenario } }) => sum + (scenario ? count(scenario) : 0), 0);
  type Count = { n: number };
  const [children] = await db.query<Count>(CHILDREN, [CHILD.metadata.name]);
  const [undoing] = await db.query<Count>(UNDOING);
  const counts = [
    ["children", children?.n, of((scenario) => scenario.children ?? 0)],
    ["compensations", undoing?.n, of(({ isUndone }) => (isUndone === true ? 1 : 0))],
  ] as const;
  return counts.flatMap(([what, found, expected]) =>
    found === expected ? [] : [`${found} ${what}, not ${expected}`],
  );
}

/** Of every run there is, children and compensations too. */
async function judgeJournals(db: Database, verdict: Verdict): Promise<void> {
  for (let after = ""; ;) {
    const ids = (await db.query<{ id: string }>(ALL, [after])).map(({ id }) => id);
    for (const [runId, journal] of await readJournals(db, ids)) {
      const transitions = journal.map(({ transition }) => transition);
      verdict.doubled.push(...doubled(runId, transitions));
    }
    const last = ids.at(-1);
    if (last === undefined) {
      return;
    }
    after = last;
  }
}

function countCalls(folder: string): { executions: number; repeated: number } {
  const seen = new Set<string>();
  let executions = 0;
  for (const file of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
      if (line !== "") {
        executions += 1;
        seen.add(line);
      }
    }
  }
  return { executions, repeated: executions - seen.size };
}

async function judgeBatch(
  db: Database,
  runs: readonly Submitted[],
  verdict: Verdict,
): Promise<void> {
  const ids = runs.map(({ runId }) => runId);
  const rows = new Map((await db.query<Row>(ROWS, [ids])).map((row) => [row.id, row]));
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
      const { error } = row;
      verdict.wrong.push({ runId, workflow: workload.ir.name, found, expected, error });
    }
  }
}

/**
 * A token ends once: the same node in the same scope of the same home never completes twice, except
 * where a redrive has undone it.
 */
function doubled(runId: string, transitions: readonly Transition[]): string[] {
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const t of transitions) {
    const home = t.m ?? "";
    const isEnd = /^run\.(completed|failed|cancelled)$/.test(t.e);
    if (t.e === "run.redriven") {
      seen.delete("end");
      const undone = Object.keys(t.rd?.f ?? {}).filter((field) => /^n\d+$/.test(field));
      const isUndone = (name: string): boolean =>
        undone.some((field) => name.startsWith(` ${field.slice(1)} `));
      [...seen].filter(isUndone).forEach((name) => seen.delete(name));
    }
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

async function leftovers(connection: Redis, partition: number): Promise<string[]> {
  const keys = partitionKeys(partition);
  const redis = connectionAt(connection, keys.meta);
  const left: string[] = [];
  for (let cursor = "0"; ;) {
    const [next, found] = await redis.scan(cursor, "MATCH", keys.pattern, "COUNT", 1000);
    for (const key of found) {
      if (key.startsWith(keys.run("")) || /:q:/.test(key)) {
        const length = key.includes(":q:") ? await redis.xlen(key) : 1;
        const isLeft = length > 0 && (await redis.pttl(key)) < 0; // what expires goes by itself
        left.push(...(isLeft ? [`${key} (${length})`] : []));
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
