import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compileCondition, partition } from "./index.ts";
import type { Json, Truth, Vars, Witness } from "./index.ts";

function truthOf(source: string, vars: Vars): Truth {
  try {
    return compileCondition(source).test(vars) ? "true" : "false";
  } catch {
    return "error";
  }
}

function truths(...sources: string[]): string[] {
  const found = partition(sources);
  if (!found) throw new Error("too many cases");
  return found.cases.map((one) => one.truths.map((truth) => truth[0]).join("")).toSorted();
}

describe("conditions decided together", () => {
  it("a comparison and its complement leave no gap and no overlap", () => {
    expect(truths("output.score >= 80", "output.score < 80")).toEqual(["ee", "ft", "tf"]);
  });

  it("a gap of one point is found, with the point", () => {
    const found = partition(["output.score > 80", "output.score < 80"]);
    const gap = found?.cases.find((one) => one.truths.every((truth) => truth === "false"));
    expect(gap?.witness).toEqual([{ name: "output.score", value: 80 }]);
    expect(found?.isExact).toBe(true);
  });

  it("an overlap is found between the constants", () => {
    const found = partition(["output.score > 1", "output.score < 2"]);
    const both = found?.cases.find((one) => one.truths.every((truth) => truth === "true"));
    expect(both?.witness).toEqual([{ name: "output.score", value: 1.5 }]);
  });

  it("rounds are whole numbers from 1", () => {
    expect(truths("iteration > 1", "iteration < 2")).toEqual(["ft", "tf"]);
    expect(truths("iteration >= 1")).toEqual(["t"]);
  });

  it("sets, negation and ranges are comparisons too", () => {
    expect(truths('output.t in ["a", "b"]', '!(output.t in ["a", "b"])')).toEqual([
      "ee",
      "ft",
      "tf",
    ]);
    expect(truths("output.n > 5 && output.n < 3")).toEqual(["e", "f"]);
  });

  it("the same opaque condition and its negation exclude each other", () => {
    const found = partition(['output.t.startsWith("a")', '!output.t.startsWith("a")']);
    expect(found?.isExact).toBe(false);
    expect(found?.cases.map((one) => one.truths.join())).toEqual(["true,false", "false,true"]);
  });

  it("what a schema allows is all that is tried", () => {
    const domain = () => ({
      constants: ["a", "b"],
      isInteger: false,
      allows: (value: Json | undefined) => value === "a" || value === "b",
    });
    const found = partition(['output.t == "a"', 'output.t == "b"'], { domain });
    expect(found?.cases.map((one) => one.truths.join())).toEqual(["true,false", "false,true"]);
  });

  it("there is no answer where too many combinations would have to be tried", () => {
    const many = Array.from({ length: 12 }, (_, i) => `output.f${i} == ${i}`);
    expect(partition(many)).toBeUndefined();
  });
});

const scalar = fc.constantFrom("1", "2.5", "-3", '"a"', '"b"', "true", "null");
const path = fc.constantFrom("output.x", "output.y", "output.x.z", "input.x", "ctx.n.output");
const { condition } = fc.letrec<{ condition: string }>((tie) => ({
  condition: fc.oneof(
    { maxDepth: 3 },
    fc
      .tuple(path, fc.constantFrom("==", "!=", "<", "<=", ">", ">="), scalar)
      .map((t) => t.join(" ")),
    fc.tuple(path, fc.array(scalar, { maxLength: 3 })).map(([p, l]) => `${p} in [${l.join(", ")}]`),
    path.map((p) => `has(${p})`),
    path,
    tie("condition").map((c) => `!(${c})`),
    fc
      .tuple(tie("condition"), fc.constantFrom("&&", "||"), tie("condition"))
      .map(([a, op, b]) => `(${a}) ${op} (${b})`),
    fc
      .tuple(tie("condition"), tie("condition"), tie("condition"))
      .map(([a, b, c]) => `(${a}) ? (${b}) : (${c})`),
  ),
}));

/** Data in which the subjects have the values of a witness; a missing field is one of an object. */
function varsOf(witness: readonly Witness[]): Vars {
  const vars: { [name: string]: Json } = { input: {}, output: {}, ctx: {} };
  const parts = witness.map(({ name, value }) => ({ names: name.split("."), value }));
  for (const { names, value } of parts.toSorted((a, b) => a.names.length - b.names.length)) {
    let at = vars;
    // A node without an output has no entry in ctx at all.
    if (value === undefined && names[0] === "ctx" && names.length === 3) continue;
    for (const name of names.slice(0, -1)) at = (at[name] ??= {}) as { [name: string]: Json };
    if (value !== undefined) at[names.at(-1) ?? ""] = value;
  }
  return vars as Vars;
}

const json = fc.constantFrom<Json[]>(
  1,
  0,
  2,
  2.5,
  3,
  -3,
  -4,
  "a",
  "b",
  "",
  "c",
  true,
  false,
  null,
  {},
  {
    z: 1,
  },
);

function compiles(source: string): boolean {
  try {
    return compileCondition(source) !== undefined;
  } catch {
    return false;
  }
}

describe("a random set of conditions", () => {
  const sources = fc.array(condition.filter(compiles), { minLength: 1, maxLength: 3 });

  it("gives for each witness what the evaluator gives", () => {
    fc.assert(
      fc.property(sources, (list) => {
        for (const { truths: said, witness } of partition(list)?.cases ?? []) {
          expect(list.map((source) => truthOf(source, varsOf(witness)))).toEqual(said);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("gives nothing for any data that is not among its cases", () => {
    const data = fc.record({ x: json, y: json, of: json, ctx: json }, { requiredKeys: [] });
    fc.assert(
      fc.property(sources, data, (list, { x, y, of, ctx }) => {
        const found = partition(list);
        if (!found) return;
        const vars: Vars = {
          input: of === undefined ? {} : { x: of },
          output: { ...(x === undefined ? {} : { x }), ...(y === undefined ? {} : { y }) },
          ctx: ctx === undefined ? {} : { n: { output: ctx } },
        };
        const truth = list.map((source) => truthOf(source, vars)).join();
        expect(found.cases.map((one) => one.truths.join())).toContain(truth);
      }),
      { numRuns: 400 },
    );
  });
});
