/**
 * What /metrics tells of a whole engine under a known load, and that its signal makes somebody add
 * workers until the backlog is gone. docs/metrics.md is for those who read it.
 */
import type { PoolClient } from "pg";
import { pino } from "pino";
import { afterAll, beforeAll, expect, it } from "vitest";
import { resolveConfig } from "../cmd/config.ts";
import { METRICS } from "../cmd/metrics/catalogue.ts";
import { metricsOf } from "../cmd/metrics/index.ts";
import type { MetricsServer } from "../cmd/metrics/server.ts";
import type { Watched } from "../cmd/metrics/watched.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { FunctionRegistry, type Worker } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

const RUNS = 12;
let engine: Engine;
let server: MetricsServer;
let watched: Watched;

beforeAll(async () => {
  engine = await startEngine({ partitions: 2 });
  watched = { workers: [], supervisors: [engine.supervisor], gateways: [engine.gateway] };
  const config = await resolveConfig({ cwd: "/", env: { GAVOTTE_METRICS_PORT: "0" } });
  const logger = pino({ level: "silent" });
  const options = { config, logger, db: engine.db, watched, isRunning: () => true };
  server = metricsOf(options) as MetricsServer;
  await server.start();
});
afterAll(async () => {
  await server.stop(0);
  await engine.stop();
});

/** Values by name and labels, as the text has them. */
async function scrape(): Promise<Map<string, number>> {
  const response = await fetch(`${server.url()}/metrics`);
  const lines = (await response.text()).split("\n").filter((line) => /^\w/.test(line));
  return new Map(lines.map((line) => [line.replace(/ \S+$/, ""), Number(line.split(" ").at(-1))]));
}

type Expected = { [key: string]: number };

/** Scraped until it is so: what is of the deployment is a second old at most. */
const scraped = (expected: Expected): Promise<Map<string, number>> =>
  waitFor(
    async () => {
      const told = await scrape();
      const found = Object.keys(expected).map((key) => [key, told.get(key)]);
      expect(Object.fromEntries(found)).toEqual(expected);
      return told;
    },
    { describe: "the values are others" },
  );

const nodeOf = (id: string, name: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: name } },
  ...more,
});

function workflow(name: string, nodes: object[], edges: object[] = []): object {
  return { workflow: { name, nodes, edges, settings: { fusion: false } } };
}

