import { pino } from "pino";
import { describe, expect, it } from "vitest";
import type { IrNode, Json } from "../compiler/ir.ts";
import { defineFunction, type FunctionContext } from "../sdk/internal.ts";
import { Ahead } from "./ahead.ts";
import { createHttpClient } from "./kinds/http-client.ts";
import { nodeOf } from "./kinds/kind.fixture.ts";
import type { Prepared } from "./prepared.ts";
import { FunctionRegistry } from "./registry.ts";

const nothing = { http: createHttpClient(), secrets: () => ({}) };
const logger = pino({ level: "silent" });
const place = { runId: "r", unit: "r", scope: "", attempt: 3 };

/** Calls a function ahead, as often as there are steps; `clock` advances by `ms` at each look. */
function ahead(handler: (context: FunctionContext) => unknown, { ms = 0, open = true } = {}) {
  const registry = new FunctionRegistry([defineFunction("own", handler)]);
  let now = 0;
  const calls = new Ahead({
    ...{ ...nothing, registry, logger, nowMs: () => (now += ms) },
    reader: { isOpen: (key) => open && key === "q" },
  });
  return (p: Prepared, more: Partial<IrNode> = {}, data: Json = 1) => {
    const node = { ...nodeOf("function", { function_name: "own" }), ...more };
    return calls.call(p, node, { data }, data);
  };
}

function step(more: Partial<Prepared> = {}): Prepared {
  return { token: place, profile: { queueKeys: ["q"] }, ...more } as never;
}

describe("A10: a pure function in the step before it", () => {
  it("answers with its output, and is told that this is its first attempt", () => {
    const call = ahead(({ input, attempt, node, signal }) => {
      return { input, attempt, node, isAborted: signal.aborted };
    });
    const output = { input: 1, attempt: 1, node: "step", isAborted: false };
    expect(call(step())).toEqual({ output, ms: 0 });
  });

  it("is left to a step of its own if it throws, each time", () => {
    let count = 0;
    const call = ahead(() => {
      count += 1;
      throw new Error("no");
    });
    expect([call(step()), call(step()), count]).toEqual([null, null, 2]);
  });

  it("is left to a step of its own if it answers with a promise, and not called again", async () => {
    let count = 0;
    const call = ahead(async () => {
      count += 1;
      await Promise.reject(new Error("heard by nobody"));
    });
    expect([call(step()), call(step()), count]).toEqual([null, null, 1]);
    await new Promise((resolve) => setImmediate(resolve)); // no stray rejection
  });

  it("is left to a step of its own if what it takes or puts out does not fit", () => {
    const call = ahead(({ input }) => (input === 1 ? "text" : 2));
    const number: Partial<IrNode> = {
      input_schema: { type: "number" },
      output_schema: { type: "number" },
    };
    expect(call(step(), number, "none")).toBeNull();
    expect(call(step(), number, 1)).toBeNull();
    expect(call(step(), number, 5)).toEqual({ output: 2, ms: 0 });
  });

  it("is not called where its queue is not read, or paused", () => {
    expect(ahead(() => 1, { open: false })(step())).toBeNull();
    expect(ahead(() => 1)(step(), { queue: 1 })).toBeNull();
  });

  it("is not called in a step that was delivered before: it may have killed its worker", () => {
    const call = ahead(() => 1);
    expect(call(step({ isRedelivered: true }))).toBeNull();
    expect(call(step())).not.toBeNull();
  });

  it("is called while the step has taken no more than 10 ms; the next step has its own", () => {
    const call = ahead(() => 1, { ms: 6 });
    const one = step();
    expect([call(one)?.ms, call(one)]).toEqual([6, null]);
    expect(call(step())?.ms).toBe(6);
  });
});
