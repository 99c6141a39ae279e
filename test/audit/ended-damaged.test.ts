/** A run that has ended in Redis, and not yet in Postgres, while a key of it is damaged. */
import { afterEach, beforeEach, expect, it } from "vitest";
import { partitionKeys } from "../../sdk/internal.ts";
import { DamagedRun } from "../../sdk/damaged-run.ts";
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
