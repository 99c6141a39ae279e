/** The emergency stop of a deployment, under load, and through the loss of all but Postgres. */
import { Redis } from "ioredis";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { compile } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { globalKeys, EVERY_QUEUE } from "../../sdk/internal.ts";
import { listAudit, listPauses, readRun } from "../../sdk/postgres/index.ts";
import { createSupervisor, whyRun, type Supervisor } from "../../supervisor/index.ts";
import { FunctionRegistry, type Worker } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { emptyRedis, waitFor } from "../support/index.ts";

const LEASE_MS = 2000;
/** Looks in which something could begin. */
const LOOKS = 4;
/** Who looks a second time has done what the first told it. */
const HEARD = 2;
const WORKERS = 3;
const RUNS = 60;
const logger = pino({ level: "silent" });

let engine: Engine;
let client: Client;
let workers: Worker[] = [];
/** That of the engine was stopped. */
let second: Supervisor | null = null;
/** Handlers that have begun, by run. */
const begun = new Map<string, string[]>();
let count = 0;
/** Each process looks at what is stopped over one connection of its own. */
const asks = vi.spyOn(Redis.prototype, "smembers");
/** Handlers that begin after so many do not end while the gate stands. */
let free = 0;
let gate: Promise<void> = Promise.resolve();
let open: () => void = () => undefined;

const step = (id: string): object => ({
  ...{ id, type: "function", config: { function_name: "step" } },
});
const workflow = {
  name: "busy",
  nodes: [step("a"), step("b"), step("c"), step("d")],
  edges: [
    { from: "a", to: "b" },
    { from: "b", to: "c" },
    { from: "c", to: "d" },
  ],
} as never;

async function startWorkers(): Promise<void> {
  const registry = new FunctionRegistry();
  registry.register("step", async ({ runId, node }) => {
    const serial = (count += 1);
    begun.set(runId, [...(begun.get(runId) ?? []), node]);
    if (serial > free) {
      await gate;
    }
    return node;
  });
  const serial = count;
  workers = await Promise.all(
    Array.from({ length: WORKERS }, (_, i) =>
      engine.worker({ registry, id: `w${serial}-${i}`, concurrency: 4, leaseMs: LEASE_MS }),
    ),
  );
}

beforeAll(async () => {
  engine = await startEngine();
  await startWorkers();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  open();
  asks.mockRestore();
  await client.close();
  await second?.stop(5000);
  await engine.stop();
});

const submit = (): Promise<string> => client.submit({ workflow });
const submitMany = (runs: number): Promise<string[]> =>
  Promise.all(Array.from({ length: runs }, () => submit()));
const drained = (waitMs = 30_000) => client.dispatch.drained({ leaseMs: LEASE_MS, waitMs });
const status = async (id: string) => (await readRun(engine.db, id))?.status;

/** So many more handlers end at once; those after them when `open` is called. */
function closeAfter(more: number): void {
  free = count + more;
  gate = new Promise((resolve) => (open = resolve));
}

/** Until the supervisor and each worker have looked at what is stopped, several times from now on. */
async function looks(count = LOOKS): Promise<void> {
  asks.mockClear();
  const often = (): number => {
    const by = new Map<unknown, number>();
    asks.mock.calls.forEach(([key], i) => {
      const who = key === globalKeys.pausedQueues ? asks.mock.contexts[i] : null;
      by.set(who, (by.get(who) ?? 0) + 1);
    });
    by.delete(null);
    return [...by.values()].filter((looked) => looked >= count).length;
  };
  await waitFor(() => often() === WORKERS + 1, { describe: "they do not look" });
}

async function expectAllDone(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    expect(await engine.ended(id)).toMatchObject({ id, status: "COMPLETED", output: '"d"' });
  }
}

/** Each step of each run has begun once. */
function expectOnce(ids: readonly string[]): void {
  expect(ids.map((id) => begun.get(id)?.join(""))).toEqual(ids.map(() => "abcd"));
}

