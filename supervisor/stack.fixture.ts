/**
 * What the supervisor's tests run on: a Redis server of their own (it is restarted and emptied; in the
 * contract of a cluster it is one that nobody restarts), a database, small workflows, and a worker
 * that settles whatever is queued.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Redis } from "ioredis";
import { pino } from "pino";
import type { Ir, IrNode, Json } from "../compiler/ir.ts";
import {
  completeTokens,
  connectRedis,
  errorCode,
  GROUP,
  isEntryQueue,
  parseEntry,
  Profiles,
  ScriptRunner,
  systemClock,
  type Clock,
  type CompletionResult,
  type RunProfile,
} from "../sdk/internal.ts";
import { admitRuns, ensureDeployment, type Database } from "../sdk/postgres/index.ts";
import { isOnCluster } from "../test/cluster/contract.ts";
import { testDatabase, testRedis, waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { SupervisorCounts } from "./counts.ts";
import { IrStore } from "./ir-store.ts";
import { createPartition } from "./partition.ts";
import { Starter } from "./starter.ts";
import type { Compile } from "./workflows.ts";

export interface Stack {
  redisUrl: string;
  db: Database;
  redis: Redis;
  /** `stale`: on what was last saved with SAVE, as after a crash that took the end of the log. */
  restartRedis(options: { empty: boolean; stale?: boolean }): Promise<void>;
  close(): Promise<void>;
}

/** Clocks that a test moves. */
export class TestClock implements Clock {
  /** Time that has passed. */
  offsetMs = 0;
  /** What somebody has set the wall clock ahead by; below zero: back. */
  setAheadMs = 0;
  nowMs(): number {
    return systemClock.nowMs() + this.offsetMs + this.setAheadMs;
  }
  monotonicMs(): number {
    return systemClock.monotonicMs() + this.offsetMs;
  }
}

