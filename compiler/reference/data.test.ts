import { describe, expect, it } from "vitest";
import { chain, fn, gives, irOf, play } from "./play.fixture.ts";
import { StepLimitError } from "./types.ts";
import { interpret } from "./interpreter.ts";

describe("a node's input", () => {
  it("is the run's input at an entry and the predecessor's output behind it", () => {
    const result = play(irOf([fn("a"), fn("b")], chain("a>b")), { input: [1] });
    expect(result.nodes["b"]?.output).toEqual([1]);
  });

  it("is what config.input says, which sees what it would have been", () => {
    const config = { function_name: "work", input: { was: "${data.n}", run: "${run.version}" } };
    const ir = irOf([{ id: "a", type: "function", config }], []);
    expect(play(ir, { input: { n: 4 } }).output).toEqual({ was: 4, run: "7" });
    expect(play(ir, { input: {} }).error).toMatchObject({ code: "BAD_INPUT", attempts: 1 });
  });

  it("C3: names the nodes of the file, also where the compiler has split a wide join", () => {
    const ids = Array.from({ length: 700 }, (_, i) => `n${i}`);
    const ir = irOf(
      [fn("a"), ...ids.map((id) => fn(id)), fn("z")],
      ids.flatMap((id) => chain(`a>${id}>z`)),
    );
    expect(ir.nodes.some(({ synthetic }) => synthetic)).toBe(true);
    const result = play(ir, { input: 1 });
    expect(Object.keys(result.output as object).sort()).toEqual([...ids].sort());
    expect(Object.keys(result.nodes)).toHaveLength(702);
  });

  it("takes ids such as __proto__ and constructor for data", () => {
    const ir = irOf(
      [fn("__proto__"), fn("constructor"), fn("z")],
      chain("__proto__>z", "constructor>z"),
    );
    const result = play(ir, { input: 1 });
    expect(Object.entries(result.output as object)).toEqual([
      ["__proto__", 1],
      ["constructor", 1],
    ]);
  });
});

describe("the run's output", () => {
  const two = (more = {}) => irOf([fn("a"), fn("b"), fn("c")], chain("a>b", "a>c"), more);

  it("is that of the only terminal node that completed, of several an object", () => {
    expect(play(two(), { work: { b: gives(1), c: gives(2) } }).output).toEqual({ b: 1, c: 2 });
    const one = irOf(
      [fn("a"), fn("b"), fn("c")],
      [...chain("a>b"), { from: "a", to: "c", condition: "false" }],
    );
    expect(play(one, { work: { b: gives(1) } }).output).toBe(1);
  });

  it("is the file's template if it has one", () => {
    const ir = two({ output: { b: "${ctx.b.output}", n: "${input.n}", id: "${run.id}" } });
    const result = play(ir, { input: { n: 4 }, work: { b: gives("B") } });
    expect(result.output).toEqual({ b: "B", n: 4, id: "simulated" });
  });

  it("fails the run if the template cannot be filled in", () => {
    const result = play(two({ output: "${ctx.b.output.nothing}" }), { work: { b: gives({}) } });
    expect(result).toMatchObject({
      status: "FAILED",
      error: { code: "OUTPUT_FAILED" },
      output: null,
    });
  });
});

describe("what a handler gets", () => {
  it("has secrets only for the kinds that may read them", () => {
    const http = { id: "h", type: "http", config: { url: "http://localhost/${secrets.KEY}" } };
    const seen: unknown[] = [];
    const note = ({ vars }: { vars: { secrets?: unknown } }) => {
      seen.push(vars.secrets);
      return { output: null };
    };
    const ir = irOf([http, fn("a")], chain("h>a"));
    play(ir, { secrets: { KEY: "x" }, work: { h: note, a: note } });
    expect(seen).toEqual([{ KEY: "x" }, undefined]);
  });

  it("cannot change what others see by keeping hold of its output", () => {
    const shared = { n: 1 };
    const ir = irOf([fn("a"), fn("b")], chain("a>b"));
    const result = play(ir, {
      work: {
        a: gives(shared),
        b: () => {
          shared.n = 2;
          return { output: null };
        },
      },
    });
    expect(result.nodes["a"]?.output).toEqual({ n: 1 });
  });
});

describe("the step limit", () => {
  it("stops a run that goes on for too long, and says so", () => {
    const config = { condition: "true", max_iterations: 1000 };
    const ir = irOf([{ id: "l", type: "loop", config }], []);
    const handlers = { evaluate: () => ({ output: null }) };
    expect(() => interpret(ir, null, { handlers, maxSteps: 50 })).toThrow(StepLimitError);
  });
});
