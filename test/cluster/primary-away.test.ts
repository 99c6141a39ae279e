/**
 * One of three primaries is killed, without a replica, and comes back empty: what does not lie on
 * it goes on meanwhile, whatever keys without a partition it had; what does goes on afterwards.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import calculateSlot from "cluster-key-slot";
import { pino } from "pino";
import { uuidv7 } from "uuidv7";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { runCli } from "../../cmd/cli.fixture.ts";
import { whereServed } from "../../cmd/where-served.ts";
import { compile } from "../../compiler/index.ts";
import { createClient, type Client } from "../../sdk/index.ts";
import { globalKeys, partitionKeys, partitionOf } from "../../sdk/internal.ts";
import { readRun } from "../../sdk/postgres/index.ts";
import { createSupervisor } from "../../supervisor/index.ts";
import { Reaper } from "../../supervisor/reaper.ts";
import { contextOf } from "../../supervisor/stack.fixture.ts";
import type { Worker, WorkerOptions } from "../../worker/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { startCluster, type TestCluster, type TestNode } from "../support/redis-cluster.ts";
import { waitFor } from "../support/wait-for.ts";

const PARTITIONS = 16;
const WAITS = {
  name: "waits",
  nodes: [{ id: "w", type: "wait", config: { signal: "go" } }],
  edges: [],
};
const echo = (more: object = {}): object => ({
  ...{ id: "a", type: "function", config: { function_name: "builtin.echo" } },
  ...more,
});
const dir = mkdtempSync(join(tmpdir(), "gv-primary-away-"));
let cluster: TestCluster;
let engine: Engine;
let client: Client;
let worker: Worker;
let told: { msg: string; waits?: string[]; partitions?: number[] }[] = [];

beforeAll(async () => {
  cluster = await startCluster({ dir });
  const write = (line: string): void => void told.push(JSON.parse(line) as (typeof told)[number]);
  const logger = pino({ level: "info" }, { write });
  engine = await startEngine({ redisUrl: cluster.url, partitions: PARTITIONS, logger });
  worker = await engine.worker();
  client = await createClient({ redisUrl: cluster.url, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
  await cluster.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** The partitions of a node, and some other partition. */
async function placesOf(node: TestNode): Promise<{ own: number; others: number[] }> {
  const ranges = (await node.view()).find(({ id }) => id === node.id)?.ranges ?? [];
  const isOwn = (p: number): boolean => {
    const slot = calculateSlot(partitionKeys(p).meta);
    return ranges.some(([from, to]) => slot >= from && slot <= to);
  };
  const all = Array.from({ length: PARTITIONS }, (_, p) => p);
  return { own: all.find(isOwn) as number, others: all.filter((p) => !isOwn(p)) };
}

/** The id of a run that comes to lie in a partition. */
function idIn(partition: number): string {
  for (;;) {
    const id = uuidv7();
    if (partitionOf(id, PARTITIONS) === partition) {
      return id;
    }
  }
}

async function submitIn(partition: number, workflow: object): Promise<string> {
  return engine.submit({ workflow, run_id: idIn(partition), input: {} });
}

/** A run that waits for its signal. */
async function waitingIn(partition: number): Promise<string> {
  const id = await submitIn(partition, WAITS);
  await waitFor(async () => (await client.status(id)).nodes["w"]?.wait !== undefined);
  return id;
}

async function killed(node: TestNode, work: () => Promise<void>): Promise<void> {
  told = [];
  node.kill();
  await waitFor(() => told.some(({ msg }) => msg.includes("is away")));
  try {
    await work();
  } finally {
    await node.restart();
  }
  await waitFor(() => told.some(({ msg }) => msg.includes("has a primary again")));
}

async function statusOf(id: string): Promise<string | undefined> {
  return (await readRun(engine.db, id))?.status;
}

/** The worker is gone; the next one knows nothing yet. */
async function nextWorker(more: Partial<WorkerOptions> = {}): Promise<void> {
  await worker.stop(2000);
  worker = await engine.worker(more);
}

interface Doctor {
  code: number | null;
  checks: { state: string; text: string }[];
  audit: { runs: number; drifts: object[]; away: number[] };
}

async function doctor(...flags: string[]): Promise<Doctor> {
  const { connectionString = "" } = engine.db.pool.options as { connectionString?: string };
  const env = { GAVOTTE_REDIS_URL: cluster.url, GAVOTTE_DATABASE_URL: connectionString };
  const { code, stdout } = await runCli(dir, ["doctor", "--audit", "--json", ...flags], { env });
  return { code, ...(JSON.parse(stdout) as Omit<Doctor, "code">) };
}

const ownerOf = (key: string): Promise<TestNode> => cluster.ownerOf(calculateSlot(key));

