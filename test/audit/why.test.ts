/** Every way in which a token can stand still, and what `gavotte why` says of it: docs/why.md. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import type { Json } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { globalKeys, GROUP, hibernateRuns, partitionKeys, type Redis } from "../../sdk/internal.ts";
import { reasonText, whyLines } from "../../cmd/commands/why.ts";
import { insertRuns, removeWorker, reportWorker, type Database } from "../../sdk/postgres/index.ts";
import { whyRun, type Explanation, type Reason, type WhyTarget } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { intercepted, waitFor } from "../support/index.ts";

const keys = partitionKeys(0);
let engine: Engine;
let client: Client;
let gate: Promise<void> = Promise.resolve();
let open: () => void = () => undefined;
const told = new Set<string>();

const node = (id: string, type: string, config: object = {}, more: object = {}): object => ({
  ...{ id, type, config },
  ...more,
});
const fn = (id: string, name = "step", more: object = {}): object =>
  node(id, "function", { function_name: name }, more);
const flow = (nodes: object[], edges: [string, string][] = []): object => ({
  name: "why",
  nodes,
  edges: edges.map(([from, to]) => ({ from, to })),
});

beforeAll(async () => {
  engine = await startEngine({ tenantRunsMax: 1 });
  const registry = new FunctionRegistry();
  registry.register("step", async () => gate);
  registry.register("at_once", () => Promise.resolve(1));
  registry.register("fails", () => Promise.reject(new Error("no")));
  await engine.worker({ registry });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  open();
  await client.close();
  await engine.stop();
});
beforeEach(() => {
  open();
  gate = new Promise((resolve) => (open = resolve));
});

async function start(document: object, input: Json = {}): Promise<string> {
  return client.submit({ workflow: document as never, input });
}

type More = Partial<Pick<WhyTarget, "leaseMs" | "db" | "node" | "redis" | "backlogBytesMax">>;

async function explained(runId: string, more: More = {}): Promise<Explanation | null> {
  const deployment = await client.deployment();
  const irOf = (hash: string) => client.irOf(hash).catch(() => null);
  const target = { redis: engine.redis, db: engine.db, runId, deployment, irOf, ...more };
  return whyRun(target);
}

async function ask(runId: string, more: More = {}): Promise<Reason[]> {
  return (await explained(runId, more))?.reasons ?? [];
}

/** The run's reason of this kind, as soon as it has one. */
async function reasonOf<K extends Reason["kind"]>(
  runId: string,
  kind: K,
  more: More = {},
): Promise<Reason & { kind: K }> {
  const found = await waitFor(
    async () => (await ask(runId, more)).find((reason) => reason.kind === kind),
    { describe: `no reason ${kind}` },
  );
  told.add(kind);
  expect(found.text).not.toBe("");
  return found as Reason & { kind: K };
}

/** The engine's Redis, as if it were as full as this says. */
function withInfo(text: string): Redis {
  return intercepted(engine.redis, (name, call) =>
    name === "info" ? () => Promise.resolve(text) : call,
  );
}

