/** States that lead on: failures, cycles, branches and maps. */
import { describe, expect, it } from "vitest";
import { compile } from "../../index.ts";
import type { Json } from "../../ir.ts";
import { chain, machineIr, runMachine, TaskFailure } from "./asl.fixture.ts";
import type { JsonObject, Work } from "./asl.fixture.ts";

const task = (more: JsonObject = {}): JsonObject => ({ Type: "Task", Resource: "work", ...more });
const failing = (code: string): { work: Work } => ({
  work: () => {
    throw new TaskFailure(code);
  },
});

function caught(catchers: Json, code: string): Json {
  const hasB = JSON.stringify(catchers).includes('"B"');
  const machine = {
    StartAt: "Try",
    States: {
      Try: task({ Catch: catchers, End: true }),
      A: { Type: "Pass", Parameters: { "a.$": "$" }, End: true },
      ...(hasB ? { B: { Type: "Pass", Parameters: { "b.$": "$" }, End: true } } : {}),
    },
  };
  const { output, error } = runMachine(machine, { x: 1 }, failing(code));
  return error ? error.code : output;
}

describe("Catch", () => {
  it.each<[string, Json, Json]>([
    [
      "Custom",
      [{ ErrorEquals: ["Custom"], Next: "A" }],
      { a: { Error: "Custom", Cause: "it broke" } },
    ],
    ["Other", [{ ErrorEquals: ["Custom"], Next: "A" }], "Other"],
    [
      "Custom",
      [
        { ErrorEquals: ["Custom", "More"], Next: "A", ResultPath: null },
        { ErrorEquals: ["States.ALL"], Next: "B" },
      ],
      { a: { x: 1 } },
    ],
    [
      "Other",
      [
        { ErrorEquals: ["Custom"], Next: "A" },
        { ErrorEquals: ["States.ALL"], Next: "B", ResultPath: "$.e" },
      ],
      { b: { x: 1, e: { Error: "Other", Cause: "it broke" } } },
    ],
    [
      "TIMEOUT",
      [{ ErrorEquals: ["States.Timeout"], Next: "A", ResultPath: "$.e" }],
      {
        a: { x: 1, e: { Error: "States.Timeout", Cause: "it broke" } },
      },
    ],
    [
      "TIMEOUT",
      [
        { ErrorEquals: ["States.TaskFailed"], Next: "A" },
        { ErrorEquals: ["States.ALL"], Next: "B", ResultPath: null },
      ],
      { b: { x: 1 } },
    ],
    [
      "Custom",
      [{ ErrorEquals: ["States.TaskFailed"], Next: "A", ResultPath: null }],
      { a: { x: 1 } },
    ],
  ])("%s by %j", (code, catchers, expected) => {
    expect(caught(catchers, code)).toEqual(expected);
  });

  it("a Fail ends the run with its error and cause", () => {
    const machine = chain({ F: { Type: "Fail", Error: "Lost", CausePath: "$.why" } });
    expect(runMachine(machine, { why: "nobody knows" }).error).toMatchObject({
      code: "Lost",
      message: "nobody knows",
    });
  });
});

describe("Retry", () => {
  function retryOf(list: Json): unknown {
    return machineIr(chain({ T: task({ Retry: list }) })).nodes[0]?.retry;
  }

  it("has the defaults of the language", () => {
    expect(retryOf([{ ErrorEquals: ["States.ALL"] }])).toMatchObject({
      ...{ max_attempts: 4, backoff_ms: 1000, backoff_multiplier: 2, jitter: 0 },
    });
  });

  it("has no cap on its delays that the author has not written", () => {
    const list = [
      { ErrorEquals: ["States.ALL"], IntervalSeconds: 30, MaxAttempts: 5, BackoffRate: 3 },
    ];
    expect(retryOf(list)).toMatchObject({ max_backoff_ms: 30_000 * 81 });
  });

  it("full jitter is anything from 0 to the delay", () => {
    const more = { MaxDelaySeconds: 20, JitterStrategy: "FULL", IntervalSeconds: 4 };
    expect(retryOf([{ ErrorEquals: ["States.ALL"], ...more }])).toMatchObject({
      ...{ backoff_ms: 2000, max_backoff_ms: 10_000, jitter: 1 },
    });
  });

  it("names of errors become codes", () => {
    expect(retryOf([{ ErrorEquals: ["States.Timeout", "Busy"] }])).toMatchObject({
      on: ["Busy", "TIMEOUT"],
    });
    expect(retryOf([{ ErrorEquals: ["States.TaskFailed"] }])).toMatchObject({
      not_on: ["TIMEOUT"],
    });
  });

  it("an entry without attempts excludes its errors from those behind it", () => {
    const list = [
      { ErrorEquals: ["Fatal"], MaxAttempts: 0 },
      { ErrorEquals: ["States.ALL"], MaxAttempts: 2 },
    ];
    expect(retryOf(list)).toMatchObject({ max_attempts: 3, not_on: ["Fatal"] });
  });

  it("entries that differ are refused at the second", () => {
    const list = [{ ErrorEquals: ["A"] }, { ErrorEquals: ["B"], MaxAttempts: 1 }];
    const { diagnostics } = compile({ document: chain({ T: task({ Retry: list }) }) });
    expect(diagnostics).toMatchObject([{ code: "GV5001", pointer: "/States/T/Retry/1" }]);
  });

  it("is done as often as it says", () => {
    let calls = 0;
    const functions = {
      work: () => {
        calls++;
        throw new TaskFailure("Busy");
      },
    };
    const machine = chain({ T: task({ Retry: [{ ErrorEquals: ["Busy"], MaxAttempts: 2 }] }) });
    expect(runMachine(machine, {}, functions).error).toMatchObject({ code: "Busy" });
    expect(calls).toBe(3);
  });
});

