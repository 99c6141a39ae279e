import { describe, expect, it } from "vitest";
import { executeFunction } from "./function.ts";
import { contextOf, nodeOf } from "./kind.fixture.ts";
import { defineFunction, FailRun, RetryLater } from "../../sdk/internal.ts";
import { FunctionRegistry } from "../registry.ts";
import { toExecutionError, type ExecutionError } from "./kind.ts";
import { whatWasThrown } from "./thrown.ts";

/** The failure of a function node with this handler. */
async function failureOf(handler: () => unknown): Promise<ExecutionError> {
  const registry = new FunctionRegistry([defineFunction("own", handler)]);
  const node = nodeOf("function", { function_name: "own" });
  try {
    await executeFunction(node, contextOf(null, { registry }));
  } catch (error) {
    return error as ExecutionError;
  }
  throw new Error("it has not failed");
}

const stackOf = (error: ExecutionError): unknown => error.details?.["stack"];

function deep(): never {
  throw new Error("deep inside");
}

describe("where a handler has thrown", () => {
  it("is kept: the handler's own code, relative to where the worker runs, without the engine's", async () => {
    const error = await failureOf(function charge() {
      deep();
    });
    expect(error).toMatchObject({ code: "HANDLER_ERROR", message: "deep inside" });
    expect(stackOf(error)).toEqual([
      expect.stringMatching(/^deep \(worker\/kinds\/thrown\.test\.ts:\d+:\d+\)$/),
      expect.stringMatching(/^charge \(worker\/kinds\/thrown\.test\.ts:\d+:\d+\)$/),
    ]);
  });

  it("is kept of a promise that is rejected later", async () => {
    const error = await failureOf(async () => {
      await Promise.resolve();
      deep();
    });
    expect(stackOf(error)).toContainEqual(expect.stringMatching(/^deep \(worker\/kinds\/thrown/));
  });

  it("is the library's line and then the handler's, if a library threw", () => {
    const error = new Error("x");
    const lines = ["a (/srv/node_modules/pg/a.js:1:1)", "b (/srv/node_modules/pg/b.js:2:2)"];
    const own = ["own (file:///srv/functions.ts:3:3)", "Module.next (/srv/more.ts:4:4)"];
    const all = ["async node:internal/fs/promises:9:9", ...lines, ...own, "last (/srv/z.ts:5:5)"];
    error.stack = `Error: x\n    at text of the message\n${all.map((at) => `    at ${at}\n`).join("")}`;
    expect(stackOf(toExecutionError(error))).toEqual([
      "a (/srv/node_modules/pg/a.js:1:1)",
      "own (/srv/functions.ts:3:3)",
      "Module.next (/srv/more.ts:4:4)",
    ]);
  });

  it("takes no more than three lines of 200 characters, of whatever stack there is", () => {
    const error = new Error("x");
    error.stack = `Error: x\n${`    at f (/${"long/".repeat(1000)}x.ts:1:1)\n`.repeat(5)}`;
    const stack = stackOf(toExecutionError(error)) as string[];
    expect(stack.map((line) => line.length)).toEqual([200, 200, 200]);
    expect(stack[0]).toMatch(/^…\w*\/.*x\.ts:1:1\)$/);
    for (const odd of [undefined, 7, "", "Error: x", "\n".repeat(100)]) {
      Object.defineProperty(error, "stack", { value: odd, configurable: true });
      expect(toExecutionError(error).details).toBeUndefined();
    }
  });

  it("is not kept of an error with a code of its own: it was thrown on purpose", async () => {
    const declined = Object.assign(new Error("no money"), { code: "DECLINED" });
    for (const error of [declined, new FailRun("stop"), new RetryLater(5)]) {
      const failure = await failureOf(() => Promise.reject(error));
      expect(failure.details).toBeUndefined();
    }
  });

  it("is kept of an error with a code of Node's: nobody chose that", async () => {
    const { readFile } = await import("node:fs/promises");
    const missing = await failureOf(async () => {
      await readFile("/no/such/file");
    });
    expect(missing).toMatchObject({ code: "ENOENT" });
    expect(stackOf(missing)).toContainEqual(expect.stringMatching(/thrown\.test\.ts/));
    const wrong = await failureOf(() => Buffer.alloc("x" as never));
    expect(wrong).toMatchObject({ code: "ERR_INVALID_ARG_TYPE" });
    expect(stackOf(wrong)).toEqual([expect.stringMatching(/thrown\.test\.ts/)]);
  });
});

it("what is no Error says what it was, and that nobody can say where", async () => {
  const cases: [unknown, string][] = [
    [undefined, "undefined"],
    [null, "null"],
    ["just a string", "'just a string'"],
    [{ reason: "x" }, "{ reason: 'x' }"],
    [Object.create(null), "[Object: null prototype] {}"],
    [Symbol("s"), "Symbol(s)"],
  ];
  for (const [thrown, shown] of cases) {
    const message = `${shown} was thrown, which is no Error: it does not say where`;
    expect(whatWasThrown(thrown)).toBe(message);
    const failure = await failureOf(() => Promise.reject(thrown as Error));
    expect(failure).toMatchObject({ code: "HANDLER_ERROR", message });
    expect(failure.details).toBeUndefined();
  }
});
