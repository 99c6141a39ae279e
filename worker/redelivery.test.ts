/** Workers and entries that somebody else has held: stale ones, and those that are lost. */
import { pino } from "pino";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import {
  cancelRun,
  commonQueueKey,
  COMPLETION,
  completeTokens,
  connectionAt,
  defineFunction,
  fireTimers,
  globalKeys,
  GROUP,
  packEntry,
  partitionKeys,
  timerMember,
  type FunctionContext,
  type ReadyToken,
} from "../sdk/internal.ts";
import { staleIn } from "../test/harness/deliveries.ts";
import { mapPlayer } from "../test/harness/map-player.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry, type Worker } from "./index.ts";
import { claim, type StaleEntry } from "./stale.ts";

const own = await testRedis();
const redis = own.connect();
const p = await testPartition(redis);
const LEASE_MS = 1000;
/** As many as a worker allows unless it is told otherwise. */
const DELIVERIES_MAX = 5;
const workers: Worker[] = [];
afterEach(async () => {
  await Promise.all(workers.splice(0).map((worker) => worker.stop(100)));
  await p.reset();
});
afterAll(() => own.close());

/** A large output that is not there. */
const LOST = `{"$gv:blob":"${"0".repeat(64)}:20000"}`;

type Handler = (context: FunctionContext) => unknown;

/** Starts a worker that has these functions. */
async function work(
  handlers: { [name: string]: Handler },
  concurrency = 100,
  leaseMs = LEASE_MS,
): Promise<Worker> {
  const functions = Object.entries(handlers).map(([name, run]) => defineFunction(name, run));
  const worker = createWorker({
    ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w", leaseMs },
    concurrency,
    ...{ registry: new FunctionRegistry(functions), logger: pino({ level: "silent" }) },
  });
  workers.push(worker);
  await worker.start();
  return worker;
}

/** A run of one node that calls this function. */
function runOf(name: string): Promise<TokenPlayer> {
  const nodes = { a: { config: { function_name: name } } };
  return startedRun(p, { ...miniIr(["a"], [], { nodes }), queues: [`fn:${name}`] });
}

/** Such a run, whose token workers have had that are dead. */
async function abandoned(name: string, deliveries = 1): Promise<TokenPlayer> {
  const run = await runOf(name);
  const [token] = await run.read("dead");
  const { queueKey, entryId } = token as ReadyToken;
  await redis.xclaim(queueKey, GROUP, "dead", 0, entryId, "RETRYCOUNT", deliveries, "JUSTID");
  return run;
}

/**
 * A chain under one entry, of a worker that is dead: it went from the first node to one of many, and
 * stands behind that.
 */
async function wideChain(
  ways: number,
  way: number,
): Promise<{ run: TokenPlayer; token: ReadyToken; live: number; behind: number }> {
  const numbers = Array.from({ length: ways }, (_, i) => i);
  const ids = ["a", ...numbers.map((i) => `b${i}`), ...numbers.map((i) => `d${i}`)];
  const edges = numbers.flatMap((i): [string, string][] => [
    ["a", `b${i}`],
    [`b${i}`, `d${i}`],
  ]);
  const step = { config: { function_name: "x" }, timeout_ms: 9e9 };
  const nodes = Object.fromEntries(ids.map((id) => [id, step]));
  const run = await startedRun(p, { ...miniIr(ids, edges, { nodes }), queues: ["fn:x"] });
  const [token] = (await run.read("dead")) as [ReadyToken];
  const [live, behind] = [1 + way, 1 + ways + way];
  const values = numbers.map((i) => (i === way ? "L" : "D")).join("");
  const first = { ...run.item(token, values), keeps: true };
  const second = { ...run.item({ ...token, node: live }, "L"), keeps: true };
  for (const item of [first, second]) {
    expect(await completeTokens(p.scripts, [item], "dead")).toEqual([COMPLETION.goOn]);
  }
  return { run, token, live, behind };
}

/** For how long the entry of a run has been with the one that read it. */
async function idleMs({ profile }: TokenPlayer): Promise<number> {
  const key = profile.entryKeys[0] ?? "";
  const held = (await redis.call("XPENDING", key, GROUP, "-", "+", 1)) as [
    string,
    string,
    number,
  ][];
  return held[0]?.[2] ?? 0;
}

