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
