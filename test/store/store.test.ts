/**
 * What the durable store is after a load of everything (mixed.ts), under the rights that `gavotte
 * migrate --grant` gives: nothing left in Redis, a journal without gaps, and everything else a copy
 * of it. GAVOTTE_STORE_RUNS says how many runs it takes.
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client, type Json, type RunReport } from "../../sdk/index.ts";
import { foldRun } from "../../sdk/client-report.ts";
import type { Ir } from "../../compiler/index.ts";
import { connectionAt, HotState, partitionKeys, partitionOf } from "../../sdk/internal.ts";
import {
  definitionsByHash,
  grantTo,
  readJournal,
  readRun,
  type Database,
} from "../../sdk/postgres/index.ts";
import { prunePage } from "../../supervisor/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { allKeys, emptyRedis, testDatabase, waitFor } from "../support/index.ts";
import { mixedFunctions, runMixed } from "./mixed.ts";
import { recordsOf, replay } from "./replay.ts";

const RUNS = Number(process.env["GAVOTTE_STORE_RUNS"] ?? 192);
const PARTITIONS = 2;
const SLOW = 180_000 + RUNS * 100;
/** Late starts of a run are feared for so long after its release. */
const TOMBS_MS = 120_000;
/** Reports that are compared. */
const REPORTS = 64;
const ROLE = `gv_store_${process.pid}`;

/** What stays however many runs there have been (docs/redis-keys.md). */
const STANDING = [
  /^gv:(deployment|submissions|ir|paused)$/,
  /^gv:submissions:replies(:[^:]+)?$/,
  /^gv:ir:[0-9a-f]{64}(:[^:]+)?$/,
  /^gv:\{\d+\}:(meta|ev|tombs|halted)$/,
];

const server = await testDatabase();
const owner = server.connect();
let db: Database;
let engine: Engine;
let client: Client;
let ids: string[];
let serial = 0;

async function sql<T = { [column: string]: unknown }>(text: string, on = db): Promise<T[]> {
  return (await on.query({ name: `store_test_${serial++}`, text })) as T[];
}

/** On PGlite everybody is the owner. */
async function asRole(): Promise<Database> {
  if (server.singleSession) {
    return owner;
  }
  await sql(`CREATE ROLE ${ROLE}`, owner);
  await grantTo(owner, ROLE);
  return server.connect({ config: { options: `-c role=${ROLE}` } });
}

beforeAll(async () => {
  db = await asRole();
  engine = await startEngine({ database: db, partitions: PARTITIONS, hibernateAfterMs: 300 });
  for (const id of ["store-1", "store-2"]) {
    await engine.worker({ registry: mixedFunctions(), id });
  }
  client = await createClient({ redisUrl: engine.redisUrl, database: db });
  ids = await runMixed({ engine, runs: RUNS, seed: 9 });
}, SLOW);

afterAll(async () => {
  await client.close();
  await engine.stop();
  if (!server.singleSession) {
    await sql(`DROP OWNED BY ${ROLE}`, owner);
  }
  await server.close();
}, SLOW);

/** Keys that nothing will remove and that are not among those that stay. */
async function leaked(): Promise<string[]> {
  const { redis } = engine;
  const keys = await allKeys(redis, "*");
  const others = keys.filter((key) => !STANDING.some((pattern) => pattern.test(key)));
  const kept = others.map(async (key) => {
    const isQueue = /^gv:\{\d+\}:q:/.test(key);
    const isGone = isQueue ? (await redis.xlen(key)) === 0 : (await redis.pttl(key)) !== -1;
    return isGone ? [] : [key];
  });
  return (await Promise.all(kept)).flat();
}