/** As if the dead worker had read it just now. */
async function holdAnew({ profile }: TokenPlayer): Promise<void> {
  const key = profile.entryKeys[0] ?? "";
  const at = connectionAt(redis, partitionKeys(0).meta);
  const [entry] = await staleIn(at, [key]);
  await redis.xclaim(key, GROUP, "dead", 0, entry?.entryId ?? "", "IDLE", 0, "JUSTID");
}

const isDone = (run: TokenPlayer): Promise<unknown> =>
  waitFor(async () => (await run.hash())["s"] === "completed");

/** A handler that answers when it is told to, and how often it was begun. */
function gate(): { run: Handler; open: () => void; begun: () => number } {
  const waiting: (() => void)[] = [];
  let begun = 0;
  return {
    run: () => {
      begun += 1;
      return new Promise<number>((resolve) => waiting.push(() => resolve(1)));
    },
    open: () => waiting.splice(0).forEach((go) => go()),
    begun: () => begun,
  };
}

describe("an entry that another worker has taken over", () => {
  it("is neither settled nor failed by the one that has lost it", async () => {
    const signals: AbortSignal[] = [];
    const worker = await work({
      slow: ({ signal }) => {
        signals.push(signal);
        return new Promise((_, reject) => {
          signal.addEventListener("abort", () => reject(new Error("aborted")));
        });
      },
    });
    const run = await runOf("slow");
    await waitFor(() => signals.length === 1);
    for (const key of [...run.profile.queueKeys, ...run.profile.entryKeys]) {
      const held = (await redis.call("XPENDING", key, GROUP, "-", "+", 10)) as [string][];
      for (const [id] of held) {
        await redis.xclaim(key, GROUP, "other", 0, id);
        await redis.hincrby(partitionKeys(0).meta, "taken", 1);
      }
    }
    await waitFor(() => signals[0]?.aborted === true && worker.inFlight() === 0);
    expect(await run.hash()).toMatchObject({ s: "running", n0: "a1||" });
  });
});

