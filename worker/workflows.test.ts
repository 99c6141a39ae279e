/** Workflows that Redis does not have: lost, or on a server that is away. */
import { pino } from "pino";
import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { globalKeys, PAUSES_TOLD, type ReadyToken } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { testPartition } from "../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../test/harness/tokens.ts";
import { testRedis, waitFor } from "../test/support/index.ts";
import { createWorker, FunctionRegistry } from "./index.ts";
import type { StoredFacts } from "./options.ts";
import { Preparer } from "./prepare.ts";
import { Workflows } from "./workflows.ts";

const own = await testRedis();
const p = await testPartition(own.connect());
afterAll(() => own.close());
beforeEach(() => p.reset());

/** Postgres: has these IRs, and is away for as long as `isAway` says so. */
class Postgres implements StoredFacts {
  readonly irs = new Map<string, string>();
  isAway = false;
  asked = 0;

  ir(hash: string): Promise<string | null> {
    this.asked += 1;
    return this.#answer(() => this.irs.get(hash) ?? null);
  }

  pausedQueues(): Promise<string[]> {
    return this.#answer(() => []);
  }

  #answer<T>(answer: () => T): Promise<T> {
    return this.isAway ? Promise.reject(new Error("no connection")) : Promise.resolve(answer());
  }
}

/** A run that has begun, whose IR Postgres has and Redis has lost. */
async function lostIr(postgres: Postgres): Promise<TokenPlayer> {
  const run = await startedRun(p, miniIr(["a"], []));
  const key = globalKeys.ir(run.profile.irHash);
  postgres.irs.set(run.profile.irHash, (await p.redis.get(key)) as string);
  await p.redis.del(key);
  return run;
}

function queueOf({ profile }: TokenPlayer): string {
  return profile.queueKeys[0] as string;
}

describe("a workflow that Redis has lost", () => {
  it("is read from Postgres, and put back for others and for the reaper", async () => {
    const postgres = new Postgres();
    const run = await lostIr(postgres);
    const { irHash } = run.profile;
    const loads = [1, 2, 3].map(() => {
      return new Workflows(p.redis, postgres).load(irHash, queueOf(run));
    });
    expect((await Promise.all(loads)).map((found) => found?.irHash)).toEqual(
      loads.map(() => irHash),
    );
    const key = globalKeys.ir(irHash);
    await waitFor(async () => (await p.redis.zscore(globalKeys.irUse, irHash)) === "0");
    expect(await p.redis.get(key)).toBe(postgres.irs.get(irHash));
  });

  it("or damaged: what Postgres has is taken, and put in its place", async () => {
    const postgres = new Postgres();
    const run = await lostIr(postgres);
    const { irHash } = run.profile;
    await p.redis.set(globalKeys.ir(irHash), '{"version":1,"nodes":[');
    await expect(new Workflows(p.redis).load(irHash, queueOf(run))).rejects.toThrow("JSON");
    const found = await new Workflows(p.redis, postgres).load(irHash, queueOf(run));
    expect(found?.irHash).toBe(irHash);
    expect(await p.redis.get(globalKeys.ir(irHash))).toBe(postgres.irs.get(irHash));
  });

  it("or that its server does not give for now: what Postgres has is taken", async () => {
    const postgres = new Postgres();
    const run = await lostIr(postgres);
    const { irHash } = run.profile;
    const busy = Object.create(p.redis, {
      get: { value: () => Promise.reject(new Error("BUSY Redis is busy running a script.")) },
    }) as typeof p.redis;
    const found = await new Workflows(busy, postgres).load(irHash, queueOf(run));
    expect(found?.irHash).toBe(irHash);
    postgres.irs.clear();
    // Redis may have it.
    expect(await new Workflows(busy, postgres).loadSoon(irHash, queueOf(run))).toBeUndefined();
    expect(await new Workflows(busy).loadSoon(irHash, queueOf(run))).toBeUndefined();
  });

  it("or damaged, while Postgres is away: nothing is said before that has answered", async () => {
    const postgres = new Postgres();
    const run = await lostIr(postgres);
    const { irHash } = run.profile;
    await p.redis.set(globalKeys.ir(irHash), '{"version":1,"nodes":[');
    postgres.isAway = true;
    const workflows = new Workflows(p.redis, postgres);
    const loading = workflows.load(irHash, queueOf(run));
    expect(await workflows.loadSoon(irHash, queueOf(run))).toBeUndefined();
    postgres.isAway = false;
    expect((await loading)?.irHash).toBe(irHash);
  });

  it("is unknown only when Postgres says so, too", async () => {
    const postgres = new Postgres();
    const run = await lostIr(postgres);
    postgres.irs.clear();
    postgres.isAway = true;
    const workflows = new Workflows(p.redis, postgres);
    const { irHash } = run.profile;
    expect(await workflows.loadSoon(irHash, queueOf(run))).toBeUndefined();
    postgres.isAway = false;
    expect(await workflows.load(irHash, queueOf(run))).toBeNull();
    expect(await new Workflows(p.redis).loadSoon(irHash, queueOf(run))).toBeNull();
  });

  it("holds up other runs once, and is asked for by one at a time", async () => {
    const postgres = new Postgres();
    const lost = await lostIr(postgres);
    const other = await startedRun(p, miniIr(["x", "y"], []));
    postgres.isAway = true;
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis, postgres), 0);
    const tokens: ReadyToken[] = [...(await lost.read()), ...(await other.read())];
    const kinds = async (): Promise<string[]> =>
      (await preparer.prepare(tokens, false)).map(({ kind }) => kind);
    const expected = tokens.map(({ runId }) => (runId === lost.runId ? "later" : "ready"));
    expect(await kinds()).toEqual(expected);
    const { asked } = postgres;
    const startedMs = performance.now();
    for (let i = 0; i < 20; i++) {
      expect(await kinds()).toEqual(expected);
    }
    expect(performance.now() - startedMs).toBeLessThan(1000);
    expect(postgres.asked - asked).toBeLessThan(5);
    postgres.isAway = false;
    await waitFor(async () => !(await kinds()).includes("later"));
  });
});

