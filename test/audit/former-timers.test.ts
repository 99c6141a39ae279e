/** Timers that a repaired run has left of its former epochs go; what it waits for now stays. */
import { afterAll, beforeAll, expect, it } from "vitest";
import {
  globalKeys,
  partitionKeys,
  ScriptRunner,
  seenOf,
  suspectRun,
  type Redis,
} from "../../sdk/internal.ts";
import { auditContext, findDrifts, repairDrifts } from "../../supervisor/index.ts";
import { intercepted, waitFor } from "../support/index.ts";
import { Audited, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let on: Audited;
beforeAll(async () => {
  on = await Audited.start();
});
afterAll(() => on.stop());

const epochOf = (id: string): Promise<string | null> => on.engine.redis.hget(keys.run(id), "e");

async function timersOf(id: string): Promise<string[]> {
  const all = await on.engine.redis.zrange(keys.timers, 0, -1);
  return all.filter((member) => member.includes(id));
}

/** A run with a timer, and a field that is not what its journal says. */
async function damaged(): Promise<string> {
  const id = await on.standing(waits, "w", "waiting");
  await on.engine.redis.hset(keys.run(id), "n0", "c1||2");
  return id;
}

async function repairWith(redis: Redis, id: string): Promise<void> {
  const { db, redis: plain } = on.engine;
  const deployment = (await plain.hget(globalKeys.deployment, "id")) as string;
  const scripts = new ScriptRunner({ redis, deployment, partition: 0 });
  const drifts = await findDrifts(on.audit, 0, id);
  const report = await repairDrifts(auditContext({ redis, db }), scripts, drifts);
  expect(report).toMatchObject({ repaired: [id], failed: [] });
}

it("those of the epoch before are removed", async () => {
  const id = await damaged();
  const before = await timersOf(id);
  expect(before).toHaveLength(1);
  await repairWith(on.engine.redis, id);
  const after = await timersOf(id);
  expect(after).toHaveLength(1);
  expect(after).not.toEqual(before);
});

it("not those of one that it is rebuilt under meanwhile", async () => {
  const id = await damaged();
  let isRebuilt = false;
  const rebuildAgain = async (): Promise<void> => {
    const seen = await seenOf(on.scripts, id);
    expect(await suspectRun(on.scripts, seen)).toBe("marked");
    await waitFor(async () => (await epochOf(id)) !== seen.epoch);
  };
  const late = intercepted(on.engine.redis, (name, call) =>
    name !== "zscan"
      ? call
      : async (...args) => {
          await (!isRebuilt && rebuildAgain());
          isRebuilt = true;
          return call(...args);
        },
  );
  await repairWith(late, id);
  expect(isRebuilt).toBe(true);
  const epoch = await epochOf(id);
  expect((await timersOf(id)).map((member) => member.split("|")[2])).toContain(epoch);
  expect(await on.kindsOf(id)).toEqual([]);
});
