/**
 * Causes of sleepers where a supervisor of the version before migration 0012 has had the role: it
 * lays to sleep and marks awake without a look at them.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import { testDatabase } from "../../test/support/index.ts";
import { openChildren, openChildrenOf } from "./children.ts";
import type { Database } from "./connect.ts";
import { putPause, removePause } from "./pauses.ts";
import { insertRuns, readRun, type NewRun } from "./runs.ts";
import { markAwake, sleepRuns, wakePaused } from "./sleep.ts";

const WORKFLOW = { name: "w", version: "1" };
let server: Awaited<ReturnType<typeof testDatabase>>;
let db: Database;

beforeAll(async () => {
  server = await testDatabase();
  db = server.connect();
});

afterAll(async () => {
  await server.close();
});

const newRun = (id: string): NewRun => ({
  ...{ id, tenant: "", workflow: "w", version: "1", irHash: "h", partition: 0, namespace: "" },
  ...{ priority: "normal", input: "{}", idempotencyKey: null, requestHash: "", createdAtMs: 1 },
});

beforeEach(async () => {
  await db.query({ name: "test_clear", text: "DELETE FROM runs" });
  await db.query({ name: "test_clear_pauses", text: "DELETE FROM pauses" });
  await insertRuns(db, ["parent", "child"].map(newRun));
  await db.query({
    name: "test_child",
    text: "UPDATE runs SET parent_run_id = 'parent', parent = 'parent|0' WHERE id = 'child'",
  });
});

/** A child that is asleep, paused for these causes. */
const sleeps = (causes: string): Promise<void> =>
  sleepRuns(db, [{ runId: "child", sinceMs: 7, seq: 1, wakesAtMs: 9, causes }], "w");

async function causesOfChild(): Promise<(string | null)[]> {
  const pages = [await openChildrenOf(db, ["parent"], "", 9), await openChildren(db, 0, "", 9)];
  return pages.flat().map(({ causes }) => causes);
}

const formerAwake = {
  name: "test_former_awake",
  text: `UPDATE runs SET asleep_since_ms = NULL, sleep_seq = NULL, wakes_at_ms = NULL
    WHERE id = 'child'`,
};
const formerSleep = {
  name: "test_former_sleep",
  text: `UPDATE runs SET asleep_since_ms = 7, sleep_seq = 1, wakes_at_ms = 9 WHERE id = 'child'`,
};

it("a child that the former version has marked awake is awake", async () => {
  await sleeps("r");
  expect(await causesOfChild()).toEqual(["r", "r"]);
  await db.query(formerAwake);
  expect(await causesOfChild()).toEqual([null, null]);
});

it("a child that the former version has laid to sleep is asleep, and paused for nothing", async () => {
  await db.query(formerSleep);
  expect(await causesOfChild()).toEqual(["", ""]);
});

it("a sleeper that is paused with its workflow is due at once if no pause names that", async () => {
  const wakesAt = async (causes: string): Promise<unknown> => {
    await sleeps(causes);
    return (await readRun(db, "child"))?.wakesAtMs;
  };
  expect([await wakesAt(""), await wakesAt("r"), await wakesAt("wr")]).toEqual([9, 9, 0]);
  const pause = { kind: "workflow", name: "w", version: "1", who: "", reason: "" } as const;
  await putPause(db, { ...pause, version: "2", changedAtMs: 1 });
  expect(await wakesAt("wr")).toBe(0);
  await putPause(db, { ...pause, changedAtMs: 1 });
  expect(await wakesAt("wr")).toBe(9);
});

it("the end of a pause wakes paused sleepers whose causes nobody has noted, and no others", async () => {
  const paused = { name: "test_paused", text: "UPDATE runs SET status = 'PAUSED'" };
  await db.query(paused);
  await db.query(formerSleep);
  expect(await wakePaused(db, WORKFLOW, "w")).toBe(true);
  expect(await readRun(db, "child")).toMatchObject({ wakesAtMs: 0 });
  await sleeps("r");
  expect(await wakePaused(db, WORKFLOW, "w")).toBe(false);
  await sleeps("rw");
  expect(await wakePaused(db, WORKFLOW, "w")).toBe(true);
});

it("a resume of a workflow wakes no run of a version that is paused by itself", async () => {
  await db.query({ name: "test_paused", text: "UPDATE runs SET status = 'PAUSED'" });
  await sleeps("w");
  const pause = { kind: "workflow", name: "w", who: "", reason: "", changedAtMs: 1 } as const;
  await putPause(db, { ...pause, version: "1" });
  const all = { name: "w", version: "*" };
  expect(await wakePaused(db, all, "w")).toBe(false);
  await removePause(db, { ...pause, version: "1", state: "paused" });
  expect(await wakePaused(db, all, "w")).toBe(true);
});

it("only the sleep that somebody has woken is over, and only under the partition's epoch", async () => {
  await db.query({
    name: "test_cursor",
    text: "INSERT INTO cursors (partition, epoch, seq, nonce, stream_id) VALUES (0, 1, 0, '', '')",
  });
  const woken = (seq: number, epoch: number): Promise<string[]> =>
    markAwake(db, { partition: 0, epoch }, [{ runId: "child", seq, epoch: 2 }]);
  await sleeps("");
  expect(await woken(0, 1)).toEqual([]);
  expect(await woken(1, 2)).toEqual([]);
  expect((await readRun(db, "child"))?.asleepSinceMs).toBe(7);
  expect(await woken(1, 1)).toEqual(["child"]);
  expect(await readRun(db, "child")).toMatchObject({ asleepSinceMs: null, epoch: 2 });
});
