/** What runs that wait for long cost Redis: the measurement of main.ts. */
import { setTimeout as pause } from "node:timers/promises";
import { uuidv7 } from "uuidv7";
import { createClient, type Client } from "../../sdk/index.ts";
import { globalKeys, partitionKeys } from "../../sdk/internal.ts";
import { countAsleep } from "../../sdk/postgres/index.ts";
import { ChaosStack } from "../chaos/stack.ts";

export interface ScaleOptions {
  runs: number;
  hibernateAfterMs: number;
  /** So many of them are woken by a signal, and so many at one time. */
  wake: number;
  log: (text: string) => void;
}

/** One look at the stores. */
interface Sample {
  seconds: number;
  accepted: number;
  asleep: number;
  redisBytes: number;
  redisKeys: number;
}

export interface ScaleReport {
  runs: number;
  hibernate_after_ms: number;
  /** Before anything was submitted. */
  empty_redis_bytes: number;
  /** The largest that was seen. */
  peak: Sample;
  /** All asleep; later without the tombstones of those that fell asleep last. */
  all_asleep: Sample;
  settled: Sample;
  bytes_per_sleeping_run: number;
  /** A signal to a sleeping run, until it is delivered, ms. */
  wake: { runs: number; p50_ms: number; p99_ms: number };
  /** Redis emptied while all slept: until it is certified again, ms. */
  redis_lost: { recovered_ms: number; asleep_before: number; asleep_after: number };
  wrong: string[];
  samples: Sample[];
}

const WORKFLOW = {
  name: "sleeper",
  nodes: [
    { id: "ask", type: "function", config: { function_name: "builtin.echo" } },
    { id: "answer", type: "wait", config: { signal: "go" }, timeout_ms: 2_000_000_000 },
    { id: "end", type: "function", config: { function_name: "builtin.echo" } },
  ],
  edges: [
    { from: "ask", to: "answer" },
    { from: "answer", to: "end" },
  ],
  output: { name: "${input.name}", answer: "${ctx.answer.output}" },
};
const BATCH = 500;
const BACKLOG_MAX = 2000;
const LOOK_MS = 2000;
const SLEEP_LIMIT_MS = 1_200_000;
const TOMBS_MS = 125_000;
const AT_ONCE = 20;
const keys = partitionKeys(0);
const COUNT = { name: "scale_count", text: "SELECT count(*)::int AS n FROM runs" };

class Measurement {
  readonly samples: Sample[] = [];
  readonly #stack: ChaosStack;
  readonly #log: (text: string) => void;
  readonly #began = performance.now();

  constructor(stack: ChaosStack, log: (text: string) => void) {
    this.#stack = stack;
    this.#log = log;
  }

