/**
 * What an admission costs where many have ended, and many wait: rows touched in all tables, as Postgres
 * counts them. Statistics are those of empty tables, as in a flood, where it is not
 * said otherwise.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import {
  admitRuns,
  anyWaiting,
  claimPlace,
  cleanAdmissions,
  forgetStarts,
  lookAtLimits,
  NO_GATE,
  runsById,
  settleEnded,
  waitingGates,
  type Database,
  type LimitEffects,
  type NewRun,
  type Queryable,
} from "./index.ts";

const MANY = 3000;
const PAGE = 1000;
/** What admitting one run touches, whatever else there is. */
const ONE_MAX = 60;
const HOUR = 3_600_000;
const definition = { hash: "h", name: "w", version: "1", source: null, ir: "{}", createdAtMs: 1 };
const server = await testDatabase();
let db: Database;
beforeAll(() => {
  db = server.connect();
});
afterAll(() => server.close());
beforeEach(async () => {
  await sql("DELETE FROM admissions");
  await sql("DELETE FROM runs");
});

let serial = 0;
const sql = <R>(text: string): Promise<R[]> =>
  db.query<R & { [column: string]: unknown }>({ name: `limits_large_${serial++}`, text });

/** Runs `f1`, `f2`, … and their admissions; `key`, `rate`, `state` and `status` as SQL of `i`. */
async function fill(many: {
  count: number;
  status?: string;
  state?: string;
  key?: string;
  rate?: string;
}): Promise<void> {
  const { count, status = "QUEUED", state = "waiting", key = "'k'", rate = "NULL" } = many;
  await sql(`INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status, held,
      input, created_at_ms, updated_at_ms)
    SELECT 'f' || i, 'w', '1', 'h', 0, 'normal', '${status}', ${status === "QUEUED"}, '{}', 1, 1
    FROM generate_series(1, ${count}) AS i`);
  await sql(`INSERT INTO admissions (run_id, tenant, turn_ms, state, key, key_limit, on_conflict, rate,
      rate_limit, rate_ms, admitted_at_ms)
    SELECT 'f' || i, '', i, '${state}', ${key}, 1, 'queue', ${rate}, 1,
      CASE WHEN ${rate} IS NOT NULL THEN ${HOUR} END,
      ${state === "waiting" ? "NULL" : "1"}
    FROM generate_series(1, ${count}) AS i`);
}

const limited = (id: string, key: string, rate: string | null = null): NewRun => ({
  ...{ id, tenant: "", workflow: "w", version: "1", irHash: "h", partition: 0, namespace: "" },
  ...{ priority: "normal", input: "null", idempotencyKey: null, requestHash: "", createdAtMs: 9e6 },
  limits: {
    key: { id: key, text: "", limit: 1, onConflict: "queue" },
    rate: rate === null ? null : { id: rate, text: "", limit: 1, perMs: HOUR },
  },
});
const gate = { tenantMax: () => null, nowMs: 1, told: (_: LimitEffects) => undefined };
const accept = (...runs: NewRun[]): Promise<unknown> => admitRuns(db, [definition], runs, gate);
const look = (tx: Queryable, ...gates: string[]) =>
  lookAtLimits(tx, { tenant: "", gates, tenantMax: null });

const isHeld = async (id: string): Promise<boolean | undefined> =>
  (await runsById(db, [id]))[0]?.held;

async function touchedBy(work: (tx: Queryable) => Promise<unknown>): Promise<number> {
  return db.transaction(async (tx) => {
    const before = await counted(tx);
    await work(tx);
    return (await counted(tx)) - before;
  });
}

async function counted(tx: Queryable): Promise<number> {
  const [row] = await tx.query<{ rows: number }>({
    name: "all_rows_touched",
    text: `SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0))::integer AS rows
      FROM pg_stat_xact_user_tables`,
  });
  return row?.rows ?? 0;
}

it("runs of a key that failed cost an admission nothing, and are looked through once", async () => {
  await fill({ count: MANY, status: "FAILED", state: "admitted" });
  expect(await cleanAdmissions(db, 0, PAGE)).toMatchObject({ place: 0 });
  expect(await touchedBy((tx) => cleanAdmissions(tx, 0, PAGE))).toBe(0);
  await accept(limited("r1", "k"), limited("r2", "k"));
  expect([await isHeld("r1"), await isHeld("r2")]).toEqual([false, true]);
  expect(await touchedBy((tx) => look(tx, "k"))).toBeLessThan(ONE_MAX);
  expect(await touchedBy(anyWaiting)).toBeLessThan(ONE_MAX);
});

