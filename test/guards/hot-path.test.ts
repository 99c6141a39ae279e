/**
 * What a step costs, counted and not timed: Redis commands (those inside scripts too), script
 * calls, bytes on the wire, bytes of journal, bytes held in Redis, rows in the archive. A slower
 * hot path fails here without a clock, on any machine.
 *
 * The figures are exact expectations of today's protocol with a few percent of tolerance. Lower is
 * better: whoever lowers one writes the new figure down here; whoever raises one says why, too.
 * Batches are 64 tokens, read, prepared, executed and settled by the worker's own code.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import {
  completeBatch,
  COMPLETION,
  connectRedis,
  GROUP,
  parseEntry,
  type Redis,
  redisTimeMs,
  releaseRuns,
  RunData,
  type RunProfile,
  startRuns,
} from "../../sdk/internal.ts";
import { segmentsOf } from "../../supervisor/block-fold.ts";
import { foldBlock } from "../../supervisor/fold-block.ts";
import { readRecord } from "../../supervisor/records.ts";
import { chainNext, nextToken } from "../../worker/chain.ts";
import { Executor } from "../../worker/execute.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { repliesOf } from "../../worker/news.ts";
import { Preparer } from "../../worker/prepare.ts";
import { Workflows } from "../../worker/workflows.ts";
import { testPartition, type TestPartition } from "../harness/partition.ts";
import { runSync } from "../harness/run-sync.ts";
import { startLocalRedis } from "../support/servers.ts";

const RUNS = 64;
const BATCH = 64;
const OUTPUT = { status: "done", value: "0123456789abcdefghij" };

interface Shape {
  steps: number;
  edges: [number, number][];
  fusion?: false;
}

const line = (n: number): [number, number][] => Array.from({ length: n - 1 }, (_, i) => [i, i + 1]);
const fan = (n: number): Shape => ({
  steps: n + 2,
  edges: Array.from({ length: n }, (_, i) => i + 1).flatMap((i): [number, number][] => [
    [0, i],
    [i, n + 1],
  ]),
});

interface Cost {
  /** Commands that Redis executes per step, those of scripts included. */
  commands: number;
  /** Per 1,000 steps, starts included. */
  scriptCalls: number;
  /** Per step, between worker and Redis, both ways together. */
  wireBytes: number;
  /** Per step, as archived. */
  journalBytes: number;
  /** Per step, of Redis: the run's hash when everything of it has been executed. */
  redisBytes: number;
  /** Per 1,000 runs whose whole life is in one block: segments of the journal. */
  postgresRows: number;
}

const CASES: [name: string, shape: Shape, cost: Cost][] = [
  [
    "chain of 10",
    { steps: 10, edges: line(10), fusion: false },
    {
      commands: 3.32,
      scriptCalls: 17.2,
      wireBytes: 763,
      journalBytes: 197,
      redisBytes: 87.2,
      postgresRows: 1000,
    },
  ],
  [
    "chain of 10, straight",
    { steps: 10, edges: line(10) },
    {
      commands: 2.44,
      scriptCalls: 17.2,
      wireBytes: 400,
      journalBytes: 197,
      redisBytes: 87.2,
      postgresRows: 1000,
    },
  ],
  [
    "diamond",
    fan(2),
    {
      commands: 3.24,
      scriptCalls: 19.5,
      wireBytes: 842,
      journalBytes: 253,
      redisBytes: 138,
      postgresRows: 1000,
    },
  ],
  [
    "fan of 50",
    fan(50),
    {
      commands: 1.37,
      scriptCalls: 15.9,
      wireBytes: 739,
      journalBytes: 185,
      redisBytes: 70.9,
      postgresRows: 1000,
    },
  ],
];

let server: Awaited<ReturnType<typeof startLocalRedis>>;
let redis: Redis;
let p: TestPartition;

beforeAll(async () => {
  server = await startLocalRedis();
  redis = connectRedis({ url: server.url }, "guard");
  await redis.connect();
  p = await testPartition(redis);
});
afterAll(async () => {
  await p.close();
  await server.stop();
});

