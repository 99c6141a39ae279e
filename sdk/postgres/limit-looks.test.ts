/** Versions of a workflow whose rates count over different times, and count together. */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import {
  admitRuns,
  cleanAdmissions,
  forgetStarts,
  lookAtLimits,
  runsById,
  type Database,
  type LimitEffects,
  type NewRun,
} from "./index.ts";

const MINUTE = 60_000;
const HOUR = 3_600_000;
const LOOK = { tenant: "", gates: ["r"], tenantMax: null };
const definition = { hash: "h", name: "w", version: "1", source: null, ir: "{}", createdAtMs: 1 };
const server = await testDatabase();
let db: Database;
let effects: LimitEffects[] = [];
beforeAll(() => {
  db = server.connect();
});
afterAll(() => server.close());
beforeEach(async () => {
  effects = [];
  await sql("DELETE FROM admissions");
  await sql("DELETE FROM runs");
});

let serial = 0;
const sql = (text: string): Promise<unknown> =>
  db.query({ name: `test_limit_looks_${serial++}`, text });

/** Accepts a run of the version whose rate is `limit` in `perMs`. */
async function accepted(id: string, limit: number, perMs: number): Promise<void> {
  const run: NewRun = {
    ...{ id, tenant: "", workflow: "w", version: "1", irHash: "h", partition: 0, namespace: "" },
    ...{ priority: "normal", input: "null", idempotencyKey: null, requestHash: "" },
    createdAtMs: Number.parseInt(id.slice(1)),
    limits: { key: null, rate: { id: "r", text: "", limit, perMs } },
  };
  const gate = { tenantMax: () => null, nowMs: 1, told: (one: LimitEffects) => effects.push(one) };
  await admitRuns(db, [definition], [run], gate);
}
const isHeld = async (id: string): Promise<boolean | undefined> =>
  (await runsById(db, [id]))[0]?.held;
const cleaned = async (): Promise<void> => {
  await cleanAdmissions(db, 0, 10);
  await forgetStarts(db, 10);
};
/** It was started so long ago. */
const ago = (id: string, ms: number): Promise<unknown> =>
  sql(`UPDATE admissions SET admitted_at_ms = admitted_at_ms - ${ms},
    kept_until_ms = kept_until_ms - ${ms} WHERE run_id = '${id}'`);

it("each waits for the time of its own version, and nobody is looked for in the past", async () => {
  await accepted("r1", 1, MINUTE);
  await ago("r1", 2 * MINUTE);
  await accepted("r2", 1, HOUR);
  await accepted("r3", 1, MINUTE);
  expect([await isHeld("r1"), await isHeld("r2"), await isHeld("r3")]).toEqual([
    false,
    true,
    false,
  ]);
  await accepted("r4", 1, MINUTE);
  const { admitted, dues } = await db.transaction((tx) => lookAtLimits(tx, LOOK));
  expect([await isHeld("r4"), admitted]).toEqual([true, []]);
  const times = [...effects.flatMap((one) => one.dues), ...dues].map(({ inMs }) => inMs);
  expect(times.length).toBeGreaterThan(0);
  times.forEach((inMs) => expect(inMs).toBeGreaterThan(0));
  expect(Math.max(...dues.map(({ inMs }) => inMs))).toBeLessThanOrEqual(MINUTE);
});

it("starts of one version are kept for as long as another's runs count them", async () => {
  await accepted("r1", 2, MINUTE);
  await ago("r1", 2 * MINUTE);
  await accepted("r2", 2, HOUR);
  await accepted("r3", 2, HOUR);
  expect(await isHeld("r3")).toBe(true);
  await sql("UPDATE runs SET status = 'COMPLETED' WHERE id IN ('r1', 'r2')");
  await cleaned();
  await db.transaction((tx) => lookAtLimits(tx, LOOK));
  expect(await isHeld("r3")).toBe(true);
  await ago("r1", HOUR);
  await cleaned();
  await db.transaction((tx) => lookAtLimits(tx, LOOK));
  expect(await isHeld("r3")).toBe(false);
  expect(await sql("SELECT run_id FROM admissions WHERE run_id = 'r1'")).toEqual([]);
});
