/** What the sweep over the list of releases finds, and what it goes past. */
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import { partitionKeys } from "../sdk/internal.ts";
import { waitFor } from "../test/support/index.ts";
import { scriptsOf, type SupervisorContext } from "./context.ts";
import { Releaser } from "./release.ts";
import { releaseMaps, releaseMapsOfEnded } from "./release-maps.ts";
import {
  chainIr,
  startPartition,
  startRuns,
  work,
  type Stack,
  type Supervised,
} from "./stack.fixture.ts";

const keys = partitionKeys(0);
const ir = chainIr(["a"]);
let stack: Stack;
let context: SupervisorContext;
let supervised: Supervised;

beforeAll(async () => {
  supervised = await startPartition();
  ({ stack, context } = supervised);
});
afterAll(() => supervised.close());

it("names without a row, however many, do not keep it from those that have one", async () => {
  const nobody = Array.from({ length: 1200 }, (_, i) => `nobody-${i}`);
  await stack.redis.zadd(keys.release, ...nobody.flatMap((name) => [1, name]));
  await startRuns(context, ir, "h-release", ["left"]);
  await work(stack, ir, "h-release");
  const isGone = async (): Promise<boolean> => (await stack.redis.exists(keys.run("left"))) === 0;
  await waitFor(isGone, { describe: "it is not released" });
  // As one leaves it that dies between the commit of the end and the release.
  await stack.redis.hset(keys.run("left"), { s: "completed", e: "1", ir: "h-release" });
  await stack.redis.zadd(keys.release, 2, "left");
  const sweeping = new Releaser(context, 0);
  await sweeping.start();
  await waitFor(isGone, { describe: "the sweep does not come to it" });
  await sweeping.stop(1000);
  expect(await stack.redis.zcard(keys.release)).toBe(nobody.length);
});

it("who releases too late takes nothing from a run that was redriven meanwhile", async () => {
  const runs = ["gone", "ended", "redriven"];
  const places = runs.flatMap((run) => [`${run}!0`, `${run}!0#0`, `${run}!0#1`]);
  for (const run of runs) {
    await stack.redis.sadd(keys.maps(run), `${run}!0`);
  }
  for (const place of places) {
    await stack.redis.hset(keys.run(place), { next: "2" });
  }
  await stack.redis.hset(keys.run("ended"), { s: "failed" });
  await stack.redis.hset(keys.run("redriven"), { s: "running" });
  await releaseMapsOfEnded(scriptsOf(context, 0), runs);
  const there = await Promise.all(places.map((place) => stack.redis.exists(keys.run(place))));
  expect(places.filter((_, i) => there[i] === 1)).toEqual(places.slice(6));
  const listed = await Promise.all(runs.map((run) => stack.redis.smembers(keys.maps(run))));
  expect(listed).toEqual([[], [], ["redriven!0"]]);
});

it("maps of a run whose list of them is foreign are found by one look at all keys", async () => {
  const scripts = scriptsOf(context, 0);
  const maps = ["foreign!0", "foreign!1", "foreign!2"];
  for (const map of maps) {
    await stack.redis.hset(keys.run(map), { next: "1" });
    await stack.redis.hset(keys.run(`${map}#0!0`), { next: "0" });
    await stack.redis.zadd(keys.release, 1, map);
  }
  await stack.redis.set(keys.maps("foreign"), "somebody's");
  const looks = vi.spyOn(scripts.redis, "scan");
  try {
    await releaseMaps(scripts, maps);
    const begun = looks.mock.calls.filter(([cursor]) => cursor === "0");
    expect(begun).toHaveLength(1);
  } finally {
    looks.mockRestore();
  }
  const all = maps.flatMap((map) => [keys.run(map), keys.run(`${map}#0!0`)]);
  expect(await stack.redis.exists(...all)).toBe(0);
});
