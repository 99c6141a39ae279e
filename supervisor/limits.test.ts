/** The watch over runs that wait for limits: what it finds without any hint. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { admitRuns, runsById, type AdmissionGate, type NewRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { LimitWatch } from "./limits.ts";
import { chainIr, startPartition, TestClock, type Supervised } from "./stack.fixture.ts";
import { Starter } from "./starter.ts";

/** Over one page of a sweep. */
const GATES = 1050;
const FREED = 40;
const ir = chainIr(["a"]);
const definition = { hash: "h", name: "chain", version: "1", source: null, createdAtMs: 1 };
const gate: AdmissionGate = { tenantMax: () => null, nowMs: 1, told: () => undefined };
const clock = new TestClock();
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startPartition({ clock });
});
afterAll(() => supervised.close());

/** A run with a key of its own, which has no place; in the order of their gates. */
const waiting = (i: number): NewRun => ({
  id: `01890000-0000-7000-8000-${i.toString().padStart(12, "0")}`,
  ...{ tenant: "", workflow: "chain", version: "1", irHash: "h", partition: 0, namespace: "" },
  ...{ priority: "normal", input: "null", idempotencyKey: null, requestHash: "" },
  createdAtMs: Date.now(),
  limits: { key: { id: `${10_000 + i}`, text: `${i}`, limit: 0, onConflict: "queue" }, rate: null },
});

const runs = Array.from({ length: GATES }, (_, i) => waiting(i));

async function free(some: readonly NewRun[]): Promise<string[]> {
  const ids = some.map(({ id }) => id);
  const text = "UPDATE admissions SET key_limit = 1 WHERE run_id = ANY($1::text[])";
  await supervised.context.db.query({ name: "test_free", text }, [`{${ids.join()}}`]);
  return ids;
}

const heldOf = async (ids: readonly string[]): Promise<number> =>
  (await runsById(supervised.context.db, ids)).filter(({ held }) => held).length;

async function watched(work: () => Promise<unknown>): Promise<void> {
  const { context } = supervised;
  const watch = new LimitWatch(context, new Starter(context));
  await watch.start();
  await work();
  await watch.stop(5000);
}

it("a place that is free is found without a hint, however many others wait for theirs", async () => {
  const definitions = [{ ...definition, ir: JSON.stringify(ir) }];
  await admitRuns(supervised.context.db, definitions, runs, gate);
  const freed = await free(runs.slice(-FREED));
  await watched(() =>
    waitFor(async () => (await heldOf(freed)) === 0, { describe: "some are held for ever" }),
  );
  const others = runs.slice(0, -FREED).map(({ id }) => id);
  expect(await heldOf(others)).toBe(others.length);
});

it("a place is found no later because somebody has set the supervisor's clock back", async () => {
  const [first, second] = [runs.slice(0, 1), runs.slice(1, 2)];
  const freed = await free(first);
  await watched(async () => {
    await waitFor(async () => (await heldOf(freed)) === 0);
    clock.setAheadMs = -3_600_000;
    const later = await free(second);
    const isFound = async (): Promise<boolean> => {
      clock.offsetMs += 500;
      return (await heldOf(later)) === 0;
    };
    await waitFor(isFound, { describe: "it is held for ever" });
  });
});