describe("cycles", () => {
  /** Iterator, then a question in the middle: out, or work and back. */
  const counting = {
    StartAt: "Init",
    States: {
      Init: { Type: "Pass", Result: { i: 0, sum: 0 }, Next: "Iterate" },
      Iterate: task({ Next: "More?" }),
      "More?": {
        Type: "Choice",
        Comment: "max_iterations: 10",
        Choices: [{ Variable: "$.i", NumericLessThanEquals: 3, Next: "Add" }],
        Default: "Done",
      },
      Add: { Type: "Task", Resource: "add", ResultPath: "$.sum", Next: "Iterate" },
      Done: { Type: "Pass", Parameters: { "sum.$": "$.sum" }, End: true },
    },
  };
  const functions: { [name: string]: Work } = {
    work: (event) => ({ ...(event as JsonObject), i: Number((event as JsonObject)["i"]) + 1 }),
    add: (event) => Number((event as JsonObject)["sum"]) + Number((event as JsonObject)["i"]),
  };

  it("an exit in the middle of a cycle leaves it there", () => {
    const { output, nodes } = runMachine(counting, {}, functions);
    expect(output).toEqual({ sum: 6 });
    expect(nodes["Add"]).toMatchObject({ activations: 3 });
  });

  it("a cycle whose bound is reached fails", () => {
    const States = {
      ...counting.States,
      "More?": { ...counting.States["More?"], Comment: "max_iterations=2" },
    };
    expect(runMachine({ ...counting, States }, {}, functions).error).toMatchObject({
      code: "MAX_ITERATIONS",
    });
  });

  it("a failure may lead back, and out", () => {
    let calls = 0;
    const machine = {
      StartAt: "Try",
      States: {
        Try: task({
          Comment: "max_iterations: 5",
          Catch: [
            { ErrorEquals: ["Again"], ResultPath: "$.e", Next: "Repair" },
            { ErrorEquals: ["States.ALL"], ResultPath: "$.e", Next: "GiveUp" },
          ],
          ResultPath: "$.r",
          Next: "Done",
        }),
        Repair: { Type: "Pass", Result: true, ResultPath: "$.repaired", Next: "Try" },
        GiveUp: { Type: "Pass", Result: "gave up", End: true },
        Done: { Type: "Succeed" },
      },
    };
    const work = (): Json => {
      calls++;
      if (calls < 3) throw new TaskFailure("Again");
      return calls;
    };
    expect(runMachine(machine, { x: 1 }, { work }).output).toMatchObject({
      x: 1,
      r: 3,
      repaired: true,
    });
    expect(runMachine(machine, {}, failing("Bad")).output).toBe("gave up");
  });

  it("a cycle in a cycle", () => {
    const rule = (variable: string, next: string): JsonObject => ({
      Variable: variable,
      NumericLessThan: 3,
      Next: next,
    });
    const machine = {
      StartAt: "Init",
      States: {
        Init: { Type: "Pass", Result: { row: 0, n: 0 }, Next: "Row" },
        Row: {
          Type: "Pass",
          Parameters: { "row.$": "States.MathAdd($.row, 1)", "n.$": "$.n", column: 0 },
          Next: "Column",
        },
        Column: {
          Type: "Pass",
          Parameters: {
            "row.$": "$.row",
            "n.$": "States.MathAdd($.n, 1)",
            "column.$": "States.MathAdd($.column, 1)",
          },
          Next: "NextColumn",
        },
        NextColumn: {
          Type: "Choice",
          Comment: "max_iterations: 9",
          Choices: [rule("$.column", "Column")],
          Default: "NextRow",
        },
        NextRow: {
          Type: "Choice",
          Comment: "max_iterations: 9",
          Choices: [rule("$.row", "Row")],
          Default: "Done",
        },
        Done: { Type: "Succeed" },
      },
    };
    expect(runMachine(machine, {}).output).toEqual({ row: 3, n: 9, column: 3 });
  });

  it("one that is entered at two states is refused, and both are named", () => {
    const machine = {
      StartAt: "Ask",
      States: {
        Ask: {
          Type: "Choice",
          Choices: [{ Variable: "$.a", BooleanEquals: true, Next: "A" }],
          Default: "B",
        },
        A: task({ Next: "B" }),
        B: {
          Type: "Choice",
          Choices: [{ Variable: "$.b", BooleanEquals: true, Next: "A" }],
          Default: "C",
        },
        C: { Type: "Succeed" },
      },
    };
    const { diagnostics } = compile({ document: machine });
    expect(diagnostics).toMatchObject([
      { code: "GV5004", message: expect.stringContaining("`A` and `B`") as string },
    ]);
  });
});