describe("a stale entry", () => {
  it("A13: that was delivered twice is executed with nothing else begun beside it", async () => {
    const stale = await abandoned("killer", 2);
    let isKilling = false;
    const beside: boolean[] = [];
    const killer = gate();
    await work({
      killer: async (context) => {
        isKilling = true;
        await killer.run(context);
        isKilling = false;
      },
      quick: () => void beside.push(isKilling),
    });
    await waitFor(() => isKilling);
    const quick = [await runOf("quick"), await runOf("quick"), await runOf("quick")];
    killer.open();
    await Promise.all([stale, ...quick].map(isDone));
    expect(beside).toEqual([false, false, false]);
  });

  it("A13: that no worker survives ends as POISON, and what was read with it is executed", async () => {
    const all = [await runOf("killer"), await runOf("quick"), await runOf("quick")];
    const key = all[0]?.profile.entryKeys[0] ?? "";
    const { meta } = partitionKeys(0);
    const server = connectionAt(redis, meta);
    for (const run of all) {
      await run.read("dead");
    }
    // The first after the one that has read them takes them together; and each of the others takes this
    // one alone, and does not live to take another.
    const keys = all.map(({ profile }) => profile.entryKeys[0] ?? "");
    const together = await staleIn(server, [...new Set(keys)]);
    expect((await claim(server, meta, together, "dead", 0)).tokens).toHaveLength(3);
    for (let death = 3; death <= DELIVERIES_MAX; death++) {
      const [first] = await staleIn(server, [key]);
      const { tokens } = await claim(server, meta, [first as StaleEntry], "dead", 0);
      expect(tokens).toMatchObject([{ runId: all[0]?.runId }]);
    }
    let killed = 0;
    await work({ killer: () => (killed += 1), quick: () => 1 });
    await Promise.all(all.slice(1).map(isDone));
    await waitFor(async () => (await (all[0] as TokenPlayer).hash())["s"] === "failed");
    expect((await (all[0] as TokenPlayer).hash())["n0"]).toContain('"code":"POISON"');
    expect(killed).toBe(0);
  });

  it("of a token that is void leaves no deadline of the worker that began it", async () => {
    const node = (name: string): object => ({ config: { function_name: name }, timeout_ms: 9e9 });
    const nodes = { a: node("chained"), b: node("chained") };
    const ir = { ...miniIr(["a", "b"], [["a", "b"]], { nodes }), queues: ["fn:chained"] };
    const run = await startedRun(p, ir);
    const [token] = await run.read("dead");
    const { runId, epoch, queueKey, scope, attempt } = token as ReadyToken;
    const { timers } = partitionKeys(0);
    // It was executing the second of a chain when it died: both share the entry of the first.
    for (const index of [0, 1]) {
      const at = { runId, epoch, node: index, scope, attempt, queue: commonQueueKey(queueKey) };
      await redis.zadd(timers, 9e15, timerMember({ kind: "dead", ...at }));
    }
    await cancelRun(p.scripts, runId, "not wanted");
    await work({ chained: () => 1 });
    await waitFor(async () => (await redis.zcard(timers)) === 0, { describe: "timers are left" });
  });

  it.each([
    ...[20, 140, 300].map((ways) => [ways, 0] as const),
    ...[140, 600].map((ways) => [ways, ways - 1] as const),
  ])(
    "A11: of a chain that went one of %i ways, number %i, is at what it has come to, and executed",
    async (ways, way) => {
      const { run, token, live, behind } = await wideChain(ways, way);
      await redis.xclaim(token.queueKey, GROUP, "dead", 0, token.entryId, "IDLE", 60_000, "JUSTID");
      const { timers } = partitionKeys(0);
      const { runId, epoch, queueKey } = token;
      const at = { runId, epoch, node: live, scope: "", attempt: 1 };
      const left = timerMember({ kind: "dead", ...at, queue: commonQueueKey(queueKey) });
      await redis.zadd(timers, 9e15, left);
      let calls = 0;
      await work({ x: () => (calls += 1) });
      await isDone(run);
      expect(calls).toBe(1);
      expect((await run.hash())[`n${behind}`]).toMatch(/^c1\|/);
      await waitFor(async () => (await redis.xlen(queueKey)) === 0);
    },
  );

  it("A11: of a chain that has ended behind many ways leaves no deadline of a step of it", async () => {
    const { run, token, live, behind } = await wideChain(300, 5);
    const { runId, epoch, queueKey, entryId } = token;
    // Somebody else has settled the last step meanwhile; the run goes on elsewhere.
    const last = { ...run.item({ ...token, node: behind }, ""), entryId: "" };
    await redis.hincrby(partitionKeys(0).run(runId), "c", 1);
    expect(await completeTokens(p.scripts, [last], "slow")).toEqual([0]);
    const { timers } = partitionKeys(0);
    for (const node of [live, behind]) {
      const at = { runId, epoch, node, scope: "", attempt: 1, queue: commonQueueKey(queueKey) };
      await redis.zadd(timers, 9e15, timerMember({ kind: "dead", ...at }));
    }
    await redis.xclaim(queueKey, GROUP, "dead", 0, entryId, "IDLE", 60_000, "JUSTID");
    let calls = 0;
    await work({ x: () => (calls += 1) });
    await waitFor(async () => (await redis.zcard(timers)) === 0, { describe: "timers are left" });
    await waitFor(async () => (await redis.xlen(queueKey)) === 0);
    expect(calls).toBe(0);
  });

  it("is not waited for, nor a handler that never answers, by what stands in the queues", async () => {
    const [slow, other] = [gate(), gate()];
    const stale = await abandoned("other");
    const long = await runOf("slow");
    await work({ slow: slow.run, other: other.run, quick: () => 1 });
    await waitFor(() => slow.begun() === 1 && other.begun() === 1);
    await isDone(await runOf("quick"));
    expect([await long.hash(), await stale.hash()].map(({ s }) => s)).toEqual([
      "running",
      "running",
    ]);
    slow.open();
    other.open();
    await Promise.all([long, stale].map(isDone));
  });

  it("is taken over as soon as a worker starts: no other may live until the next look", async () => {
    const run = await abandoned("quick");
    const key = run.profile.entryKeys[0] ?? "";
    const [stale] = await staleIn(connectionAt(redis, partitionKeys(0).meta), [key]);
    const leaseMs = 1_000_000;
    const idle = ["IDLE", leaseMs, "JUSTID"] as const;
    await redis.xclaim(key, GROUP, "dead", 0, stale?.entryId ?? "", ...idle);
    await work({ quick: () => 1 }, 100, leaseMs);
    await isDone(run);
  });

  it("is left to others by a worker that has no room for it", async () => {
    const slow = gate();
    const left = [await abandoned("other"), await abandoned("other")];
    const long = await runOf("slow");
    await work({ slow: slow.run, other: () => 1 }, 1);
    await waitFor(() => slow.begun() === 1);
    // A claim would begin it anew.
    await waitFor(async () => (await idleMs(left[0] as TokenPlayer)) > 3 * LEASE_MS);
    slow.open();
    await Promise.all([long, ...left].map(isDone));
  });

  it("is left to others by a worker that stops", async () => {
    const [slow, other] = [gate(), gate()];
    const left = await abandoned("other");
    const long = await runOf("slow");
    const leaseMs = 2 * LEASE_MS;
    // Not stale before the worker stops.
    await holdAnew(left);
    const worker = await work({ slow: slow.run, other: other.run }, 100, leaseMs);
    await waitFor(() => slow.begun() === 1);
    const stopping = worker.stop(60_000);
    // A look would have come by meanwhile.
    await waitFor(async () => (await idleMs(left)) > 2 * leaseMs);
    slow.open();
    await stopping;
    await isDone(long);
    expect(other.begun()).toBe(0);
  });
});

