/**
 * The audit against deliberate damage: every kind of drift is made by hand, is seen and named, and
 * is put right; the run then comes to its end. And what is not damaged is never blamed.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { pino } from "pino";
import { compile, type Ir } from "../../compiler/index.ts";
import type { Client } from "../../sdk/client.ts";
import {
  GROUP,
  connectionAt,
  heldItem,
  partitionKeys,
  systemClock,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import { listRuns } from "../../sdk/postgres/index.ts";
import { isTerminal } from "../../sdk/status.ts";
import { findDrifts, repairDrifts, type AuditContext } from "../../supervisor/index.ts";
import { AuditSampler, type KeptFinding } from "../../supervisor/audit/sampler.ts";
import { work, type Stack } from "../../supervisor/stack.fixture.ts";
import type { Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { allKeys, waitFor } from "../support/index.ts";
import { Audited, fn, line, wait, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
const YEAR_MS = 365 * 86_400_000;
/** Stands still before its wait for a signal. */
const later = line("delays", [
  { id: "d", type: "delay", config: { delay_ms: 3_600_000 } },
  wait("w"),
]);
const retried = line("retries", [
  fn("r", "fails", { retry: { max_attempts: 3, backoff_ms: 3_600_000 } }),
]);
let on: Audited;
let engine: Engine;
let client: Client;
let audit: AuditContext;
let scripts: ScriptRunner;

beforeAll(async () => {
  on = await Audited.start();
  ({ engine, client, audit, scripts } = on);
});
afterAll(() => on.stop());
beforeEach(() => on.open());

