/**
 * Maps through the real scripts on a real Redis, under random schedules: elements in flight while
 * workers die, steal and come late. GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import { releaseRuns } from "../../sdk/internal.ts";
import { releaseMapsOfEnded } from "../../supervisor/release-maps.ts";
import { documentOf, MAP_SCENARIOS, type MapScenario } from "../generate/map-scenarios.ts";
import type { JsonObject } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { Driver } from "../harness/driver.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";
import { checkUnits } from "../harness/units.ts";
import { allKeys } from "../support/index.ts";

reportCases(import.meta.filename);

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

async function play(scenario: MapScenario, one: Case): Promise<void> {
  const { seed } = one;
  const document = one.fixed(documentOf(scenario) as JsonObject);
  const { ir, hash, diagnostics } = compile({ document });
  if (ir === null || hash === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  await p.reset();
  await p.freeze();
  const random = seeded(seed);
  const list = Array.from({ length: Math.floor(random() * 8) }, () => Math.floor(random() * 6));
  const calm = seed % 4 === 0;
  const schedule = calm
    ? { random, die: 0, steal: 0, duplicate: 0, late: 0 }
    : {
        ...{ random, die: 0.1, steal: 0.15, duplicate: 0.2, late: 0.15 },
        pause: seed % 4 === 1 ? 0.05 : 0,
      };
  const profile = await p.publish(ir, hash);
  const runId = `run-${seed}`;
  const { redis, scripts } = p;

  const look = (): Promise<void> => checkUnits({ redis, keys: scripts.keys }, ir, runId);
  const driver = new Driver(p, profile, schedule, look);
  const { records } = await driver.run(runId, { n: 3, list });
  const view = foldChain(ir, runId, records);
  const { status, output } = scenario.expected(list);
  expect({
    status: view.status,
    output: view.status === "COMPLETED" ? view.output : undefined,
  }).toEqual({ status, output });

  // No element's node is completed twice in the same place.
  const done = records
    .flatMap((r) => r.transitions)
    .filter((t) => t.e === "node.completed")
    .map((t) => `${t.m ?? ""}|${t.n}|${t.s}`);
  expect(new Set(done).size).toBe(done.length);

  await releaseMapsOfEnded(scripts, [runId]);
  await releaseRuns(scripts, [runId], []);
  expect(await allKeys(redis, "gv:{0}:run:*")).toEqual([]);
  expect(await redis.zrange(scripts.keys.timers, 0, -1)).toEqual([]);
}

describe.each(MAP_SCENARIOS)("A16: maps: $name", (scenario) => {
  it(
    "come to the same end whatever the schedule",
    async () => {
      await playAll(seedsOf(12), (one) => play(scenario, one));
    },
    5 * 60_000,
  );
});
