/** A run that has ended in Redis, and not yet in Postgres, while a key of it is damaged. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { cancelRun, partitionKeys } from "../../sdk/internal.ts";
import { DamagedRun } from "../../sdk/damaged-run.ts";
import { findDrifts, repairDrifts } from "../../supervisor/index.ts";
import { waitFor } from "../support/index.ts";
import { Audited, line, wait } from "./audited.fixture.ts";

const keys = partitionKeys(0);
let on: Audited;
beforeEach(async () => {
  on = await Audited.start();
});
afterEach(() => on.stop());

it("is not frozen again by who acts upon it", async () => {
  const { engine, client } = on;
  const id = await on.standing(line("one", [wait("w")]), "w", "waiting");
  await engine.supervisor.stop(5000);
  await client.signal(id, "go", 7);
  await waitFor(async () => (await engine.redis.hget(keys.run(id), "s")) === "completed");
  await engine.redis.set(keys.signals(id), "put here by hand");
  const run = new DamagedRun(id, () => Promise.resolve(on.scripts));
  expect(await run.unless(() => engine.redis.hgetall(keys.signals(id)))).toBeNull();
  expect(await engine.redis.hget(keys.run(id), "s")).toBe("completed");
  expect(run.notReady("").message).toContain("WRONGTYPE");
});

it("is not frozen by a repair of what was wrong with it before it ended", async () => {
  const { audit, engine, scripts } = on;
  const id = await on.standing(line("one", [wait("w")]), "w", "waiting");
  await engine.supervisor.stop(5000);
  await engine.redis.hset(keys.run(id), "c", 7);
  const drifts = await findDrifts(audit, 0, id); // the first of ten thousand
  expect(drifts[0]).toMatchObject({ kind: "counter", remedy: "rebuild" });
  expect(await cancelRun(scripts, id, "enough")).toBe("cancelled");
  const report = await repairDrifts(audit, scripts, drifts);
  expect(report.failed).toMatchObject([{ runId: id, text: expect.stringContaining("moved on") }]);
  expect(await engine.redis.hget(keys.run(id), "s")).toBe("cancelled");
});