/** Starts a stack with an up-to-date schema. */
export async function startStack(): Promise<Stack> {
  if (isOnCluster) {
    return stackOnCluster();
  }
  const dir = await mkdtemp(join(tmpdir(), "gv-supervisor-"));
  const path = join(dir, "redis.sock");
  const database = await testDatabase();
  const db = database.connect();
  let child = await startRedis(dir, path);
  const redisUrl = `unix://${path}`;
  const redis = connectRedis({ url: redisUrl }, "test");
  await redis.ping();
  return {
    redisUrl,
    db,
    redis,
    async restartRedis({ empty, stale = false }) {
      if (!empty && !stale) {
        await redis.save();
      }
      await stopRedis(child);
      if (empty) {
        await rm(join(dir, "dump.rdb"), { force: true });
      }
      child = await startRedis(dir, path);
    },
    async close() {
      redis.disconnect();
      await stopRedis(child);
      await database.close();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** On a cluster, which nobody restarts. */
async function stackOnCluster(): Promise<Stack> {
  const [own, database] = await Promise.all([testRedis(), testDatabase()]);
  return {
    redisUrl: own.url,
    db: database.connect(),
    redis: own.connect(),
    restartRedis: () => Promise.reject(new Error("a cluster that others use later")),
    async close() {
      await Promise.all([own.close(), database.close()]);
    },
  };
}

async function startRedis(dir: string, path: string): Promise<ChildProcess> {
  const args = ["--port", "0", "--unixsocket", path, "--dir", dir, "--save", ""];
  const child = spawn("redis-server", args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", () => reject(new Error("redis-server ended")));
    child.stdout.on("data", (text: Buffer) => {
      if (text.includes("ready to accept connections") || text.includes("Ready to accept")) {
        resolve();
      }
    });
  });
  return child;
}

async function stopRedis(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    await new Promise((resolve) => {
      child.once("exit", resolve);
      child.kill("SIGKILL");
    });
  }
}

/** A context as createSupervisor makes it, for tests of single services. */
export async function contextOf(
  stack: Stack,
  more: Partial<SupervisorContext> = {},
): Promise<SupervisorContext & { close(): void }> {
  const abort = new AbortController();
  const opened: Redis[] = [];
  const openRedis = (name: string, at: string): Redis => {
    const redis = connectRedis({ url: stack.redisUrl }, name, { at });
    opened.push(redis);
    return redis;
  };
  const deployment = await ensureDeployment(stack.db, { id: "d1", partitions: 1, layout: 1 });
  return {
    id: "s1",
    db: stack.db,
    redis: stack.redis,
    openRedis,
    deployment,
    logger: pino({ level: "silent" }),
    clock: systemClock,
    irs: new IrStore(stack.db),
    counts: new SupervisorCounts(),
    signal: abort.signal,
    onRollback: () => Promise.resolve(),
    ...more,
    close: () => {
      abort.abort();
      opened.forEach((redis) => redis.disconnect());
    },
  };
}

/** A stack and the context of a supervisor on it. */
export interface Supervised {
  stack: Stack;
  context: SupervisorContext;
  close(): Promise<void>;
}

/** Starts a stack that nobody supervises yet; `more` is laid over the context. */
export async function startContext(more: Partial<SupervisorContext> = {}): Promise<Supervised> {
  const stack = await startStack();
  const context = await contextOf(stack, more);
  return {
    stack,
    context,
    async close() {
      context.close();
      await stack.close();
    },
  };
}

/** Starts a stack whose partition is kept; `more` is laid over the context of its supervisor. */
export async function startPartition(more: Partial<SupervisorContext> = {}): Promise<Supervised> {
  const on = await startContext(more);
  const partition = createPartition(on.context, 0);
  await partition.start();
  return {
    ...on,
    async close() {
      await partition.stop(5000);
      await on.close();
    },
  };
}

/** A chain of function nodes `a`, `b`, …, all on one queue. */
export function chainIr(ids: readonly string[], more: Partial<Ir> = {}): Ir {
  const node = (id: string, index: number): IrNode => ({
    id,
    type: "function",
    queue: 0,
    config: {},
    pure: false,
    fusible: false,
    is_entry: index === 0,
    is_terminal: index === ids.length - 1,
    join: { kind: "all", need: 0, arity: index === 0 ? 0 : 1 },
    in: index === 0 ? [] : [index - 1],
    out: index === ids.length - 1 ? [] : [index],
    loop: null,
    latch_of: null,
    head_of: [],
    retry: {
      max_attempts: 3,
      backoff_ms: 10,
      backoff_multiplier: 2,
      max_backoff_ms: 100,
      jitter: 0,
    },
    timeout_ms: null,
    routing: "each",
    on_no_match: "error",
    refs: [],
    edge_refs: [],
    uses_input: false,
  });
  const edge = (_: string, from: number): Ir["edges"][number] => ({
    ...{ from, to: from + 1 },
    ...{ on: "success", condition: null },
  });
  return {
    version: 1,
    name: "chain",
    workflow_version: "1",
    input_schema: null,
    settings: { timeout_ms: null, priority: "normal", failure: "fail_fast" },
    nodes: ids.map(node),
    edges: ids.slice(1).map(edge),
    loops: [],
    queues: ["fn:work"],
    analysis: {
      ...{ roots: [0], leaves: [ids.length - 1], branch_points: [], convergence_points: [] },
      ...{ levels: ids.map((_, i) => [i]), critical_path: ids.map((_, i) => i) },
      ...{ path_count: "1", tokens_max: 1 },
    },
    ...more,
  };
}

/** Stands for the compiler: the document names the nodes, or is an IR's part. */
export const compileFake: Compile = (source) => {
  const document = "text" in source ? (JSON.parse(source.text) as Json) : source.document;
  const { nodes, broken, schema, name } = document as { [key: string]: Json };
  if (broken === true) {
    const diagnostics = [{ severity: "error", code: "GV2001", message: "it is broken" }];
    return { ir: null, hash: null, diagnostics };
  }
  const ids = nodes as string[];
  const ir = chainIr(ids, { input_schema: schema ?? null, name: (name as string) ?? "chain" });
  return { ir, hash: `hash-${ids.join("")}-${JSON.stringify([schema, name])}`, diagnostics: [] };
};

/** What a node's execution gives, as the worker would report it. */
export type Handle = (node: IrNode, attempt: number) => Partial<CompletionResult>;

/** Settles what is queued until the queue is empty; returns how many tokens it settled. */
export async function work(
  stack: Stack,
  ir: Ir,
  irHash: string,
  handle: Handle = () => ({}),
): Promise<number> {
  const { deployment } = await contextOf(stack);
  const scripts = new ScriptRunner({ redis: stack.redis, deployment: deployment.id, partition: 0 });
  const place = { partition: 0, namespace: "", priority: "normal" } as const;
  const profile = new Profiles().add(ir, irHash, place);
  const streams = [profile.queueKeys[0] as string, profile.entryKeys[0] as string];
  for (const key of streams) {
    await stack.redis.xgroup("CREATE", key, GROUP, "0", "MKSTREAM").catch(() => undefined);
  }
  for (let settled = 0; ;) {
    const group = ["GROUP", GROUP, "w1"] as const;
    const reply = (await stack.redis.xreadgroup(
      ...group,
      ...(["COUNT", 100, "STREAMS", ...streams, ">", ">"] as const),
    )) as [string, [string, string[]][]][] | null;
    if (reply === null) {
      return settled;
    }
    const items = reply.flatMap(([queueKey, entries]) =>
      entries.flatMap(([id, fields]) => {
        const token = parseEntry(queueKey, id, fields);
        return token === null ? [] : [itemOf(profile, token, handle)];
      }),
    );
    await completeTokens(scripts, items, "w1");
    settled += items.length;
  }
}

function itemOf(
  profile: RunProfile,
  token: NonNullable<ReturnType<typeof parseEntry>>,
  handle: Handle,
): Parameters<typeof completeTokens>[1][number] {
  const node = profile.ir.nodes[token.node] as IrNode;
  const edges = "L".repeat(node.out.length);
  const given = handle(node, token.attempt);
  const ends = (given.op ?? "C") === "C" || given.op === "U";
  const result: CompletionResult = {
    node: token.node,
    scope: token.scope,
    attempt: token.attempt,
    op: "C",
    value: JSON.stringify({ from: node.id }),
    edges: ends ? edges : "",
    extra: ',"ms":2,"w":"w1"',
    delayMs: 0,
    plan: profile.planner.end(token.node, ends ? (given.edges ?? edges) : "", false),
    ...given,
  };
  const { runId, epoch, entryId, queueKey } = token;
  const entry = isEntryQueue(queueKey) ? { entryId, entryKey: queueKey } : { entryId };
  return { profile, runId, epoch, queue: node.queue, ...entry, results: [result] };
}

/**
 * Admits and starts runs of a workflow, the way the intake does; as its sweep, once more where the epoch
 * has changed since the rows were read: that is refused, and nothing was started.
 */
export async function startRuns(
  context: SupervisorContext,
  ir: Ir,
  hash: string,
  runIds: readonly string[],
  namespace = "",
): Promise<void> {
  const definition = { hash, name: ir.name, version: "1", source: null, createdAtMs: 1 };
  const rows = runIds.map((id) => ({
    ...{ id, tenant: "", workflow: ir.name, version: "1", irHash: hash, partition: 0 },
    ...{ namespace, priority: "normal" as const, input: "null", idempotencyKey: null },
    ...{ requestHash: "", createdAtMs: context.clock.nowMs() },
  }));
  await admitRuns(context.db, [{ ...definition, ir: JSON.stringify(ir) }], rows);
  const starter = new Starter(context);
  const start = async (): Promise<void> => {
    const deadlines = await waitFor(async () => {
      const by = await starter.deadlines();
      return by.has(0) ? by : null; // it is certified, and its process has heard of that
    });
    await starter.start(
      rows.map((row) => ({ ...row, epoch: 1 })),
      deadlines,
    );
  };
  await start().catch(async (error: unknown) => {
    if (errorCode(error) !== "GV_PARTITION_UNCERTIFIED") {
      throw error;
    }
    await start();
  });
}

/** Makes a row as if its run had never begun: what a process that dies leaves between two commits. */
export async function queueAgain(db: Database, runId: string): Promise<void> {
  const run = (name: string, text: string, values: string[] = []): Promise<unknown> =>
    db.query({ name: `queue_again_${name}`, text }, values);
  // Nobody's statement may do this: see migration 0019.
  await run("off", "ALTER TABLE runs DISABLE TRIGGER runs_status_transition");
  await run("set", "UPDATE runs SET status = 'QUEUED', started_at_ms = NULL WHERE id = $1", [
    runId,
  ]);
  await run("on", "ALTER TABLE runs ENABLE TRIGGER runs_status_transition");
}
