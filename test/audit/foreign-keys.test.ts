/**
 * Something else stands in place of a run's keys: each command on one fails (WRONGTYPE). It is told as
 * that, and the run is put back from its journal and comes to its end; nothing else stands still for it.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Client } from "../../sdk/client.ts";
import { partitionKeys, releaseRuns, type ScriptRunner } from "../../sdk/internal.ts";
import type { Engine } from "../harness/engine.ts";
import { waitFor } from "../support/index.ts";
import { Audited, fn, line, wait, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
/** Its two elements wait, after an output that stands in a key of its own. */
const mapped = line("mapped", [
  fn("a", "large"),
  { id: "m", type: "map", config: { items: "[1, 2]", do: wait("w") } },
  fn("b"),
]);
let on: Audited;
let engine: Engine;
let client: Client;
let scripts: ScriptRunner;

beforeAll(async () => {
  on = await Audited.start();
  ({ engine, client, scripts } = on);
});
afterAll(() => on.stop());

/** Puts a text in the place of a key. */
async function damage(key: string): Promise<void> {
  await engine.redis.set(key, "put here by hand");
}

async function waitingMap(): Promise<string> {
  const id = await client.submit({ workflow: mapped as never, input: {} });
  await waitFor(async () => (await engine.redis.hget(keys.signals(id), "w:go")) !== null);
  await waitFor(async () => (await engine.redis.exists(keys.run(`${id}!1#1`))) === 1);
  return id;
}

describe("a run in place of whose keys something else stands", () => {
  it.each([
    ["its own", keys.run],
    ["its signals", keys.signals],
    ["its large outputs", keys.blobs],
    ["the list of its maps", keys.maps],
    ["what is held for it", keys.held],
    ["a map", (id: string): string => keys.run(`${id}!1`)],
    ["an element", (id: string): string => keys.run(`${id}!1#1`)],
  ])("is told so, put back by doctor, and comes to its end: %s", async (_, keyOf) => {
    const id = await waitingMap();
    expect(await on.kindsOf(id)).toEqual([]);
    await damage(keyOf(id));
    const [drift] = await on.seenAndRepaired(id, ["key_foreign"]);
    expect(drift).toMatchObject({ key: keyOf(id), is: "a string" });
    await client.signal(id, "go", 1);
    await client.signal(id, "go", 2);
    expect((await engine.ended(id)).status).toBe("COMPLETED");
    await waitFor(async () => (await engine.redis.exists(keyOf(id))) === 0);
  });

  it("is put back where that is an element around a map, whichever map is looked at first", async () => {
    const inner = { id: "i", type: "map", config: { items: "[1]", do: wait("w") } };
    const id = await client.submit({
      workflow: line("nested", [
        { id: "m", type: "map", config: { items: "[1, 2, 3, 4, 5, 6, 7, 8, 9]", do: inner } },
      ]) as never,
      input: {},
    });
    await waitFor(async () => (await engine.redis.scard(keys.maps(id))) === 10);
    await waitFor(async () => (await engine.redis.exists(keys.run(`${id}!0#8/0#0`))) === 1);
    for (let i = 0; i < 9; i++) {
      await damage(keys.run(`${id}!0#${i}`));
    }
    await on.seenAndRepaired(id, ["key_foreign"]);
  });

  it("is cancelled like any other, when it has been put back", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await damage(keys.run(id));
    await client.cancel(id, "enough");
    expect((await engine.ended(id)).status).toBe("CANCELLED");
    await waitFor(async () => (await engine.redis.exists(keys.run(id))) === 0);
  });

  it("and which has ended is released, and those with it", async () => {
    const [first, other] = [
      "01890000-0000-7000-8000-000000000001",
      "01890000-0000-7000-8000-000000000002",
    ];
    await damage(keys.run(first));
    await engine.redis.hset(keys.run(other), "s", "completed");
    await releaseRuns(scripts, [first, other], []);
    expect(await engine.redis.exists(keys.run(first), keys.run(other))).toBe(0);
  });
});