describe("a token stands still, because", () => {
  it("join: an in-edge is missing, and who can still bring it", async () => {
    const id = await start(
      flow(
        [fn("quick", "at_once"), fn("slow"), fn("after", "at_once"), fn("meet", "at_once")],
        [
          ["quick", "meet"],
          ["slow", "after"],
          ["after", "meet"],
        ],
      ),
    );
    const reason = await reasonOf(id, "join");
    expect(reason).toMatchObject({ node: "meet", missing: [{ from: "after", can: ["slow"] }] });
    expect(reason.text).toContain("can still come by way of slow");
    open();
    await engine.ended(id);
  });

  it("join: nobody can bring what is missing: that is a drift, and said", async () => {
    const id = await start(
      flow(
        [fn("quick", "at_once"), fn("slow"), fn("meet", "at_once")],
        [
          ["quick", "meet"],
          ["slow", "meet"],
        ],
      ),
    );
    await reasonOf(id, "join");
    const before = (await engine.redis.hget(keys.run(id), "n1")) as string;
    await engine.redis.hdel(keys.run(id), "n1");
    const [join] = (await ask(id)).filter(({ kind }) => kind === "join");
    expect(join?.text).toContain("no token in flight can bring it");
    await engine.redis.hset(keys.run(id), "n1", before);
    open();
    await engine.ended(id);
  });

  it("timer, retry, rate_limit: something is due later", async () => {
    const delay = await start(flow([node("d", "delay", { delay_ms: 600_000 })]));
    expect((await reasonOf(delay, "timer")).dueMs).toBeGreaterThan(Date.now());
    const again = { retry: { max_attempts: 3, backoff_ms: 600_000 } };
    const retry = await start(flow([fn("r", "fails", again)]));
    expect(await reasonOf(retry, "retry")).toMatchObject({ node: "r", attempt: 2 });
    const limit = { rate_limit: { key: "one", limit: 1, per_ms: 600_000 } };
    await engine.ended(await start(flow([fn("l", "at_once", limit)])));
    const limited = await start(flow([fn("l", "at_once", limit)]));
    expect(await reasonOf(limited, "rate_limit")).toMatchObject({ node: "l", key: "one" });
    await Promise.all([delay, retry, limited].map((id) => client.cancel(id, "enough")));
  });

  it("circuit: too many have failed, and which circuit it is, also in a map", async () => {
    const circuit_breaker = { key: "api-${input.k}", failures: 1, open_ms: 600_000 };
    const again = { retry: { max_attempts: 2, backoff_ms: 1 }, circuit_breaker };
    const held = await start(flow([fn("c", "fails", again)]), { k: 1 });
    const reason = await reasonOf(held, "circuit");
    expect(reason).toMatchObject({ node: "c", name: "api-1", state: "open" });
    expect(reason.text).toContain("is open until 2");
    const each = { items: "[1]", do: fn("e", "at_once", { circuit_breaker }) };
    const inMap = await start(flow([node("m", "map", each)]), { k: 1 });
    expect(await reasonOf(inMap, "circuit")).toMatchObject({
      node: "e",
      home: "0#0",
      name: "api-1",
    });
    // Nothing of the run is archived yet: what a circuit's name is made of is not its name.
    const db = intercepted(engine.db, (name, call) => async (...args) => {
      const [statement] = args as [{ name: string }];
      return name === "query" && statement.name === "journal_read" ? [] : call(...args);
    });
    for (const id of [held, inMap]) {
      expect((await ask(id, { db })).map(({ kind }) => kind)).not.toContain("circuit");
    }
    await client.circuits.close("api-1", { by: "ann" });
    expect((await reasonOf(held, "circuit")).text).toContain("closed by now");
    await Promise.all([held, inMap].map((id) => client.cancel(id, "enough")));
  });

  it("wait: for a signal, an approval, a child run", async () => {
    const signal = await start(flow([node("s", "wait", { signal: "go" })]));
    expect((await reasonOf(signal, "wait")).wait).toMatchObject({ kind: "signal", signal: "go" });
    const approval = await start(flow([node("h", "human", { title: "May I?" })]));
    expect((await reasonOf(approval, "wait")).wait).toMatchObject({ kind: "approval" });
    await publish(engine.db, { ...flow([node("w", "wait", { signal: "go" })]), name: "below" });
    const parent = await start(flow([node("c", "subworkflow", { workflow: "below" })]));
    const reason = await reasonOf(parent, "wait");
    expect(reason).toMatchObject({ node: "c", child: "running", wait: { kind: "child" } });
    await Promise.all([signal, approval, parent].map((id) => client.cancel(id, "enough")));
  });

  it("asleep: since when, until when, and what its nodes wait for", async () => {
    const timed = { timeout_ms: 3_600_000 };
    const id = await start(flow([node("s", "wait", { signal: "go" }, timed)]));
    await reasonOf(id, "wait");
    const scripts = await client.operations.scripts(id);
    expect(await hibernateRuns(scripts, [id], 1000)).toEqual(["asleep"]);
    const reason = await reasonOf(id, "asleep");
    expect((reason.dueMs ?? 0) - reason.sinceMs).toBeGreaterThan(3_000_000);
    const [, wait] = await ask(id);
    const { dueMs } = reason;
    expect(wait).toMatchObject({ kind: "wait", node: "s", wait: { signal: "go" }, dueMs });
    await client.cancel(id, "enough");
  });

  it("asleep: its pause, maps and joins are told as of a run that is awake", async () => {
    const body = { nodes: [node("in", "wait", { signal: "go" })] };
    const steps = [fn("slow"), fn("next", "at_once")];
    const nodes = [...steps, fn("quick", "at_once"), node("s", "wait", { signal: "other" })];
    const map = node("m", "map", { items: "${input.list}", do: body });
    const edges = ["quick", "s", "m"].map((id): [string, string] => [id, "meet"]);
    edges.push(["slow", "next"]);
    const id = await start(flow([...nodes, map, fn("meet", "at_once")], edges), { list: [1, 2] });
    await waitFor(async () => {
      return (await ask(id)).filter(({ kind }) => kind === "wait").length === 3;
    });
    await reasonOf(id, "executing");
    await client.operations.pause(id, { by: "ann", why: "look" });
    open();
    await reasonOf(id, "held");
    const awake = await waitFor(async () => {
      const reasons = await ask(id);
      return reasons[0]?.text.includes("it was paused by ann (look)") === true
        ? reasons
        : undefined;
    });
    const scripts = await client.operations.scripts(id);
    expect(await hibernateRuns(scripts, [id], 1000)).toEqual(["asleep"]);
    await reasonOf(id, "asleep");
    const [, ...reasons] = await ask(id);
    const texts = (all: Reason[]): string[] => all.map(reasonText).sort();
    expect(texts(reasons)).toEqual(texts(awake));
    const kinds = reasons.map(({ kind }) => kind).sort();
    expect(kinds).toEqual(["held", "join", "map", "paused", "wait", "wait", "wait"]);
    const inside = { kind: "wait", node: "in" };
    expect((await ask(id, { node: "in" })).slice(2)).toMatchObject([inside, inside]);
    await client.operations.pauseWorkflow({ name: "why" }, { by: "bob", why: "audit" });
    const [, since] = await ask(id);
    expect(since?.text).toMatch(/its workflow is paused.*why was paused by bob \(audit\)/);
    await client.operations.resumeWorkflow({ name: "why" });
    await client.cancel(id, "enough");
  });

  it("a node: whatever stands at it is found among however many tokens, and a cut is told", async () => {
    const WIDE = 130;
    const ids = Array.from({ length: WIDE }, (_, i) => `w${i}`);
    const id = await start(flow(ids.map((name) => node(name, "wait", { signal: name }))));
    await waitFor(async () => {
      const { reasons, more } = (await explained(id)) ?? { reasons: [], more: 0 };
      return reasons.filter(({ kind }) => kind === "wait").length + more === WIDE;
    });
    const whole = await explained(id);
    expect(whole?.reasons).toHaveLength(100);
    const nonsense = ask(id, { node: "nonsense" });
    await expect(nonsense).rejects.toThrow(/no node "nonsense"; its nodes are w0, w1, .* and 110/);
    expect(whyLines(whole as Explanation).at(-1)).toBe("… and 30 more tokens: name a node");
    for (const name of ids) {
      expect((await explained(id, { node: name }))?.reasons).toMatchObject([
        { kind: "wait", node: name },
      ]);
    }
    await client.cancel(id, "enough");
  });

  it("map: so many elements are open, and what each of them waits for", async () => {
    const body = { nodes: [node("w", "wait", { signal: "go" })] };
    const map = node("m", "map", { items: "${input.list}", do: body, max_concurrency: 2 });
    const id = await start(flow([map]), { list: [1, 2, 3] });
    const inside = async (): Promise<boolean> => {
      return (await ask(id)).filter(({ kind }) => kind === "wait").length === 2;
    };
    await waitFor(inside, { describe: "the elements do not wait" });
    expect(await reasonOf(id, "map")).toMatchObject({ total: 3, done: 0, running: 2 });
    expect(await reasonOf(id, "wait")).toMatchObject({ node: "w", home: "0#0" });
    expect((await reasonOf(id, "map")).text).toContain("1 wait for one of these to end");
    // As when its body has an output template that no worker has evaluated yet.
    await engine.redis.hset(keys.run(`${id}!0#1`), "s", "finishing");
    const finishing = await reasonOf(id, "finishing", { node: "m" });
    expect(finishing).toMatchObject({ node: "m", home: "0#1" });
    expect(await ask(id, { node: "w" })).toMatchObject([{ kind: "wait", home: "0#0" }]);
    await client.cancel(id, "enough");
  });

  it("executing: on a worker that lives, in a chain; its worker is silent", async () => {
    const id = await start(flow([fn("a", "at_once"), fn("b")], [["a", "b"]]));
    const reason = await reasonOf(id, "executing");
    expect(reason).toMatchObject({ node: "b", consumer: "w0", isSilent: false });
    expect(reason.text).toMatch(/^executing on w0 for \d+ s/);
    await waitFor(async () => (await reasonOf(id, "executing", { leaseMs: 1 })).isSilent);
    const gone = await reasonOf(id, "executing", { leaseMs: 1 });
    expect(gone.text).toMatch(/silent for \d+ s; taken over in/);
    open();
    await engine.ended(id);
  });

  it("executing: says at which node the chain began", async () => {
    const registry = new FunctionRegistry();
    let first = true;
    registry.register("linked", async () => {
      await (first ? undefined : gate);
      first = false;
    });
    await engine.worker({ registry });
    const id = await start(flow([fn("x", "linked"), fn("y", "linked")], [["x", "y"]]));
    const found = await waitFor(async () => {
      const reasons = await ask(id);
      return reasons.find((reason) => reason.kind === "executing" && reason.node === "y");
    });
    expect(found).toMatchObject({ chainFrom: "x" });
    expect(found.text).toContain("in a chain that began at x");
    open();
    await engine.ended(id);
  });

  it("no_worker, queue_paused, queued: nobody reads its queue, or not now, or others are first", async () => {
    const nobody = await start(flow([fn("n", "nobody")]));
    expect(await reasonOf(nobody, "no_worker")).toMatchObject({ queue: "fn:nobody" });
    await client.operations.pauseQueue("fn:nobody");
    await waitFor(() => engine.redis.sismember(globalKeys.pausedQueues, "fn:nobody"));
    expect(await reasonOf(nobody, "queue_paused")).toMatchObject({ queue: "fn:nobody" });
    await client.operations.resumeQueue("fn:nobody");
    const second = await start(flow([fn("n", "nobody")]));
    const stream = keys.entryQueue("fn:nobody", "normal");
    await engine.redis.xgroup("CREATE", stream, GROUP, "0");
    const group = ["GROUP", GROUP, "reader", "COUNT", 1, "STREAMS", stream, ">"] as const;
    await engine.redis.xreadgroup(...group);
    expect(await reasonOf(second, "queued")).toMatchObject({ queue: "fn:nobody", ahead: 1 });
    const behind = await reasonOf(second, "archive_behind", { backlogBytesMax: 1 });
    expect(behind.bytes).toBeGreaterThan(1);
    await Promise.all([nobody, second].map((id) => client.cancel(id, "enough")));
  });

  it("saturated: whoever reads its queue is busy, and that is not nobody", async () => {
    const id = await start(flow([fn("n", "busy")]));
    await reasonOf(id, "no_worker");
    const about = { id: "w9", host: "h", pid: 1, queues: ["fn:busy"], startedAtMs: 1 };
    const heard = async (inFlight: number, agoMs = 0): Promise<void> => {
      const lastSeenAtMs = Date.now() - agoMs;
      await reportWorker(engine.db, { ...about, concurrency: 2, inFlight, lastSeenAtMs });
    };
    await heard(2);
    const full = await reasonOf(id, "saturated");
    expect(full).toMatchObject({ queue: "fn:busy", ahead: 0, workers: ["w9"] });
    expect(full.text).toContain("w9 (2 under way)");
    await heard(1);
    await reasonOf(id, "queued");
    await heard(2, 60_000);
    await reasonOf(id, "no_worker");
    await removeWorker(engine.db, "w9");
    await client.cancel(id, "enough");
  });

  it("paused, held: by itself, or with its workflow and by whom", async () => {
    const id = await start(
      flow(
        [fn("a", "at_once"), fn("b"), fn("c", "at_once")],
        [
          ["a", "b"],
          ["b", "c"],
        ],
      ),
    );
    await reasonOf(id, "executing");
    await client.operations.pause(id);
    open();
    expect(await reasonOf(id, "held")).toMatchObject({ node: "c" });
    expect(await reasonOf(id, "paused")).toMatchObject({ causes: "r", held: 1 });
    await client.operations.resume(id);
    await engine.ended(id);
    await client.operations.pauseWorkflow({ name: "why", by: "ann", why: "look" } as never);
    const other = await start(flow([fn("a", "at_once")]));
    expect((await reasonOf(other, "paused")).text).toContain("with its workflow");
    await client.operations.resumeWorkflow({ name: "why" });
    await engine.ended(other);
  });

  it("finishing, suspect, ended, lost_entry: the run as a whole, or an accident", async () => {
    const id = await start(flow([fn("a")]));
    const executing = await reasonOf(id, "executing");
    await engine.redis.hset(keys.run(id), "s", "finishing");
    await reasonOf(id, "finishing");
    await engine.redis.hset(keys.run(id), "s", "suspect");
    await reasonOf(id, "suspect");
    await engine.redis.hset(keys.run(id), "s", "running");
    const stream = keys.entryQueue("fn:step", "normal");
    const entries = await engine.redis.xrange(stream, "-", "+");
    const [entry] = entries.find(([, fields]) => fields[1]?.startsWith(id)) ?? [""];
    await engine.redis.xack(stream, GROUP, entry);
    expect(await reasonOf(id, "lost_entry")).toMatchObject({ node: executing.node });
    open();
    await engine.ended(id);
    expect(await reasonOf(id, "ended")).toMatchObject({ status: "COMPLETED" });
    await engine.redis.xdel(stream, entry);
  });

  it("not_started, memory, not_in_redis: it is accepted only, or Redis has lost it", async () => {
    const id = await start(flow([fn("a")]));
    await reasonOf(id, "executing");
    const kept = await engine.redis.hgetall(keys.run(id));
    await waitFor(async () => (await client.status(id)).status === "RUNNING");
    await engine.redis.del(keys.run(id));
    await reasonOf(id, "not_in_redis");
    await engine.redis.hset(keys.run(id), kept);
    open();
    const { irHash } = await engine.ended(id);
    const fresh = "0199aaaa-0000-7000-8000-00000000f00d";
    const row = { id: fresh, tenant: "t", workflow: "why", version: "1", irHash, partition: 0 };
    const more = { namespace: "", priority: "normal", input: "{}", idempotencyKey: null } as const;
    await engine.db.transaction(async (tx) => {
      await insertRuns(tx, [{ ...row, ...more, requestHash: "x", createdAtMs: Date.now() }]);
    });
    await reasonOf(fresh, "not_started");
    const full = "used_memory:80\r\nmaxmemory:100\r\n";
    const memory = await reasonOf(fresh, "memory", { redis: withInfo(full) });
    expect(memory).toMatchObject({ usedBytes: 80, limitBytes: 100 });
    expect(await ask(fresh, { redis: withInfo(full) })).toHaveLength(1);
    await reasonOf(fresh, "not_started", { redis: withInfo(full.replace("80", "70")) });
    await engine.db.query({ name: "t", text: "DELETE FROM runs WHERE id = $1" }, [fresh]);
  });

  it("concurrency, start_rate, tenant: what its start has to wait for", async () => {
    const limited = (settings: object): object => ({ ...flow([fn("a")]), settings });
    const one = limited({ concurrency: { limit: 1 } });
    const rated = limited({ rate_limit: { per_hour: 1 } });
    const ids = [await start(one), await start(one), await start(rated), await start(rated)];
    expect(await reasonOf(ids[1] as string, "concurrency")).toMatchObject({ holders: [ids[0]] });
    expect(await reasonOf(ids[3] as string, "start_rate")).toMatchObject({ limit: 1, ahead: 0 });
    const of = { workflow: flow([fn("a")]) as never, tenant: "t" };
    const [first, second] = [await client.submit(of), await client.submit(of)];
    expect(await reasonOf(second, "tenant")).toMatchObject({ running: 1 });
    open();
    await client.cancel(ids[3] as string);
    await Promise.all([...ids.slice(0, 3), first, second].map((id) => engine.ended(id)));
  });

  it("uncertified: nobody may write to this Redis yet", async () => {
    const id = await start(flow([fn("a")]));
    await reasonOf(id, "executing");
    const deployment = { ...(await client.deployment()), id: "another" };
    const irOf = (hash: string) => client.irOf(hash);
    const target = { redis: engine.redis, db: engine.db, runId: id, deployment, irOf };
    const reasons = (await whyRun(target))?.reasons ?? [];
    expect(reasons.map(({ kind }) => kind)).toEqual(["uncertified", "executing"]);
    told.add("uncertified");
    open();
    await engine.ended(id);
  });

  it("falling_asleep, waking: what its row does not say yet is told by its hash", async () => {
    const nodes = [node("s", "wait", { signal: "go" }), node("d", "delay", { delay_ms: 9e7 })];
    const id = await start(flow(nodes));
    await reasonOf(id, "timer");
    await reasonOf(id, "wait");
    const timers = await engine.redis.zrange(keys.timers, 0, -1, "WITHSCORES");
    await engine.redis.hset(keys.run(id), { s: "asleep", sl: "9999" });
    await engine.redis.del(keys.timers);
    const falling = await explained(id);
    expect(falling).toMatchObject({ status: "asleep" });
    const [first, ...tokens] = falling?.reasons ?? [];
    const byNode = [first, ...tokens.sort((x, y) => (x.kind < y.kind ? 1 : -1))];
    expect(byNode).toMatchObject([
      { kind: "falling_asleep", text: expect.stringContaining("not archived") as string },
      { kind: "wait", node: "s" },
      { kind: "timer", node: "d", text: expect.stringContaining("its journal has") as string },
    ]);
    await engine.redis.hset(keys.run(id), "tk", "ticket");
    await engine.redis.hdel(keys.run(id), "sl");
    expect((await ask(id))[0]).toMatchObject({ kind: "waking" });
    told.add("falling_asleep").add("waking");
    await engine.redis.hset(keys.run(id), "s", "running");
    await engine.redis.zadd(keys.timers, ...timers.reverse());
    await client.cancel(id, "enough");
  });

  it("postgres_away: the rest is told all the same", async () => {
    const id = await start(flow([node("s", "wait", { signal: "go" })]));
    await reasonOf(id, "wait");
    const away = Object.assign(new Error("gone"), { code: "ECONNREFUSED" });
    const db = { query: () => Promise.reject(away) } as unknown as Database;
    const reasons = await ask(id, { db });
    expect(reasons.map(({ kind }) => kind)).toEqual(["postgres_away", "wait"]);
    const nowhere = await ask("nobody", { db });
    expect(nowhere.at(-1)).toMatchObject({
      kind: "not_in_redis",
      text: expect.stringContaining("asleep") as string,
    });
    told.add("postgres_away");
    await client.cancel(id, "enough");
  });
});

