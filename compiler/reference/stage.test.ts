import { describe, expect, it } from "vitest";
import type { Ir, Json } from "../ir.ts";
import { Agenda } from "./agenda.ts";
import { chain, fn, irOf, statuses } from "./play.fixture.ts";
import { interpret, interpretOn } from "./interpreter.ts";
import { planStart } from "./start-at.ts";
import type { Start } from "./types.ts";
import type { HandlerResult, InterpretOptions, InterpretResult, Stage } from "./types.ts";

const echo: Pick<InterpretOptions, "handlers"> = {
  handlers: { evaluate: (_, { data }) => ({ output: data }) },
};

interface Played extends InterpretResult {
  /** When each node's work ended. */
  ends: [string, number][];
}

/** As many workers as there is work; how long the nodes take, by id. */
function playOn(
  ir: Ir,
  ms: { [node: string]: number },
  options: Partial<InterpretOptions> = {},
  input: Json = {},
): Played {
  const agenda = new Agenda();
  const stage: Stage = {
    get now() {
      return agenda.now;
    },
    enter: (entry) => agenda.enter(entry),
    perform: ({ node, token, isWanted, end }) => {
      const at = agenda.now + (token.restMs ?? 0) + (ms[node.id] ?? 0);
      agenda.enter({ at, isLimit: false, isDue: isWanted, happen: () => end() });
    },
  };
  const run = interpretOn(stage, ir, input, { ...echo, ...options });
  while (!run.isOver && agenda.advance());
  const result = run.result();
  const ends = result.trace.flatMap(({ event, node = "", at = -1 }): [string, number][] =>
    event === "node.completed" || event === "node.failed" ? [[node, at]] : [],
  );
  return { ...result, ends };
}

const diamond = irOf([fn("a"), fn("b"), fn("c"), fn("d")], chain("a>b>d", "a>c>d"));

describe("a run on a stage", () => {
  it("does what is ready at the same time, and is as long as its longest way", () => {
    const { status, ends } = playOn(diamond, { a: 10, b: 100, c: 30, d: 5 });
    expect(status).toBe("COMPLETED");
    expect(ends).toEqual([
      ["a", 10],
      ["c", 40],
      ["b", 110],
      ["d", 115],
    ]);
  });

  it("gives what it gives without one", () => {
    const { output, nodes } = playOn(diamond, { a: 3, c: 1 }, {}, { n: 1 });
    const plain = interpret(diamond, { n: 1 }, echo);
    expect({ output, nodes }).toEqual({ output: plain.output, nodes: plain.nodes });
  });

  it("rests before a retry and between the rounds of a loop", () => {
    const loop = { loop_back_to: "b", condition: "iteration < 3", max_iterations: 5, delay_ms: 20 };
    const retry = { max_attempts: 3, backoff_ms: 100, backoff_multiplier: 2 };
    const ir = irOf([fn("a", { retry }), { id: "b", type: "loop", config: loop }], chain("a>b"));
    const failing = ({ attempt }: { attempt: number }): HandlerResult =>
      attempt < 3 ? { error: { code: "E", message: "e" } } : { output: 1 };
    const evaluate: InterpretOptions["handlers"]["evaluate"] = (node, context) =>
      node.id === "a" ? failing(context) : { output: context.data };
    const { ends } = playOn(ir, { a: 7, b: 1 }, { handlers: { evaluate } });
    const first = 7 + 100 + 7 + 200 + 7;
    expect(ends).toEqual([
      ["a", first],
      ["b", first + 1],
      ["b", first + 22],
      ["b", first + 43],
    ]);
  });

  it("ends at its time limit, in the middle of its work", () => {
    const ir = irOf([fn("a"), fn("b")], chain("a>b"), { settings: { timeout_ms: 15 } });
    const { error, trace } = playOn(ir, { a: 10, b: 10 });
    expect(error?.code).toBe("RUN_TIMED_OUT");
    expect(trace.at(-1)).toMatchObject({ event: "run.failed", at: 15 });
  });

  it("gets signals at their times, and decisions so long after they are asked for", () => {
    const ir = irOf(
      [fn("a"), { id: "w", type: "wait", config: { signal: "go" } }, human("h")],
      chain("a>w>h"),
    );
    const result = playOn(
      ir,
      { a: 10 },
      {
        signals: [{ name: "go", value: 1, at: 50 }],
        decisions: [{ node: "h", by: "ann", approved: true, after: 30 }],
      },
    );
    expect(result.ends).toEqual([
      ["a", 10],
      ["w", 50],
      ["h", 80],
    ]);
    expect(result.output).toEqual({ approved: true, by: "ann", data: null });
  });

  it("drops what is in progress where it is not wanted any more", () => {
    const ir = irOf([fn("a"), fn("b")], [], { settings: { failure: "fail_fast" } });
    const evaluate: InterpretOptions["handlers"]["evaluate"] = ({ id }) =>
      id === "a" ? { error: { code: "E", message: "e" } } : { output: 1 };
    const result = playOn(ir, { a: 10, b: 100 }, { handlers: { evaluate } });
    expect(statuses(result)).toEqual({ a: "failed", b: "cancelled" });
    expect(result.trace.at(-1)).toMatchObject({ event: "run.failed", at: 10 });
  });
});