it("one that failed long ago takes its place again when it is redriven", async () => {
  await fill({ count: 1, status: "FAILED", state: "admitted" });
  await settleEnded(db, ["f1"]);
  expect(await sql("SELECT state FROM admissions")).toEqual([{ state: "over" }]);
  expect(await db.transaction((tx) => claimPlace(tx, "f1", HOUR))).toBeNull();
  expect(await settleEnded(db, ["f1"])).toEqual([]);
  await accept(limited("r1", "k"));
  expect(await isHeld("r1")).toBe(true);
  await sql("UPDATE runs SET status = 'RUNNING', attempt = 2 WHERE id = 'f1'");
  await sql("UPDATE runs SET status = 'COMPLETED' WHERE id = 'f1'");
  expect(await settleEnded(db, ["f1"])).toEqual([{ tenant: "", gate: "k" }]);
  expect(await sql("SELECT 1 FROM admissions WHERE run_id = 'f1'")).toEqual([]);
});

it("a gate without a place costs its count, however many wait there", async () => {
  await accept(limited("r1", "k"));
  await fill({ count: MANY });
  expect(await touchedBy((tx) => look(tx, "k"))).toBeLessThan(ONE_MAX);
  await sql("UPDATE runs SET status = 'COMPLETED' WHERE id = 'r1'");
  expect(await touchedBy((tx) => look(tx, "k"))).toBeLessThan(ONE_MAX);
  expect(await isHeld("f1")).toBe(false);
});

it("gates are found from one to the next, and a page of those who wait is cleaned", async () => {
  await fill({ count: MANY, key: "'k' || (i % 20)", rate: "'r' || (i % 10)" });
  const gates = await waitingGates(db, NO_GATE, 25);
  expect(gates.length).toBe(25);
  expect((await waitingGates(db, gates.at(-1) ?? NO_GATE, 25)).length).toBe(5);
  expect(await touchedBy((tx) => waitingGates(tx, NO_GATE, 25))).toBeLessThan(2 * ONE_MAX);
  await sql("ANALYZE admissions");
  const touched = await touchedBy((tx) => cleanAdmissions(tx, 0, PAGE));
  expect(touched).toBeLessThanOrEqual(4 * PAGE);
});

it("who waits for one and the same other limit is not asked again and again", async () => {
  await accept(limited("r1", "other", "r"));
  await fill({ count: MANY, rate: "'r'" });
  expect(await touchedBy((tx) => look(tx, "k", "r"))).toBeLessThan(3 * ONE_MAX);
  expect(await isHeld("f1")).toBe(true);
});

it("who needs another start than those before it goes first", async () => {
  await accept(limited("r1", "other", "r"));
  await fill({ count: 9, rate: "'r'" });
  await accept(limited("r2", "k", "r2"));
  expect([await isHeld("f1"), await isHeld("r2")]).toEqual([true, false]);
});

it("those that were cancelled while they waited keep nobody behind them", async () => {
  await fill({ count: 450, status: "CANCELLED" });
  await accept(limited("r1", "k"));
  const told = await db.transaction((tx) => look(tx, "k"));
  expect(told.dues).toEqual([{ tenant: "", gate: "k", inMs: 0 }]);
  await db.transaction((tx) => look(tx, "k"));
  expect(await isHeld("r1")).toBe(false);
});

it("starts of ended runs are looked through when their window is over, and no sooner", async () => {
  await accept(limited("r1", "a", "r"));
  await sql("UPDATE runs SET status = 'COMPLETED' WHERE id = 'r1'");
  await settleEnded(db, ["r1"]);
  await forgetStarts(db, PAGE);
  await accept(limited("r2", "b", "r"));
  expect(await isHeld("r2")).toBe(true);
  expect(await touchedBy((tx) => forgetStarts(tx, PAGE))).toBe(0);
  await sql(`UPDATE admissions SET admitted_at_ms = admitted_at_ms - ${HOUR},
    kept_until_ms = kept_until_ms - ${HOUR} WHERE run_id = 'r1'`);
  await forgetStarts(db, PAGE);
  expect(await sql("SELECT run_id FROM admissions")).toEqual([{ run_id: "r2" }]);
});
