/** Circuit breakers in a whole engine: what is called, and when, is counted by the handlers. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import { createClient, type Client } from "../sdk/index.ts";
import { defineFunction } from "../sdk/define-function.ts";
import {
  askCircuit,
  circuitKey,
  coolDown,
  PROBE,
  rateKey,
  readCircuit,
  suspectRun,
} from "../sdk/internal.ts";
import { readJournal } from "../sdk/postgres/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;
/** What the target does with a call; how many it had, and how many at the same time. */
const target = { answer: (): Promise<Json> | Json => "ok", calls: 0, open: 0, most: 0 };
/** When the target was called, and when it has failed, monotonic ms. */
const [calledMs, failedMs]: [number[], number[]] = [[], []];

beforeAll(async () => {
  engine = await startEngine();
  const call = defineFunction("call", async () => {
    target.calls += 1;
    calledMs.push(performance.now());
    target.open += 1;
    target.most = Math.max(target.most, target.open);
    try {
      return await target.answer();
    } catch (error) {
      failedMs.push(performance.now());
      throw error;
    } finally {
      target.open -= 1;
    }
  });
  const registry = new FunctionRegistry([call]);
  await engine.worker({ registry, leaseMs: 3000 });
  await engine.worker({ registry, leaseMs: 3000 });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});
beforeEach(() => {
  Object.assign(target, { answer: () => "ok", calls: 0, open: 0, most: 0 });
  [calledMs, failedMs].forEach((times) => times.splice(0));
});

const broken = (): never => {
  throw Object.assign(new Error("no answer"), { code: "DOWN" });
};

/** A run of one node that calls the target. */
function submit(key: string, circuit: object = {}, more: object = {}): Promise<string> {
  const breaker = { key, failures: 2, within_ms: 60_000, open_ms: 60_000, ...circuit };
  const node = { id: "a", type: "function", config: { function_name: "call" } };
  const nodes = [{ ...node, circuit_breaker: breaker, ...more }];
  return client.submit({ workflow: { name: "w", nodes, edges: [] } as never, input: {} });
}

async function ends(ids: readonly string[]): Promise<string[]> {
  const rows = await Promise.all(ids.map((id) => client.ended(id, { timeoutMs: 30_000 })));
  return rows.map(({ status }) => status);
}

/** Lets as many runs fail as it takes to open the circuit. */
async function open(key: string, circuit: object = {}): Promise<void> {
  target.answer = broken;
  expect(await ends([await submit(key, circuit), await submit(key, circuit)])).toEqual([
    "FAILED",
    "FAILED",
  ]);
  await waitFor(async () => (await readCircuit(engine.redis, key)).state !== "closed", {
    describe: "the circuit stays closed",
  });
}

const waits = async (id: string): Promise<Json> =>
  ((await client.status(id)).nodes["a"]?.wait ?? null) as Json;

/** Parked, all of them. */
async function parked(ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    await waitFor(async () => (await waits(id)) !== null, { describe: `${id} is not parked` });
  }
}