function human(id: string): { [key: string]: Json } {
  return { id, type: "human", config: { title: "ok?" } };
}

/** Why a run cannot begin there. */
function startProblems(ir: Ir, start: Start): string[] {
  const plan = planStart(ir, start, { input: {} });
  return "problems" in plan ? plan.problems.map(({ message }) => message) : [];
}

describe("a start in the middle", () => {
  const line = irOf([fn("a"), fn("b"), fn("c")], chain("a>b>c"));

  it("gives the node its input and runs what is behind it", () => {
    const start = { at: ["b"], inputs: { b: 5 } };
    const result = interpret(line, {}, { ...echo, start });
    expect(result).toMatchObject({ status: "COMPLETED", output: 5 });
    expect(statuses(result)).toEqual({ a: "pending", b: "completed", c: "completed" });
  });

  it("is refused where a join waits for what does not run, unless that is given", () => {
    const start = { at: ["b"], inputs: { b: 1 } };
    expect(startProblems(diamond, start)).toEqual([
      '"d" waits for "c", which would not run; give its output, or start at it or before it (c)',
    ]);
    expect(() => interpret(diamond, {}, { ...echo, start })).toThrow('"d" waits for "c"');
    const outputs = { c: { is: "given" } };
    const result = interpret(diamond, {}, { ...echo, start: { ...start, outputs } });
    expect(result).toMatchObject({ status: "COMPLETED", output: { b: 1, c: { is: "given" } } });
  });

  it("is refused where something reads an output that is not there", () => {
    const ir = irOf(
      [fn("a"), fn("b"), { id: "c", type: "transform", config: { expression: "ctx.a.output" } }],
      chain("a>b>c"),
      { output: "${ctx.a.output}" },
    );
    expect(startProblems(ir, { at: ["b"], inputs: { b: 1 } })).toEqual([
      '"c" reads the output of "a", which would not run; give its output, or start at it or before it (a)',
      'the run\'s output reads "a", which would not run; give its output, or start at it or before it (a)',
    ]);
    expect(
      interpret(ir, {}, { ...echo, start: { at: ["b"], inputs: { b: 1 }, outputs: { a: 9 } } }),
    ).toMatchObject({
      output: 9,
    });
  });

  it("may lack the branch that is not taken", () => {
    const ir = irOf([{ id: "q", type: "conditional" }, fn("x"), fn("y"), fn("z")], [
      { from: "q", to: "x", condition: "output.n > 1" },
      { from: "q", to: "y" },
      ...chain("x>z", "y>z"),
    ] as never);
    const result = interpret(ir, {}, { ...echo, start: { at: ["y"], inputs: { y: 3 } } });
    expect(result).toMatchObject({ status: "COMPLETED", output: { y: 3 } });
    expect(statuses(result)).toMatchObject({ x: "pending", z: "completed" });
  });

  it("in a loop is in its first round, and may go round", () => {
    const loop = { loop_back_to: "a", condition: "iteration < 2", max_iterations: 5 };
    const ir = irOf(
      [fn("a"), fn("b"), { id: "l", type: "loop", config: loop }, fn("end")],
      chain("a>b>l>end"),
    );
    const result = interpret(ir, {}, { ...echo, start: { at: ["b"], inputs: { b: 1 } } });
    expect(result.status).toBe("COMPLETED");
    expect(result.nodes["a"]).toMatchObject({ activations: 1 });
    expect(result.nodes["b"]).toMatchObject({ activations: 2 });
    const head = interpret(ir, {}, { ...echo, start: { at: ["a"], inputs: { a: 1 } } });
    expect(head.nodes["a"]).toMatchObject({ activations: 2 });
  });

  it("is refused in the body of a map, at no node, and for what runs itself", () => {
    const map = { id: "m", type: "map", config: { items: "${[1]}", do: { nodes: [fn("in")] } } };
    const ir = irOf([map as never, fn("b")], chain("m>b"));
    expect(startProblems(ir, { at: ["in"], inputs: { in: 1 } })[0]).toContain('start at "m"');
    expect(startProblems(ir, { at: ["no"], inputs: { no: 1 } })).toEqual(['there is no node "no"']);
    expect(startProblems(ir, { at: ["m"], inputs: { m: 1 }, outputs: { b: 1 } })).toEqual([
      '"b" runs itself: it cannot be given',
    ]);
  });
});