describe("after runs of all kinds", () => {
  it("the load was what it is said to be", async () => {
    const kinds = await sql<{ kind: string; count: number }>(`SELECT CASE
        WHEN compensates IS NOT NULL THEN 'compensation' WHEN strpos(id, '~') > 0 THEN 'child'
        ELSE status END AS kind, count(*)::int AS count FROM runs GROUP BY 1 ORDER BY 1`);
    const names = kinds.map(({ kind }) => kind).sort();
    expect(names).toEqual(["CANCELLED", "COMPLETED", "FAILED", "child", "compensation"]);
    for (const table of ["dead_letters", "run_attempts", "approval_decisions", "audit", "blobs"]) {
      expect([table, (await sql(`SELECT 1 FROM ${table} LIMIT 1`)).length]).toEqual([table, 1]);
    }
    const asleep = await sql(`SELECT 1 FROM runs r WHERE workflow = 'mixed-asleep' AND NOT EXISTS
      (SELECT 1 FROM event_log WHERE run_id = r.id AND event = 'run.hibernated')`);
    expect(asleep).toEqual([]);
  });

  it("F09: no key is left in Redis of any run, child or compensation", async () => {
    await waitFor(async () => (await leaked()).length === 0, { timeoutMs: 20_000 }).catch(
      () => undefined,
    );
    expect(await leaked()).toEqual([]);
    for (let p = 0; p < PARTITIONS; p++) {
      const { tombs } = partitionKeys(p);
      const server = connectionAt(engine.redis, tombs);
      const now = Number((await server.time())[0]) * 1000;
      expect(await server.zcount(tombs, now + TOMBS_MS + 1000, "+inf")).toBe(0);
    }
  });

  it("F03: the journal of a partition has every place once, from the first record on", async () => {
    for (let p = 0; p < PARTITIONS; p++) {
      const records = await recordsOf(db, p);
      expect(records.map(({ seq }) => seq)).toEqual(records.map((_, i) => i + 1));
      const places = records.map(({ members }) => members.map(({ index }) => index));
      expect(places).toEqual(places.map((list) => list.map((_, i) => i)));
      const [cursor] = await sql<{ seq: number }>(`SELECT seq FROM cursors WHERE partition = ${p}`);
      expect(cursor?.seq).toBe(records.length);
    }
  });

  it("F04: what the transitions of a run do to its counter comes to zero when it completes", async () => {
    for (const runId of ids.slice(0, REPORTS)) {
      const row = await readRun(db, runId);
      const [definition] = await definitionsByHash(db, [row?.irHash ?? ""]);
      const hot = new HotState(JSON.parse(definition?.ir ?? "") as Ir);
      const begun: number[] = [];
      for (const { transition, t } of await readJournal(db, runId)) {
        hot.apply(transition, t);
        begun.push(hot.counter);
      }
      expect(begun[0]).toBeGreaterThan(0);
      expect(Math.min(...begun)).toBeGreaterThanOrEqual(0);
      expect(hot.status.toUpperCase()).toBe(row?.status);
      expect(row?.status === "COMPLETED" ? hot.counter : 0).toBe(0);
    }
  });

  it("X23: each attempt of a node has a row of its own", async () => {
    const rows = await sql<{ run: string; list: string[] }>(`SELECT run_id AS run,
        array_agg(node || attempt || ' ' || status ORDER BY seq, index_in_record) AS list
      FROM node_executions WHERE workflow = 'mixed-broken' GROUP BY run_id`);
    const first = ["a1 retrying", "a2 completed", "b1 retrying", "b2 retrying", "b3 failed"];
    const again = ["b1 retrying", "b2 retrying", "b3 failed"];
    expect(rows.length).toBeGreaterThan(5);
    for (const { list } of rows) {
      expect(list).toEqual(list.length > first.length ? [...first, ...again] : first);
    }
    expect(rows.some(({ list }) => list.length > first.length)).toBe(true);
  });

  it("X35: progress never goes back while an attempt lasts, and ends at 100 whatever was skipped", async () => {
    let skipped = 0;
    for (const runId of ids.slice(0, REPORTS)) {
      const row = await readRun(db, runId);
      const [definition] = await definitionsByHash(db, [row?.irHash ?? ""]);
      const ir = JSON.parse(definition?.ir ?? "") as Ir;
      const journal = await readJournal(db, runId);
      let before = 0;
      for (const [i, { transition }] of journal.entries()) {
        // As somebody sees it who begins to watch just then.
        const { progress } = await foldRun(ir, [journal.slice(0, i + 1)]);
        before = transition.e === "run.redriven" ? 0 : before;
        expect([runId, i, progress]).toEqual([runId, i, Math.max(progress, before)]);
        before = progress;
      }
      expect(before).toBe(100);
      const nodes = Object.values((await foldRun(ir, [journal])).nodes);
      skipped += nodes.some(({ status }) => status === "skipped") ? 1 : 0;
    }
    expect(skipped).toBeGreaterThan(0);
  });

  it("X10: the path of a run is the way that its tokens took", async () => {
    const text = readFileSync(
      new URL("../../test_data/nested_loops.json", import.meta.url),
      "utf8",
    );
    const workflow = JSON.parse(text) as { [key: string]: Json };
    const runId = await client.submit({ workflow, input: { rows: 2, columns: 1 } });
    await engine.ended(runId);
    const row = ["row → cell", "cell → product", "cell → carry"];
    const joined = ["product → next_column", "carry → next_column", "next_column → next_row"];
    const hops = (await client.path(runId)).map(({ from, to }) => `${from ?? ""} → ${to}`);
    const round = [...row, ...joined].sort();
    expect(hops.slice(0, 2)).toEqual([" → begin", "begin → row"]);
    expect(hops.slice(2, 8).sort()).toEqual(round);
    expect(hops[8]).toBe("next_row → row");
    expect(hops.slice(9, 15).sort()).toEqual(round);
    expect(hops.slice(15)).toEqual(["next_row → total"]);
  });

  it("X10: no node of any run is executed to which no hop led", async () => {
    let nodes = 0;
    for (const runId of ids.slice(0, REPORTS)) {
      const path = await client.path(runId);
      const reached = new Set(path.map(({ to, element }) => `${element} ${to}`));
      const executed = await sql<{ node: string; home: string }>(`SELECT DISTINCT node, home
        FROM node_executions WHERE run_id = '${runId}' AND status IN ('completed', 'failed')`);
      nodes += executed.length;
      // An element of a map begins with its map.
      const lost = executed.filter(({ node, home }) => home === "" && !reached.has(` ${node}`));
      expect([runId, lost]).toEqual([runId, []]);
    }
    expect(nodes).toBeGreaterThan(REPORTS);
  });

  it(
    "F06: everything else in the store made anew from the journal is what is there",
    async () => {
      const made = await replay(db, PARTITIONS);
      try {
        for (const [name, text] of Object.entries(DERIVED)) {
          const live = await sql(text, db);
          expect([name, live.length > 0]).toEqual([name, true]);
          expect([name, await sql(text, made.context.db)]).toEqual([name, live]);
        }
      } finally {
        await made.close();
      }
    },
    SLOW,
  ); // it is archived once more, all of it

  it("F01: status, history and output are answered when Redis has nothing", async () => {
    const asked = ids.slice(0, REPORTS);
    const all = (): Promise<RunReport[]> => Promise.all(asked.map((id) => client.status(id)));
    const before = await all();
    await engine.supervisor.stop(5000);
    await emptyRedis(engine.redis);
    expect(await allKeys(engine.redis, "gv:*:run:*")).toEqual([]);
    expect(await all()).toEqual(before);
    expect(before.map(({ status }) => status)).not.toContain("RUNNING");
    expect(before.some(({ output }) => output !== undefined && output !== null)).toBe(true);
    expect(before.every(({ nodes }) => Object.keys(nodes).length > 0)).toBe(true);
  });

  it("F09: old enough, all that is kept of them goes, and the audit stays", async () => {
    const { redis } = engine;
    const context = { redis, db, partitions: PARTITIONS };
    const rule = { endedBeforeMs: Date.now() + 3_600_000, lettersBeforeMs: 0 };
    const [one = ""] = ids;
    await redis.hset(partitionKeys(partitionOf(one, PARTITIONS)).run(one), "s", "completed");
    const pruned = async (of: typeof rule, dryRun = false) => {
      const total = { trees: 0, runs: 0, kept: 0 };
      for (let next: Awaited<ReturnType<typeof prunePage>>["next"] | undefined; next !== null;) {
        const page = await prunePage(context, of, next, dryRun);
        next = page.next;
        total.trees += page.trees;
        total.runs += page.runs;
        total.kept += page.kept;
      }
      return total;
    };
    const [{ letters = 0 } = {}] = await sql<{ letters: number }>(
      "SELECT count(DISTINCT run_id)::int AS letters FROM dead_letters WHERE state = 'open'",
    );
    expect(letters).toBeGreaterThan(0);
    const told = await pruned(rule, true);
    // And the one whose path was asked for.
    expect(told.trees + told.kept).toBe(RUNS + 1);
    // What has an open letter, and the one that Redis still has.
    expect(told.kept).toBe(letters + 1);
    expect(await pruned(rule)).toEqual(told);
    expect(await sql("SELECT 1 FROM runs WHERE strpos(id, '~') = 0")).toHaveLength(told.kept);
    await emptyRedis(redis);
    expect(await pruned({ ...rule, lettersBeforeMs: rule.endedBeforeMs })).toMatchObject({
      kept: 0,
    });
    for (const table of ["runs", "journal", "dead_letters", "run_attempts", "approvals"]) {
      expect([table, await sql(`SELECT 1 FROM ${table} LIMIT 1`)]).toEqual([table, []]);
    }
    expect(await sql("SELECT 1 FROM audit LIMIT 1")).toHaveLength(1);
    await expect(client.status(one)).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
  });
});

