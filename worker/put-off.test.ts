/**
 * Tokens that a worker may have died of, and that have to wait for their circuit or their limit: parked
 * they would come back as never delivered, so they are put off where they stand.
 */
import { pino } from "pino";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import {
  closeCircuit,
  commonQueueKey,
  connectionAt,
  coolDown,
  defineFunction,
  globalKeys,
  GROUP,
  openCircuit,
  packEntry,
  rateKey,
  timerMember,
  type ReadyToken,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(100)));
  await p.reset();
});
afterAll(() => own.close());

/** Starts a worker that has the function. */
async function work(x: () => number): Promise<Worker> {
  const worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w", leaseMs: 1000 },
    ...{
      registry: new FunctionRegistry([defineFunction("x", x)]),
      logger: pino({ level: "silent" }),
    },
  });
  workers.push(worker);
  await worker.start();
  return worker;
}

/** What keeps a token from being begun. */
interface Hindrance {
  begin(): Promise<unknown>;
  end(): Promise<unknown>;
}

describe("a token that may have killed its workers, and has to wait before it begins", () => {
  const limited = { limit: 1, per_ms: 1, key: "target" };
  const policy = { failures: 1, within_ms: 60_000, open_ms: 600, key: "target", on_open: "wait" };

  /** A run of one node under such a limit, whose token stands as it was resumed. */
  async function waiting(more: object, deliveries: number): Promise<[TokenPlayer, ReadyToken]> {
    const nodes = { a: { config: { function_name: "x" }, timeout_ms: 60_000, ...more } };
    const run = await startedRun(p, { ...miniIr(["a"], [], { nodes }), queues: ["fn:x"] });
    const [first] = await run.read("dead");
    const { queueKey, entryId, irHash } = first as ReadyToken;
    await redis.xack(queueKey, GROUP, entryId);
    await redis.xdel(queueKey, entryId);
    const place = { runId: run.runId, epoch: 1, node: 0, scope: "", attempt: 1, irHash };
    const entry = { ...place, kind: "resumed", arrivals: "", payload: "" } as const;
    await redis.xadd(queueKey, "*", "t", packEntry(entry));
    const [token] = (await run.read("dead")) as [ReadyToken];
    const count = ["RETRYCOUNT", deliveries, "JUSTID"] as const;
    await redis.xclaim(queueKey, GROUP, "dead", 0, token.entryId, ...count);
    // Armed by whoever has executed it before.
    const { keys } = p.scripts;
    const queue = commonQueueKey(queueKey);
    await redis.zadd(keys.timers, 9e15, timerMember({ kind: "dead", ...place, queue }));
    return [run, token];
  }

  const limitKey = rateKey("", "target", "");
  const circuit: Hindrance = {
    begin: () => openCircuit(redis, "target", null),
    end: () => closeCircuit(redis, "target"),
  };
  const rest: Hindrance = {
    begin: () => coolDown(p.scripts, limitKey, 1_000_000),
    end: () => connectionAt(redis, limitKey).del(globalKeys.rateCool(limitKey)),
  };

  /** What is pending of it: for whom, and how often it was delivered. */
  async function pendingOf({ queueKey, entryId }: ReadyToken): Promise<unknown[]> {
    const [found] = (await redis.xpending(queueKey, GROUP, entryId, entryId, 1)) as unknown[][];
    return found === undefined ? [] : [found[1], found[3]];
  }

  it.each([
    ["its circuit is open", circuit, { circuit_breaker: policy }],
    ["its limit's key rests", rest, { rate_limit: limited }],
  ])("%s: keeps the count of its deliveries, and begins then", async (_, hindrance, more) => {
    await hindrance.begin();
    const [run, token] = await waiting(more, 4);
    let calls = 0;
    await work(() => (calls += 1));
    await waitFor(async () => (await pendingOf(token)).join() === "w,4", {
      describe: "it is not where it was",
    });
    expect([calls, (await run.hash())["n0"]]).toEqual([0, "a1||"]);
    await waitFor(async () => (await redis.zcard(p.scripts.keys.timers)) === 0);
    await hindrance.end();
    await waitFor(async () => (await run.hash())["s"] === "completed");
    expect(calls).toBe(1);
  });

  it("ends as POISON if it kills once more", async () => {
    await circuit.begin();
    const [run, token] = await waiting({ circuit_breaker: policy }, 4);
    const first = await work(() => 1);
    await waitFor(async () => (await pendingOf(token)).join() === "w,4");
    await first.stop(0);
    // Whoever takes it over now dies of it.
    await redis.xclaim(token.queueKey, GROUP, "dead", 0, token.entryId);
    await work(() => 1);
    await waitFor(async () => (await run.hash())["s"] === "failed", { timeoutMs: 20_000 });
    expect((await run.hash())["n0"]).toContain("POISON");
  });

  it("is parked like others where it was not delivered before", async () => {
    await circuit.begin();
    const [run] = await waiting({ circuit_breaker: policy }, 0);
    await work(() => 1);
    await waitFor(async () => /^[rw]1/.test((await run.hash())["n0"] ?? ""));
  });
});
