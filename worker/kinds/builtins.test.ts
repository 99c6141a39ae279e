import { describe, expect, it } from "vitest";
import type { Json } from "../../compiler/ir.ts";
import { executeFunction } from "./function.ts";
import { contextOf, nodeOf } from "./kind.fixture.ts";
import type { KindContext } from "./kind.ts";

function call(
  name: string,
  params: Json | undefined,
  input: Json = { from: "before" },
  more: Partial<KindContext> = {},
): Json | Promise<Json> {
  const config = { function_name: name, ...(params === undefined ? {} : { params }) };
  return executeFunction(nodeOf("function", config), contextOf(input, more));
}

describe("the built-in functions", () => {
  it("echo gives its params, or without params its input", () => {
    expect(call("builtin.echo", { a: 1 })).toEqual({ a: 1 });
    expect(call("builtin.echo", {})).toEqual({});
    expect(call("builtin.echo", undefined)).toEqual({ from: "before" });
  });

  it("add adds a and b, or a list", () => {
    expect(call("builtin.add", { a: 2, b: 3 })).toEqual({ sum: 5 });
    expect(call("builtin.add", { a: 2 })).toEqual({ sum: 2 });
    expect(call("builtin.add", { values: [1, 2, 3.5] })).toEqual({ sum: 6.5 });
  });

  it("add refuses what is not a number, for good", () => {
    for (const params of [{ a: "2" }, { values: 3 }, { values: [1, null] }]) {
      expect(() => call("builtin.add", params)).toThrow(
        expect.objectContaining({ code: "BAD_INPUT", retryable: false }),
      );
    }
  });

  it("counter goes on from its input, or begins at start", () => {
    expect(call("builtin.counter", undefined, { count: 4 })).toEqual({ count: 5 });
    expect(call("builtin.counter", undefined, null)).toEqual({ count: 1 });
    expect(call("builtin.counter", { start: 10, step: 5 }, null)).toEqual({ count: 15 });
  });

  it("sleep gives its value, or its input", async () => {
    expect(await call("builtin.sleep", { ms: 1, value: null })).toBeNull();
    expect(await call("builtin.sleep", { ms: 1 })).toEqual({ from: "before" });
  });

  it("sleep ends with the reason of the abort", async () => {
    const abort = new AbortController();
    const asleep = call("builtin.sleep", { ms: 1e6 }, null, { signal: abort.signal });
    abort.abort(new DOMException("late", "TimeoutError"));
    await expect(asleep).rejects.toMatchObject({ code: "TIMEOUT" });
  });

  it("fail fails with its code on the first attempts only", () => {
    const params = { code: "BUSY", message: "not yet", attempts: 2, value: "done" };
    for (const attempt of [1, 2]) {
      expect(() => call("builtin.fail", params, null, { attempt })).toThrow(
        expect.objectContaining({ code: "BUSY", message: "not yet", retryable: true }),
      );
    }
    expect(call("builtin.fail", params, null, { attempt: 3 })).toBe("done");
  });

  it("fail does nothing when it is told not to", () => {
    expect(call("builtin.fail", { when: false }, 7)).toBe(7);
    expect(() => call("builtin.fail", undefined)).toThrow(
      expect.objectContaining({ code: "FAILED" }),
    );
  });
});