describe("the deployment is stopped", () => {
  it("stopped: nothing begins, by whose word, also while Postgres is away", async () => {
    const under = await start(flow([node("s", "wait", { signal: "go" })]));
    await reasonOf(under, "wait");
    await client.dispatch.stop({ by: "ann" });
    const id = await start(flow([fn("n", "at_once")]));
    expect((await reasonOf(id, "stopped")).text).toContain("is stopped by ann: nothing begins");
    expect((await ask(id)).map(({ kind }) => kind)).toEqual(["stopped"]);
    const away = Object.assign(new Error("gone"), { code: "ECONNREFUSED" });
    const db = { query: () => Promise.reject(away) } as unknown as Database;
    const reasons = await ask(under, { db });
    expect(reasons.map(({ kind }) => kind)).toEqual(["postgres_away", "stopped", "wait"]);
    await client.dispatch.resume();
    await engine.ended(id);
    await client.cancel(under, "enough");
  });
});

describe("docs/why.md", () => {
  it("has every reason, and each has a test", () => {
    const page = readFileSync(new URL("../../docs/why.md", import.meta.url), "utf8");
    const rows = [...page.matchAll(/^\| `([a-z_]+)` \|/gm)].map((match) => match[1] as string);
    expect([...told].sort()).toEqual([...rows].sort());
  });
});