it("O01: each name is there, and counts a known load: runs, steps, retries, failures, what waits", async () => {
  const registry = new FunctionRegistry();
  registry.register("a", () => 1);
  registry.register("b", () => 2);
  let tries = 0;
  registry.register("flaky", () => {
    tries += 1;
    if (tries === 1) {
      throw new Error("once");
    }
    return 3;
  });
  registry.register("broken", () => {
    throw new Error("always");
  });
  watched.workers.push(await engine.worker({ registry, partitions: 2, concurrency: 5 }));
  const chain = workflow("chain", [nodeOf("a", "a"), nodeOf("b", "b")], [{ from: "a", to: "b" }]);
  const retry = { max_attempts: 2, backoff_ms: 1 };
  const flaky = workflow("flaky", [nodeOf("f", "flaky", { retry })]);
  const broken = workflow("broken", [nodeOf("x", "broken")]);
  const ids = await submitAll([...Array<object>(RUNS).fill(chain), flaky, broken]);
  await Promise.all(ids.map((id) => engine.ended(id)));
  await expect(engine.submit({ workflow: { name: "none" } })).rejects.toThrow("rejected");
  const delay = { id: "d", type: "delay", config: { delay_ms: 3_600_000 } };
  await engine.submit(workflow("sleeps", [delay]));
  await engine.submit(workflow("unserved", [nodeOf("u", "nobody")]));
  const { status } = await fetch(`${engine.gateway.url()}/healthz`);
  expect(status).toBe(200);

  const expected = {
    gavotte_runs_accepted_total: RUNS + 4,
    'gavotte_runs_ended_total{status="COMPLETED"}': RUNS + 1,
    'gavotte_runs_ended_total{status="FAILED"}': 1,
    'gavotte_steps_total{kind="function",outcome="completed"}': 2 * RUNS + 1,
    'gavotte_steps_total{kind="function",outcome="retrying"}': 1,
    'gavotte_steps_total{kind="function",outcome="failed"}': 1,
    'gavotte_step_seconds_count{kind="function"}': 2 * RUNS + 3,
    'gavotte_settled_total{outcome="accepted"}': 2 * RUNS + 4,
    'gavotte_settled_total{outcome="refused"}': 0,
    gavotte_nodes_settled_total: 2 * RUNS + 2,
    gavotte_dead_letters_total: 1,
    gavotte_timers_fired_total: 1,
    'gavotte_worker_slots{state="free"}': 5,
    gavotte_worker_held: 0,
    gavotte_partitions: 2,
    gavotte_partitions_held: 2,
    gavotte_roles_held: 2,
    gavotte_submissions_waiting: 0,
    gavotte_archive_lag_records: 0,
    'gavotte_http_requests_total{method="GET",route="/healthz",status="200"}': 1,
    'gavotte_timers{state="waiting"}': 1,
    gavotte_runs_started_total: RUNS + 4,
    gavotte_ready: 1,
    'gavotte_queue_tokens{queue="fn:nobody",priority="normal",state="waiting"}': 1,
  };
  const told = await scraped(expected);
  const names = [...told.keys()].map((key) =>
    key.replace(/\{.*/, "").replace(/_(bucket|sum|count)$/, ""),
  );
  expect(Object.keys(METRICS).filter((name) => !names.includes(name))).toEqual([]);
  // Of the process: other files may have called some before.
  const calls = 'gavotte_script_calls_total{script="completeTokens",outcome="ok"}';
  expect(told.get(calls)).toBeGreaterThan(0);
  expect(told.get('gavotte_queue_oldest_seconds{queue="fn:nobody"}')).toBeGreaterThanOrEqual(0);
  expect(told.get('gavotte_redis_memory_bytes{state="used"}')).toBeGreaterThan(0);
  const [code] = [...told.keys()].filter((key) => key.includes("rejected_total"));
  expect(code).toMatch(/^gavotte_submissions_rejected_total\{code="GV[A-Z0-9_]+"\}$/);
  // Nothing of what is a run's own is in any label.
  expect([...told.keys()].filter((key) => ids.some((id) => key.includes(id)))).toEqual([]);
});

it("what waits in a standing namespace is told by its own name, also where no worker has ever served it", async () => {
  const one = workflow("coloured", [nodeOf("c", "coloured")]);
  await engine.submit({ ...one, namespace: "blue" });
  const key = 'gavotte_queue_tokens{queue="ns:blue:fn:coloured",priority="normal",state="waiting"}';
  await scraped({ [key]: 1 });
});

it("W22: who starts workers by the tokens there are ends the backlog, and needs one after that", async () => {
  const slots = 2;
  const workersMax = 4;
  const executing = new Set<number>();
  let open: () => void = () => undefined;
  const enough = new Promise<void>((resolve) => (open = resolve));
  const added: Worker[] = [];
  const addWorker = async (): Promise<void> => {
    const number = added.length;
    const registry = new FunctionRegistry();
    // No step ends before as many workers are at work as the load needs.
    registry.register("slow", async () => {
      executing.add(number);
      void (executing.size === workersMax && open());
      await enough;
      return number;
    });
    added.push(
      await engine.worker({ registry, partitions: 2, concurrency: slots, id: `scaled-${number}` }),
    );
  };
  const tokens = async (): Promise<[waiting: number, held: number]> => {
    const key = 'gavotte_queue_tokens{queue="fn:slow",priority="normal",state=';
    const told = await scrape();
    return [told.get(`${key}"waiting"}`) ?? 0, told.get(`${key}"held"}`) ?? 0];
  };
  const wanted = async (): Promise<number> => {
    const [waiting, held] = await tokens();
    return Math.max(1, Math.min(workersMax, Math.ceil((waiting + held) / slots)));
  };
  await addWorker();
  const one = workflow("slow", [nodeOf("s", "slow")]);
  const ids = await submitAll(Array<object>(40).fill(one));
  // All of the work there is, wherever it is: with one worker it is mostly waiting.
  const [waiting, held] = await waitFor(async () => {
    const parts = await tokens();
    return parts[0] + parts[1] === ids.length && parts[1] > 0 ? parts : undefined;
  });
  expect([waiting > held, held >= slots]).toEqual([true, true]);
  const isOver = Promise.all(ids.map((id) => engine.ended(id)));
  await waitFor(
    async () => {
      for (const want = await wanted(); added.length < want;) {
        await addWorker();
      }
      return executing.size === workersMax;
    },
    { describe: "the signal has not made enough workers" },
  );
  expect((await isOver).map(({ status }) => status)).toEqual(ids.map(() => "COMPLETED"));
  await waitFor(async () => (await wanted()) === 1, { describe: "the signal stays up" });
  expect(added).toHaveLength(workersMax);
});

it("an execution that its worker's stop cuts short has not ended: it is somebody else's then", async () => {
  const registry = new FunctionRegistry();
  let begun: () => void = () => undefined;
  const isBegun = new Promise<void>((resolve) => (begun = resolve));
  registry.register("hangs", () => {
    begun();
    return new Promise(() => undefined);
  });
  const worker = await engine.worker({ registry, partitions: 2 });
  await engine.submit(workflow("hangs", [nodeOf("h", "hangs")]));
  await isBegun;
  await worker.stop(0);
  const { steps, settled } = worker.facts().counts;
  expect([steps.size, settled.accepted]).toEqual([0, 0]);
});

it("while Postgres is away the work there is and the archive's lag are told on, as runs go on", async ({
  skip,
}) => {
  skip(engine.db.singleSession, "PGlite is no server that could be away");
  const { db, redis } = engine;
  const { pool } = db;
  const connect = pool.connect.bind(pool) as (done?: unknown) => unknown;
  const away = Object.assign(new Error("away"), { code: "ECONNREFUSED" });
  const refuse = (done?: (error: Error) => void): unknown =>
    done === undefined ? Promise.reject(away) : done(away);
  await scraped({ gavotte_partitions_held: 2, gavotte_archive_lag_records: 0 });
  const sessions = await db.query<{ pid: number }>({
    name: "sessions",
    text: "SELECT pid FROM pg_stat_activity WHERE datname = current_database()",
  });
  const ending = (await connect()) as PoolClient;
  pool.connect = refuse as never;
  try {
    await ending
      .query("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", [
        sessions.map(({ pid }) => pid),
      ])
      .catch(() => undefined); // its own is one of them
    ending.release(true);
    await waitFor(async () => (await scrape()).get("gavotte_partitions_held") === 0);
    // What is journalled from now on nobody archives.
    await redis.hincrby(partitionKeys(0).meta, "seq", 3);
    const told = await scraped({
      gavotte_ready: 0,
      'gavotte_store_up{store="postgres"}': 0,
      'gavotte_queue_tokens{queue="fn:nobody",priority="normal",state="waiting"}': 1,
      gavotte_archive_lag_records: 3,
    });
    expect(told.get("gavotte_journal_bytes")).toBeGreaterThan(0);
    await redis.hincrby(partitionKeys(0).meta, "seq", -3);
  } finally {
    pool.connect = connect as never;
  }
  await scraped({ gavotte_partitions_held: 2, gavotte_ready: 1, gavotte_archive_lag_records: 0 });
});

const submitAll = (submissions: readonly object[]): Promise<string[]> =>
  Promise.all(submissions.map((one) => engine.submit(one)));