describe("while a primary is away", () => {
  it("others take runs, pause, tidy up and are certified, though it had the deployment", async () => {
    const node = await ownerOf(globalKeys.deployment);
    const { own, others } = await placesOf(node);
    const lost = await waitingIn(own);
    const kept = await Promise.all(others.slice(0, 4).map(waitingIn));
    await killed(node, async () => {
      expect(told.find(({ partitions }) => partitions?.includes(own))?.waits).toContain(
        "supervisors that start certify no server without their scripts",
      );
      // Servers that were restarted, as far as anybody can see.
      await Promise.all(
        cluster.nodes.filter((one) => one !== node).map(({ redis }) => redis.script("FLUSH")),
      );
      const fresh = await Promise.all(others.slice(0, 4).map(waitingIn));
      const { db: database } = engine;
      const logger = pino({ level: "silent" });
      const next = createSupervisor({ redisUrl: cluster.url, database, logger, compile });
      await next.start();
      await next.stop(2000);
      await client.signal(fresh[0] as string, "go", {});
      expect((await engine.ended(fresh[0] as string)).status).toBe("COMPLETED");
      await client.operations.pauseWorkflow({ name: "waits" });
      await waitFor(async () =>
        (await Promise.all(kept.map(statusOf))).every((s) => s === "PAUSED"),
      );
      const { db, redis, redisUrl } = engine;
      const context = await contextOf({ db, redis, redisUrl } as never);
      await new Reaper(context).look();
      context.close();
    });
    await client.operations.resumeWorkflow({ name: "waits" });
    await Promise.all([lost, ...kept].map((id) => client.signal(id, "go", {})));
    const rows = await Promise.all([lost, ...kept].map(engine.ended));
    expect(rows.map(({ status }) => status)).toEqual(rows.map(() => "COMPLETED"));
  }, 120_000);

  it("that had the submissions, what was accepted goes on, and they are taken when it is back", async () => {
    const node = await ownerOf(globalKeys.submissions);
    const { own, others } = await placesOf(node);
    const [there] = await Promise.all([waitingIn(others[0] as number), waitingIn(own)]);
    let sent: Promise<string> | undefined;
    await killed(node, async () => {
      expect(told.some(({ waits }) => waits?.includes("submissions are not taken"))).toBe(true);
      await client.signal(there, "go", {});
      expect((await engine.ended(there)).status).toBe("COMPLETED");
      sent = engine.submit({ workflow: WAITS, run_id: idIn(others[0] as number), input: {} });
      sent.catch(() => undefined);
    });
    const late = (await sent) as string;
    await client.signal(late, "go", {});
    expect((await engine.ended(late)).status).toBe("COMPLETED");
  }, 120_000);

  it("that had a workflow, workers that begin read it from Postgres, and put it back", async () => {
    const { hash } = compile({ document: WAITS });
    const key = globalKeys.ir(hash as string);
    const node = await ownerOf(key);
    const { others } = await placesOf(node);
    const runs = await Promise.all(others.slice(0, 2).map(waitingIn));
    const go = async (id: string | undefined): Promise<string> => {
      await client.signal(id as string, "go", {});
      return (await engine.ended(id as string)).status;
    };
    await killed(node, async () => {
      await nextWorker();
      expect(await go(runs[0])).toBe("COMPLETED");
    });
    await waitFor(() => engine.redis.exists(key));
    await nextWorker();
    expect(await go(runs[1])).toBe("COMPLETED");
  }, 120_000);

  it("that had the pauses, a worker that begins executes nothing of a paused queue", async () => {
    const node = await ownerOf(globalKeys.pausedQueues);
    const [place] = (await placesOf(node)).others;
    const plain = { name: "plain", nodes: [echo()], edges: [] };
    await client.operations.pauseQueue("slow");
    await waitFor(() => engine.redis.sismember(globalKeys.pausedQueues, "slow"));
    await worker.stop(2000);
    const slow = await submitIn(place as number, { ...plain, nodes: [echo({ queue: "slow" })] });
    const quick = await submitIn(place as number, plain);
    const away = (): Promise<never> => Promise.reject(new Error("no connection"));
    await killed(node, async () => {
      await nextWorker({ queues: ["slow"], stored: { ir: away, pausedQueues: away } });
      expect((await client.status(quick)).nodes["a"]?.status).toBe("ready");
      await nextWorker({ queues: ["slow"] });
      expect((await engine.ended(quick)).status).toBe("COMPLETED");
      expect((await client.status(slow)).nodes["a"]?.status).toBe("ready");
    });
    await client.operations.resumeQueue("slow");
    expect((await engine.ended(slow)).status).toBe("COMPLETED");
  }, 120_000);

  it("`doctor --audit` looks at the others and names those of its partitions, then at all", async () => {
    const node = await ownerOf(globalKeys.deployment);
    const { own, others } = await placesOf(node);
    const [place] = others as [number];
    const [there] = await Promise.all([waitingIn(place), waitingIn(own)]);
    await engine.redis.hincrby(partitionKeys(place).run(there), "c", 2);
    await killed(node, async () => {
      const found = await doctor();
      expect(found.code).toBe(1);
      expect(found.audit.drifts).toContainEqual(expect.objectContaining({ runId: there }));
      expect(found.audit.away).toContain(own);
      expect(found.audit.away).not.toContain(place);
      const texts = found.checks.filter(({ state }) => state === "bad").map(({ text }) => text);
      expect(texts.join("\n")).toContain(
        `partition(s) ${found.audit.away.join(", ")}: their primary`,
      );
    });
    const repaired = await doctor("--repair");
    expect(repaired.audit).toMatchObject({ away: [], repair: { failed: [] } });
    expect((await doctor()).audit).toMatchObject({ drifts: [], away: [] });
  }, 120_000);

  it("what is asked of a server that stands still is given up, though the others believe in it", async () => {
    const node = await ownerOf(globalKeys.deployment);
    const { own } = await placesOf(node);
    const { redis } = client;
    const meta = (): Promise<object> => redis.hgetall(partitionKeys(own).meta);
    expect(await whereServed(redis, own, meta)).toHaveProperty("epoch");
    let underWay: Promise<unknown> = Promise.resolve();
    await new Promise((begun) => {
      underWay = whereServed(redis, own, () => {
        begun(null);
        return new Promise(() => undefined);
      });
    });
    node.freeze();
    try {
      expect(await whereServed(redis, own, meta)).toBeNull();
      expect(await underWay).toBeNull();
    } finally {
      node.thaw();
    }
    expect(await whereServed(redis, own, meta)).toHaveProperty("epoch");
  });
});