describe("Parallel", () => {
  const branch = (name: string, state: JsonObject): JsonObject => ({
    StartAt: name,
    States: { [name]: state },
  });
  const pass = (key: string): JsonObject => ({
    Type: "Pass",
    Parameters: { [`${key}.$`]: "$.n" },
    End: true,
  });

  it("its result is the list of the branches' outputs", () => {
    const state = { Type: "Parallel", Branches: [branch("A", pass("a")), branch("B", pass("b"))] };
    expect(runMachine(chain({ P: state }), { n: 1 }).output).toEqual([{ a: 1 }, { b: 1 }]);
    const more = { InputPath: "$.in", ResultSelector: { "x.$": "$[1].b" }, ResultPath: "$.r" };
    const input = { in: { n: 2 } };
    expect(runMachine(chain({ P: { ...state, ...more } }), input).output).toEqual({
      ...input,
      r: { x: 2 },
    });
  });

  it("one branch is a list too, and branches hold branches", () => {
    const inner = { Type: "Parallel", Branches: [branch("A", pass("a"))], End: true };
    const state = { Type: "Parallel", Branches: [branch("I", inner), branch("B", pass("b"))] };
    expect(runMachine(chain({ P: state }), { n: 1 }).output).toEqual([[{ a: 1 }], { b: 1 }]);
  });

  it("a branch may have several ends", () => {
    const choose = {
      StartAt: "Q",
      States: {
        Q: {
          Type: "Choice",
          Choices: [{ Variable: "$.n", NumericEquals: 1, Next: "One" }],
          Default: "Two",
        },
        One: { Type: "Pass", Result: "one", End: true },
        Two: { Type: "Succeed" },
      },
    };
    const machine = chain({ P: { Type: "Parallel", Branches: [choose, branch("B", pass("b"))] } });
    expect(runMachine(machine, { n: 1 }).output).toEqual(["one", { b: 1 }]);
    expect(runMachine(machine, { n: 2 }).output).toEqual([{ n: 2 }, { b: 2 }]);
  });

  it("a branch that fails fails it as a whole, which can be caught", () => {
    const branches = [branch("A", { ...task(), End: true }), branch("B", pass("b"))];
    const state = {
      Type: "Parallel",
      Branches: branches,
      Catch: [{ ErrorEquals: ["States.ALL"], ResultPath: "$.e", Next: "Saved" }],
      End: true,
    };
    const machine = { StartAt: "P", States: { P: state, Saved: { Type: "Succeed" } } };
    expect(runMachine(machine, { n: 1 }, failing("Bad")).output).toMatchObject({
      n: 1,
      e: { Error: "Bad" },
    });
    expect(runMachine(machine, { n: 1 }).output).toEqual([{ n: 1 }, { b: 1 }]);
  });
});

