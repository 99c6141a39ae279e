/** Every way in which a run as a whole can stand still, and what `gavotte why` says of it: docs/why.md. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { reasonText } from "../../cmd/commands/why.ts";
import type { Client } from "../../sdk/client.ts";
import { hibernateRuns, mapUnit, type Redis } from "../../sdk/internal.ts";
import {
  insertRuns,
  listRuns,
  readRun,
  type Database,
  type RunRow,
} from "../../sdk/postgres/index.ts";
import { whyRun, type Reason } from "../../supervisor/index.ts";
import type { Engine } from "../harness/engine.ts";
import { intercepted, waitFor } from "../support/index.ts";
import { fn, flow, keys, node, WhyScene } from "./why.fixture.ts";
import { publish } from "../harness/publish.ts";

let on: WhyScene;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  on = await WhyScene.start();
  ({ engine, client } = on);
});
afterAll(() => on.stop());
beforeEach(() => on.shut());

/** The engine's Redis, as if it were as full as this says. */
function withInfo(text: string): Redis {
  return intercepted(engine.redis, (name, call) =>
    name === "info" ? () => Promise.resolve(text) : call,
  );
}

/** The engine's Redis, and how often somebody waited for hashes before asking for more. */
function withTurns(): { redis: Redis; turns: () => number } {
  let [turns, asked] = [0, 0];
  const redis = intercepted(engine.redis, (name, call) =>
    name === "hgetall"
      ? (...args) => {
          turns += asked === 0 ? 1 : 0;
          asked += 1;
          return (call(...args) as Promise<unknown>).finally(() => (asked -= 1));
        }
      : call,
  );
  return { redis, turns: () => turns };
}

