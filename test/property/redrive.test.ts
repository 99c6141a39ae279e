/**
 * Random workflows that fail, redriven under random schedules. Their handlers fail again as they did,
 * so whatever was undone and run again, the run must come to the end that the reference interpreter
 * gives. GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, beforeAll, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import type { JournalRecord, RedriveWish } from "../../sdk/internal.ts";
import { hotFields } from "../../sdk/hot-fields.ts";
import { HotState } from "../../sdk/hot-state.ts";
import type { Ir } from "../../compiler/ir.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import { generateWorkflow, type GenerateOptions } from "../generate/workflow.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { Driver } from "../harness/driver.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { seeded } from "../harness/random.ts";

reportCases(import.meta.filename);
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };
const OPTIONS = { anyJoins: false, failures: true, loops: true, continue: true };
const KINDS: { [name: string]: GenerateOptions } = {
  plain: OPTIONS,
  maps: { ...OPTIONS, maps: true, maxNodes: 20 },
};

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

const tokens = (of: { [field: string]: string }): [string, string][] =>
  Object.entries(of)
    .filter(([field]) => /^[njliem]\d+$/.test(field) || field === "nf")
    .sort(([a], [b]) => (a < b ? -1 : 1));

function folded(ir: Ir, records: readonly JournalRecord[]): { [field: string]: string } {
  const hot = new HotState(ir);
  records.forEach((r) => r.transitions.forEach((t) => hot.apply(t, r.t)));
  const more = { epoch: 1, irHash: "", input: INPUT, namespace: "", priority: "normal" };
  return hotFields(hot, more);
}

/** Whether the run failed and was redriven. */
async function play(options: GenerateOptions, seed: number): Promise<boolean> {
  const { ir, hash } = compile({ document: generateWorkflow(seed, options) });
  if (ir === null || hash === null) {
    throw new Error("not valid");
  }
  const expected = interpret(ir, INPUT, { handlers: oracleHandlers(), runId: `run-${seed}` });
  if (expected.status !== "FAILED" || ir.settings.failure !== "continue") {
    return false;
  }
  await p.reset();
  await p.freeze();
  const random = seeded(seed);
  const schedule = { random, die: 0.1, steal: 0.15, duplicate: 0.2, late: 0.15 };
  const driver = new Driver(p, await p.publish(ir, hash), schedule);
  const runId = `run-${seed}`;
  let { records, hash: fields } = await driver.run(runId, INPUT);
  for (let round = 0; round < 3; round++) {
    const executed = records
      .flatMap((record) => record.transitions)
      .filter(({ e, m }) => (e === "node.completed" || e === "node.failed") && m === undefined)
      .map(({ n }) => ir.nodes[n ?? -1]?.id ?? "");
    const from = executed[Math.floor(random() * executed.length)] as string;
    const wish: RedriveWish = { by: "test", ...(round > 0 && { from: [from] }) };
    ({ records, hash: fields } = await driver.redrive(runId, INPUT, wish));
    expect(tokens(folded(ir, records))).toEqual(tokens(fields));
    const view = foldChain(ir, runId, records);
    const seen = Object.fromEntries(
      Object.entries(view.nodes).map(([id, { status, output }]) => [id, { status, output }]),
    );
    const wanted = Object.fromEntries(
      Object.entries(expected.nodes)
        .filter(([id]) => view.nodes[id] !== undefined) // not those in bodies of maps
        .map(([id, { status, output }]) => [id, { status, output }]),
    );
    expect(view.status).toBe("FAILED");
    expect(seen).toEqual(wanted);
    expect(view.error?.message).toBe(expected.error?.message);
  }
  return true;
}

it.each(Object.entries(KINDS))(
  "B8: %s: a redriven run comes to the end that its workflow has, whatever is undone",
  async (_, options) => {
    const were = await playAll(seedsOf(60), (seed) => play(options, seed));
    expect(were.filter((was) => was).length).toBeGreaterThan(isSpecial ? -1 : were.length / 20);
  },
  10 * 60_000,
);