describe("Retry of a state with states inside", () => {
  /** Fails `times` times with `code`, then gives what it got. */
  function failingFirst(times: number, code: string): { work: Work } {
    let calls = 0;
    return {
      work: (event) => {
        if (calls++ < times) throw new TaskFailure(code);
        return event;
      },
    };
  }
  const one = { StartAt: "Each", States: { Each: { ...task(), End: true } } };
  const retry = [
    { ErrorEquals: ["Fatal"], MaxAttempts: 0 },
    { ErrorEquals: ["States.ALL"], MaxAttempts: 2, IntervalSeconds: 1 },
  ];
  const catcher = { ErrorEquals: ["Busy"], ResultPath: "$.e", Next: "Saved" };
  const machine = (more: JsonObject): JsonObject => ({
    StartAt: "M",
    States: {
      M: { Retry: retry, ResultPath: "$.r", End: true, ...more },
      ...("Catch" in more ? { Saved: { Type: "Succeed" } } : {}),
    },
  });
  const map = { Type: "Map", ItemsPath: "$.l", ItemProcessor: one };
  const parallel = { Type: "Parallel", Branches: [one], InputPath: "$.l" };

  it.each([
    ["Map", map, [1, 2]],
    ["Parallel", parallel, [[1, 2]]],
  ])("%s: the whole of it is done again, with the state's own input", (_, state, result) => {
    const input = { l: [1, 2] };
    const { output, nodes } = runMachine(machine(state), input, failingFirst(2, "Busy"));
    expect(output).toEqual({ l: [1, 2], r: result });
    expect(nodes["M"]).toMatchObject({ activations: 3 });
  });

  it("ends with the error when the attempts are used up, or it is not to be tried again", () => {
    const tooOften = runMachine(machine(map), { l: [1] }, failingFirst(9, "Busy"));
    expect(tooOften).toMatchObject({ error: { code: "Busy" }, nodes: { M: { activations: 3 } } });
    const fatal = runMachine(machine(map), { l: [1] }, failingFirst(9, "Fatal"));
    expect(fatal).toMatchObject({ error: { code: "Fatal" }, nodes: { M: { activations: 1 } } });
  });

  it("then its catchers decide", () => {
    const caught = machine({ ...map, Catch: [catcher] });
    const { output } = runMachine(caught, { l: [1] }, failingFirst(9, "Busy"));
    expect(output).toMatchObject({ l: [1], e: { Error: "Busy" } });
    const { error } = runMachine(caught, { l: [1] }, failingFirst(9, "Fatal"));
    expect(error).toMatchObject({ code: "Fatal" });
  });

  it("pauses as its policy says", () => {
    const config = machineIr(machine(map)).nodes.find(({ id }) => id === "M_pause")?.config;
    expect(config).toEqual({ delay_ms: "${[0, 1000, 2000][iteration - 1]}" });
  });
});

describe("Map", () => {
  const processor = (state: JsonObject): JsonObject => ({
    StartAt: "Each",
    States: { Each: { End: true, ...state } },
  });
  const map = (more: JsonObject): JsonObject => chain({ M: { Type: "Map", ...more } });

  it("does its processor per item, in their order", () => {
    const each = { Type: "Pass", Parameters: { "got.$": "$" } };
    const machine = map({ ItemsPath: "$.l", ItemProcessor: processor(each) });
    expect(runMachine(machine, { l: [3, 1, 2] }).output).toEqual([
      { got: 3 },
      { got: 1 },
      { got: 2 },
    ]);
  });

  it("ItemSelector sees the state's input and the item", () => {
    const machine = map({
      InputPath: "$.in",
      ItemsPath: "$.l",
      ItemSelector: { "v.$": "$$.Map.Item.Value", "i.$": "$$.Map.Item.Index", "k.$": "$.k", c: 1 },
      MaxConcurrency: 2,
      Iterator: processor({ Type: "Task", Resource: "work" }),
      ResultPath: "$.out",
    });
    const { output } = runMachine(machine, { in: { l: ["a", "b"], k: 9 } });
    const item = (v: string, i: number): JsonObject => ({ v, i, k: 9, c: 1 });
    expect(output).toMatchObject({ in: { k: 9 }, out: [item("a", 0), item("b", 1)] });
  });

  it("the item can be read anywhere in the processor", () => {
    const each = { Type: "Pass", Result: 0, ResultPath: null, Next: "Then" };
    const then = { Type: "Pass", Parameters: { "v.$": "$$.Map.Item.Value.x" }, End: true };
    const machine = map({ ItemProcessor: { StartAt: "Each", States: { Each: each, Then: then } } });
    expect(runMachine(machine, [{ x: 1 }, { x: 2 }]).output).toEqual([{ v: 1 }, { v: 2 }]);
  });

  it("an item that fails fails it, which can be caught", () => {
    const state = {
      Type: "Map",
      ItemProcessor: processor({ Type: "Task", Resource: "work" }),
      Catch: [{ ErrorEquals: ["States.ALL"], Next: "Saved" }],
      End: true,
    };
    const machine = {
      StartAt: "M",
      States: { M: state, Saved: { Type: "Pass", Result: "saved", End: true } },
    };
    expect(runMachine(machine, [1, 2], failing("Bad")).output).toBe("saved");
  });
});
