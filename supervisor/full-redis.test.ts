/**
 * A Redis that is full while begun runs need something put there that no step of theirs writes: they
 * get it. Only what has begun gives memory back, so refusing it would keep a full server full.
 */
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  globalKeys,
  hibernateRuns,
  partitionKeys,
  stageBlobs,
  suspectRun,
} from "../sdk/internal.ts";
import { askToWake, readRun, suspectRuns } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { scriptsOf } from "./context.ts";
import { createPartition } from "./partition.ts";
import { rebuildRuns } from "./rebuild.ts";
import {
  chainIr,
  contextOf,
  startRuns,
  startStack,
  TestClock,
  work,
  type Stack,
  type Supervised,
} from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a", "b"]);
const HASH = "h-full";
/** Less than what an empty server holds. */
const FULL = "1mb";
/** After this the archiver has looked for runs to be repaired. */
const LOOK_MS = 31_000;
const [X, Y, Z] = [
  "01890000-0000-7000-8000-00000000000a",
  "01890000-0000-7000-8000-00000000000b",
  "01890000-0000-7000-8000-00000000000c",
];

let stack: Stack;
let context: Supervised["context"] & { close(): void };
let partition: ReturnType<typeof createPartition>;
let clock: TestClock;
/** A run whose repair fails on its way. */
let doomed: string | null;

beforeEach(async () => {
  stack = await startStack();
  doomed = null;
  clock = new TestClock();
  const redis = new Proxy(stack.redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === "smembers") {
        const isDoomed = (key: string): boolean => doomed !== null && key === keys.maps(doomed);
        return (key: string) =>
          isDoomed(key) ? Promise.reject(new Error("not now")) : target.smembers(key);
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  context = await contextOf(stack, { clock, redis });
  context.onRollback = (rollback) => rebuildRuns(rollback, context);
  partition = createPartition(context, 0);
  await partition.start();
  await work(stack, ir, HASH); // makes the groups
  await startRuns(context, ir, HASH, [X, Y]);
  await waitFor(async () => (await statusOf(X)) === "RUNNING" && (await statusOf(Y)) === "RUNNING");
});
afterEach(async () => {
  await partition.stop(5000);
  context.close();
  await stack.close();
});

const statusOf = async (id: string): Promise<string | undefined> =>
  (await readRun(stack.db, id))?.status;
const fill = (): Promise<unknown> => stack.redis.config("SET", "maxmemory", FULL);
const epochOf = (id: string): Promise<string | null> => stack.redis.hget(keys.run(id), "e");

async function freeze(runId: string): Promise<void> {
  const [status, epoch] = await stack.redis.hmget(keys.run(runId), "s", "e");
  const seen = { runId, status: status ?? "", epoch: epoch ?? "" };
  expect(await suspectRun(scriptsOf(context, 0), seen)).toBe("marked");
}

/** Works until these runs have ended; they have in Postgres, too. */
async function untilCompleted(...ids: string[]): Promise<void> {
  await waitFor(
    async () => {
      await work(stack, ir, HASH);
      return (await Promise.all(ids.map(statusOf))).every((status) => status === "COMPLETED");
    },
    { timeoutMs: 20_000, describe: "their ends are not archived" },
  );
}

describe("a full Redis", () => {
  it("has a run repaired, which ends, as all others do", async () => {
    await fill();
    await freeze(X);
    await waitFor(async () => (await epochOf(X)) === "2", { describe: "it is not repaired" });
    await untilCompleted(X, Y);
    expect(await suspectRuns(stack.db, 0, "", 9)).toEqual([]);
  });

  it("that restarts is certified, and begun runs go on", async () => {
    await fill();
    await stack.redis.script("FLUSH");
    await untilCompleted(X, Y);
  });

  it("that has lost a partition has its runs put back", async () => {
    await fill();
    await stack.redis.del(keys.meta, keys.run(X), keys.run(Y));
    await waitFor(async () => (await epochOf(Y)) === "2", { describe: "they are not put back" });
    await untilCompleted(X, Y);
  });
});

describe("a full Redis and a run that sleeps", () => {
  it("has it woken, with all it refers to", async () => {
    await work(stack, ir, HASH, () => ({ op: "P", delayMs: 3_600_000, edges: "" }));
    expect(await hibernateRuns(scriptsOf(context, 0), [X], 1000)).toEqual(["asleep"]);
    await waitFor(async () => (await stack.redis.exists(keys.run(X))) === 0);
    await stack.redis.del(globalKeys.ir(HASH));
    await fill();
    const staged = await stageBlobs(stack.db, scriptsOf(context, 0), X, [
      { sha256: "0".repeat(64), text: '"large"' },
    ]);
    expect(await stack.redis.ttl(staged ?? "")).toBeGreaterThan(0);
    await askToWake(stack.db, [X]);
    await waitFor(async () => (await readRun(stack.db, X))?.asleepSinceMs === null);
    expect(await stack.redis.exists(keys.run(X), globalKeys.ir(HASH))).toBe(2);
  });
});

describe("a repair that fails", () => {
  it("keeps no other run of its partition from the archive, and is tried again", async () => {
    doomed = X;
    await freeze(X);
    await waitFor(async () => (await suspectRuns(stack.db, 0, "", 9)).includes(X));
    clock.offsetMs += LOOK_MS;
    await untilCompleted(Y);
    await partition.stop(5000);
    partition = createPartition(context, 0); // looks for suspects before anything else
    await partition.start();
    await startRuns(context, ir, HASH, [Z]);
    await untilCompleted(Z);
    doomed = null;
    clock.offsetMs += LOOK_MS;
    await untilCompleted(X);
  });
});