async function publish(name: string, shape: Shape): Promise<RunProfile> {
  const nodes = Array.from({ length: shape.steps }, (_, i) => ({
    ...{ id: `s${i}`, type: "function" },
    config: { function_name: "builtin.echo", params: OUTPUT },
  }));
  const edges = shape.edges.map(([from, to]) => ({ from: `s${from}`, to: `s${to}` }));
  const settings = shape.fusion === false ? { fusion: false } : {};
  const { ir, hash } = compile({ document: { name, nodes, edges, settings } });
  if (ir === null || hash === null) {
    throw new Error(`${name} does not compile`);
  }
  return p.publish(ir, hash);
}

async function start(profile: RunProfile, count: number): Promise<void> {
  const notAfterMs = (await redisTimeMs(p.scripts)) + 30_000;
  const runs = Array.from({ length: count }, (_, i) => {
    // As long as a real one.
    const runId = `0199aaaa-0000-7000-8000-${String(i).padStart(12, "0")}`;
    return { profile, runId, epoch: 1, input: JSON.stringify(OUTPUT), notAfterMs };
  });
  await startRuns(p.scripts, runs);
}

/** Runs everything that is ready to its end, batch by batch, the way a lane does. */
async function work(profile: RunProfile): Promise<void> {
  const preparer = new Preparer(redis, new Workflows(redis), 0);
  const options = { workerId: "host-1234-abcdef", secrets: () => ({}), random: () => 0.5 };
  const executor = new Executor({ ...options, outputBytesMax: 1024 * 1024 });
  const streams = [...profile.queueKeys, ...profile.entryKeys];
  let going: Prepared[] = [];
  let known: number | undefined;
  for (;;) {
    const batch = going.splice(0, BATCH);
    if (batch.length < BATCH) {
      const group = ["GROUP", GROUP, "c", "COUNT", BATCH - batch.length] as const;
      const pipeline = redis.pipeline();
      pipeline.call("XREADGROUP", ...group, "STREAMS", ...streams, ...streams.map(() => ">"));
      preparer.news.ask(pipeline);
      const [read, time, halted] = await repliesOf(pipeline);
      preparer.news.hear(time as [string, string], halted as string[]);
      const reply = read as [string, [string, string[]][]][] | null;
      const tokens = (reply ?? []).flatMap(([key, entries]) =>
        entries.flatMap(([id, fields]) => parseEntry(key, id, fields) ?? []),
      );
      for (const one of tokens.length > 0 ? await preparer.prepare(tokens, false) : []) {
        if (one.kind === "ready") {
          batch.push(one.prepared);
        }
      }
    }
    if (batch.length === 0) {
      return;
    }
    const items = batch.map((one) => {
      const { vars, input } = executor.begin(one, 0);
      const item = executor.succeed(one, vars, runSync(one, vars, input), 0);
      item.keeps = chainNext(item, one.token.scope) !== null;
      if (known !== undefined) {
        item.takeovers = known;
      }
      return item;
    });
    const { codes, takeovers } = await completeBatch(p.scripts, items, "c");
    known = takeovers;
    const next = codes.flatMap((code, i): Prepared[] => {
      const [one, item] = [batch[i] as Prepared, items[i] as (typeof items)[number]];
      if (code !== COMPLETION.goOn) {
        return [];
      }
      const to = chainNext(item, one.token.scope) as number;
      const token = nextToken(one.token, item, to);
      const { ir } = one.profile;
      return [{ ...one, token, node: ir.nodes[to] as Prepared["node"], data: new RunData(ir) }];
    });
    going = [...next, ...going];
  }
}

async function info(section: string): Promise<Map<string, string>> {
  const lines = (await redis.info(section)).split("\r\n");
  return new Map(lines.map((text) => text.split(":", 2) as [string, string]));
}

/** Commands since the last reset, by name. */
async function commands(): Promise<Map<string, number>> {
  const counted = new Map<string, number>();
  for (const [name, value] of await info("commandstats")) {
    const calls = Number(/calls=(\d+)/.exec(value)?.[1] ?? 0);
    const command = name.replace("cmdstat_", "");
    if (calls > 0 && !/^(config|info|ping|client)/.test(command)) {
      counted.set(command, calls);
    }
  }
  return counted;
}