describe("an entry that is no token", () => {
  /** One such in a queue, beside the token of a run. */
  async function beside(run: TokenPlayer): Promise<string> {
    const [queueKey = ""] = run.profile.entryKeys;
    await redis.xadd(queueKey, "*", "no", "token");
    return queueKey;
  }

  it("is set aside by who takes it over, with its place", async () => {
    const run = await runOf("quick");
    const queueKey = await beside(run);
    await redis.xreadgroup("GROUP", GROUP, "dead", "STREAMS", queueKey, ">");
    await work({ quick: () => 1 });
    await isDone(run);
    const key = partitionKeys(0).quarantine;
    await waitFor(async () => (await redis.xlen(queueKey)) === 0);
    const [[, fields] = ["", []]] = await redis.xrange(key, "-", "+");
    expect(fields).toEqual(["queue", queueKey, "entry", expect.any(String), "no", "token"]);
    expect(await redis.call("XPENDING", queueKey, GROUP)).toEqual([0, null, null, null]);
  });

  it("holds up no token that was read with it, though it cannot be set aside", async () => {
    const before = await runOf("quick");
    await redis.set(partitionKeys(0).quarantine, "not a stream");
    const queueKey = await beside(before);
    const after = await runOf("quick");
    await work({ quick: () => 1 }, 100, 1_000_000);
    await Promise.all([before, after].map(isDone));
    expect(await redis.xlen(queueKey)).toBe(1);
  });
});