  async look(): Promise<Sample> {
    const { redis, db } = this.#stack;
    const info = await redis.info("memory");
    const [row] = await db.query<{ n: number }>(COUNT);
    const sample = {
      seconds: Math.round((performance.now() - this.#began) / 1000),
      accepted: row?.n ?? 0,
      asleep: await countAsleep(db),
      redisBytes: Number(/used_memory:(\d+)/.exec(info)?.[1]),
      redisKeys: await redis.dbsize(),
    };
    this.samples.push(sample);
    const megabytes = (sample.redisBytes / 1e6).toFixed(1);
    this.#log(`${sample.accepted} accepted, ${sample.asleep} asleep, Redis ${megabytes} MB`);
    return sample;
  }
}

/** Runs it. Throws only if the stack cannot be started. */
export async function measureSleepers(options: ScaleOptions): Promise<ScaleReport> {
  const { runs, hibernateAfterMs, log } = options;
  const stack = await ChaosStack.start();
  stack.more = { hibernateAfterMs, leaseMs: 30_000 };
  try {
    await stack.spawn("supervisor");
    await stack.spawn("worker");
    await pause(LOOK_MS);
    const measurement = new Measurement(stack, log);
    const empty = await measurement.look();
    const ids = Array.from({ length: runs }, () => uuidv7());
    await submitAll(stack, ids, measurement);
    const asleep = await allAsleep(measurement, runs);
    await pause(TOMBS_MS);
    const settled = await measurement.look();
    const client = await createClient({ redisUrl: stack.box.url, database: stack.db });
    const wrong: string[] = settled.asleep === runs ? [] : [`${settled.asleep} of ${runs} asleep`];
    const wake = await wakeSome(client, ids.slice(0, options.wake), wrong);
    const lost = await loseRedis(stack);
    await wakeSome(client, ids.slice(-options.wake), wrong);
    await client.close();
    const peak = measurement.samples.reduce((a, b) => (b.redisBytes > a.redisBytes ? b : a));
    return {
      ...{ runs, hibernate_after_ms: hibernateAfterMs, empty_redis_bytes: empty.redisBytes, peak },
      ...{ all_asleep: asleep, settled },
      bytes_per_sleeping_run: Math.round((settled.redisBytes - empty.redisBytes) / runs),
      ...{ wake, redis_lost: lost, wrong: [...wrong, ...stack.fallen] },
      samples: measurement.samples.filter((_, i) => i % 5 === 0),
    };
  } finally {
    await stack.stop();
  }
}

async function submitAll(
  stack: ChaosStack,
  ids: readonly string[],
  measurement: Measurement,
): Promise<void> {
  let lookedMs = 0;
  for (let from = 0; from < ids.length; from += BATCH) {
    while ((await stack.redis.xlen(globalKeys.submissions)) > BACKLOG_MAX) {
      await pause(50);
    }
    const pipeline = stack.redis.pipeline();
    ids.slice(from, from + BATCH).forEach((run_id, i) => {
      const input = { name: `run ${from + i}`, text: "x".repeat(200) };
      const text = JSON.stringify({ workflow: WORKFLOW, run_id, input });
      pipeline.xadd(globalKeys.submissions, "*", "submission", text);
    });
    await pipeline.exec();
    if (performance.now() - lookedMs > LOOK_MS) {
      lookedMs = performance.now();
      await measurement.look();
    }
  }
}

async function allAsleep(measurement: Measurement, runs: number): Promise<Sample> {
  const untilMs = performance.now() + SLEEP_LIMIT_MS;
  for (;;) {
    const sample = await measurement.look();
    if (sample.asleep === runs || performance.now() > untilMs) {
      return sample;
    }
    await pause(LOOK_MS);
  }
}

/** Signals sleeping runs and waits for their ends. */
async function wakeSome(
  client: Client,
  ids: readonly string[],
  wrong: string[],
): Promise<ScaleReport["wake"]> {
  const took: number[] = [];
  const one = async (runId: string): Promise<void> => {
    const began = performance.now();
    await client.signal(runId, "go", runId);
    took.push(performance.now() - began);
    const row = await client.ended(runId, { timeoutMs: 60_000 });
    const { answer } = JSON.parse(row.output ?? "{}") as { answer?: unknown };
    if (row.status !== "COMPLETED" || answer !== runId) {
      wrong.push(`${runId} ${row.status} ${row.output ?? ""}`);
    }
  };
  for (let from = 0; from < ids.length; from += AT_ONCE) {
    const some = ids.slice(from, from + AT_ONCE);
    await Promise.all(some.map((id) => one(id).catch((e: unknown) => wrong.push(String(e)))));
  }
  took.sort((a, b) => a - b);
  const at = (share: number): number => Math.round(took[Math.floor(took.length * share)] ?? 0);
  return { runs: took.length, p50_ms: at(0.5), p99_ms: at(0.99) };
}

async function loseRedis(stack: ChaosStack): Promise<ScaleReport["redis_lost"]> {
  const before = await countAsleep(stack.db);
  const began = performance.now();
  await stack.redis.flushall();
  while ((await stack.redis.hget(keys.meta, "epoch")) === null) {
    await pause(20);
  }
  const recovered_ms = Math.round(performance.now() - began);
  return { recovered_ms, asleep_before: before, asleep_after: await countAsleep(stack.db) };
}
