/**
 * Deliberate damage that needs runs of a special shape, and the repair through the command line.
 * See damage.test.ts.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli, type CliResult } from "../../cmd/cli.fixture.ts";
import { compile, type Ir } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/client.ts";
import { globalKeys, heldItem, partitionKeys, ScriptRunner } from "../../sdk/internal.ts";
import {
  auditContext,
  findDrifts,
  repairDrifts,
  type AuditContext,
} from "../../supervisor/index.ts";
import { work, type Stack } from "../../supervisor/stack.fixture.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";

const keys = partitionKeys(0);
let engine: Engine;
let client: Client;
let audit: AuditContext;
let scripts: ScriptRunner;
let cwd: string;

const fn = (id: string, name = "builtin.echo"): object => ({
  ...{ id, type: "function", config: { function_name: name } },
});
const wait = (id: string): object => ({ id, type: "wait", config: { signal: "go" } });

beforeAll(async () => {
  cwd = mkdtempSync(join(tmpdir(), "gv-audit-"));
  engine = await startEngine();
  await engine.worker({ leaseMs: 60_000 });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
  audit = auditContext({ redis: engine.redis, db: engine.db });
  const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
  scripts = new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
  rmSync(cwd, { recursive: true, force: true });
});

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

/** Nothing is blamed before the damage; it is seen as these kinds, repaired, and seen no more. */
async function damaged(
  runId: string,
  damage: () => Promise<unknown>,
  kinds: readonly string[],
): Promise<void> {
  expect(await kindsOf(runId)).toEqual([]);
  await damage();
  const drifts = await findDrifts(audit, 0, runId);
  expect([...new Set(drifts.map(({ kind }) => kind))].sort()).toEqual([...kinds].sort());
  const report = await repairDrifts(audit, scripts, drifts);
  expect(report.failed).toEqual([]);
  expect(await kindsOf(runId)).toEqual([]);
}

describe("a run that is damaged", () => {
  it("held_left: an entry is put aside of a run that is not paused", async () => {
    const workflow = {
      name: "held",
      nodes: [fn("a", "late"), fn("b")],
      edges: [{ from: "a", to: "b" }],
    };
    const id = await standing(workflow, "a", "ready");
    const queue = keys.entryQueue("fn:late", "normal");
    const [[entry, fields] = ["", []]] = await engine.redis.xrange(queue, "-", "+");
    const aside = async (): Promise<void> => {
      await engine.redis.xdel(queue, entry);
      await engine.redis.rpush(keys.held(id), heldItem(queue, fields[1] as string));
    };
    await damaged(id, aside, ["held_left"]);
    const registry = new FunctionRegistry();
    registry.register("late", () => Promise.resolve(1));
    const worker = await engine.worker({ registry, id: "late" });
    expect((await engine.ended(id)).status).toBe("COMPLETED");
    await worker.stop(1000);
  });

  it("element_unknown: an element is in flight that the journal does not know", async () => {
    const config = { items: "[1, 2]", max_concurrency: 1, do: wait("w") };
    const workflow = { name: "one-by-one", nodes: [{ id: "m", type: "map", config }], edges: [] };
    const id = await client.submit({ workflow: workflow as never, input: {} });
    const first = keys.run(`${id}!0#0`);
    await waitFor(async () => (await engine.redis.hget(keys.signals(id), "w:go")) !== null);
    const invent = async (): Promise<void> => {
      const fields = await engine.redis.hgetall(first);
      await engine.redis.hset(keys.run(`${id}!0#1`), { ...fields, it: "2" });
      await engine.redis.hset(keys.run(`${id}!0`), "next", 2);
    };
    expect(await kindsOf(id)).toEqual([]);
    await invent();
    const drifts = await findDrifts(audit, 0, id);
    expect(drifts.map(({ kind }) => kind)).toContain("element_unknown");
    expect((await repairDrifts(audit, scripts, drifts)).failed).toEqual([]);
    expect(await kindsOf(id)).toEqual([]);
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
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
    const id = await standing(workflow, "w", "waiting");
    await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "completed");
    const fields = Object.keys(await engine.redis.hgetall(keys.run(id)));
    const arrivals = fields.find((field) => /^j\d+$/.test(field)) ?? "";
    await damaged(id, () => engine.redis.hdel(keys.run(id), arrivals), ["counter", "field"]);
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });

  it("timer_missing: nothing will end a run whose time is over", async () => {
    const settings = { timeout_ms: 3_600_000 };
    const workflow = { name: "limited", settings, nodes: [wait("w")], edges: [] };
    const id = await standing(workflow, "w", "waiting");
    const disarm = async (): Promise<void> => {
      const timers = await engine.redis.zrange(keys.timers, 0, -1);
      const own = timers.filter((member) => member.startsWith(`run|${id}|`));
      expect(await engine.redis.zrem(keys.timers, ...own)).toBe(1);
    };
    await damaged(id, disarm, ["timer_missing"]);
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
    const id = await standing(document, "only", "ready");
    await work(engine as never as Stack, ir as Ir, hash as string);
    await waitFor(async () => (await client.status(id)).status === "FINISHING");
    const disarm = async (): Promise<void> => {
      const timers = await engine.redis.zrange(keys.timers, 0, -1);
      const own = timers.filter((member) => member.startsWith(`finish|${id}|`));
      expect(await engine.redis.zrem(keys.timers, ...own)).toBe(1);
    };
    await damaged(id, disarm, ["timer_missing"]);
    const registry = new FunctionRegistry();
    registry.register("nobody", () => Promise.resolve(1));
    const worker = await engine.worker({ registry, id: "nobody" });
    expect(await engine.ended(id)).toMatchObject({ status: "COMPLETED", output: "2" });
    await worker.stop(1000);
  });
});

describe("gavotte doctor --audit", () => {
  const doctor = (...flags: string[]): Promise<CliResult> =>
    runCli(cwd, ["doctor", "--audit", "--json", ...flags], {
      env: { GAVOTTE_REDIS_URL: engine.redisUrl, GAVOTTE_DATABASE_URL: databaseUrl() },
    });
  const databaseUrl = (): string =>
    (engine.db.pool.options as { connectionString?: string }).connectionString ?? "";

  it("names the drift and exits 1, repairs it when asked to, and finds nothing after", async () => {
    const id = await standing({ name: "cli", nodes: [wait("w")], edges: [] }, "w", "waiting");
    await engine.redis.hincrby(keys.run(id), "c", 2);
    const found = await doctor("--run", id);
    expect(found.code).toBe(1);
    const { audit: told } = JSON.parse(found.stdout) as {
      audit: { drifts: { kind: string; runId: string }[] };
    };
    expect(told.drifts.map(({ kind }) => kind)).toEqual(["counter", "field"]);
    expect((await engine.redis.hget(keys.run(id), "c")) ?? "").toBe("3");
    const repaired = await doctor("--run", id, "--repair");
    expect(JSON.parse(repaired.stdout)).toMatchObject({
      audit: { repair: { repaired: [id], failed: [] } },
    });
    await waitFor(async () => (await engine.redis.hget(keys.run(id), "c")) === "1");
    const after = JSON.parse((await doctor("--run", id)).stdout) as { audit: object };
    expect(after.audit).toMatchObject({ runs: 1, drifts: [] });
    await client.signal(id, "go", {});
    expect((await engine.ended(id)).status).toBe("COMPLETED");
  });
});
