/**
 * Too much, too slow, too full: what happens when one side cannot keep up. Counts and bounds, no
 * times. docs/backpressure.md tells what an operator sees.
 */
import { setImmediate as turn } from "node:timers/promises";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { globalKeys, GROUP, partitionKeys } from "../sdk/internal.ts";
import { listRuns } from "../sdk/postgres/index.ts";
import {
  createSupervisor,
  whyRun,
  type Reason,
  type SupervisorOptions,
} from "../supervisor/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";
import { startLocalRedis } from "./support/servers.ts";

const RUNS = 200;

let server: Awaited<ReturnType<typeof startLocalRedis>>;
let engine: Engine;
let client: Client;
let log: string[];
let open: () => void;
/** Stops the supervisor that took the engine's place. */
let stopNext: () => Promise<void>;
let gate: Promise<void>;

/** A server of its own: what is done to it is done to nobody else. */
beforeEach(async () => {
  server = await startLocalRedis();
  log = [];
  stopNext = () => Promise.resolve();
  gate = new Promise((resolve) => (open = resolve));
});
afterEach(async () => {
  open();
  await stopNext();
  await client.close();
  await engine.stop();
  await server.stop();
});

async function start(options: Partial<SupervisorOptions> = {}, concurrency = 8): Promise<void> {
  const logger = pino({ level: "warn" }, { write: (line: string) => void log.push(line) });
  engine = await startEngine({ redisUrl: server.url, logger, ...options });
  const registry = new FunctionRegistry();
  registry.register("hold", async () => {
    await gate;
    return "held";
  });
  registry.register("step", () => "done");
  await engine.worker({ registry, concurrency });
  client = await createClient({ redisUrl: server.url, database: engine.db });
}

function chainOf(steps: number, name: string): { [key: string]: never } {
  const nodes = Array.from({ length: steps }, (_, i) => ({
    ...{ id: `s${i}`, type: "function" },
    config: { function_name: name },
  }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `s${i}`, to: id }));
  const document = { name: `bp-${name}-${steps}`, nodes, edges, settings: { fusion: false } };
  return document as never;
}

async function info(name: string): Promise<number> {
  const text = await engine.redis.info("memory");
  return Number(new RegExp(`^${name}:(\\d+)`, "m").exec(text)?.[1] ?? 0);
}

async function why(runId: string): Promise<Reason[]> {
  const irOf = (hash: string) => client.irOf(hash);
  const target = { redis: engine.redis, db: engine.db, runId, irOf };
  return (await whyRun({ ...target, deployment: await client.deployment() }))?.reasons ?? [];
}

/** Submissions without waiting for answers, as a flood does. */
async function flood(runs: number, workflow: object): Promise<void> {
  const pipeline = engine.redis.pipeline();
  for (let i = 0; i < runs; i++) {
    pipeline.xadd(globalKeys.submissions, "*", "submission", JSON.stringify({ workflow }));
  }
  await pipeline.exec();
}

async function countBy(status: string): Promise<number> {
  const text = "SELECT count(*)::int AS n FROM runs WHERE status = $1";
  const [row] = await engine.db.query<{ n: number }>({ name: "bp_count", text }, [status]);
  return row?.n ?? 0;
}

function untilCompleted(count: number): Promise<unknown> {
  const describe = `${count} runs have not completed`;
  return waitFor(async () => (await countBy("COMPLETED")) === count, {
    timeoutMs: 60_000,
    describe,
  });
}

/** Accepted is not begun: that is when it is in Redis. */
async function untilBegun(runs: readonly string[]): Promise<void> {
  const begun = async (): Promise<boolean> => {
    const found = runs.map((run) => engine.redis.exists(partitionKeys(0).run(run)));
    return (await Promise.all(found)).every((exists) => exists === 1);
  };
  await waitFor(begun, { describe: "not all runs have begun" });
}