describe("a run stands still, because", () => {
  it("asleep: since when, until when, and what its nodes wait for", async () => {
    const timed = { timeout_ms: 3_600_000 };
    const id = await on.submit(flow([node("s", "wait", { signal: "go" }, timed)]));
    await on.reasonOf(id, "wait");
    const scripts = await client.operations.scripts(id);
    expect(await hibernateRuns(scripts, [id], 1000)).toEqual(["asleep"]);
    const reason = await on.reasonOf(id, "asleep");
    expect((reason.dueMs ?? 0) - reason.sinceMs).toBeGreaterThan(3_000_000);
    const [, wait] = await on.ask(id);
    const { dueMs } = reason;
    expect(wait).toMatchObject({ kind: "wait", node: "s", wait: { signal: "go" }, dueMs });
    await client.cancel(id, "enough");
  });

  it("stays_awake: all of it waits, and it is too large to sleep", async () => {
    const each = { items: "[1, 2]", do: node("w", "wait", { signal: "never" }) };
    const id = await on.submit(flow([node("m", "map", each)]));
    await on.reasonOf(id, "wait");
    const kinds = async (): Promise<string[]> => (await on.ask(id)).map(({ kind }) => kind);
    const scripts = await client.operations.scripts(id);
    const sleep = async (): Promise<unknown> => (await hibernateRuns(scripts, [id], 1000))[0];
    const map = keys.run(mapUnit(id, "", 0));
    await engine.redis.hset(map, "next", 10_001);
    expect((await on.reasonOf(id, "stays_awake")).text).toContain("10001 elements");
    // Far from Redis a turn is a millisecond and more: they are not looked at one after the other.
    const { redis, turns } = withTurns();
    await on.reasonOf(id, "stays_awake", { redis });
    expect(turns()).toBeLessThan(300);
    expect(await sleep()).toBe("busy");
    await engine.redis.hset(map, "next", 2);
    const run = keys.run(id);
    const units = [run, `${map}#0`, `${map}#1`];
    const sizes = await Promise.all(units.map((unit) => engine.redis.hlen(unit)));
    const free = 20_000 - sizes.reduce((sum, size) => sum + size, 0);
    const more = Array.from({ length: free }, (_, i) => [`z${i}`, ""] as const);
    await engine.redis.hset(run, Object.fromEntries(more));
    expect(await kinds()).not.toContain("stays_awake");
    await engine.redis.hset(run, "z", "");
    expect((await on.reasonOf(id, "stays_awake")).text).toContain("20001 fields");
    expect(await sleep()).toBe("busy");
    await engine.redis.hdel(run, "z");
    expect(await sleep()).toBe("asleep");
    await client.cancel(id, "enough");
  });

  it("asleep: its pause, maps and joins are told as of a run that is awake", async () => {
    const body = { nodes: [node("in", "wait", { signal: "go" })] };
    const steps = [fn("slow"), fn("next", "at_once")];
    const nodes = [...steps, fn("quick", "at_once"), node("s", "wait", { signal: "other" })];
    const map = node("m", "map", { items: "${input.list}", do: body });
    const edges = ["quick", "s", "m"].map((id): [string, string] => [id, "meet"]);
    edges.push(["slow", "next"]);
    const id = await on.submit(flow([...nodes, map, fn("meet", "at_once")], edges), {
      list: [1, 2],
    });
    await waitFor(async () => {
      return (await on.ask(id)).filter(({ kind }) => kind === "wait").length === 3;
    });
    await on.reasonOf(id, "executing");
    await client.operations.pause(id, { by: "ann", why: "look" });
    on.open();
    await on.reasonOf(id, "held");
    const awake = await waitFor(async () => {
      const reasons = await on.ask(id);
      return reasons[0]?.text.includes("it was paused by ann (look)") === true
        ? reasons
        : undefined;
    });
    const scripts = await client.operations.scripts(id);
    expect(await hibernateRuns(scripts, [id], 1000)).toEqual(["asleep"]);
    await on.reasonOf(id, "asleep");
    const [, ...reasons] = await on.ask(id);
    const texts = (all: Reason[]): string[] => all.map(reasonText).sort();
    expect(texts(reasons)).toEqual(texts(awake));
    const kinds = reasons.map(({ kind }) => kind).sort();
    expect(kinds).toEqual(["held", "join", "map", "paused", "wait", "wait", "wait"]);
    const inside = { kind: "wait", node: "in" };
    expect((await on.ask(id, { node: "in" })).slice(2)).toMatchObject([inside, inside]);
    await client.operations.pauseWorkflow({ name: "why" }, { by: "bob", why: "audit" });
    const [, since] = await on.ask(id);
    expect(since?.text).toMatch(/its workflow is paused.*why was paused by bob \(audit\)/);
    await client.operations.resumeWorkflow({ name: "why" });
    await client.cancel(id, "enough");
  });

  it("paused: by itself, or with its workflow and by whom", async () => {
    const id = await on.submit(flow([fn("a"), fn("b", "at_once")], [["a", "b"]]));
    await on.reasonOf(id, "executing");
    await client.operations.pause(id);
    on.open();
    await on.reasonOf(id, "held");
    expect(await on.reasonOf(id, "paused")).toMatchObject({ causes: "r", held: 1 });
    await client.operations.resume(id);
    await engine.ended(id);
    await client.operations.pauseWorkflow({ name: "why", by: "ann", why: "look" } as never);
    const other = await on.submit(flow([fn("a", "at_once")]));
    expect((await on.reasonOf(other, "paused")).text).toContain("with its workflow");
    await client.operations.resumeWorkflow({ name: "why" });
    await engine.ended(other);
  });

  it("finishing, suspect, ended: the run as a whole", async () => {
    const id = await on.submit(flow([fn("a")]));
    await on.reasonOf(id, "executing");
    await engine.redis.hset(keys.run(id), "s", "finishing");
    await on.reasonOf(id, "finishing");
    await engine.redis.hset(keys.run(id), "s", "suspect");
    await on.reasonOf(id, "suspect");
    await engine.redis.hset(keys.run(id), "s", "running");
    on.open();
    await engine.ended(id);
    expect(await on.reasonOf(id, "ended")).toMatchObject({ status: "COMPLETED" });
  });

  it("damaged: something else stands in the place of one of its keys", async () => {
    const id = await on.submit(flow([node("s", "wait", { signal: "go" })]));
    await on.reasonOf(id, "wait");
    const key = keys.signals(id);
    await engine.redis.set(key, "put here by hand");
    const { text } = await on.reasonOf(id, "damaged");
    expect(text).toContain(`${key} is a string, where a hash should be`);
    expect(text).toContain(`gavotte doctor --audit --repair --run ${id}`);
    await engine.redis.set(keys.run(id), "likewise");
    expect((await on.reasonOf(id, "damaged")).keys).toHaveLength(2);
    expect((await client.status(id)).status).toBe("RUNNING");
    await client.cancel(id, "enough");
  });

  it("not_started, memory, not_in_redis: it is accepted only, or Redis has lost it", async () => {
    const id = await on.submit(flow([fn("a")]));
    await on.reasonOf(id, "executing");
    const kept = await engine.redis.hgetall(keys.run(id));
    await waitFor(async () => (await client.status(id)).status === "RUNNING");
    await engine.redis.del(keys.run(id));
    await on.reasonOf(id, "not_in_redis");
    await engine.redis.hset(keys.run(id), kept);
    on.open();
    const { irHash } = await engine.ended(id);
    const fresh = "0199aaaa-0000-7000-8000-00000000f00d";
    const row = { id: fresh, tenant: "t", workflow: "why", version: "1", irHash, partition: 0 };
    const more = { namespace: "", priority: "normal", input: "{}", idempotencyKey: null } as const;
    await engine.db.transaction(async (tx) => {
      await insertRuns(tx, [{ ...row, ...more, requestHash: "x", createdAtMs: Date.now() }]);
    });
    await on.reasonOf(fresh, "not_started");
    const full = "used_memory:80\r\nmaxmemory:100\r\n";
    const memory = await on.reasonOf(fresh, "memory", { redis: withInfo(full) });
    expect(memory).toMatchObject({ usedBytes: 80, limitBytes: 100 });
    expect(await on.ask(fresh, { redis: withInfo(full) })).toHaveLength(1);
    await on.reasonOf(fresh, "not_started", { redis: withInfo(full.replace("80", "70")) });
    await engine.db.query({ name: "t", text: "DELETE FROM runs WHERE id = $1" }, [fresh]);
  });

  it("undoing: what stands below the run that it undoes has not ended", async () => {
    await publish(engine.db, { ...flow([fn("a")]), name: "below" });
    const id = await on.submit(flow([node("s", "subworkflow", { workflow: "below" })]));
    await on.reasonOf(id, "wait");
    const [below] = await waitFor(async () => {
      const runs = await listRuns(engine.db, { parent: id, limit: 1 });
      return runs.length === 1 ? runs : undefined;
    });
    // As a supervisor leaves it that dies right after the commit.
    const parent = (await readRun(engine.db, id)) as RunRow;
    const { irHash } = below as RunRow;
    const [undoes, createdAtMs] = [`${id}~undoes`, 1];
    const row = { ...parent, id: undoes, irHash, compensates: id, createdAtMs };
    await engine.db.transaction((tx) => insertRuns(tx, [row]));
    expect(await on.reasonOf(undoes, "undoing")).toMatchObject({ runs: [below?.id] });
    on.open();
    await engine.ended(below?.id ?? "");
    expect((await engine.ended(undoes)).status).toBe("COMPLETED"); // the sweep has started it
  });

  it("concurrency, start_rate, tenant: what its start has to wait for", async () => {
    const limited = (settings: object): object => ({ ...flow([fn("a")]), settings });
    const one = limited({ concurrency: { limit: 1 } });
    const rated = limited({ rate_limit: { per_hour: 1 } });
    const ids = [
      await on.submit(one),
      await on.submit(one),
      await on.submit(rated),
      await on.submit(rated),
    ];
    expect(await on.reasonOf(ids[1] as string, "concurrency")).toMatchObject({ holders: [ids[0]] });
    expect(await on.reasonOf(ids[3] as string, "start_rate")).toMatchObject({ limit: 1, ahead: 0 });
    const of = { workflow: flow([fn("a")]) as never, tenant: "t" };
    const [first, second] = [await client.submit(of), await client.submit(of)];
    expect(await on.reasonOf(second, "tenant")).toMatchObject({ running: 1 });
    on.open();
    await client.cancel(ids[3] as string);
    await Promise.all([...ids.slice(0, 3), first, second].map((id) => engine.ended(id)));
  });

  it("uncertified: nobody may write to this Redis yet", async () => {
    const id = await on.submit(flow([fn("a")]));
    await on.reasonOf(id, "executing");
    const deployment = { ...(await client.deployment()), id: "another" };
    const irOf = (hash: string) => client.irOf(hash);
    const target = { redis: engine.redis, db: engine.db, runId: id, deployment, irOf };
    const reasons = (await whyRun(target))?.reasons ?? [];
    expect(reasons.map(({ kind }) => kind)).toEqual(["uncertified", "executing"]);
    on.told.add("uncertified");
    on.open();
    await engine.ended(id);
  });

  it("falling_asleep, waking: what its row does not say yet is told by its hash", async () => {
    const nodes = [node("s", "wait", { signal: "go" }), node("d", "delay", { delay_ms: 9e7 })];
    const id = await on.submit(flow(nodes));
    await on.reasonOf(id, "timer");
    await on.reasonOf(id, "wait");
    const timers = await engine.redis.zrange(keys.timers, 0, -1, "WITHSCORES");
    await engine.redis.hset(keys.run(id), { s: "asleep", sl: "9999" });
    await engine.redis.del(keys.timers);
    const falling = await on.explained(id);
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
    expect((await on.ask(id))[0]).toMatchObject({ kind: "waking" });
    on.told.add("falling_asleep").add("waking");
    await engine.redis.hset(keys.run(id), "s", "running");
    await engine.redis.zadd(keys.timers, ...timers.reverse());
    await client.cancel(id, "enough");
  });

  it("postgres_away: the rest is told all the same", async () => {
    const id = await on.submit(flow([node("s", "wait", { signal: "go" })]));
    await on.reasonOf(id, "wait");
    const away = Object.assign(new Error("gone"), { code: "ECONNREFUSED" });
    const db = { query: () => Promise.reject(away) } as unknown as Database;
    const reasons = await on.ask(id, { db });
    expect(reasons.map(({ kind }) => kind)).toEqual(["postgres_away", "wait"]);
    const nowhere = await on.ask("nobody", { db });
    expect(nowhere.at(-1)).toMatchObject({
      kind: "not_in_redis",
      text: expect.stringContaining("asleep") as string,
    });
    on.told.add("postgres_away");
    await client.cancel(id, "enough");
  });
  it("stopped: nothing begins, by whose word, also while Postgres is away", async () => {
    const under = await on.submit(flow([node("s", "wait", { signal: "go" })]));
    await on.reasonOf(under, "wait");
    await client.dispatch.stop({ by: "ann" });
    const id = await on.submit(flow([fn("n", "at_once")]));
    expect((await on.reasonOf(id, "stopped")).text).toContain("is stopped by ann: nothing begins");
    expect((await on.ask(id)).map(({ kind }) => kind)).toEqual(["stopped"]);
    const away = Object.assign(new Error("gone"), { code: "ECONNREFUSED" });
    const db = { query: () => Promise.reject(away) } as unknown as Database;
    const reasons = await on.ask(under, { db });
    expect(reasons.map(({ kind }) => kind)).toEqual(["postgres_away", "stopped", "wait"]);
    await client.dispatch.resume();
    await engine.ended(id);
    await client.cancel(under, "enough");
  });

  it("no_supervisor: nobody fires its timer, which is overdue by now", async ({ skip }) => {
    skip(engine.db.singleSession); // who runs a PGlite runs a supervisor beside it
    const nodes = [node("d", "delay", { delay_ms: 9e6 }), node("s", "wait", { signal: "go" })];
    const id = await on.submit(flow(nodes));
    await on.reasonOf(id, "timer");
    expect((await on.ask(id)).map(({ kind }) => kind)).not.toContain("no_supervisor");
    await engine.supervisor.stop(5000);
    const [timer = ""] = await engine.redis.zrange(keys.timers, 0, -1);
    await engine.redis.zadd(keys.timers, Date.now() - 44_000, timer);
    const reason = await on.reasonOf(id, "no_supervisor");
    expect(reason.text).toContain('start "gavotte supervisor"');
    const due = (await on.ask(id)).find(({ kind }) => kind === "timer");
    expect(due?.text).toMatch(/^waiting for timer until .*Z, overdue by \d+ s$/);
  });
});

describe("docs/why.md, of runs", () => {
  it("has every reason, and each has a test", () => {
    on.expectToldAll("Of the run");
  });
});
