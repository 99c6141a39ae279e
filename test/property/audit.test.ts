/**
 * The audit never blames a healthy run: after every step of random workflows and maps, under workers
 * that die, steal, repeat and come late, with pauses and timers, it finds nothing.
 * GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { auditRun, driftText, parseJournalRecord } from "../../sdk/internal.ts";
import { readSnapshot } from "../../supervisor/audit/read-snapshot.ts";
import { StreamIndex } from "../../supervisor/audit/streams.ts";
import { documentOf, MAP_SCENARIOS } from "../generate/map-scenarios.ts";
import type { JsonObject } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { Driver } from "../harness/driver.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";
import { foldHot } from "../harness/units.ts";

reportCases(import.meta.filename);

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

async function play(document: Json, input: Json, seed: number): Promise<void> {
  const { ir, hash, diagnostics } = compile({ document });
  if (ir === null || hash === null) {
    throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
  }
  await p.reset();
  const profile = await p.publish(ir, hash);
  const streams = new StreamIndex(p.redis);
  const runId = `run-${seed}`;
  const look = async (): Promise<void> => {
    const irOf = (): Promise<Ir> => Promise.resolve(ir);
    const snapshot = await readSnapshot(p.redis, 0, runId, irOf, streams);
    if (snapshot === null || snapshot === "moving" || Array.isArray(snapshot)) {
      throw new Error(`no snapshot: ${JSON.stringify(snapshot)}`);
    }
    const status = snapshot.units.get(runId)?.["s"] ?? "";
    if (!["running", "paused", "finishing"].includes(status)) {
      return;
    }
    const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
    const records = entries.map(([id, fields]) => parseJournalRecord(id, fields));
    const drifts = auditRun(ir, snapshot, foldHot(ir, records));
    expect(drifts.filter(({ harmless }) => harmless !== true).map(driftText)).toEqual([]);
  };
  const random = seeded(seed);
  const pause = seed % 3 === 0 ? 0.1 : 0;
  const schedule = { random, die: 0.1, steal: 0.15, duplicate: 0.2, late: 0.15, pause };
  await new Driver(p, profile, schedule, look).run(runId, input);
}

async function audited(document: (one: Case) => Json, input: Json): Promise<void> {
  await playAll(seedsOf(12), (one) => play(document(one), input, one.seed));
}

const LIST = { n: 3, name: "gavotte", list: [3, 1, 2, 0] };
const MINUTES = 5 * 60_000;

describe("the audit finds nothing in a healthy run", () => {
  const options = { anyJoins: true, failures: true, loops: true, continue: true, pure: true };
  it("of any shape", () => audited((one) => one.workflow(options), LIST), MINUTES);

  it.each(MAP_SCENARIOS)(
    "with maps: $name",
    (scenario) => audited((one) => one.fixed(documentOf(scenario) as JsonObject), LIST),
    MINUTES,
  );
});
