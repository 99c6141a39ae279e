/** One document through a state, by what the specification and the service's pages say of it. */
import { describe, expect, it } from "vitest";
import { chain, runMachine } from "./asl.fixture.ts";
import type { JsonObject, Work } from "./asl.fixture.ts";
import type { Json } from "../../ir.ts";

const TASK = { Type: "Task", Resource: "arn:aws:lambda:eu-west-1:123456789012:function:work:PROD" };
const work = (result: Json): { work: Work } => ({ work: () => result });

function output(state: JsonObject, input: Json, functions: { [name: string]: Work } = {}): Json {
  const { status, output: value, error } = runMachine(chain({ Only: state }), input, functions);
  if (status === "COMPLETED") return value;
  throw new Error(`${error?.code ?? ""}: ${error?.message ?? ""}`);
}

describe("a Pass", () => {
  it.each<[string, JsonObject, Json, Json]>([
    ["passes its input on", {}, { a: 1 }, { a: 1 }],
    ["puts out its Result", { Result: { x: "${y} {{z}}" } }, { a: 1 }, { x: "${y} {{z}}" }],
    ["puts out a plain Result", { Result: "cost ${n}" }, 0, "cost ${n}"],
    ["puts out a null Result", { Result: null }, 0, null],
    [
      "puts its Result at ResultPath",
      { Result: 5, ResultPath: "$.b.c" },
      { a: 1 },
      { a: 1, b: { c: 5 } },
    ],
    ["drops its Result with ResultPath null", { Result: 5, ResultPath: null }, { a: 1 }, { a: 1 }],
    ["chooses with InputPath", { InputPath: "$.a" }, { a: [1, 2] }, [1, 2]],
    ["has {} of InputPath null", { InputPath: null }, { a: 1 }, {}],
    ["has {} of OutputPath null", { OutputPath: null }, { a: 1 }, {}],
    [
      "chooses with OutputPath behind ResultPath",
      { Result: { d: 1 }, ResultPath: "$.b", OutputPath: "$.b.d" },
      {},
      1,
    ],
    [
      "builds with Parameters",
      { Parameters: { "a.$": "$.x", b: { "c.$": "$.l[0]", d: [1, { "e.$": "$$.State.Name" }] } } },
      { x: true, l: [7] },
      { a: true, b: { c: 7, d: [1, { e: "Only" }] } },
    ],
    [
      "puts Parameters at ResultPath",
      { InputPath: "$.x", Parameters: { "a.$": "$.y" }, ResultPath: "$.r" },
      { x: { y: 2 } },
      { x: { y: 2 }, r: { a: 2 } },
    ],
    [
      "replaces an element of a list",
      { Result: "b", ResultPath: "$.l[1]" },
      { l: ["a", "x"] },
      { l: ["a", "b"] },
    ],
  ])("%s", (_, more, input, expected) => {
    expect(output({ Type: "Pass", ...more }, input)).toEqual(expected);
  });
});

describe("a Task", () => {
  it.each<[string, JsonObject, Json, Json, Json]>([
    ["its result is the output", {}, { a: 1 }, { r: 2 }, { r: 2 }],
    ["ResultPath keeps the input", { ResultPath: "$.r" }, { a: 1 }, 2, { a: 1, r: 2 }],
    ["ResultPath null drops the result", { ResultPath: null }, { a: 1 }, 2, { a: 1 }],
    [
      "ResultSelector",
      { ResultSelector: { "x.$": "$.r.s", k: "c" } },
      {},
      { r: { s: 2 } },
      { x: 2, k: "c" },
    ],
    [
      "ResultSelector, ResultPath and OutputPath together",
      {
        InputPath: "$.in",
        ResultSelector: { "x.$": "$.r" },
        ResultPath: "$.out",
        OutputPath: "$.out",
      },
      { in: 1 },
      { r: 3 },
      { x: 3 },
    ],
    [
      "ResultPath goes into the raw input",
      { InputPath: "$.in", ResultPath: "$.r" },
      { in: 1 },
      3,
      { in: 1, r: 3 },
    ],
    ["OutputPath null", { OutputPath: null }, {}, 3, {}],
  ])("%s", (_, more, input, result, expected) => {
    expect(output({ ...TASK, ...more }, input, work(result))).toEqual(expected);
  });

  it.each<[string, JsonObject, Json, Json]>([
    ["its input", {}, { a: 1 }, { a: 1 }],
    ["InputPath of it", { InputPath: "$.a" }, { a: [1] }, [1]],
    ["{} of InputPath null", { InputPath: null }, { a: 1 }, {}],
    ["Parameters", { Parameters: { k: "v", "a.$": "$.a" } }, { a: 1 }, { k: "v", a: 1 }],
    [
      "Parameters over InputPath",
      { InputPath: "$.a", Parameters: { "b.$": "$" } },
      { a: 2 },
      { b: 2 },
    ],
  ])("the function gets %s", (_, more, input, expected) => {
    expect(output({ ...TASK, ...more }, input, { work: (event) => event })).toEqual(expected);
  });

  it("lambda:invoke: the function gets the Payload, and the result is wrapped", () => {
    const state = {
      Type: "Task",
      Resource: "arn:aws:states:::lambda:invoke",
      Parameters: {
        FunctionName: "arn:aws:lambda:eu-west-1:123456789012:function:work:$LATEST",
        Payload: { "order.$": "$.id" },
      },
    };
    const functions = { work: (event: Json) => ({ got: event }) };
    const got = { got: { order: 7 } };
    expect(output({ ...state, OutputPath: "$.Payload" }, { id: 7 }, functions)).toEqual(got);
    expect(
      output({ ...state, ResultSelector: { "p.$": "$.Payload.got.order" } }, { id: 7 }, functions),
    ).toEqual({
      p: 7,
    });
    expect(output(state, { id: 7 }, functions)).toMatchObject({ Payload: got, StatusCode: 200 });
  });

  it("a missing path fails the state", () => {
    expect(() => output({ ...TASK, InputPath: "$.nothing" }, { a: 1 })).toThrow(/no such field/);
  });
});

describe("states in a row", () => {
  it("hand one document on", () => {
    const machine = chain({
      A: { ...TASK, ResultPath: "$.a" },
      B: { Type: "Pass", Parameters: { "n.$": "$.a.v", "all.$": "$" } },
      C: { Type: "Task", Resource: "twice", InputPath: "$.n", ResultPath: "$.c" },
      D: { Type: "Succeed", OutputPath: "$.c" },
    });
    const functions = { work: () => ({ v: 21 }), twice: (n: Json) => Number(n) * 2 };
    expect(runMachine(machine, { x: 1 }, functions).output).toBe(42);
  });

  it("a Wait passes its input on, chosen by its paths", () => {
    const wait = { Type: "Wait", InputPath: "$.w", SecondsPath: "$.s", OutputPath: "$.v" };
    expect(output(wait, { w: { s: 3, v: "x" } })).toBe("x");
    expect(output({ Type: "Wait", TimestampPath: "$.t" }, { t: "2026-01-01T00:00:00Z" })).toEqual({
      t: "2026-01-01T00:00:00Z",
    });
  });

  it("the context object is there", () => {
    const parameters = { "in.$": "$$.Execution.Input.a", "name.$": "$$.StateMachine.Name" };
    const machine = chain({
      A: { Type: "Pass", Result: 1 },
      B: { Type: "Pass", Parameters: parameters },
    });
    expect(runMachine(machine, { a: 5 }).output).toEqual({ in: 5, name: "test" });
  });
});
