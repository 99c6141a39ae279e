import { pino } from "pino";
import { expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { systemClock } from "../sdk/internal.ts";
import type { CompensationStep } from "./compensation-steps.ts";
import { workflowOf } from "./compensation.ts";

const context = { logger: pino({ level: "silent" }), clock: systemClock };
const node = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
const { ir } = compile({ document: { metadata: { name: "w" }, nodes: [node], edges: [] } });
const step: CompensationStep = {
  ...{ node: "a", scope: "", home: "", functionName: "undo", queue: "default", output: null },
};

function nodesOf(count: number): Ir["nodes"] {
  const steps = Array.from({ length: count }, () => step);
  return (JSON.parse(workflowOf(context, ir as Ir, "r", steps)?.ir ?? "") as Ir).nodes;
}

it("what cannot be undone whole is a run of one step, which fails and says why", () => {
  const [only, ...more] = nodesOf(10_001);
  expect(more).toEqual([]);
  const message = "nothing is undone: the run has left 10001 steps to undo, more than the 10000";
  expect(only?.config).toMatchObject({
    ...{ function_name: "builtin.fail", params: { message: expect.stringContaining(message) } },
  });
});

it("what can be is a step each", () => {
  expect(nodesOf(3).map(({ config }) => config["function_name"])).toEqual(["undo", "undo", "undo"]);
});

it("is made of a workflow that was stored with names which are none any more", () => {
  const old = {
    ...(ir as Ir),
    name: `a@b\u0007${"\u{1f600}".repeat(200)}`,
    workflow_version: "1@2",
  };
  const definition = workflowOf(context, old, "r", [step]);
  expect(definition?.name).toBe(`a-b-${"\u{1f600}".repeat(133)}:compensation`);
  expect(definition?.version).toBe("1-2");
});

it("tells why a step cannot be undone, whatever the reason is made of", () => {
  const odd = { ...step, problem: "no \u0000 and no \ud800" };
  const chain = JSON.parse(workflowOf(context, ir as Ir, "r", [odd])?.ir ?? "null") as Ir | null;
  expect(chain?.nodes[0]?.config).toMatchObject({ params: { message: "no - and no -" } });
});