describe("a worker", () => {
  it("hands back tokens of a workflow that nobody can read now, and executes them when one can", async () => {
    const postgres = new Postgres();
    const lost = await lostIr(postgres);
    await p.redis.sadd(globalKeys.pausedQueues, PAUSES_TOLD); // as supervisors do
    postgres.isAway = true;
    const worker = createWorker({
      ...{ redis: { url: own.url }, deployment: "test", partitions: 1, id: "w", stored: postgres },
      ...{ registry: new FunctionRegistry(), logger: pino({ level: "silent" }) },
    });
    await worker.start();
    await waitFor(() => postgres.asked > 2);
    const other = await startedRun(p, miniIr(["x"], []));
    await waitFor(async () => (await other.hash())["s"] === "completed");
    expect((await lost.hash())["s"]).toBe("running");
    postgres.isAway = false;
    // Long before its lease of thirty seconds is over.
    await waitFor(async () => (await lost.hash())["s"] === "completed", { timeoutMs: 8000 });
    expect(await p.redis.exists(p.scripts.keys.quarantine)).toBe(0);
    await worker.stop(1000);
  });
});

describe("more workflows than are kept", () => {
  const CHARS = 10_000;
  const COUNT = 30;

  /** So many workflows of about so many characters, and how often Redis was asked for one. */
  async function many(
    charsMax: number,
  ): Promise<{ ask: (i: number) => Promise<void>; asked: () => number }> {
    const ir = JSON.stringify({ ...miniIr(["a"], []), name: "x".repeat(CHARS) });
    const run = await startedRun(p, miniIr(["a"], []));
    let asked = 0;
    const redis = { get: () => Promise.resolve(((asked += 1), ir)) };
    const workflows = new Workflows(redis as never, undefined, charsMax);
    const ask = async (i: number): Promise<void> => {
      const hash = `w${i}`;
      expect((await workflows.load(hash, queueOf(run)))?.irHash).toBe(hash);
    };
    return { ask, asked: () => asked };
  }

  it("those in use are read once, while others come and go", async () => {
    const { ask, asked } = await many(10 * (CHARS + 2000));
    for (let i = 1; i <= COUNT; i++) {
      await ask(0);
      await ask(i);
    }
    expect(asked()).toBe(COUNT + 1);
  });

  it("are all found by who asked for them at the same time, though not all can be kept", async () => {
    const { ask, asked } = await many(2 * (CHARS + 2000));
    await Promise.all(Array.from({ length: COUNT }, (_, i) => ask(i)));
    expect(asked()).toBe(COUNT);
  });

  it("are kept by their size: what was used least lately is read anew", async () => {
    const { ask, asked } = await many(10 * (CHARS + 2000));
    for (let i = 0; i < COUNT; i++) {
      await ask(i);
    }
    expect(asked()).toBe(COUNT);
    await ask(COUNT - 2);
    expect(asked()).toBe(COUNT);
    await ask(0);
    expect(asked()).toBe(COUNT + 1);
  });
});
