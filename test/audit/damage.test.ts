/**
 * The audit against deliberate damage: every kind of drift is made by hand, is seen and named, and
 * is put right; the run then comes to its end. And what is not damaged is never blamed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pino } from "pino";
import {
  GROUP,
  connectionAt,
  globalKeys,
  packEntry,
  partitionKeys,
  ScriptRunner,
  systemClock,
  type Drift,
} from "../../sdk/internal.ts";
import { canonicalJson, compile } from "../../compiler/index.ts";
import { listRuns, publishDefinitions } from "../../sdk/postgres/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import {
  auditContext,
  auditPartition,
  findDrifts,
  repairDrifts,
  type AuditContext,
} from "../../supervisor/index.ts";
import { AuditSampler, type KeptFinding } from "../../supervisor/audit/sampler.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

const keys = partitionKeys(0);
let engine: Engine;
let client: Client;
let audit: AuditContext;
let scripts: ScriptRunner;
let gate: Promise<void> = Promise.resolve();
let open: () => void = () => undefined;

const fn = (id: string, name = "step", more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: name } },
  ...more,
});
const line = (name: string, ids: readonly object[]): object => ({
  name,
  nodes: ids,
  edges: ids.slice(1).map((node, i) => ({
    from: (ids[i] as { id: string }).id,
    to: (node as { id: string }).id,
  })),
});

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("step", async ({ node }) => {
    await gate;
    return { at: node };
  });
  registry.register("large", () => Promise.resolve("x".repeat(20_000)));
  registry.register("fails", () => Promise.reject(new Error("no")));
  await engine.worker({ registry, leaseMs: 60_000 });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  audit = auditContext({ redis: engine.redis, db: engine.db });
  const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
  scripts = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
});
afterAll(async () => {
  open();
  await client.close();
  await engine.stop();
});
beforeEach(() => {
  open();
  gate = Promise.resolve();
});

function shut(): void {
  gate = new Promise((resolve) => (open = resolve));
}

/** A run that stands still with `node` in `status`. */
async function standing(workflow: object, node: string, status: string): Promise<string> {
  const id = await client.submit({ workflow: workflow as never, input: {} });
  await waitFor(async () => (await client.status(id)).nodes[node]?.status === status, {
    describe: `${node} is not ${status}`,
  });
  return id;
}

async function kindsOf(runId: string): Promise<string[]> {
  return [...new Set((await findDrifts(audit, 0, runId)).map(({ kind }) => kind))].sort();
}

/** The damage is seen as these kinds, repaired, and seen no more. */
async function seenAndRepaired(runId: string, kinds: readonly string[]): Promise<Drift[]> {
  const drifts = await findDrifts(audit, 0, runId);
  expect([...new Set(drifts.map(({ kind }) => kind))].sort()).toEqual([...kinds].sort());
  for (const drift of drifts) {
    expect(drift.is).not.toBe("");
    expect(drift.expected).not.toBe("");
  }
  const report = await repairDrifts(audit, scripts, drifts);
  expect(report.failed).toEqual([]);
  expect(await kindsOf(runId)).toEqual([]);
  return drifts;
}

async function orphans(): Promise<Drift[]> {
  return (await auditPartition(audit, 0)).drifts;
}

const waits = line("waits", [
  fn("a"),
  { id: "w", type: "wait", config: { signal: "go" }, timeout_ms: 3_600_000 },
  fn("b"),
]);