describe("a token that cannot be looked at", () => {
  it("is left to others if its workflow is of a version not known here, and holds up none", async () => {
    const before = await runOf("quick");
    const [queueKey = ""] = before.profile.entryKeys;
    await redis.set(globalKeys.ir("later"), '{"version":99}');
    const token = { runId: "x", epoch: 1, node: 0, scope: "", attempt: 1 };
    const entry = { ...token, irHash: "later", kind: "run", arrivals: "", payload: "=1" } as const;
    const id = await redis.xadd(queueKey, "*", "t", packEntry(entry));
    const after = [await runOf("quick"), await runOf("quick")];
    await work({ quick: () => 1 });
    await Promise.all([before, ...after].map(isDone));
    expect(await redis.xrange(queueKey, id ?? "", id ?? "")).toHaveLength(1);
    // It is not claimed again, which would make it fresh: the others may.
    await waitFor(async () => (await idleMs(before)) > 3 * LEASE_MS);
  });

  it("is left to others if its workflow is such a one, however many entries name it", async () => {
    const count = 1100;
    const run = await runOf("quick");
    const [queueKey = ""] = run.profile.entryKeys;
    await redis.set(globalKeys.ir("later"), '{"version":99}');
    const token = { runId: "x", epoch: 1, node: 0, scope: "", attempt: 1 };
    const entry = { ...token, irHash: "later", kind: "run", arrivals: "", payload: "=1" } as const;
    const server = connectionAt(redis, partitionKeys(0).meta);
    const adding = server.pipeline();
    for (let i = 0; i < count; i++) {
      adding.xadd(queueKey, "*", "t", packEntry(entry));
    }
    await adding.exec();
    await work({ quick: () => 1 });
    // None is claimed again, look by look.
    await waitFor(
      async () => {
        const page = [GROUP, "IDLE", 4 * LEASE_MS, "-", "+", 2 * count] as const;
        return ((await server.call("XPENDING", queueKey, ...page)) as unknown[]).length === count;
      },
      { timeoutMs: 30_000 },
    );
    await isDone(run);
  });

  it("ends as POISON if it is itself the reason, each time, and holds up no other", async () => {
    const nodes = { b: { refs: [0] } };
    const ir = { ...miniIr(["a", "b"], [["a", "b"]], { nodes }), queues: ["fn:quick"] };
    const broken = await startedRun(p, ir);
    await broken.settle(await broken.take("a"), "L", { value: LOST });
    await redis.set(p.scripts.keys.blobs(broken.runId), "not a hash");
    await work({ quick: () => 1 });
    await waitFor(async () => (await broken.hash())["s"] === "failed", { timeoutMs: 20_000 });
    const { n1 } = await broken.hash();
    expect(n1).toContain('"code":"POISON"');
    expect(n1).toContain("WRONGTYPE");
    await isDone(await runOf("quick"));
  });

  it("is spread all the same if it is a skip, which reads nothing", async () => {
    const nodes = { j: { refs: [0] }, k: { config: { function_name: "quick" } } };
    const edges: [string, string][] = [
      ...([
        ["s", "a"],
        ["s", "b"],
        ["a", "j"],
        ["b", "j"],
      ] as [string, string][]),
      ...([
        ["j", "x"],
        ["s", "y"],
        ["x", "k"],
        ["y", "k"],
      ] as [string, string][]),
    ];
    const ir = miniIr(["s", "a", "b", "j", "x", "y", "k"], edges, { nodes });
    const run = await startedRun(p, { ...ir, queues: ["fn:quick"] });
    const item = run.item(await run.take("s"), "DDL", { value: LOST });
    // A cascade that goes on in a token of its own.
    const results = item.results.map((one) => ({ ...one, plan: { ...one.plan, closure: "" } }));
    expect(await completeTokens(p.scripts, [{ ...item, results }])).toEqual([0]);
    const y = (await run.read("dead")).find((token) => run.idOf(token) === "y");
    await run.settle(y as ReadyToken, "L");
    await redis.set(p.scripts.keys.blobs(run.runId), "not a hash");
    await work({ quick: () => 1 });
    await waitFor(async () => (await run.hash())["s"] === "completed", { timeoutMs: 20_000 });
  });

  it.each([
    ["whose outputs cannot be read", LOST, "${ctx.a.output}"],
    [
      "whose output cannot be kept",
      JSON.stringify("x".repeat(16_000)),
      "${[ctx.a.output, ctx.a.output]}",
    ],
  ])("ends the run as POISON if it asks for the output of one %s", async (_, value, output) => {
    const run = await startedRun(p, { ...miniIr(["a"], [], { output }), queues: ["fn:quick"] });
    await run.settle(await run.take("a"), "", { value });
    await redis.set(p.scripts.keys.blobs(run.runId), "not a hash");
    await p.advance(11_000);
    await fireTimers(p.scripts);
    await work({ quick: () => 1 });
    await waitFor(async () => (await run.hash())["s"] === "failed", { timeoutMs: 20_000 });
    const [[, fields] = ["", []]] = await redis.xrevrange(p.scripts.keys.ev, "+", "-", "COUNT", 1);
    expect(fields.join()).toMatch(/run\.failed.*POISON/);
  });

  it("fails the element as POISON if it asks for the output of one", async () => {
    const run = await mapPlayer(p, miniIr(["x"], [], { output: "${ctx.x.output}" }));
    await run.expand(1);
    const [token] = await run.read();
    await run.end(token as ReadyToken, { value: LOST });
    await redis.set(p.scripts.keys.blobs(run.runId), "not a hash");
    await p.advance(11_000);
    await fireTimers(p.scripts);
    await work({ quick: () => 1 });
    await waitFor(async () => (await run.hash())["s"] === "failed", { timeoutMs: 20_000 });
    expect((await run.hash())["n1"]).toContain("POISON");
  });

  it("fails with what it was found guilty of, and holds up no other", async () => {
    const nodes = {
      a: { config: { function_name: "quick" } },
      b: { config: { function_name: "quick" }, queue_timeout_ms: 1, refs: [0] },
    };
    const ir = { ...miniIr(["a", "b"], [["a", "b"]], { nodes }), queues: ["fn:quick"] };
    const late = await startedRun(p, ir);
    await late.settle(await late.take("a"), "L", { value: LOST });
    await work({ quick: () => 1 });
    await waitFor(async () => (await late.hash())["s"] === "failed");
    expect((await late.hash())["n1"]).toContain("TIMEOUT");
    await isDone(await runOf("quick"));
  });
});
