import { describe, expect, it } from "vitest";
import { Output } from "../output.ts";
import { interleave } from "./interleave.ts";
import { chain, diamond, made, mocksFor, step } from "./simulation.fixture.ts";
import { tellInterleavings } from "./tell-simulation.ts";

const race = made(
  [step("a"), step("b"), step("c"), step("d", { join: "any" })],
  chain("a>b>d", "a>c>d"),
);
const text = "nodes: { a: { output: 0 }, b: { output: 1 }, c: { output: 2 }, d: {} }";
const optionsFor = (ir: typeof race) => ({ mocks: mocksFor(ir, text), seed: 1 });

/** Chains side by side: every interleaving of them is an order. */
function chainsOf(...lengths: number[]) {
  const names = lengths.map((length, i) => Array.from({ length }, (_, j) => `n${i}_${j}`));
  const ir = made(
    names.flat().map((id) => step(id)),
    chain(...names.map((ids) => ids.join(">"))),
  );
  const mocks = mocksFor(
    ir,
    `nodes: { ${names
      .flat()
      .map((id) => `${id}: {}`)
      .join(", ")} }`,
  );
  return { ir, options: { mocks, seed: 1 } };
}

describe("interleavings", () => {
  it.each([
    [[1, 1, 1], 6],
    [[2, 2], 6],
    [[3, 3], 20],
    [[2, 2, 2], 90],
    [[4, 1, 1], 30],
  ])("all of chains of %j are %i, each of them once", (lengths, orders) => {
    const { ir, options } = chainsOf(...lengths);
    const found = interleave(ir, {}, options, "all");
    expect(found).toMatchObject({ tried: orders, isComplete: true, parting: null });
    expect(found.outcomes).toMatchObject([{ status: "COMPLETED", count: orders }]);
  });

  it("say when they were cut", () => {
    const { ir, options } = chainsOf(3, 3, 3);
    const cut = interleave(ir, {}, options, "all", 100);
    expect(cut).toMatchObject({ tried: 100, isComplete: false });
    const exact = interleave(chainsOf(3, 3).ir, {}, chainsOf(3, 3).options, "all", 20);
    expect(exact).toMatchObject({ tried: 20, isComplete: true });
  });

  it("by chance count the different ones", () => {
    const found = interleave(diamond, {}, optionsFor(diamond), 50);
    expect(found).toMatchObject({ tried: 2, isComplete: false });
  });

  it("of an `all` join end the same, of an `any` join they need not", () => {
    const calm = interleave(diamond, {}, optionsFor(diamond), "all");
    expect(calm).toMatchObject({ isComplete: true, tried: 2 });
    expect(calm.outcomes.length).toBe(1);
    const racing = interleave(race, {}, optionsFor(race), "all");
    expect(racing.isComplete).toBe(true);
    expect(racing.outcomes.map(({ output }) => output)).toEqual([{ b: 1 }, { c: 2 }]);
  });

  it("that end differently are shown by two orders and the place where they part", () => {
    const found = interleave(race, {}, optionsFor(race), "all");
    expect(found.parting).toBe(1);
    expect(found.outcomes.map(({ order }) => order.slice(0, 2))).toEqual([
      ["a", "b"],
      ["a", "c"],
    ]);
    expect(found.outcomes.every(({ trace }) => trace.at(-1)?.event === "run.completed")).toBe(true);
    const lines: string[] = [];
    const stream = { write: (line: string) => lines.push(line) };
    tellInterleavings(new Output({ stdout: stream, stderr: stream }), found);
    const said = lines.join("");
    expect(said).toContain(`all ${found.tried} orders end in 2 different ways`);
    expect(said).toContain("one that ends as the first (COMPLETED):\n    a > | b");
    expect(said).toContain("one that ends as the second (COMPLETED):\n    a > | c");
  });

  it("under fail-fast may end with one failure or the other", () => {
    const ir = made([step("a"), step("b")]);
    const failing = "nodes: { a: { error: { code: A } }, b: { error: { code: B } } }";
    const found = interleave(ir, {}, { mocks: mocksFor(ir, failing), seed: 1 }, "all");
    expect(found.outcomes.map(({ error }) => error?.slice(0, 1))).toEqual(["A", "B"]);
  });
});