describe("a run that is damaged", () => {
  it("counter: is not the tokens in flight", async () => {
    const id = await on.standing(waits, "w", "waiting");
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.hincrby(keys.run(id), "c", 1);
    const drifts = await on.seenAndRepaired(id, ["counter", "field"]);
    expect(drifts[0]).toMatchObject({ is: "counter 2", expected: "1, the tokens in flight" });
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("field: a result, a join's arrivals, an epoch are not those of the journal", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "n0", 'c1||{"at":"z"}');
    const [drift] = await on.seenAndRepaired(id, ["field"]);
    expect(drift).toMatchObject({ node: "a", member: "field n0" });
    await engine.redis.hset(keys.run(id), { in: '{"other":1}', dep: "3" });
    const given = await on.seenAndRepaired(id, ["field"]);
    expect(given.map(({ member }) => member)).toEqual(["field in", "field dep"]);
    await engine.redis.hset(keys.run(id), "e", "77");
    await on.seenAndRepaired(id, ["epoch"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("status: Redis says that it has ended, the journal does not", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "s", "completed");
    expect(await on.kindsOf(id)).toEqual(["status"]);
    await on.seenAndRepaired(id, ["status"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_missing: an active token has no entry", async () => {
    on.shut();
    const id = await on.standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    await connectionAt(engine.redis, key).multi().xack(key, GROUP, entry).xdel(key, entry).exec();
    const [drift] = await on.seenAndRepaired(id, ["entry_missing"]);
    expect(drift).toMatchObject({ node: "a", remedy: "rebuild" });
    on.open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_lost: an entry was delivered and is in nobody's hands", async () => {
    on.shut();
    const id = await on.standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    await waitFor(
      async () => (await engine.redis.xpending(key, GROUP, entry, entry, 1)).length > 0,
    );
    await engine.redis.xack(key, GROUP, entry);
    const [drift] = await on.seenAndRepaired(id, ["entry_lost"]);
    expect(drift).toMatchObject({ node: "a", key, member: entry });
    on.open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
    await engine.redis.xdel(key, entry);
  });

  it("timer_missing: nothing will end a delay, a retry, a wait with a time limit", async () => {
    for (const [workflow, node, status] of [
      [later, "d", "waiting"],
      [retried, "r", "retrying"],
      [waits, "w", "waiting"],
    ] as const) {
      const id = await on.standing(workflow, node, status);
      expect(await on.kindsOf(id)).toEqual([]);
      const fields = await engine.redis.hgetall(keys.run(id));
      const [, member = ""] = Object.entries(fields).find(([name]) => /^d\d+$/.test(name)) ?? [];
      expect(await engine.redis.zrem(keys.timers, member)).toBe(1);
      await on.seenAndRepaired(id, ["timer_missing"]);
      await client.cancel(id, "enough");
      await engine.ended(id);
    }
  });

  it("wait_missing: a signal would not find the token that waits for it", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await engine.redis.hdel(keys.signals(id), "w:go");
    await on.seenAndRepaired(id, ["wait_missing", "waiter_place"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("waiter_place: the one who came first would be served last", async () => {
    const config = { items: "[1, 2]", do: wait("w") };
    const workflow = { name: "in-line", nodes: [{ id: "m", type: "map", config }], edges: [] };
    const id = await client.submit({ workflow: workflow as never, input: {} });
    const signals = keys.signals(id);
    await waitFor(async () => (await engine.redis.hget(signals, "w:go")) === "0|2|2");
    expect(await on.kindsOf(id)).toEqual([]);
    const [first = "", second = ""] = await engine.redis.hmget(signals, "v0:go", "v1:go");
    const swapped = { "v0:go": second ?? "", "v1:go": first ?? "" };
    const places = { "u0|0#0": "1:go", "u0|0#1": "0:go" };
    await engine.redis.hset(signals, { ...swapped, ...places });
    const [drift] = await on.seenAndRepaired(id, ["waiter_place"]);
    expect(drift).toMatchObject({ member: "signals, line of go" });
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("waiter_orphan: a token is registered for a signal and does not wait", async () => {
    const id = await on.standing(waits, "w", "waiting");
    const waiter = (await engine.redis.hget(keys.signals(id), "v0:go")) as string;
    const orphan = { "w:go": "0|2|2", "v1:go": waiter.replace("|1|", "|2|") };
    await engine.redis.hset(keys.signals(id), orphan);
    await on.seenAndRepaired(id, ["waiter_orphan", "waiter_place"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("signal_kept, signal_id: a signal that came early is lost, or would count twice", async () => {
    const id = await on.standing(later, "d", "waiting");
    await client.signal(id, "go", { paid: 1 }, { id: "s1" });
    await client.signal(id, "go", { paid: 2 }, { id: "s2" });
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.hdel(keys.signals(id), "q:go", "p1", "p2");
    const [kept] = await on.seenAndRepaired(id, ["signal_kept"]);
    expect(kept).toMatchObject({ member: "signals, field p1", expected: /paid/ });
    expect(kept?.is).toBe("absent, and 2 more of its fields are others");
    await engine.redis.hdel(keys.signals(id), "i:s2");
    const [forgotten] = await on.seenAndRepaired(id, ["signal_id"]);
    expect(forgotten).toMatchObject({ member: "signals, field i:s2", is: "absent" });
    expect(await client.signal(id, "go", { paid: 2 }, { id: "s2" })).toMatchObject({
      outcome: "repeated",
    });
    await engine.redis.del(keys.signals(id));
    await on.seenAndRepaired(id, ["signal_id", "signal_kept"]);
    await client.operations.intervene(id, "d", { action: "complete", by: "ann" });
    const row = await engine.ended(id);
    expect(JSON.parse(row.output ?? "null")).toEqual({ paid: 1 });
  });

  it("blob_missing: a large output is not there", async () => {
    const large = line("large", [
      fn("big", "large"),
      { id: "w", type: "wait", config: { signal: "go" } },
    ]);
    const id = await on.standing(large, "w", "waiting");
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.del(keys.blobs(id));
    await on.seenAndRepaired(id, ["blob_missing"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("run_missing: the whole run is gone", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await engine.redis.del(keys.run(id), keys.signals(id));
    await on.seenAndRepaired(id, ["run_missing"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("pause_unlisted, held_left: what is held would be forgotten", async () => {
    on.shut();
    const id = await on.standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    await client.operations.pause(id);
    on.open();
    await waitFor(async () => (await engine.redis.llen(keys.held(id))) === 1);
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.zrem(keys.paused, id);
    await on.seenAndRepaired(id, ["pause_unlisted"]);
    await engine.redis.del(keys.held(id));
    await on.seenAndRepaired(id, ["entry_missing"]);
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
      return (await engine.redis.hget(keys.signals(id), "w:go")) === "0|2|2";
    };
    await waitFor(waiting, { describe: "the elements do not wait" });
    expect(await on.kindsOf(id)).toEqual([]);
    const map = `${id}!0`;
    await engine.redis.del(keys.run(`${map}#1`));
    await on.seenAndRepaired(id, ["element_missing"]);
    await engine.redis.hset(keys.run(map), "done", 1);
    expect(await on.kindsOf(id)).toContain("map_counts");
    await on.seenAndRepaired(id, ["field", "map_counts"]);
    await engine.redis.srem(keys.maps(id), map);
    expect(await on.kindsOf(id)).toContain("map_missing");
    await repairDrifts(audit, scripts, await findDrifts(audit, 0, id));
    await engine.redis.del(keys.run(map));
    expect(await on.kindsOf(id)).toContain("map_missing");
    await repairDrifts(audit, scripts, await findDrifts(audit, 0, id));
    expect(await on.kindsOf(id)).toEqual([]);
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("child_missing: a node waits for a child that is not there", async () => {
    await publish(engine.db, { ...waits, name: "child" });
    const parent = line("parent", [
      { id: "s", type: "subworkflow", config: { workflow: "child" } },
    ]);
    const id = await on.standing(parent, "s", "waiting");
    const child = await waitFor(async () => {
      const [row] = await listRuns(engine.db, { parent: id, limit: 1 });
      const view = row === undefined ? null : await client.status(row.id);
      return view?.nodes["w"]?.status === "waiting" ? row?.id : undefined;
    });
    expect(await on.kindsOf(id)).toEqual([]);
    expect(await on.kindsOf(child)).toEqual([]);
    await engine.redis.del(keys.run(child));
    const [drift] = await on.seenAndRepaired(id, ["child_missing"]);
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
    const drifts = (await on.drifts()).filter(({ runId }) => runId === id);
    expect(drifts).toMatchObject([{ kind: "ended_unknown", remedy: "remove" }]);
    const report = await repairDrifts(audit, scripts, drifts);
    expect(report).toMatchObject({ repaired: [], failed: [], removed: 1 });
    expect(await allKeys(redis, `*${id}*`)).toEqual([]);
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
    const id = await on.standing(waits, "w", "waiting");
    await engine.redis.hset(keys.run(id), "s", "suspect");
    await on.seenAndRepaired(id, ["suspect"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("entry_double is told, and does no harm", async () => {
    on.shut();
    const id = await on.standing(line("chain", [fn("a"), fn("b")]), "a", "ready");
    const [key, entry] = await waitFor(() => entryOf(id));
    const [[, fields] = ["", []]] = await engine.redis.xrange(key, entry, entry);
    await engine.redis.xadd(key, "*", ...fields);
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts).toMatchObject([{ kind: "entry_double", harmless: true }]);
    on.open();
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("held_left: an entry is put aside of a run that is not paused", async () => {
    const id = await on.standing(line("held", [fn("a", "late"), fn("b")]), "a", "ready");
    const queue = keys.entryQueue("fn:late", "normal");
    const [[entry, fields] = ["", []]] = await engine.redis.xrange(queue, "-", "+");
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.xdel(queue, entry);
    await engine.redis.rpush(keys.held(id), heldItem(queue, fields[1] as string));
    await on.seenAndRepaired(id, ["held_left"]);
    expect((await on.endedWith(id, "late")).status).toBe("COMPLETED");
  });

  it("element_unknown: an element is in flight that the journal does not know", async () => {
    const config = { items: "[1, 2]", max_concurrency: 1, do: wait("w") };
    const workflow = { name: "one-by-one", nodes: [{ id: "m", type: "map", config }], edges: [] };
    const id = await client.submit({ workflow: workflow as never, input: {} });
    const first = keys.run(`${id}!0#0`);
    await waitFor(async () => (await engine.redis.hget(keys.signals(id), "w:go")) !== null);
    expect(await on.kindsOf(id)).toEqual([]);
    const fields = await engine.redis.hgetall(first);
    await engine.redis.hset(keys.run(`${id}!0#1`), { ...fields, it: "2" });
    await engine.redis.hset(keys.run(`${id}!0`), "next", 2);
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts.map(({ kind }) => kind)).toContain("element_unknown");
    expect((await repairDrifts(audit, scripts, drifts)).failed).toEqual([]);
    expect(await on.kindsOf(id)).toEqual([]);
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("field: the first of two approvals is lost, so that it would take a third", async () => {
    const config = { title: "Pay?", required: 2 };
    const asks = line("asks", [{ id: "ask", type: "approval", config }]);
    const id = await on.standing(asks, "ask", "waiting");
    const [approval] = await client.approvals({ runId: id });
    await client.decide(approval?.id ?? "", { actor: "ann", approved: true, data: { limit: 5 } });
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.hdel(keys.run(id), "a0");
    const [drift] = await on.seenAndRepaired(id, ["field"]);
    expect(drift).toMatchObject({ node: "ask", member: "field a0", is: "absent" });
    await client.decide(approval?.id ?? "", { actor: "bob", approved: true });
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("field: arrivals at a join are lost, so that it would never fire", async () => {
    const workflow = {
      name: "joining",
      nodes: [fn("a"), wait("w"), fn("j")],
      edges: [
        { from: "a", to: "j" },
        { from: "w", to: "j" },
      ],
    };
    const id = await on.standing(workflow, "w", "waiting");
    await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "completed");
    const fields = Object.keys(await engine.redis.hgetall(keys.run(id)));
    const arrivals = fields.find((field) => /^j\d+$/.test(field)) ?? "";
    expect(await on.kindsOf(id)).toEqual([]);
    await engine.redis.hdel(keys.run(id), arrivals);
    await on.seenAndRepaired(id, ["counter", "field"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("timer_due: what ends a delay, a retry, a wait, a run stands at another time", async () => {
    const settings = { timeout_ms: 7_200_000 };
    for (const [workflow, node, status, kind] of [
      [later, "d", "waiting", "resume"],
      [retried, "r", "retrying", "emit"],
      [waits, "w", "waiting", "expire"],
      [{ ...waits, settings }, "w", "waiting", "run"],
    ] as const) {
      const id = await on.standing(workflow, node, status);
      expect(await on.kindsOf(id)).toEqual([]);
      const timers = await engine.redis.zrange(keys.timers, 0, -1);
      const [own = ""] = timers.filter((member) => member.startsWith(`${kind}|${id}|`));
      const due = Number(await engine.redis.zscore(keys.timers, own));
      await engine.redis.zadd(keys.timers, due + 10 * YEAR_MS, own);
      const [drift] = await on.seenAndRepaired(id, ["timer_due"]);
      expect(drift?.expected).toBe(`due at ${new Date(due).toISOString()}`);
      await client.cancel(id, "enough");
      await engine.ended(id);
    }
  });

  it("timer_missing: nothing will end a run whose time is over", async () => {
    const settings = { timeout_ms: 3_600_000 };
    const workflow = { name: "limited", settings, nodes: [wait("w")], edges: [] };
    const id = await on.standing(workflow, "w", "waiting");
    await disarm("run", id);
    await on.seenAndRepaired(id, ["timer_missing"]);
    await client.cancel(id, "enough");
    expect((await engine.ended(id)).status).toBe("CANCELLED");
  });

  it("timer_missing: nobody will evaluate the output of a run that has come to its end", async () => {
    const document = {
      name: "finishing",
      nodes: [fn("only", "nobody")],
      edges: [],
      output: "${1 + 1}",
    };
    const { ir, hash } = compile({ document: document as never });
    const id = await on.standing(document, "only", "ready");
    await work(engine as never as Stack, ir as Ir, hash as string);
    await waitFor(async () => (await client.status(id)).status === "FINISHING");
    await disarm("finish", id);
    await on.seenAndRepaired(id, ["timer_missing"]);
    const row = await on.endedWith(id, "nobody");
    expect(row).toMatchObject({ status: "COMPLETED", output: "2" });
  });
});

describe("the audit that never stops", () => {
  it("comes by every unfinished run, and keeps what it finds until that is right again", async () => {
    const id = await on.standing(waits, "w", "waiting");
    const logger = pino({ level: "silent" });
    const context = { ...audit, logger, clock: systemClock, deployment: { partitions: 1 } };
    const sampler = new AuditSampler(context as never, 60);
    const round = async (): Promise<void> => {
      const runs = await listRuns(engine.db, { limit: 1000 });
      const unfinished = runs.filter(({ status }) => !isTerminal(status));
      expect(unfinished.map((run) => run.id)).toContain(id);
      for (let i = 0; i < unfinished.length; i++) {
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

/** No timer of this kind is armed for the run any more; before that nothing is to be blamed. */
async function disarm(kind: "run" | "finish", id: string): Promise<void> {
  expect(await on.kindsOf(id)).toEqual([]);
  const timers = await engine.redis.zrange(keys.timers, 0, -1);
  const own = timers.filter((member) => member.startsWith(`${kind}|${id}|`));
  expect(await engine.redis.zrem(keys.timers, ...own)).toBe(1);
}
