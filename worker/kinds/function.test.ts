import { describe, expect, it } from "vitest";
import type { Json } from "../../compiler/ir.ts";
import { defineFunction, FailRun, RetryLater } from "../../sdk/internal.ts";
import type { FunctionContext } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../registry.ts";
import { executeFunction } from "./function.ts";
import { contextOf, nodeOf } from "./kind.fixture.ts";
import { errorValue, toExecutionError } from "./kind.ts";

type Config = { [key: string]: Json };

/** Runs a node whose function is `handler`. */
function run(handler: (c: FunctionContext) => unknown, config: Config = {}, data: Json = null) {
  const registry = new FunctionRegistry([defineFunction("own", handler)]);
  const node = nodeOf("function", { function_name: "own", ...config });
  return executeFunction(node, contextOf(data, { registry, scope: "2:1", attempt: 3 }));
}

function seenBy(config: Config, data: Json = null): FunctionContext {
  const seen: FunctionContext[] = [];
  void run((context) => void seen.push(context), config, data);
  return seen[0] as FunctionContext;
}

describe("a function node", () => {
  it("fills the templates of its params", () => {
    const { params } = seenBy({ params: { id: "${data.id}", note: "no ${data.id}" } }, { id: 7 });
    expect(params).toEqual({ id: 7, note: "no 7" });
  });

  it("without params takes the other keys of the config", () => {
    expect(seenBy({ amount: "${data}", input: "${data}" }, 5).params).toEqual({ amount: 5 });
    expect(seenBy({}).params).toEqual({});
  });

  it("tells the handler which execution it is, with one key for all attempts", () => {
    expect(seenBy({})).toMatchObject({
      runId: "run-1",
      node: "step",
      scope: "2:1",
      attempt: 3,
      idempotencyKey: "run-1/step/2:1",
    });
  });

  it("gives the handler values that it may change, and nobody else has", () => {
    const registry = new FunctionRegistry([
      defineFunction("own", ({ params, input }) => {
        const told = JSON.stringify({ params, input });
        for (const value of [params, input] as { list: number[]; more?: number }[]) {
          value.list.sort();
          value.more = 1;
        }
        return told;
      }),
    ]);
    const data = JSON.parse('{"list": [3, 1, 2], "__proto__": {"deep": [1]}}') as Json;
    const node = nodeOf("function", { function_name: "own", params: { list: [2, 1] } });
    const filled = { ...node, config: { function_name: "own", params: "${data}" } };
    const constant = { params: { list: [2, 1] }, input: data };
    for (let times = 0; times < 2; times++) {
      const context = contextOf(data, { registry });
      expect(executeFunction(node, context)).toBe(JSON.stringify(constant));
      expect(executeFunction(filled, context)).toBe(JSON.stringify({ params: data, input: data }));
    }
    // Which nobody else reads: what was parsed for it is not copied once more.
    void executeFunction(node, contextOf(data, { registry, ownsData: true }));
    expect(data).toMatchObject({ list: [1, 2, 3], more: 1 });
  });

  it("answers at once if the handler does, and with a promise if it gives one", async () => {
    expect(run(() => 1)).toBe(1);
    expect(run(() => undefined)).toBeNull();
    await expect(run(() => Promise.resolve({ a: 1 }))).resolves.toEqual({ a: 1 });
  });

  it("waits for whatever has a then, as `await` does", async () => {
    // Like a query that begins when it is asked, and promises of other makes.
    const lazy = { then: (done: (value: unknown) => void) => done({ rows: 2 }) };
    const answer = run(() => lazy);
    expect(answer).toBeInstanceOf(Promise);
    await expect(answer).resolves.toEqual({ rows: 2 });
  });

  it("says which functions there are when its own is missing", () => {
    const node = nodeOf("function", { function_name: "charge" });
    expect(() => executeFunction(node, contextOf(null))).toThrow(
      expect.objectContaining({
        code: "FUNCTION_NOT_FOUND",
        message: expect.stringContaining("builtin.echo"),
      }),
    );
  });

  it("refuses params that have no value, and names the place", () => {
    expect(() => run(() => 1, { params: { a: "${data.nothing}" } }, {})).toThrow(
      expect.objectContaining({
        code: "BAD_INPUT",
        retryable: false,
        message: expect.stringMatching(/"step".*config\.params\/a.*nothing/),
      }),
    );
  });
});

describe("what a handler throws", () => {
  const thrown = (error: unknown): unknown => {
    try {
      return run(() => {
        throw error;
      });
    } catch (caught) {
      return caught;
    }
  };

  it("gives its own code, else HANDLER_ERROR", () => {
    const coded = Object.assign(new Error("no money"), { code: "DECLINED", retryable: false });
    expect(thrown(coded)).toMatchObject({ code: "DECLINED", retryable: false });
    expect(thrown(new Error("x"))).toMatchObject({ code: "HANDLER_ERROR", retryable: true });
    expect(thrown(undefined)).toMatchObject({ code: "HANDLER_ERROR" });
  });

  it("can ask for a later attempt or for the end of the run, from another copy of the SDK too", () => {
    expect(thrown(new RetryLater(500))).toMatchObject({ retryAfterMs: 500, retryable: true });
    expect(thrown(new FailRun("stop"))).toMatchObject({ failsRun: true, retryable: false });
    const foreign = { name: "RetryLater", code: "RETRY_LATER", delayMs: 9, message: "later" };
    expect(thrown(foreign)).toMatchObject({ retryAfterMs: 9 });
  });

  it("is the same for a rejected promise", async () => {
    const failing = run(() => Promise.reject(new FailRun("stop")));
    await expect(failing).rejects.toMatchObject({ code: "FAIL_RUN", failsRun: true });
  });

  it("becomes the value that error edges carry", () => {
    const error = toExecutionError(new Error("broken"));
    const details = { stack: [expect.stringContaining("function.test.ts")] };
    expect(errorValue(error, "step", 2)).toEqual({
      error: { code: "HANDLER_ERROR", message: "broken", node: "step", attempts: 2, details },
    });
  });
});

describe("what a handler returns", () => {
  it("is passed on without a copy when it is JSON", () => {
    const result = { a: [1, { b: null }], ["__proto__"]: 1 };
    expect(run(() => result)).toBe(result);
  });

  it("loses undefined fields, and dates become texts", () => {
    const result = { a: undefined, at: new Date(0), list: [undefined, 1] };
    expect(run(() => result)).toEqual({ at: "1970-01-01T00:00:00.000Z", list: [null, 1] });
  });

  it("keeps a key __proto__ as data when it is copied", () => {
    const result = JSON.parse('{"__proto__": {"admin": true}}') as { [key: string]: unknown };
    result["gone"] = undefined;
    expect(JSON.stringify(run(() => result))).toBe('{"__proto__":{"admin":true}}');
  });

  it("fails with the place of what JSON cannot hold", () => {
    const cyclic: { [key: string]: unknown } = {};
    cyclic["self"] = cyclic;
    const cases: [unknown, RegExp][] = [
      [{ a: [1n] }, /result\.a\.0 is a BigInt/],
      [{ a: Number.NaN }, /result\.a is NaN/],
      [{ a: () => 1 }, /result\.a is a function/],
      [new Map(), /result is a Map/],
      [new Uint8Array(1), /binary data/],
      [cyclic, /contains itself/],
    ];
    for (const [value, message] of cases) {
      expect(() => run(() => value)).toThrow(
        expect.objectContaining({
          code: "HANDLER_ERROR",
          retryable: false,
          message: expect.stringMatching(message),
        }),
      );
    }
  });
});
