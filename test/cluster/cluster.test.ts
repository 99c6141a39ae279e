/** The engine on a Redis Cluster: slots that move, primaries that go with accepted writes. */
import { afterEach, describe, expect, it } from "vitest";
import { seeded } from "../harness/random.ts";
import { testDatabase, type TestDatabase } from "../support/index.ts";
import { failOver, oneDown, reshard, under, type Failover } from "./scenarios.ts";
import { ClusterStack } from "./stack.ts";

const NOTHING = { lost: [], wrong: [], doubled: [], leftovers: [] };
let database: TestDatabase;
let stack: ClusterStack;

async function start(replicas: number): Promise<void> {
  database = await testDatabase();
  stack = await ClusterStack.start(database.connect(), replicas);
}

afterEach(async () => {
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
    const { lost, wrong, doubled, leftovers } = await stack.verdict();
    expect({ lost, wrong, doubled, leftovers }).toEqual(NOTHING);
    expect(moved.keys).toBeGreaterThan(0);
    expect(stack.told.rolledBack).toBe(0);
  }, 240_000);

  it("ends every run as the oracle says, though promoted replicas lack accepted writes", async () => {
    await start(1);
    const random = seeded(5);
    const done: Failover[] = [];
    await under(stack, { seed: 12, runs: 100 }, async () => {
      for (const how of ["frozen", "killed", "frozen"] as const) {
        done.push(await failOver(stack, random, how));
      }
    });
    const { lost, wrong, doubled, leftovers } = await stack.verdict();
    expect({ lost, wrong, doubled, leftovers }).toEqual(NOTHING);
    expect(Math.max(...done.map(({ lostBytes }) => lostBytes))).toBeGreaterThan(0);
    expect(stack.told.rolledBack).toBeGreaterThan(0);
    expect(await stack.epochMax()).toBeGreaterThan(1);
  }, 300_000);

  it("goes on in the other partitions while one primary stands still, then in all", async () => {
    await start(0);
    expect(await oneDown(stack, 13)).toBeGreaterThan(10);
    const { lost, wrong, doubled, leftovers } = await stack.verdict();
    expect({ lost, wrong, doubled, leftovers }).toEqual(NOTHING);
  }, 240_000);
});
