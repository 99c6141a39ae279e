/** Who puts runs back and has lost its role meanwhile: what it writes late counts no more. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { partitionKeys, suspectRun, type Redis } from "../sdk/internal.ts";
import { readCursor, readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { Certifier } from "./certify.ts";
import { scriptsOf, type Rollback, type SupervisorContext } from "./context.ts";
import { Superseded } from "./guarded.ts";
import { createPartition } from "./partition.ts";
import { rebuildRuns } from "./rebuild.ts";
import { repairRuns } from "./repair.ts";
import { chainIr, contextOf, startRuns, startStack, work, type Stack } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a", "b", "c"]);
const HASH = "h-superseded";
let stack: Stack;
beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

/** Something comes to where it waits, until it is let go on. */
class Gate {
  come = (): void => undefined;
  open = (): void => undefined;
  readonly reached = new Promise<void>((resolve) => (this.come = resolve));
  readonly #opened = new Promise<void>((resolve) => (this.open = resolve));

  pass(): Promise<void> {
    this.come();
    return this.#opened;
  }
}

/** Brings a run to its first step, as a supervisor that stops then or goes on. */
async function begin(context: SupervisorContext, id: string): Promise<void> {
  await startRuns(context, ir, HASH, [id]);
  await waitFor(async () => (await readRun(stack.db, id))?.status === "RUNNING");
}

it("a rebuild that outlives its role writes nothing, and opens nothing, once another has begun", async () => {
  const id = "01890000-0000-7000-8000-000000000001";
  const setUp = await contextOf(stack, { id: "first" });
  const before = createPartition(setUp, 0);
  await before.start();
  await begin(setUp, id);
  await before.stop(2000);

  const [held, ends] = [new Gate(), new Gate()];
  let late: Promise<unknown> = Promise.resolve();
  const a = await contextOf(stack, {
    id: "a",
    onRollback: async (rollback: Rollback) => {
      await held.pass();
      late = rebuildRuns(rollback, a).catch((error: unknown) => error);
    },
  });
  const b = await contextOf(stack, { id: "b", onRollback: () => ends.pass() });
  await stack.redis.flushall();
  const [first, second] = [new Certifier(a, 0), new Certifier(b, 0)];
  await first.start();
  await held.reached;
  await first.stop(10); // its role is given up: it does not stop in time
  await second.start();
  await ends.reached;

  held.open();
  await waitFor(async () => (await late) instanceof Superseded, { describe: "a has written" });
  expect(await stack.redis.exists(keys.run(id))).toBe(0);
  await first.stop(2000);
  expect(await stack.redis.hget(keys.meta, "epoch")).toBeNull();
  expect(await scriptsOf(b, 0).isCertified()).toBe(false);

  ends.open();
  await waitFor(() => second.epoch !== null);
  expect((await readCursor(stack.db, 0))?.epoch).toBe(second.epoch);
  expect(await stack.redis.hget(keys.meta, "epoch")).toBe(String(second.epoch));
  await second.stop(1000);
  [setUp, a, b].forEach((context) => context.close());
});

it("a repair that was held up writes nothing of a run that has been repaired and gone on since", async () => {
  const id = "01890000-0000-7000-8000-000000000002";
  const living = await contextOf(stack, { id: "living" });
  living.onRollback = (rollback) => rebuildRuns(rollback, living);
  const partition = createPartition(living, 0);
  await partition.start();
  await begin(living, id);
  const gate = new Gate();
  const redis = new Proxy(stack.redis, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (name === "smembers") {
        // The last that it asks before it writes.
        return (key: string) => gate.pass().then(() => target.smembers(key));
      }
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  }) as Redis;
  const stale = await contextOf(stack, { id: "stale" });
  const frozen = async (): Promise<void> => {
    const epoch = (await stack.redis.hget(keys.run(id), "e")) ?? "";
    const seen = { runId: id, status: "running", epoch };
    expect(await suspectRun(scriptsOf(living, 0), seen)).toBe("marked");
  };
  // Frozen, and the stale one is at it before the living one hears of that.
  await stack.redis.hset(keys.run(id), "s", "suspect");
  const late = repairRuns({ ...stale, redis }, 0, [id]).catch((error: unknown) => error);
  await gate.reached;
  await stack.redis.hset(keys.run(id), "s", "running");
  await frozen();
  await waitFor(async () => (await stack.redis.hget(keys.run(id), "s")) === "running");
  await work(stack, ir, HASH, (node) => (node.id === "b" ? { op: "P", delayMs: 60_000 } : {}));
  const now = await stack.redis.hgetall(keys.run(id));
  expect(now["n0"]).toMatch(/^c1/);
  gate.open();
  expect(await late).toBeInstanceOf(Superseded);
  expect(await stack.redis.hgetall(keys.run(id))).toEqual(now);
  await partition.stop(2000);
  [living, stale].forEach((context) => context.close());
});
