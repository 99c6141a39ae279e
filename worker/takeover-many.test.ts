/** What is left behind by the hundred: how much of it is taken at once, and by how many looks. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { pino } from "pino";
import { afterAll, afterEach, expect, it } from "vitest";
import {
  connectionAt,
  defineFunction,
  GROUP,
  handBack,
  partitionKeys,
  type FunctionContext,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition, type TestPartition } from "../test/harness/partition.ts";
import { startedRun, TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";

const own = await testRedis();
const redis = own.connect();
const server = connectionAt(redis, partitionKeys(0).meta);
const p = await testPartition(redis);
/** No second look comes before a test is over. */
const LEASE_MS = 1_000_000;
/** As one page of a look. */
const PAGE = 128;
const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(100)));
  await p.reset();
});
afterAll(() => own.close());

type Handler = (context: FunctionContext) => unknown;

/** Starts a worker that has these functions. */
async function work(
  handlers: { [name: string]: Handler },
  concurrency: number,
  leaseMs = LEASE_MS,
  partitions = 1,
): Promise<Worker> {
  const functions = Object.entries(handlers).map(([name, run]) => defineFunction(name, run));
  const worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions, id: "w", leaseMs },
    ...{ concurrency, registry: new FunctionRegistry(functions) },
    logger: pino({ level: "silent" }),
  });
  workers.push(worker);
  await worker.start();
  return worker;
}

/** So many runs of one node that calls this function, and the stream of their tokens. */
async function runsOf(
  name: string,
  count: number,
  at: TestPartition = p,
): Promise<{ runs: TokenPlayer[]; key: string }> {
  const nodes = { a: { config: { function_name: name } } };
  const ir = { ...miniIr(["a"], [], { nodes }), queues: [`fn:${name}`] };
  const profile = await at.publish(ir, `of-${name}`);
  const runs = Array.from(
    { length: count },
    (_, i) => new TokenPlayer(at, profile, `${name}-${i}`),
  );
  for (const run of runs) {
    await run.start();
  }
  return { runs, key: profile.entryKeys[0] ?? "" };
}

/** The same, all of them read by a worker that is dead for so long, and delivered so often. */
async function abandoned(name: string, count: number, deliveries = 1): Promise<TokenPlayer[]> {
  const { runs, key } = await runsOf(name, count);
  const ids = (await (runs[0] as TokenPlayer).read("dead")).map(({ entryId }) => entryId);
  expect(ids).toHaveLength(count);
  const how = ["IDLE", LEASE_MS, "RETRYCOUNT", deliveries, "JUSTID"] as const;
  await server.call("XCLAIM", key, GROUP, "dead", 0, ...ids, ...how);
  return runs;
}

/** Claims in this partition so far. */
async function claims(): Promise<number> {
  return Number(await redis.hget(p.scripts.keys.meta, "taken"));
}

it("one look takes all that was handed back, a page at a time, while there is room", async () => {
  const count = 2 * PAGE + 40;
  const { runs, key } = await runsOf("quick", count);
  const ids = (await (runs[0] as TokenPlayer).read("gone")).map(({ entryId }) => entryId);
  await handBack(p.scripts, key, { consumer: "gone", leaseMs: LEASE_MS, charged: false }, ids);
  const before = await claims();
  let done = 0;
  await work({ quick: () => (done += 1) }, 2 * count);
  await waitFor(() => done === count);
  expect((await claims()) - before).toBe(3);
});

it("one look takes all that a dead worker held, by the batch", async () => {
  const count = PAGE + 72;
  await abandoned("quick", count);
  const before = await claims();
  let done = 0;
  await work({ quick: () => (done += 1) }, 2 * count);
  await waitFor(() => done === count);
  // 16 of a full page each time, and of the rest.
  expect((await claims()) - before).toBe(8 + 5);
});

it("what was delivered once is executed beside what is read, and nothing waits for its end", async () => {
  await abandoned("slow", 16);
  const open: (() => void)[] = [];
  const slow = (): Promise<void> => new Promise((resolve) => open.push(resolve));
  let done = 0;
  await work({ slow, quick: () => (done += 1) }, 50);
  await waitFor(() => open.length === 16);
  await runsOf("quick", 100);
  await waitFor(() => done === 100);
  open.forEach((go) => go());
});

it("what was delivered once gets room also where more stands in the queues than there is", async () => {
  const count = 400;
  await abandoned("stale", 3);
  await runsOf("quick", count);
  let done = 0;
  const doneBefore: number[] = [];
  const quick = async (): Promise<void> => {
    await nextTurn();
    done += 1;
  };
  await work({ stale: () => void doneBefore.push(done), quick }, 4);
  await waitFor(() => done === count && doneBefore.length === 3);
  expect(Math.max(...doneBefore)).toBeLessThan(count);
});

it("A13: what was delivered twice gets room beside other partitions' backlogs", async () => {
  const others = await Promise.all(
    [1, 2, 3, 4].map((partition) => testPartition(redis, partition)),
  );
  await abandoned("stale", 3, 2);
  let tried = 0;
  // Each begins another one before it ends: there is no less to do until they are tried.
  const handlers: { [name: string]: Handler } = { stale: () => void (tried += 1) };
  for (const [i, other] of others.entries()) {
    const name = `endless-${i}`;
    const { runs } = await runsOf(name, 10, other);
    const [{ profile }] = runs as [TokenPlayer];
    let count = runs.length;
    handlers[name] = async (): Promise<void> => {
      if (tried < 3) {
        await new TokenPlayer(other, profile, `${name}-${count++}`).start();
      }
    };
  }
  await work(handlers, 2, LEASE_MS, 1 + others.length);
  await waitFor(() => tried === 3);
});