describe("a run that is damaged", () => {
  it("counter: is not the tokens in flight", async () => {
    const id = await standing(waits, "w", "waiting");
    expect(await kindsOf(id)).toEqual([]);
    await engine.redis.hincrby(keys.run(id), "c", 1);
    const drifts = await seenAndRepaired(id, ["counter", "field"]);
    expect(drifts[0]).toMatchObject({ is: "counter 2", expected: "1, the tokens in flight" });
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("field: a result, a join's arrivals, an epoch are not those of the journal", async () => {
    const id = await standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "n0", 'c1||{"at":"z"}');
    const [drift] = await seenAndRepaired(id, ["field"]);
    expect(drift).toMatchObject({ node: "a", member: "field n0" });
    await engine.redis.hset(keys.run(id), "e", "77");
    await seenAndRepaired(id, ["epoch"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("status: Redis says that it has ended, the journal does not", async () => {
    const id = await standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "s", "completed");
    expect(await kindsOf(id)).toEqual(["status"]);
    await seenAndRepaired(id, ["status"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_missing: an active token has no entry", async () => {
    shut();
    const id = await standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    await connectionAt(engine.redis, key).multi().xack(key, GROUP, entry).xdel(key, entry).exec();
    const [drift] = await seenAndRepaired(id, ["entry_missing"]);
    expect(drift).toMatchObject({ node: "a", remedy: "rebuild" });
    open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_lost: an entry was delivered and is in nobody's hands", async () => {
    shut();
    const id = await standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    await waitFor(
      async () => (await engine.redis.xpending(key, GROUP, entry, entry, 1)).length > 0,
    );
    await engine.redis.xack(key, GROUP, entry);
    const [drift] = await seenAndRepaired(id, ["entry_lost"]);
    expect(drift).toMatchObject({ node: "a", key, member: entry });
    open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
    await engine.redis.xdel(key, entry);
  });

  it("timer_missing: nothing will end a delay, a retry, a wait with a time limit", async () => {
    const delay = line("delays", [{ id: "d", type: "delay", config: { delay_ms: 3_600_000 } }]);
    const retry = line("retries", [
      fn("r", "fails", { retry: { max_attempts: 3, backoff_ms: 3_600_000 } }),
    ]);
    for (const [workflow, node, status] of [
      [delay, "d", "waiting"],
      [retry, "r", "retrying"],
      [waits, "w", "waiting"],
    ] as const) {
      const id = await standing(workflow, node, status);
      expect(await kindsOf(id)).toEqual([]);
      const fields = await engine.redis.hgetall(keys.run(id));
      const [, member = ""] = Object.entries(fields).find(([name]) => /^d\d+$/.test(name)) ?? [];
      expect(await engine.redis.zrem(keys.timers, member)).toBe(1);
      await seenAndRepaired(id, ["timer_missing"]);
      await client.cancel(id, "enough");
      await engine.ended(id);
    }
  });

  it("wait_missing: a signal would not find the token that waits for it", async () => {
    const id = await standing(waits, "w", "waiting");
    await engine.redis.hdel(keys.signals(id), "w:go");
    await seenAndRepaired(id, ["wait_missing"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("waiter_orphan: a token is registered for a signal and does not wait", async () => {
    const id = await standing(waits, "w", "waiting");
    const list = (await engine.redis.hget(keys.signals(id), "w:go")) as string;
    await engine.redis.hset(keys.signals(id), "w:go", `0||${list.slice(2).slice(1)}\n${list}`);
    await seenAndRepaired(id, ["waiter_orphan"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("blob_missing: a large output is not there", async () => {
    const large = line("large", [
      fn("big", "large"),
      { id: "w", type: "wait", config: { signal: "go" } },
    ]);
    const id = await standing(large, "w", "waiting");
    expect(await kindsOf(id)).toEqual([]);
    await engine.redis.del(keys.blobs(id));
    await seenAndRepaired(id, ["blob_missing"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("run_missing: the whole run is gone", async () => {
    const id = await standing(waits, "w", "waiting");
    await engine.redis.del(keys.run(id), keys.signals(id));
    await seenAndRepaired(id, ["run_missing"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("pause_unlisted, held_left: what is held would be forgotten", async () => {
    shut();
    const id = await standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    await client.operations.pause(id);
    open();
    await waitFor(async () => (await engine.redis.llen(keys.held(id))) === 1);
    expect(await kindsOf(id)).toEqual([]);
    await engine.redis.zrem(keys.paused, id);
    await seenAndRepaired(id, ["pause_unlisted"]);
    await engine.redis.del(keys.held(id));
    await seenAndRepaired(id, ["entry_missing"]);
    await client.operations.resume(id);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("map_missing, element_missing, map_counts: a map has lost what it is made of", async () => {
    const document = {
      name: "maps",
      nodes: [
        {
          ...{ id: "m", type: "map" },
          config: {
            items: "${input.list}",
            do: { nodes: [{ id: "w", type: "wait", config: { signal: "go" } }] },
          },
        },
      ],
      edges: [],
    };
    const id = await client.submit({ workflow: document as never, input: { list: [1, 2] } });
    const waiting = async (): Promise<boolean> => {
      const list = await engine.redis.hget(keys.signals(id), "w:go");
      return (list ?? "").split("\n").length === 2;
    };
    await waitFor(waiting, { describe: "the elements do not wait" });
    expect(await kindsOf(id)).toEqual([]);
    const map = `${id}!0`;
    await engine.redis.del(keys.run(`${map}#1`));
    await seenAndRepaired(id, ["element_missing"]);
    await engine.redis.hset(keys.run(map), "done", 1);
    expect(await kindsOf(id)).toContain("map_counts");
    await seenAndRepaired(id, ["field", "map_counts"]);
    await engine.redis.srem(keys.maps(id), map);
    expect(await kindsOf(id)).toContain("map_missing");
    await repairDrifts(audit, scripts, await findDrifts(audit, 0, id));
    await engine.redis.del(keys.run(map));
    expect(await kindsOf(id)).toContain("map_missing");
    await repairDrifts(audit, scripts, await findDrifts(audit, 0, id));
    expect(await kindsOf(id)).toEqual([]);
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("child_missing: a node waits for a child that is not there", async () => {
    const { ir, hash, tags } = compile({ document: { ...waits, name: "child" } as never });
    const about = { name: "child", version: "1", tags, createdAtMs: 1, source: null };
    const text = canonicalJson(ir as never);
    await publishDefinitions(engine.db, [{ ...about, hash: hash as string, ir: text }]);
    const parent = line("parent", [
      { id: "s", type: "subworkflow", config: { workflow: "child" } },
    ]);
    const id = await standing(parent, "s", "waiting");
    const child = await waitFor(async () => {
      const [row] = await listRuns(engine.db, { parent: id, limit: 1 });
      const view = row === undefined ? null : await client.status(row.id);
      return view?.nodes["w"]?.status === "waiting" ? row?.id : undefined;
    });
    expect(await kindsOf(id)).toEqual([]);
    expect(await kindsOf(child)).toEqual([]);
    await engine.redis.del(keys.run(child));
    const [drift] = await seenAndRepaired(id, ["child_missing"]);
    expect(drift).toMatchObject({ node: "s", member: child });
    await client.signal(child, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("run_unknown: Redis has a run of which Postgres has no row: told, left alone", async () => {
    const id = "0199aaaa-0000-7000-8000-00000000dead";
    await engine.redis.hset(keys.run(id), { s: "running", e: "1", ir: "x" });
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts).toMatchObject([{ kind: "run_unknown", runId: id }]);
    const report = await repairDrifts(audit, scripts, drifts);
    expect(report.failed).toMatchObject([{ runId: id }]);
    await engine.redis.del(keys.run(id));
  });

  it("ended_unknown: what a run has left that has ended and has no row is removed", async () => {
    const { redis } = engine;
    const id = "0199aaaa-0000-7000-8000-0000000000ed";
    const timer = `resume|${id}|1|0||1|${keys.queue("kind:delay", "normal")}`;
    await redis.hset(keys.run(id), { s: "completed", e: "1", ir: "x", d0: timer });
    await redis.hset(keys.signals(id), "n", 1);
    await redis.sadd(keys.maps(id), `${id}!3`);
    await redis.hset(keys.run(`${id}!3`), { next: "2" });
    await redis.hset(keys.run(`${id}!3#1`), { s: "running" });
    await redis.zadd(keys.timers, Date.now() + 3_600_000, timer);
    await redis.zadd(keys.release, 1, id);
    const { drifts: all } = await auditPartition(audit, 0);
    const drifts = all.filter(({ runId }) => runId === id);
    expect(drifts).toMatchObject([{ kind: "ended_unknown", remedy: "remove" }]);
    const report = await repairDrifts(audit, scripts, drifts);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 1 });
    expect(await redis.keys(`*${id}*`)).toEqual([]);
    expect(await redis.zscore(keys.release, id)).toBeNull();
    expect(await redis.zscore(keys.timers, timer)).toBeNull();
  });

  it("not_released: a run that has ended is on no list", async () => {
    const id = await client.submit({ workflow: line("one", [fn("a")]) as never, input: {} });
    const { irHash } = await engine.ended(id);
    await waitFor(async () => (await engine.redis.exists(keys.run(id))) === 0);
    await engine.redis.hset(keys.run(id), { s: "completed", e: "1", ir: irHash });
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts).toMatchObject([{ kind: "not_released", remedy: "release" }]);
    await repairDrifts(audit, scripts, drifts);
    await waitFor(async () => (await engine.redis.exists(keys.run(id))) === 0);
  });

  it("suspect: a run is frozen, and somebody has to repair it", async () => {
    const id = await standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "s", "suspect");
    await seenAndRepaired(id, ["suspect"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_double is told, and does no harm", async () => {
    shut();
    const id = await standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    const [[, fields] = ["", []]] = await engine.redis.xrange(key, entry, entry);
    await engine.redis.xadd(key, "*", ...fields);
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts).toMatchObject([{ kind: "entry_double", harmless: true }]);
    open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });
});

describe("the audit that never stops", () => {
  it("comes by every unfinished run, and keeps what it finds until that is right again", async () => {
    const id = await standing(waits, "w", "waiting");
    const logger = pino({ level: "silent" });
    const context = { ...audit, logger, clock: systemClock, deployment: { partitions: 1 } };
    const sampler = new AuditSampler(context as never, 60);
    const round = async (): Promise<void> => {
      const runs = await listRuns(engine.db, { limit: 1000 });
      for (let i = 0; i < runs.length; i++) {
        await sampler.look();
      }
    };
    await round();
    expect(await engine.redis.hlen(keys.findings)).toBe(0);
    await engine.redis.hincrby(keys.run(id), "c", 3);
    await round();
    const kept = JSON.parse((await engine.redis.hget(keys.findings, id)) as string) as KeptFinding;
    expect(kept.drifts.map(({ kind }) => kind)).toEqual(["counter", "field"]);
    await repairDrifts(audit, scripts, kept.drifts);
    await round();
    expect(await engine.redis.hlen(keys.findings)).toBe(0);
    await client.cancel(id, "enough");
    await engine.ended(id);
  });
});

describe("what belongs to no run", () => {
  const gone = "0199aaaa-0000-7000-8000-00000000beef";

  it("is named with its key, and removed: entries, deliveries, timers, keys, lists", async () => {
    const { redis } = engine;
    const queue = keys.queue("fn:nobody", "normal");
    const place = { runId: gone, epoch: 1, node: 0, scope: "", attempt: 1, irHash: "h" };
    const entry = packEntry({ ...place, kind: "run", arrivals: "", payload: "" });
    await redis.xgroup("CREATE", queue, GROUP, "0", "MKSTREAM");
    const lost = (await redis.xadd(queue, "*", "t", entry)) as string;
    const torn = (await redis.xadd(queue, "*", "t", entry)) as string;
    await redis.xreadgroup("GROUP", GROUP, "x", "COUNT", 2, "STREAMS", queue, ">");
    await redis.xack(queue, GROUP, lost);
    await redis.xdel(queue, torn);
    const queued = (await redis.xadd(queue, "*", "t", entry)) as string;
    const timer = `emit|${gone}|1|0||2|${queue}`;
    await redis.zadd(keys.timers, Date.now() + 3_600_000, timer);
    await redis.rpush(keys.held(gone), "x");
    await redis.hset(keys.signals(gone), "n", 1);
    await redis.hset(keys.blobs(gone), "x", "y");
    await redis.hset(keys.run(`${gone}!0`), "by", "x");
    await redis.sadd(keys.maps(gone), `${gone}!0`);
    await redis.zadd(keys.paused, 1, gone);
    const found = (await orphans()).filter(({ key, runId }) => runId === gone || key === queue);
    const told = found.map(({ kind, key, member, harmless }) => {
      return [kind, member ?? key, harmless ?? false].join(" ");
    });
    expect(told.sort()).toEqual(
      [
        `orphan_entry ${lost} false`,
        `orphan_entry ${queued} true`,
        `orphan_pending ${torn} false`,
        `orphan_timer ${timer} false`,
        `orphan_listed ${gone} false`,
        ...[keys.held(gone), keys.signals(gone), keys.blobs(gone), keys.maps(gone)].map(
          (key) => `orphan_key ${key} false`,
        ),
        `orphan_key ${keys.run(`${gone}!0`)} false`,
      ].sort(),
    );
    const report = await repairDrifts(audit, scripts, found);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 10 });
    const left = (await orphans()).filter(({ key, runId }) => runId === gone || key === queue);
    expect(left).toEqual([]);
    await redis.del(queue);
  });

  it("orphan_listed: a name on the list of what is to be released, without its run", async () => {
    const { redis } = engine;
    // Whoever releases leaves it: it is on the list until a run of this name has a row that has ended.
    await redis.zadd(keys.release, 1, gone);
    const listed = async (): Promise<Drift[]> =>
      (await orphans()).filter(({ runId }) => runId === gone);
    const found = await listed();
    const about = { kind: "orphan_listed", runId: gone, key: keys.release, member: gone };
    const drift = { ...about, is: "a run that is not there", expected: "none", remedy: "remove" };
    expect(found).toEqual([drift]);
    const report = await repairDrifts(audit, scripts, found);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 1 });
    expect(await listed()).toEqual([]);
    expect(await redis.zscore(keys.release, gone)).toBeNull();
  });

  it("is not what runs under way need", async () => {
    shut();
    const busy = line("chain", [fn("a"), fn("b")]);
    const ids = await Promise.all(Array.from({ length: 5 }, () => standing(busy, "a", "ready")));
    expect(await orphans()).toEqual([]);
    open();
    await Promise.all(ids.map((id) => engine.ended(id)));
    const parked = await standing(waits, "w", "waiting");
    expect(await orphans()).toEqual([]);
    await client.cancel(parked, "enough");
  });
});

/** Stream and id of the only entry of a run; undefined while it has none. */
async function entryOf(runId: string): Promise<[string, string] | undefined> {
  for (const key of [keys.queue("fn:step", "normal"), keys.entryQueue("fn:step", "normal")]) {
    const entries = await engine.redis.xrange(key, "-", "+");
    const own = entries.find(([, fields]) => fields[1]?.startsWith(runId));
    if (own !== undefined) {
      return [key, own[0]];
    }
  }
  return undefined;
}