describe("a full Redis", () => {
  it("refuses submissions, says so, and lets what has begun go on to its end", async () => {
    await start();
    const runs = await Promise.all(
      Array.from({ length: 20 }, () => client.submit({ workflow: chainOf(3, "hold") })),
    );
    await untilBegun(runs);
    // Half: what connections hold comes and goes, and must not make room again.
    await engine.redis.config("SET", "maxmemory", Math.ceil((await info("used_memory")) / 2));
    const refused = client.submit({ workflow: chainOf(1, "step") });
    await expect(refused).rejects.toMatchObject({ code: "GV_REDIS_FULL" });
    open();
    const ended = await Promise.all(runs.map((run) => engine.ended(run)));
    expect(ended.map(({ status }) => status)).toEqual(runs.map(() => "COMPLETED"));
    // Released: what held the memory is gone although the server refuses writes.
    await waitFor(async () => (await engine.redis.zcard(partitionKeys(0).release)) === 0);
    expect(await engine.redis.keys(`${partitionKeys(0).run("")}*`)).toEqual([]);
    await engine.redis.config("SET", "maxmemory", 0);
    await engine.ended(await client.submit({ workflow: chainOf(1, "step") }));
  });

  it("lets a new supervisor and new workers go on with what dead ones have begun", async () => {
    engine = await startEngine({ redisUrl: server.url });
    client = await createClient({ redisUrl: server.url, database: engine.db });
    const submit = (): Promise<string> => client.submit({ workflow: chainOf(3, "step") });
    const runs = await Promise.all(Array.from({ length: 20 }, submit));
    await untilBegun(runs);
    const queue = partitionKeys(0).entryQueue("fn:step", "normal");
    await engine.redis.xgroup("CREATE", queue, GROUP, "0", "MKSTREAM").catch(() => undefined);
    const dead = ["GROUP", GROUP, "dead", "COUNT", 9, "STREAMS"] as const;
    await engine.redis.xreadgroup(...dead, queue, ">");
    await engine.supervisor.stop(5000);
    await engine.redis.config("SET", "maxmemory", Math.ceil((await info("used_memory")) / 2));
    const options = { redisUrl: server.url, database: engine.db, compile };
    const next = createSupervisor({ ...options, logger: pino({ level: "silent" }) });
    stopNext = () => next.stop(5000);
    await next.start();
    const registry = new FunctionRegistry();
    registry.register("step", () => "done");
    await engine.worker({ registry, leaseMs: 1000 });
    const ended = await Promise.all(runs.map((run) => engine.ended(run)));
    expect(ended.map(({ status }) => status)).toEqual(runs.map(() => "COMPLETED"));
  });
});

describe("an almost full Redis", () => {
  it("starts nothing new: a flood is accepted into Postgres, and runs when there is room", async () => {
    await start();
    await client.submit({ workflow: chainOf(1, "step") });
    await untilCompleted(1);
    const almost = Math.ceil((await info("used_memory")) / 0.8);
    await engine.redis.config("SET", "maxmemory", almost);
    await waitFor(async () => {
      await client.submit({ workflow: chainOf(1, "step") });
      return log.some((line) => line.includes("almost full"));
    });
    const before = (await countBy("COMPLETED")) + (await countBy("QUEUED"));
    await flood(RUNS, chainOf(1, "step"));
    await waitFor(async () => (await engine.redis.xlen(globalKeys.submissions)) === 0);
    expect(await countBy("RUNNING")).toBe(0);
    expect(await countBy("QUEUED")).toBeGreaterThanOrEqual(RUNS);
    expect(await info("used_memory")).toBeLessThan(almost);
    const [waits] = await listRuns(engine.db, { status: "QUEUED", limit: 1 });
    expect(await why(waits?.id ?? "")).toMatchObject([{ kind: "memory", limitBytes: almost }]);
    await engine.redis.config("SET", "maxmemory", 0);
    await untilCompleted(before + RUNS);
  });
});

describe("a Postgres that does not keep up", () => {
  it("stops the intake at the limit of the journal; what waits runs when it is back", async (t) => {
    const limit = 200;
    // One token is read at a time: few share a record, also on a slow machine.
    await start({ backlogRecordsMax: limit }, 1);
    if (engine.db.singleSession) {
      t.skip("one session cannot hold a lock against the others");
    }
    // There is a cursor to lock once a run has been archived.
    await engine.ended(await client.submit({ workflow: chainOf(1, "step") }));
    const slow = await engine.db.pool.connect();
    try {
      await slow.query("BEGIN");
      // The archiver waits for its cursor; rows of new runs are committed as ever.
      await slow.query("SELECT * FROM cursors FOR UPDATE");
      await flood(RUNS, chainOf(10, "step"));
      const ev = partitionKeys(0).ev;
      await waitFor(async () => (await engine.redis.xlen(ev)) > limit && isPaused(), {
        timeoutMs: 60_000,
        describe: "intake does not pause",
      });
      await flood(RUNS, chainOf(10, "step"));
      for (let looks = 0; looks < 100; looks++) {
        expect(await engine.redis.xlen(globalKeys.submissions)).toBe(RUNS);
        await turn();
      }
      // Bounded: no more than the steps of what had begun, and a start for each.
      expect(await engine.redis.xlen(ev)).toBeLessThanOrEqual(RUNS * 11 + limit);
      await slow.query("ROLLBACK");
    } finally {
      // Closed and not given back: nothing of it stays locked if an expectation fails.
      slow.release(true);
    }
    await untilCompleted(2 * RUNS + 1);
    expect(await engine.redis.xlen(globalKeys.submissions)).toBe(0);
  }, 120_000);
});

function isPaused(): boolean {
  return log.some((line) => line.includes("intake pauses"));
}