it("A13: what was delivered twice goes alone, one by one", async () => {
  await abandoned("stale", 5, 2);
  const before = await claims();
  let under = 0;
  let underMax = 0;
  let done = 0;
  const stale = async (): Promise<void> => {
    under += 1;
    underMax = Math.max(underMax, under);
    await nextTurn();
    under -= 1;
    done += 1;
  };
  await work({ stale }, 50);
  await waitFor(() => done === 5);
  expect([underMax, (await claims()) - before]).toEqual([1, 5]);
});

/** Handlers that end when they are told to: those that have begun, and how each is ended. */
function gates(): { handler: (name: string) => Handler; begun: string[]; end: () => void } {
  const begun: string[] = [];
  const open: (() => void)[] = [];
  return {
    handler: (name) => () => {
      begun.push(name);
      return new Promise((resolve) => open.push(() => resolve(1)));
    },
    begun,
    end: () => open.splice(0).forEach((go) => go()),
  };
}

/** Deliveries of what is in a queue. */
async function deliveriesIn(key: string): Promise<number[]> {
  const page = (await server.call("XPENDING", key, GROUP, "-", "+", 100)) as unknown[][];
  return page.map(([, , , deliveries]) => Number(deliveries)).sort();
}

it("A13: what was delivered twice is on trial until it has ended, while the lane reads on", async () => {
  const [run] = await abandoned("stale", 3, 2);
  await abandoned("once", 1);
  const { handler, begun, end } = gates();
  let done = 0;
  // What was delivered once goes first.
  await work({ stale: handler("stale"), once: handler("once"), quick: () => (done += 1) }, 50);
  await waitFor(() => begun.includes("stale"));
  for (let i = 1; i <= 4; i++) {
    await runsOf("quick", i); // one more
    await waitFor(() => done === i);
  }
  const key = run?.profile.entryKeys[0] ?? "";
  expect([begun, await deliveriesIn(key)]).toEqual([
    ["once", "stale"],
    [2, 2, 3],
  ]);
  for (let count = 2; count <= 3; count++) {
    end();
    await waitFor(() => begun.length === count + 1);
  }
  end();
  await waitFor(async () => (await deliveriesIn(key)).length === 0);
});

it("A13: who outlives its trial is not charged for a death during another's", async () => {
  const [run] = await abandoned("stale", 3, 2);
  const { handler, begun, end } = gates();
  await work({ stale: handler("stale") }, 50, 3000);
  const key = run?.profile.entryKeys[0] ?? "";
  const seen: number[][] = [];
  for (let count = 1; count <= 3; count++) {
    await waitFor(() => begun.length === count);
    seen.push(await deliveriesIn(key));
  }
  expect(seen).toEqual([
    [2, 2, 3],
    [2, 2, 3],
    [2, 2, 3],
  ]);
  await waitFor(async () => (await deliveriesIn(key)).join() === "3,3,3");
  end();
});

it("A13: who was delivered oftenest is tried first", async () => {
  await abandoned("less", 1, 2);
  await abandoned("more", 1, 4);
  const { handler, begun, end } = gates();
  await work({ less: handler("less"), more: handler("more") }, 50);
  for (let count = 1; count <= 2; count++) {
    await waitFor(() => begun.length === count);
    end();
  }
  expect(begun).toEqual(["more", "less"]);
});

it("one of a batch that cannot be looked at is charged alone, and holds up no other", async () => {
  const nodes = { b: { config: { function_name: "quick" }, refs: [0] } };
  const ir = { ...miniIr(["a", "b"], [["a", "b"]], { nodes }), queues: ["fn:quick"] };
  const lost = `{"$gv:blob":"${"0".repeat(64)}:20000"}`;
  const runs: TokenPlayer[] = [];
  while (runs.length < 4) {
    const run = await startedRun(p, ir);
    await run.settle(await run.take("a"), "L", runs.length === 1 ? { value: lost } : {});
    runs.push(run);
  }
  const [broken] = runs.splice(1, 1) as [TokenPlayer];
  await redis.set(p.scripts.keys.blobs(broken.runId), "not a hash");
  const key = broken.profile.queueKeys[0] ?? "";
  await broken.read("dead");
  const ids = (await server.xrange(key, "-", "+")).map(([id]) => id);
  expect(ids).toHaveLength(4);
  const how = ["IDLE", LEASE_MS, "RETRYCOUNT", 1, "JUSTID"] as const;
  await server.call("XCLAIM", key, GROUP, "dead", 0, ...ids, ...how);
  let done = 0;
  await work({ quick: () => (done += 1) }, 50);
  const left = await waitFor(async () => {
    const pending = (await server.call("XPENDING", key, GROUP, "-", "+", 10)) as unknown[][];
    return done === 3 && pending.length === 1 && pending;
  });
  expect(left).toEqual([[ids[1], "w", expect.any(Number), 2]]);
});