async function wireBytes(): Promise<number> {
  const stats = await info("stats");
  const bytes = (name: string): number => Number(stats.get(name) ?? 0);
  return bytes("total_net_input_bytes") + bytes("total_net_output_bytes");
}

async function measure(name: string, shape: Shape, runs = RUNS): Promise<Cost> {
  await p.reset();
  const profile = await publish(name, shape);
  await redis.config("RESETSTAT");
  const bytesBefore = await wireBytes();
  await start(profile, runs);
  await work(profile);
  const bytes = (await wireBytes()) - bytesBefore;
  const counted = await commands();
  const steps = runs * shape.steps;
  const entries = await redis.xrange(p.scripts.keys.ev, "-", "+");
  const records = entries.flatMap(([id, fields]) => readRecord(id, fields) ?? []);
  const fold = foldBlock(records);
  const ended = [...fold.runs.values()].filter((run) => run.status === "COMPLETED");
  expect(ended.length).toBe(runs);
  const total = [...counted.values()].reduce((sum, calls) => sum + calls, 0);
  const text = records.reduce((sum, record) => sum + record.body.length, 0);
  return {
    commands: total / steps,
    scriptCalls: ((counted.get("evalsha") ?? 0) / steps) * 1000,
    wireBytes: bytes / steps,
    journalBytes: text / steps,
    redisBytes: (await hashBytes()) / steps,
    postgresRows: (segmentsOf(0, fold).length / runs) * 1000,
  };
}

/** What the runs' hashes hold, before they are released. */
async function hashBytes(): Promise<number> {
  const keys = await redis.keys(`${p.scripts.keys.run("")}*`);
  const sizes = await Promise.all(keys.map((key) => redis.memory("USAGE", key, "SAMPLES", 0)));
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** What memory a hash takes is the allocator's too, which differs between builds of Redis. */
const TOLERANCE: { [key in keyof Cost]?: number } = { redisBytes: 0.15 };

/** Within 4 %, either way: what got cheaper is written down too. */
function expectAbout(found: Cost, wanted: Cost): void {
  const off = (Object.keys(wanted) as (keyof Cost)[]).flatMap((key) => {
    const [is, was] = [found[key], wanted[key]];
    return Math.abs(is - was) <= (TOLERANCE[key] ?? 0.04) * was
      ? []
      : [`${key}: ${is.toFixed(2)}, was ${was}`];
  });
  expect(off).toEqual([]);
}

describe("a step costs", () => {
  it.each(CASES)("%s", async (name, shape, cost) => {
    expectAbout(await measure(name, shape), cost);
  });

  it("as much in a join of 5,000 as in one of 500: an arrival does not look at the others", async () => {
    const narrow = await measure("fan of 500", fan(500), 2);
    const wide = await measure("fan of 5,000", fan(5000), 2);
    expect(wide.commands).toBeLessThanOrEqual(narrow.commands);
    expect(wide.scriptCalls).toBeLessThanOrEqual(narrow.scriptCalls);
    expect(wide.journalBytes).toBeLessThan(1.04 * narrow.journalBytes);
    // Ids are longer, and a hash of 10,000 fields is a table.
    expect(wide.wireBytes).toBeLessThan(1.2 * narrow.wireBytes);
    expect(wide.redisBytes).toBeLessThan(2 * narrow.redisBytes);
  });

  it("nothing that stays: every key of a run is its hash, and goes with its release", async () => {
    await measure("keys", { steps: 10, edges: line(10) });
    const keys = await redis.keys(`${p.scripts.keys.run("")}*`);
    expect(keys.length).toBe(RUNS);
    await releaseRuns(
      p.scripts,
      keys.map((key) => key.slice(p.scripts.keys.run("").length)),
      [],
    );
    expect(await redis.keys(`${p.scripts.keys.run("")}*`)).toEqual([]);
  });
});
