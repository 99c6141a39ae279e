import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { clockedRedis } from "../../test/harness/clocked-scripts.ts";
import { waitFor } from "../../test/support/index.ts";
import { globalKeys } from "../keys.ts";
import {
  askCircuit,
  circuitKey,
  CIRCUITS_LISTED_MAX,
  closeCircuit,
  CIRCUIT_TOLD,
  listCircuit,
  listCircuits,
  openCircuit,
  PROBE,
  readCircuit,
  tellCircuit,
  type CircuitOutcome,
} from "./circuit-scripts.ts";

let p: TestPartition;
/** Open for longer than a test takes. */
const slow = { failures: 3, within_ms: 60_000, open_ms: 100_000 };
/** Half-open after a moment. */
const quick = { ...slow, open_ms: 100 };
const LEASE_MS = 60_000;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const ask = (who: string, policy = slow): Promise<number> =>
  askCircuit(p.redis, "api", policy, { who, leaseMs: LEASE_MS });
const tell = (what: CircuitOutcome, who: string, policy = slow, leaseMs = LEASE_MS) =>
  tellCircuit(p.redis, "api", policy, { what, who, leaseMs });
const state = async (): Promise<string> => (await readCircuit(p.redis, "api")).state;

async function fail(count: number, policy = slow): Promise<number[]> {
  const told: number[] = [];
  for (let i = 0; i < count; i++) told.push(await tell("failure", `f${i}`, policy));
  return told;
}

/** Opens it, and waits until its time is over. */
async function halfOpen(): Promise<void> {
  await fail(3, quick);
  await waitFor(async () => (await state()) === "half_open", { describe: "it stays open" });
}

describe("a closed circuit", () => {
  it("lets everybody begin, and is not even there while nothing has failed", async () => {
    expect([await ask("a"), await ask("b")]).toEqual([0, 0]);
    expect(await tell("success", "a")).toBe(CIRCUIT_TOLD.nothing);
    expect(await p.redis.exists(circuitKey("api"))).toBe(0);
  });

  it("opens with the failure that is one too many, once", async () => {
    const { nothing, opened } = CIRCUIT_TOLD;
    expect(await fail(5)).toEqual([nothing, nothing, opened, nothing, nothing]);
    expect(await state()).toBe("open");
    expect(await ask("a")).toBeGreaterThan(90_000);
  });

  it("forgets failures that are older than its time", async () => {
    const short = { ...slow, within_ms: 80 };
    await fail(2, short);
    await waitFor(async () => (await p.redis.exists(circuitKey("api"))) === 0, {
      describe: "the key stays",
    });
    expect(await fail(2, short)).toEqual([0, 0]);
    expect(await ask("a")).toBe(0);
  });

  it("does not count a failure that left the window while younger ones stand in it", async () => {
    await fail(2);
    const [seconds] = await p.scripts.redis.time();
    await p.redis.hset(circuitKey("api"), "f", `${(Number(seconds) - 61) * 1000},${seconds}000`);
    expect(await fail(1)).toEqual([CIRCUIT_TOLD.nothing]);
    expect((await readCircuit(p.redis, "api")).failures).toBe(2);
  });

  it("keeps a failure for as long as one of its nodes counts it, whoever fails in between", async () => {
    const short = { ...slow, failures: 10, within_ms: 1 };
    expect(await fail(2)).toEqual([0, 0]);
    expect(await fail(2, short)).toEqual([0, 0]);
    expect(await p.redis.pttl(circuitKey("api"))).toBeGreaterThan(short.within_ms);
    expect(await tell("failure", "long")).toBe(CIRCUIT_TOLD.opened);
  });

  it("is one for all that give its name, and another name is another circuit", async () => {
    await fail(3);
    expect(await askCircuit(p.redis, "other", slow, { who: "a", leaseMs: 1 })).toBe(0);
  });
});

describe("an open circuit", () => {
  it("tells those that wait to come back one after the other, over one more open time", async () => {
    await fail(3);
    const waits: number[] = [];
    for (let i = 0; i < 100; i++) waits.push(await ask(`t${i}`));
    const first = waits[0] ?? 0;
    expect(first).toBeLessThanOrEqual(100_000);
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect((waits.at(-1) ?? 0) - first).toBeGreaterThan(90_000);
    expect(await ask("t100")).toBeLessThanOrEqual(100_000);
  });

  it("learns nothing from executions that began before it opened", async () => {
    await fail(3);
    const { untilMs } = await readCircuit(p.redis, "api");
    expect(await tell("failure", "late")).toBe(CIRCUIT_TOLD.nothing);
    expect(await tell("success", "late")).toBe(CIRCUIT_TOLD.nothing);
    expect(await readCircuit(p.redis, "api")).toMatchObject({ state: "open", untilMs });
  });

  it("is closed when Redis has lost it", async () => {
    await fail(3);
    await p.redis.del(circuitKey("api"));
    expect(await ask("a")).toBe(0);
  });
});

