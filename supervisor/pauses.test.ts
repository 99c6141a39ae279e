import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys, pauseRun, resumeRun } from "../sdk/internal.ts";
import { listPauses, putPause, readRun, resumePause } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { Apart } from "./apart.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { PauseWatch } from "./pauses.ts";
import { chainIr, startPartition, startRuns } from "./stack.fixture.ts";
import type { Stack, Supervised } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const apart = new Apart(100);
const IDS = [1, 2, 3].map((n) => `01890000-0000-7000-8000-00000000000${n}`);
const [A, B, C] = IDS as [string, string, string];
const PAUSE = { kind: "workflow", name: "chain", version: "*", who: "ann", reason: "" } as const;
let stack: Stack;
let context: SupervisorContext;
let supervised: Supervised;
let watch: PauseWatch;

beforeAll(async () => {
  supervised = await startPartition();
  ({ stack, context } = supervised);
  watch = new PauseWatch(context, apart);
  await startRuns(context, chainIr(["a"]), "h-a", IDS);
  await becomes("RUNNING", IDS);
});
afterAll(() => supervised.close());

async function becomes(status: string, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await waitFor(async () => (await readRun(stack.db, id))?.status === status, {
      describe: `run ${id} is not ${status}`,
    });
  }
}

/** A look, until all has been tried: what hangs is given up step by step. */
async function looked(): Promise<void> {
  await watch.look();
  await waitFor(() => !apart.isBusy("runs"), { describe: "the look does not end" });
}

/** As pauses have it: they go by the database's clock. */
async function aMinutePasses(): Promise<void> {
  const text = "UPDATE pauses SET changed_at_ms = changed_at_ms - 61000";
  await stack.db.query({ name: "test_minute", text });
}

const statuses = (): Promise<(string | null)[]> =>
  Promise.all(IDS.map((id) => stack.redis.hget(keys.run(id), "s")));

it("a pause that hung in Redis when it was taken back leaves no run paused", async () => {
  const other = context.openRedis("operator", keys.meta);
  await putPause(stack.db, { ...PAUSE, changedAtMs: Date.now() });
  await other.call("CLIENT", "PAUSE", "20000", "WRITE");
  await looked();
  expect(apart.isBusy("workflow chain@* RUNNING ")).toBe(true);
  await resumePause(stack.db, PAUSE);
  await aMinutePasses();
  await looked();
  expect(await listPauses(stack.db)).toHaveLength(1);
  await other.call("CLIENT", "UNPAUSE");
  await waitFor(() => !apart.isBusy("workflow chain@* RUNNING "), { describe: "it hangs" });
  // Only what had been sent already.
  expect((await statuses()).filter((status) => status === "paused")).toHaveLength(1);
  const isOver = async (): Promise<boolean> => {
    await looked();
    return (await listPauses(stack.db)).length === 0;
  };
  await waitFor(isOver, { describe: "the pause stands" });
  // A look may end before the jobs that it has begun.
  const isGoingOn = async (): Promise<boolean> => {
    await looked();
    return (await statuses()).every((status) => status === "running");
  };
  await waitFor(isGoingOn, { describe: "one stays paused" });
});

it("a run that is paused with its workflow goes on when no pause names that", async () => {
  await becomes("RUNNING", IDS);
  const scripts = scriptsOf(context, 0);
  await pauseRun(scripts, A, "workflow"); // by a supervisor that hung while others forgot the pause
  await pauseRun(scripts, B, "run");
  await pauseRun(scripts, C, "workflow");
  await pauseRun(scripts, C, "run");
  const causes = (): Promise<(string | null)[]> =>
    Promise.all(IDS.map((id) => stack.redis.hget(keys.run(id), "ps")));
  expect(await causes()).toEqual(["w", "r", "wr"]);
  await looked();
  await waitFor(async () => (await causes()).join() === ",r,r", { describe: "A or C is paused" });
  expect(await statuses()).toEqual(["running", "paused", "paused"]);
  await resumeRun(scripts, B, "run");
  await resumeRun(scripts, C, "run");
});

it("a run that is paused with its workflow stays so while a pause names that", async () => {
  await becomes("RUNNING", IDS);
  await putPause(stack.db, { ...PAUSE, changedAtMs: Date.now() });
  await looked();
  await becomes("PAUSED", IDS);
  await looked();
  expect(await statuses()).toEqual(["paused", "paused", "paused"]);
});

it("a version that is paused by itself stays so when its workflow is resumed, and the reverse", async () => {
  const version = { ...PAUSE, version: "1" };
  const change = { changedAtMs: Date.now() };
  await putPause(stack.db, { ...version, ...change });
  await looked();
  await resumePause(stack.db, PAUSE);
  await looked();
  expect(await statuses()).toEqual(["paused", "paused", "paused"]);
  await aMinutePasses();
  await looked();
  expect(await listPauses(stack.db)).toMatchObject([{ version: "1", state: "paused" }]);
  await putPause(stack.db, { ...PAUSE, ...change });
  await resumePause(stack.db, version);
  await looked();
  expect(await statuses()).toEqual(["paused", "paused", "paused"]);
  await resumePause(stack.db, PAUSE);
  await looked();
  expect(await statuses()).toEqual(["running", "running", "running"]);
});