describe("a stopped deployment", () => {
  it("begins nothing more under load, hands nothing out, and loses nothing", async () => {
    closeAfter(20);
    const early = await submitMany(RUNS);
    await waitFor(() => Promise.resolve(count > 20), { describe: "the load does not come" });
    await client.dispatch.stop({ by: "ann", why: "wrong prices" });
    await looks(HEARD);
    open();
    const left = await drained();
    expect([...left.executing, ...left.reading]).toEqual([]);
    const atStop = count;
    expect(atStop).toBeLessThan(RUNS * 4);
    expect(workers.map((worker) => worker.inFlight())).toEqual(workers.map(() => 0));
    const late = await submitMany(5);
    await looks();
    expect(count).toBe(atStop);
    expect(await Promise.all(late.map(status))).toEqual(late.map(() => "QUEUED"));
    await client.dispatch.resume({ by: "bob" });
    await expectAllDone([...early, ...late]);
    expectOnce([...early, ...late]);
  }, 90_000);

  it("lets what is being executed end, and says how much that is until it has", async () => {
    closeAfter(0);
    const id = await submit();
    await waitFor(() => Promise.resolve(begun.get(id)?.length === 1), { describe: "not begun" });
    await client.dispatch.stop();
    const left = await drained(4000);
    expect([...left.executing.values()]).toEqual([1]);
    open();
    expect((await drained()).executing.size).toBe(0);
    await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "completed", {
      describe: "its result is not kept",
    });
    expect(begun.get(id)).toEqual(["a"]);
    await client.dispatch.resume();
    await expectAllDone([id]);
  }, 60_000);

  it("stays stopped when Redis is emptied and every process begins anew", async () => {
    const before = count;
    closeAfter(10);
    const early = await submitMany(RUNS);
    await waitFor(() => Promise.resolve(count > before + 10), { describe: "no load" });
    await client.dispatch.stop({ by: "ann" });
    await looks(HEARD);
    open();
    await drained();
    const atStop = count;
    await emptyRedis(engine.redis);
    await looks();
    expect(count).toBe(atStop);
    await Promise.all(workers.map((worker) => worker.stop(2000)));
    await engine.supervisor.stop(5000);
    await emptyRedis(engine.redis);
    const { redisUrl, db } = engine;
    second = createSupervisor({ redisUrl, database: db, logger, compile });
    await Promise.all([startWorkers(), second.start()]);
    const late = await submitMany(3);
    await looks();
    expect(count).toBe(atStop);
    expect(await engine.redis.sismember(globalKeys.pausedQueues, EVERY_QUEUE)).toBe(1);
    await client.dispatch.resume();
    await expectAllDone([...early, ...late]);
  }, 120_000);

  it("is said by why, the list of pauses, the audit and the run's report", async () => {
    await client.dispatch.stop({ by: "ann", why: "wrong prices" });
    await client.dispatch.stop({ by: "late", why: "too" });
    const id = await submit();
    const { partitions, id: deployment } = await client.deployment();
    const irOf = (hash: string) => client.irOf(hash);
    const target = { redis: engine.redis, db: engine.db, runId: id, irOf };
    const told = await whyRun({ ...target, deployment: { id: deployment, partitions } });
    expect(told?.reasons).toMatchObject([{ kind: "stopped" }]);
    expect(told?.reasons[0]?.text).toMatch(/stopped by ann \(wrong prices\).*gavotte resume --all/);
    expect((await client.status(id)).stopped).toMatchObject({ by: "ann", reason: "wrong prices" });
    expect(await listPauses(engine.db)).toMatchObject([{ kind: "all", who: "ann" }]);
    await client.dispatch.resume({ by: "bob", why: "mended" });
    await expect(client.dispatch.resume()).rejects.toMatchObject({ code: "GV_NOT_PAUSED" });
    await expectAllDone([id]);
    expect(await client.dispatch.stopped()).toBeNull();
    expect((await client.status(id)).stopped).toBeUndefined();
    expect(await listAudit(engine.db, { limit: 2 })).toMatchObject([
      { action: "all.resume", who: "bob", reason: "mended", runId: null },
      { action: "all.stop", who: "ann", reason: "wrong prices", runId: null },
    ]);
  }, 60_000);
});