describe("a half-open circuit", () => {
  it("has one probe, however many ask at once", async () => {
    await halfOpen();
    const names = Array.from({ length: 20 }, (_, i) => `t${i}`);
    const answers = await Promise.all(names.map((who) => ask(who, quick)));
    expect(answers.filter((answer) => answer === PROBE)).toHaveLength(1);
    expect(answers.filter((answer) => answer === 0)).toEqual([]);
    const others = answers.filter((answer) => answer > 0);
    expect(new Set(others).size).toBe(19);
    expect(Math.max(...others)).toBeLessThanOrEqual(quick.open_ms);
  });

  it("is closed by a probe that succeeds", async () => {
    await halfOpen();
    expect(await ask("a", quick)).toBe(PROBE);
    expect(await tell("success", "b", quick)).toBe(CIRCUIT_TOLD.nothing);
    expect(await tell("success", "a", quick)).toBe(CIRCUIT_TOLD.closed);
    expect(await ask("b", quick)).toBe(0);
    expect(await p.redis.exists(circuitKey("api"))).toBe(0);
  });

  it("is opened again by a probe that fails, for the whole time", async () => {
    await halfOpen();
    expect(await ask("a", quick)).toBe(PROBE);
    expect(await tell("failure", "a", slow)).toBe(CIRCUIT_TOLD.opened);
    expect(await ask("b")).toBeGreaterThan(90_000);
    expect(await tell("success", "a")).toBe(CIRCUIT_TOLD.nothing);
  });

  it("lets another probe when one gives up, and the same one go on with another worker", async () => {
    await halfOpen();
    expect(await ask("a", quick)).toBe(PROBE);
    expect(await ask("a", quick)).toBe(PROBE);
    expect(await ask("b", quick)).toBeGreaterThan(0);
    await tell("none", "a", quick);
    expect(await state()).toBe("half_open");
    expect(await ask("b", quick)).toBe(PROBE);
  });

  it("lets another probe when nobody renews the place of one, and it counts no more", async () => {
    await halfOpen();
    expect(await ask("a", quick)).toBe(PROBE);
    expect(await ask("b", quick)).toBeGreaterThan(0);
    await tell("renew", "a", quick, 50);
    await waitFor(async () => (await ask("b", quick)) === PROBE, { describe: "a keeps it" });
    expect(await tell("success", "a", quick)).toBe(CIRCUIT_TOLD.nothing);
    await tell("renew", "a", quick, 1);
    expect(await ask("c", quick)).toBeGreaterThan(0);
  });

  it("is forgotten at last when nobody asks", async () => {
    await fail(3, { ...quick, within_ms: 100 });
    await waitFor(async () => (await p.redis.exists(circuitKey("api"))) === 0, {
      describe: "the key stays",
    });
  });
});

describe("by hand", () => {
  it("opened, it stays so whatever its executions come to, until it is closed", async () => {
    await openCircuit(p.redis, "api", null);
    expect(await readCircuit(p.redis, "api")).toMatchObject({ state: "open", byHand: true });
    expect(await p.redis.pttl(circuitKey("api"))).toBe(-1);
    expect(await ask("a", quick)).toBeGreaterThan(0);
    for (const what of ["failure", "success", "none", "renew"] as const) {
      expect(await tell(what, "a")).toBe(CIRCUIT_TOLD.nothing);
    }
    expect(await state()).toBe("open");
    expect(await closeCircuit(p.redis, "api")).toBe(true);
    expect(await closeCircuit(p.redis, "api")).toBe(false);
    expect(await ask("a")).toBe(0);
  });

  it("opened for a time, it is half-open after that", async () => {
    await openCircuit(p.redis, "api", 100);
    expect(await p.redis.hkeys(circuitKey("api"))).toEqual(["until", "at"]);
    await waitFor(async () => (await ask("a", quick)) === PROBE, { describe: "it stays open" });
  });

  it("closing forgets the failures so far", async () => {
    await fail(2);
    await closeCircuit(p.redis, "api");
    expect(await fail(2)).toEqual([0, 0]);
  });
});

describe("the list of circuits", () => {
  it("has those with trouble, by name, and drops what is long closed", async () => {
    for (const [i, name] of ["zeta", "api", "gone"].entries()) {
      await listCircuit(p.redis, name, i);
    }
    await fail(3);
    await tellCircuit(p.redis, "zeta", slow, { what: "failure", who: "x", leaseMs: 1 });
    expect(await listCircuits(p.redis)).toMatchObject([
      { name: "api", state: "open", failures: 0 },
      { name: "zeta", state: "closed", failures: 1, untilMs: null },
    ]);
  });

  it("is bounded: the latest names stay", async () => {
    const more = Array.from({ length: CIRCUITS_LISTED_MAX }, (_, i) => [i, `n${i}`]).flat();
    await p.redis.zadd(globalKeys.circuits, ...more);
    await listCircuit(p.redis, "last", CIRCUITS_LISTED_MAX);
    expect(await p.redis.zcard(globalKeys.circuits)).toBe(CIRCUITS_LISTED_MAX);
    expect(await p.redis.zscore(globalKeys.circuits, "n0")).toBeNull();
  });
});

describe("a circuit of a time when the server's clock was an hour ahead", () => {
  const HOUR_MS = 3_600_000;
  const who = { who: "a", leaseMs: LEASE_MS };
  const failed = { what: "failure", ...who } as const;

  it("is closed, and its failures count no more, when that is set back", async () => {
    const redis = clockedRedis(p, () => undefined);
    const failing = (): Promise<number> => tellCircuit(redis, "api", slow, failed);
    await p.freeze();
    await p.advance(HOUR_MS);
    await failing();
    await failing();
    await p.advance(-HOUR_MS);
    expect(await failing()).toBe(CIRCUIT_TOLD.nothing);
    expect((await readCircuit(p.redis, "api")).failures).toBe(1);
    await p.advance(HOUR_MS);
    await failing();
    await failing();
    expect(await failing()).toBe(CIRCUIT_TOLD.opened);
    await p.advance(-HOUR_MS);
    expect(await askCircuit(redis, "api", slow, who)).toBe(0);
    expect(await failing()).toBe(CIRCUIT_TOLD.nothing);
  });

  it("stays open when it was opened by hand, without an end", async () => {
    const redis = clockedRedis(p, () => undefined);
    await p.freeze();
    await p.advance(HOUR_MS);
    await openCircuit(redis, "api", null);
    await p.advance(-HOUR_MS);
    expect(await askCircuit(redis, "api", slow, who)).toBeGreaterThan(0);
  });
});