describe("a circuit breaker", () => {
  it("holds every node of its key back when too many have failed, without calling or charging", async () => {
    await open("held");
    const ids = [await submit("held"), await submit("held")];
    await parked(ids);
    expect(await waits(ids[0] ?? "")).toMatchObject({ for: "circuit", key: "held" });
    expect(target.calls).toBe(2);
    expect((await client.status(ids[1] ?? "")).nodes["a"]?.attempts).toBe(1);
    target.answer = () => "ok";
    expect(await ends([await submit("another")])).toEqual(["COMPLETED"]);
    expect(target.calls).toBe(3);
    for (const id of ids) await client.cancel(id);
  });

  it("lets one probe through after its time; that one's success lets all others go on", async () => {
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    await open("probed", { open_ms: 500 });
    target.answer = () => answered.then(() => "ok");
    const ids = await Promise.all(
      Array.from({ length: 8 }, () => submit("probed", { open_ms: 500 })),
    );
    await waitFor(() => Promise.resolve(target.open === 1), { describe: "nobody probes" });
    // All others have come back at least once, and been sent away.
    const line = async (): Promise<number> => (await readCircuit(engine.redis, "probed")).waiting;
    await waitFor(async () => (await line()) >= 14, { describe: "nobody comes back" });
    expect(target.calls).toBe(3);
    answer();
    expect(await ends(ids)).toEqual(ids.map(() => "COMPLETED"));
    expect(target.calls).toBe(2 + ids.length);
    expect(await engine.redis.exists(circuitKey("probed"))).toBe(0);
  });

  it("opens again when the probe fails, whatever becomes of its node", async () => {
    const retry = { max_attempts: 3, backoff_ms: 1, jitter: 0 };
    const circuit = { open_ms: 300 };
    await open("again", circuit);
    const id = await submit("again", circuit, { retry });
    expect(await ends([id])).toEqual(["FAILED"]);
    // Three attempts, each of them a probe, each after the whole time (by two clocks: less a little).
    expect(target.calls).toBe(5);
    for (const [i, ms] of calledMs.slice(2).entries()) {
      expect(ms - (failedMs[i + 1] as number)).toBeGreaterThan(circuit.open_ms - 10);
    }
  });

  it("fails the node with CIRCUIT_OPEN if it says so, which its error edges and retries handle", async () => {
    await open("fails");
    const circuit_breaker = { key: "fails", on_open: "fail" };
    const call = { type: "function", config: { function_name: "call" } };
    const id = await client.submit({
      workflow: {
        name: "handled",
        nodes: [
          { id: "a", ...call, circuit_breaker, retry: { max_attempts: 2, backoff_ms: 1 } },
          { id: "b", type: "transform", config: { expression: "data.error" } },
        ],
        edges: [{ from: "a", to: "b", on: "error" }],
        output: "${ctx.b.output}",
      } as never,
      input: {},
    });
    const row = await client.ended(id, { timeoutMs: 30_000 });
    expect(row.status).toBe("COMPLETED");
    expect(JSON.parse(row.output ?? "null")).toMatchObject({
      ...{ code: "CIRCUIT_OPEN", node: "a", attempts: 2 },
      details: { circuit: "fails" },
    });
    expect(target.calls).toBe(2);
    // What was not executed is no failure of the target.
    expect((await readCircuit(engine.redis, "fails")).state).toBe("open");
  });

  it("counts a timeout, and not what was never executed", async () => {
    const circuit = { failures: 1 };
    const late = { timeout_ms: 50 };
    target.answer = () => new Promise<Json>(() => undefined);
    expect(await ends([await submit("late", circuit, late)])).toEqual(["FAILED"]);
    await waitFor(async () => (await readCircuit(engine.redis, "late")).state === "open", {
      describe: "a timeout does not count",
    });
    const misfit = { input_schema: { required: ["x"] } };
    expect(await ends([await submit("misfit", circuit, misfit)])).toEqual(["FAILED"]);
    target.answer = () => "ok";
    expect(await ends([await submit("misfit", circuit)])).toEqual(["COMPLETED"]);
  });

  it("goes on when a probe died with its worker, after its place's lease", async () => {
    const circuit = { open_ms: 200 };
    await open("died", circuit);
    const policy = { failures: 2, within_ms: 60_000, open_ms: 200 };
    const dead = { who: "the token of a dead worker", leaseMs: 1000 };
    await waitFor(async () => (await askCircuit(engine.redis, "died", policy, dead)) === PROBE, {
      describe: "no probe",
    });
    target.answer = () => "ok";
    const ids = [await submit("died", circuit), await submit("died", circuit)];
    expect(await ends(ids)).toEqual(["COMPLETED", "COMPLETED"]);
    expect(target.most).toBeLessThanOrEqual(2);
  });

  it("keeps the place of a probe for as long as it works, beyond any lease", async () => {
    const circuit = { open_ms: 200 };
    await open("long", circuit);
    let answer = (): void => undefined;
    const answered = new Promise<void>((resolve) => (answer = resolve));
    target.answer = () => answered.then(() => "ok");
    const ids = await Promise.all(Array.from({ length: 3 }, () => submit("long", circuit)));
    await waitFor(() => Promise.resolve(target.open === 1), { describe: "nobody probes" });
    const lease = (): Promise<string | null> => engine.redis.hget(circuitKey("long"), "lease");
    const first = Number(await lease());
    await waitFor(async () => Number(await lease()) > first + 3000, {
      ...{ describe: "nobody renews it", timeoutMs: 15_000 },
    });
    expect(target.open).toBe(1);
    answer();
    expect(await ends(ids)).toEqual(ids.map(() => "COMPLETED"));
  });

  it("leaves a rate limit as it is: what it held back has no start yet, and a probe waits for its own", async () => {
    const circuit = { open_ms: 3000 }; // the first run is to be seen waiting for it
    await open("both", circuit);
    target.answer = () => "ok";
    const rate_limit = { key: "both", limit: 1, per_ms: 3000 };
    const ids = [await submit("both", circuit, { rate_limit })];
    await parked(ids);
    ids.push(await submit("both", circuit, { rate_limit }));
    expect(await ends(ids)).toEqual(ids.map(() => "COMPLETED"));
    const events = (await Promise.all(ids.map((id) => readJournal(engine.db, id)))).flat();
    const parks = events.map(({ transition }) => transition).filter(({ e }) => e === "node.parked");
    expect(parks.filter(({ rate }) => rate === "both")).toHaveLength(1);
    expect(parks.some(({ circuit: name }) => name === "both")).toBe(true);
  });

  /** What happens between the token being held back and its circuit letting it through. */
  const meanwhile: { [name: string]: (id: string) => Promise<void> } = {
    live: () => Promise.resolve(),
    rebuilt: async (id) => {
      const scripts = await client.operations.scripts(id);
      const epoch = (await engine.redis.hget(scripts.keys.run(id), "e")) ?? "";
      expect(await suspectRun(scripts, { runId: id, status: "running", epoch })).toBe("marked");
      const now = (): Promise<string | null> => engine.redis.hget(scripts.keys.run(id), "e");
      await waitFor(async () => (await now()) !== epoch, { describe: "it is not rebuilt" });
    },
    "tried again by hand": async (id) => {
      await client.operations.intervene(id, "a", { action: "retry", by: "ann" });
    },
  };

  it.each(Object.keys(meanwhile))(
    "holds back a token that has its start already, which waits for another one then (%s)",
    async (name) => {
      const key = `start, circuit, start: ${name}`;
      const rate_limit = { key: `rate ${key}`, limit: 1000, per_ms: 1000 };
      const circuit = `circuit ${key}`;
      const scripts = await client.operations.scripts("");
      const slot = rateKey("", rate_limit.key, "");
      const parks = async (): Promise<(string | undefined)[]> =>
        (await readJournal(engine.db, id))
          .filter(({ transition: { e } }) => e === "node.parked")
          .map(({ transition: { rate, circuit: name } }) => rate ?? name);
      const parkedFor = (last: string): Promise<unknown> =>
        waitFor(async () => (await parks()).at(-1) === last, { describe: `no wait for ${last}` });
      await coolDown(scripts, slot, 2000);
      const id = await submit(circuit, { open_ms: 1000 }, { rate_limit });
      await parkedFor(rate_limit.key);
      await client.circuits.open(circuit, { by: "ann" });
      await parkedFor(circuit);
      await client.circuits.close(circuit, { by: "ann" });
      await coolDown(scripts, slot, 3000);
      await meanwhile[name]?.(id);
      await parkedFor(rate_limit.key);
      expect(await ends([id])).toEqual(["COMPLETED"]);
      expect(target.calls).toBe(1);
    },
  );
});

describe("a circuit forced by hand", () => {
  it("holds its nodes until it is closed by hand", async () => {
    await client.circuits.open("forced", { by: "ann", why: "maintenance" });
    const id = await submit("forced", { open_ms: 500 });
    await parked([id]);
    expect(target.calls).toBe(0);
    await client.circuits.close("forced", { by: "ann" });
    expect(await ends([id])).toEqual(["COMPLETED"]);
    const [closed, opened] = await client.operations.audit({ limit: 2 });
    expect(closed).toMatchObject({ action: "circuit.close", who: "ann", runId: null });
    expect(opened).toMatchObject({ action: "circuit.open", reason: "maintenance" });
    expect(JSON.parse(opened?.after ?? "{}")).toEqual({ circuit: "forced", until: null });
  });
});