/** What the archiver makes of the journal, without what names a process or its clock. */
const DERIVED: { readonly [name: string]: string } = {
  runs: `SELECT id, tenant, workflow, version, ir_hash, partition, namespace, priority, status,
      input::jsonb, gv_json(output) AS output, gv_json(error) AS error, attempt, started_at_ms,
      ended_at_ms, bindings::jsonb, depth, parent_run_id, parent_node, parent, compensates
    FROM runs ORDER BY id`,
  letters: `SELECT id, kind, run_id, node, scope, attempts, gv_json(error) AS error, state,
      created_at_ms, outcome, settled_at_ms FROM dead_letters ORDER BY id`,
  approvals: "SELECT * FROM approvals ORDER BY id",
  decisions: "SELECT * FROM approval_decisions ORDER BY approval_id, actor",
  audit: "SELECT * FROM audit ORDER BY id",
  attempts: "SELECT * FROM run_attempts ORDER BY run_id, attempt",
  blobs: "SELECT * FROM run_blobs ORDER BY run_id, sha256",
  executions: `SELECT run_id, workflow, home, node, scope, attempt, status, duration_ms, worker,
      output, error FROM node_executions ORDER BY run_id, seq, index_in_record`,
  statistics: `SELECT run_id, workflow, status, duration_ms, nodes_completed, nodes_failed, retries,
      busy_ms FROM run_statistics ORDER BY run_id`,
};
