/** Functions that are said to be pure, in a whole engine: called in the step before them, or not. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readJournal } from "../sdk/postgres/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";

let engine: Engine;
/** Names of the functions in the order of their calls. */
const calls: string[] = [];

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  const told = (name: string, answer: (input: unknown, attempt: number) => unknown): void => {
    registry.register(name, ({ input, attempt }) => {
      calls.push(name);
      return answer(input, attempt) as never;
    });
  };
  told("one", () => 1);
  told("double", (input) => 2 * (input as number));
  told("second", (input, attempt) => {
    if (attempt < 2) throw new Error("not yet");
    return input;
  });
  told("later", (input) => Promise.resolve(input));
  await engine.worker({ registry });
}, 60_000);

afterAll(() => engine.stop());

interface Step {
  name: string;
  more?: object;
}

/**
 * Runs steps one after the other, all but the first of them pure: the run's output, and what of it was
 * journalled in one call.
 */
async function play(name: string, steps: readonly Step[], settings: object = {}) {
  const nodes = steps.map(({ name: function_name, more }, i) => ({
    ...{ id: `s${i}`, type: "function", config: { function_name }, pure: i > 0 },
    ...more,
  }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `s${i}`, to: id }));
  const workflow = { name, nodes, edges, settings };
  // The first time the worker may have to fetch the workflow, and leaves the token until it has.
  await engine.ended(await engine.submit({ workflow, input: null }));
  calls.length = 0;
  const runId = await engine.submit({ workflow, input: null });
  const { status, output } = await engine.ended(runId);
  const together = new Map<string, string[]>();
  for (const { position, transition } of await readJournal(engine.db, runId)) {
    const [call = ""] = position.split(".");
    const told = `${transition.e.slice("node.".length)} ${transition.n}`;
    if (transition.e.startsWith("node.")) {
      together.set(call, [...(together.get(call) ?? []), told]);
    }
  }
  return { status, output, together: [...together.values()] };
}

describe("A10: a pure function", () => {
  const chain = [{ name: "one" }, { name: "double" }, { name: "double" }];

  it("is called in the step before it, whatever its queue, and journalled on its own", async () => {
    const { status, output, together } = await play("chain", chain);
    expect({ status, output }).toEqual({ status: "COMPLETED", output: "4" });
    expect(together).toEqual([["completed 0", "completed 1", "completed 2"]]);
    expect(calls).toEqual(["one", "double", "double"]);
  });

  it("goes through its queue where the workflow wants no fusion", async () => {
    const { output, together } = await play("apart", chain, { fusion: false });
    expect(output).toBe("4");
    expect(together).toEqual([["completed 0"], ["completed 1"], ["completed 2"]]);
  });

  it("has all its attempts in steps of its own if it fails there", async () => {
    const retry = { max_attempts: 2, backoff_ms: 1, jitter: 0 };
    const { status, together } = await play("failing", [
      { name: "one" },
      { name: "second", more: { retry } },
      { name: "double" },
    ]);
    expect(status).toBe("COMPLETED");
    expect(together).toEqual([
      ["completed 0"],
      ["retrying 1"],
      ["activated 1"],
      ["completed 1", "completed 2"],
    ]);
    // Once for nothing, then twice.
    expect(calls).toEqual(["one", "second", "second", "second", "double"]);
  });

  it("that answers with a promise is a step of its own, and from then on not called before", async () => {
    const steps = [{ name: "one" }, { name: "later" }, { name: "double" }];
    const { output, together } = await play("promised", steps);
    expect(output).toBe("2");
    expect(together).toEqual([["completed 0"], ["completed 1", "completed 2"]]);
    expect(calls).toEqual(["one", "later", "double"]);
  });

  it("is not called before where its starts are limited", async () => {
    const limited = { name: "double", more: { rate_limit: { key: "k", per_second: 1000 } } };
    const { together } = await play("limited", [{ name: "one" }, limited]);
    expect(together.flat().filter((told) => told.startsWith("completed"))).toHaveLength(2);
    expect(together.some((told) => told.length > 1)).toBe(false);
  });
});
