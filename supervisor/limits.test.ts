/** The watch over runs that wait for limits: what it finds without any hint. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { admitRuns, runsById, type AdmissionGate, type NewRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { LimitWatch } from "./limits.ts";
import { chainIr, startPartition, type Supervised } from "./stack.fixture.ts";
import { Starter } from "./starter.ts";

/** Over one page of a sweep. */
const GATES = 1050;
const FREED = 40;
const ir = chainIr(["a"]);
const definition = { hash: "h", name: "chain", version: "1", source: null, createdAtMs: 1 };
const gate: AdmissionGate = { tenantMax: () => null, nowMs: 1, told: () => undefined };
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startPartition();
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

it("a place that is free is found without a hint, however many others wait for theirs", async () => {
  const { context } = supervised;
  const runs = Array.from({ length: GATES }, (_, i) => waiting(i));
  await admitRuns(context.db, [{ ...definition, ir: JSON.stringify(ir) }], runs, gate);
  const freed = runs.slice(-FREED).map(({ id }) => id);
  const free = "UPDATE admissions SET key_limit = 1 WHERE run_id = ANY($1::text[])";
  await context.db.query({ name: "test_free", text: free }, [`{${freed.join()}}`]);
  const watch = new LimitWatch(context, new Starter(context));
  await watch.start();
  const heldOf = async (): Promise<number> =>
    (await runsById(context.db, freed)).filter(({ held }) => held).length;
  await waitFor(async () => (await heldOf()) === 0, { describe: "some are held for ever" });
  await watch.stop(5000);
  const others = await runsById(
    context.db,
    runs.slice(0, -FREED).map(({ id }) => id),
  );
  expect(others.every(({ held }) => held)).toBe(true);
});
