/**
 * The engine on a Redis Cluster: slots that move, primaries that go with accepted writes. With
 * GAVOTTE_EVIDENCE=<file> what was done and found is written there (`npm run cluster`).
 */
import { writeFileSync } from "node:fs";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { globalKeys } from "../../sdk/keys.ts";
import { seeded } from "../harness/random.ts";
import { testDatabase, type TestDatabase } from "../support/index.ts";
import type { Submitted } from "../chaos/verdict.ts";
import { waitFor } from "../support/wait-for.ts";
import type { TestNode } from "../support/redis-cluster.ts";
import {
  failOver,
  holderDies,
  oneDown,
  plainWorkloads,
  reshard,
  under,
  type Failover,
} from "./scenarios.ts";
import { ClusterStack, PARTITIONS } from "./stack.ts";

const NOTHING = { lost: [], wrong: [], doubled: [], leftovers: [] };
let database: TestDatabase;
let stack: ClusterStack;
const evidence: { [scenario: string]: unknown } = {};

/** Keeps what was found; returns what must be nothing. */
async function judged(scenario: string, done: object): Promise<object> {
  const { lost, wrong, doubled, leftovers, submitted, ended } = await stack.verdict();
  const info = await (stack.cluster.nodes[0] as TestNode).redis.info("server");
  const server = /(?:valkey|redis)_version:\S+/g.exec(info)?.[0];
  const found = { lost, wrong, doubled, leftovers };
  const epochMax = await stack.epochMax();
  const told = { ...stack.told, epochMax };
  evidence[scenario] = { server, submitted, ended, ...done, ...told, ...found };
  return found;
}

afterAll(() => {
  const file = process.env["GAVOTTE_EVIDENCE"];
  if (file !== undefined && file !== "") {
    writeFileSync(file, `${JSON.stringify(evidence, null, 2)}\n`);
  }
});

async function start(replicas: number): Promise<void> {
  database = await testDatabase();
  stack = await ClusterStack.start(() => database.connect(), replicas);
}

/** Waits for the end of runs. */
async function ended(runs: readonly Submitted[]): Promise<void> {
  const all = async (): Promise<boolean> => {
    const ids = await stack.ended();
    return runs.every(({ runId }) => ids.has(runId));
  };
  await waitFor(all, { timeoutMs: 60_000, describe: "runs submitted afterwards have not ended" });
}

afterEach(async ({ task }) => {
  if (task.result?.state === "fail") {
    const standing = await stack.standing().catch(String); // it may not even have begun
    process.stderr.write(`${task.name} has failed.\n${standing}\n`);
  }
  await stack.stop();
  await database.close();
});

describe("an engine on a Redis Cluster", () => {
  it("goes on while half of a primary's partitions move to another: nothing lost or doubled", async () => {
    await start(0);
    let moved = { slots: 0, keys: 0 };
    await under(stack, { seed: 11, runs: 100 }, async () => {
      moved = await reshard(stack);
    });
    expect(await judged("slots move", { moved })).toEqual(NOTHING);
    expect(moved.keys).toBeGreaterThan(0);
    expect(stack.told.rolledBack).toBe(0);
  }, 240_000);

  it("ends every run as the oracle says, though promoted replicas lack accepted writes", async () => {
    await start(1);
    const random = seeded(Number(process.env["GAVOTTE_SEED"] ?? 5));
    const done: Failover[] = [];
    await under(stack, { seed: 12, runs: 100 }, async () => {
      for (const how of ["frozen", "killed", "frozen"] as const) {
        done.push(await failOver(stack, random, how));
      }
    });
    expect(await judged("failover", { failovers: done })).toEqual(NOTHING);
    expect(Math.min(...done.map(({ lostBytes }) => lostBytes))).toBeGreaterThan(0);
    expect(stack.told.rolledBack).toBeGreaterThan(0);
    expect(await stack.epochMax()).toBeGreaterThan(1);
  }, 420_000);

  it("goes on by itself when the primaries of the deployment and of submissions die under load", async () => {
    await start(1);
    const awayMs: number[] = [];
    await under(stack, { seed: 14, runs: 100 }, async () => {
      for (const key of [globalKeys.deployment, globalKeys.submissions]) {
        awayMs.push(await holderDies(stack, key));
        await ended(await stack.submit(plainWorkloads(15, 5), 10));
      }
    });
    expect(await judged("holders of keys without a partition die", { awayMs })).toEqual(NOTHING);
    expect(stack.told.certified).toBeGreaterThan(PARTITIONS);
  }, 300_000);

  it("goes on in the other partitions while one primary stands still, then in all", async () => {
    await start(0);
    const wentOn = await oneDown(stack, 13);
    expect(wentOn).toBeGreaterThan(10);
    expect(await judged("one primary stands still", { wentOn })).toEqual(NOTHING);
  }, 240_000);
});
