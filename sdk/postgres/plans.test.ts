/**
 * Which rows the statements of the hot path touch, when the planner's statistics are from before:
 * counted by Postgres itself, in the transaction that runs them.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { connectPostgres, type Database, type Queryable } from "./connect.ts";
import { migrate } from "./migrate.ts";
import { changeRuns, insertRuns, runsById, type NewRun } from "./runs.ts";
import { askToWake, claimWake, markAwake, sleepRuns, wakeParents } from "./sleep.ts";

const OLD = 5000;
const BATCH = 300;
const ids = Array.from({ length: BATCH }, (_, i) => `new-${i}`);

let server: Awaited<ReturnType<typeof testDatabase>>;
let db: Database;

beforeAll(async () => {
  server = await testDatabase({ migrated: false });
  db = connectPostgres(server.target);
  await migrate(db);
  // All that statistics know: every run has ended, and nobody sleeps.
  await db.query({
    name: "old",
    text: `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, input,
        created_at_ms, updated_at_ms)
      SELECT 'old-' || i, 'w', '1', 'h', 0, 'normal', 'COMPLETED', '{}', i, i
      FROM generate_series(1, ${OLD}) AS i`,
  });
  await db.query({ name: "analyze", text: "ANALYZE runs" });
  await insertRuns(db, ids.map(newRun));
  await db.query({ name: "cursor", text: "INSERT INTO cursors VALUES (0, 1, 0, '', '0-0')" });
});

afterAll(async () => {
  await db.close();
  await server.close();
});

const newRun = (id: string): NewRun => ({
  ...{ id, tenant: "", workflow: "w", version: "1", irHash: "h", partition: 0, namespace: "" },
  ...{ priority: "normal", input: "{}", idempotencyKey: null, requestHash: "", createdAtMs: 1 },
});
const running = (id: string) => ({
  ...{ id, status: "RUNNING" as const, startedAtMs: 5, endedAtMs: null },
  ...{ output: null, error: null, atMs: 6 },
});
const asleep = (runId: string) => ({ runId, sinceMs: 7, seq: 1, wakesAtMs: 9, causes: "" });

const statements: { [name: string]: (tx: Queryable) => Promise<unknown> } = {
  "changing runs": (tx) => changeRuns(tx, ids.map(running)),
  "reading runs by id": (tx) => runsById(tx, ids),
  "laying runs to sleep": (tx) => sleepRuns(tx, ids.map(asleep), "w"),
  "asking sleepers to wake": (tx) => askToWake(tx, ids),
  "waking parents": (tx) => wakeParents(tx, ids),
  "claiming sleepers": (tx) => claimWake(tx, ids),
  "marking sleepers awake": (tx) =>
    markAwake(
      tx,
      { partition: 0, epoch: 1 },
      ids.map((runId) => ({ runId, seq: 1, epoch: 1 })),
    ),
};

it.each(Object.entries(statements))(
  "%s touches the rows that are named, whatever the statistics say",
  async (_, statement) => {
    const touched = await db.transaction(async (tx) => {
      const before = await counted(tx);
      await statement(tx);
      return (await counted(tx)) - before;
    });
    expect(touched).toBeLessThanOrEqual(2 * BATCH);
    expect(touched).toBeGreaterThanOrEqual(BATCH);
  },
);

it("a plain run is in four indexes while it is unfinished, and in three when it has ended", async () => {
  await insertRuns(db, [newRun("plain")]);
  const counts: number[] = [];
  for (const status of ["QUEUED", "RUNNING", "COMPLETED"]) {
    await sql(`UPDATE runs SET status = '${status}' WHERE id = 'plain'`);
    counts.push((await indexesOf("plain")).length);
  }
  expect(counts).toEqual([4, 4, 3]);
});

let serial = 0;
const sql = <R>(text: string): Promise<R[]> =>
  db.query<R & { [column: string]: unknown }>({ name: `plans_test_${serial++}`, text });

/** Each of which is written anew when the run changes its status. */
async function indexesOf(id: string): Promise<string[]> {
  const all = await sql<{ name: string; condition: string | null }>(
    `SELECT indexrelid::regclass::text AS name, pg_get_expr(indpred, indrelid) AS condition
      FROM pg_index WHERE indrelid = 'runs'::regclass`,
  );
  const found: string[] = [];
  for (const { name, condition } of all) {
    const rows = await sql(`SELECT 1 FROM runs WHERE id = '${id}' AND ${condition ?? "true"}`);
    found.push(...(rows.length === 1 ? [name] : []));
  }
  return found;
}

/** Rows of runs that this transaction has read so far, in whichever way. */
async function counted(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ rows: number }>({
    name: "rows_touched",
    text: `SELECT (seq_tup_read + COALESCE(idx_tup_fetch, 0))::integer AS rows
      FROM pg_stat_xact_user_tables WHERE relname = 'runs'`,
  });
  return row?.rows ?? 0;
}
