/**
 * Random trees of runs through the real scripts under random schedules, compared with the reference
 * interpreter. GAVOTTE_SEED replays one case, GAVOTTE_CASES sets how many there are.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { oracleHandlers } from "../generate/builtins.ts";
import type { JsonObject } from "../generate/workflow.ts";
import type { Case } from "../harness/case.ts";
import { isSpecial, playAll, reportCases, seedsOf } from "../harness/cases.ts";
import { foldChain } from "../harness/invariants.ts";
import { openTestPartition, type TestPartition } from "../harness/partition.ts";
import { comparable, failureOf } from "../harness/played.ts";
import { seeded } from "../harness/random.ts";
import { TreeDriver } from "../harness/tree-driver.ts";
import { allKeys } from "../support/index.ts";

reportCases(import.meta.filename);
const INPUT = { n: 3, name: "gavotte", list: [3, 1, 2] };
const KINDS = { anyJoins: false, failures: true, loops: true, continue: true };

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

interface Node {
  status: string;
  activations: number;
  error?: object;
}

/** Some of a workflow's plain steps run other workflows instead. */
function withChildren(document: JsonObject, refs: readonly string[], random: () => number): void {
  const nodes = document["nodes"] as JsonObject[];
  for (const node of nodes) {
    const config = node["config"] as JsonObject | undefined;
    const isPlain = config?.["function_name"] === "builtin.echo" && node["type"] === "function";
    if (isPlain && node["loop"] === undefined && random() < 0.7) {
      const workflow = refs[Math.floor(random() * refs.length)] as string;
      const input = { n: "${input.n}", name: "${input.name}", list: "${input.list}" };
      node["type"] = "subworkflow";
      node["config"] = { workflow, input };
    }
  }
}

/** `more`: what it has besides. */
function documentOf(
  one: Case,
  name: string,
  seed: number,
  refs: readonly string[],
  more: JsonObject = {},
): JsonObject {
  const document = one.workflow(KINDS, seed);
  delete document["metadata"];
  const settings = { ...(document["settings"] as JsonObject | undefined), failure: "continue" };
  Object.assign(document, { name, settings, ...more });
  if (refs.length > 0) {
    withChildren(document, refs, seeded(seed));
  }
  return document;
}

/** Plays one case; returns how many children there were. */
async function play(one: Case): Promise<number> {
  const { seed } = one;
  await p.reset();
  await p.freeze();
  const documents: [string, JsonObject][] = [
    ["top", documentOf(one, "top", seed, ["mid", "leaf"])],
    ["mid", documentOf(one, "mid", seed + 10_000, ["leaf"])],
    ["leaf", documentOf(one, "leaf", seed + 20_000, [], { output: { count: "${input.n}" } })],
  ];
  const irs: { [name: string]: Ir } = {};
  const bindings: { [name: string]: string } = {};
  const profiles = [];
  for (const [name, document] of documents) {
    const { ir, hash, diagnostics } = compile({ document: document as Json });
    if (ir === null || hash === null) {
      throw new Error(`not valid: ${JSON.stringify(diagnostics)}`);
    }
    irs[name] = ir;
    bindings[name] = hash;
    profiles.push(await p.publish(ir, hash));
  }
  const random = seeded(seed);
  const schedule = { random, die: 0.1, steal: 0.1, duplicate: 0.2, late: 0.1 };
  const driver = new TreeDriver(p, { profiles, bindings, schedule, release: 0.2 });
  const runId = `run-${seed}`;
  const records = await driver.run(runId, INPUT);

  // Each run begins once and ends once; each attempt of a token starts one child at most.
  const all = records.flatMap((record) => record.transitions);
  const began = all.filter(({ e }) => e === "run.started").map(({ r }) => r);
  expect(new Set(began).size).toBe(began.length);
  for (const id of began) {
    const ends = all.filter(
      ({ r, e }) => r === id && /^run\.(completed|failed|cancelled)$/.test(e),
    );
    expect([id, ends.length]).toEqual([id, 1]);
  }
  const started = all.filter(({ up }) => up !== undefined).map(({ up }) => up);
  expect(new Set(started).size).toBe(started.length);
  expect(await allKeys(p.redis, "gv:{0}:run:*")).toEqual([]);

  const view = foldChain(irs["top"] as Ir, runId, records);
  const options = { handlers: oracleHandlers(), runId, workflows: irs };
  const expected = interpret(irs["top"] as Ir, INPUT, options);
  expect(comparable({ status: view.status, output: view.output })).toEqual(
    comparable({ status: expected.status, output: expected.output }),
  );
  const nodesOf = (nodes: { [id: string]: Node }): unknown =>
    Object.entries(nodes).map(([id, node]) => {
      return [id, node.status, node.activations, failureOf(node)];
    });
  expect(nodesOf(view.nodes)).toEqual(nodesOf(expected.nodes));
  return began.length - 1;
}

describe("A7: trees of runs", () => {
  it(
    "come to the oracle's end whatever the schedule, each run once, nothing left behind",
    async () => {
      const children = await playAll(seedsOf(40), play);
      // The generator has not stopped making trees.
      const all = children.reduce((sum, count) => sum + count, 0);
      expect(all).toBeGreaterThan(isSpecial ? -1 : children.length);
    },
    10 * 60_000,
  );
});
