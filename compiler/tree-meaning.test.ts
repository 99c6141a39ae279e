/**
 * What is split means what it meant unsplit: workflows compiled to be split beyond three edges, against
 * the same ones whole, which the reference interpreter interprets. Seeds from 1; GAVOTTE_CASES says
 * how many.
 */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { randomGraph, type RandomGraphOptions } from "./analysis/random-graph.fixture.ts";
import { compile, formatDiagnostic } from "./index.ts";
import type { Ir, Json } from "./index.ts";
import { interpret } from "./reference/index.ts";
import type { HandlerResult, HandlerTable, InterpretResult, Start } from "./reference/index.ts";

const CASES = Number(process.env["GAVOTTE_CASES"] ?? 300);
const SPLIT = { limits: { fan: 3 } };

type Values = { [field: string]: Json };
type Edge = { from: string; to: string; on?: string; condition?: string };

type ResultOf = (id: string, scope: string, data: Json) => HandlerResult;

/** Interpret, with what each execution of a node comes to. */
function run(ir: Ir, resultOf: ResultOf, start?: Start): Values {
  const options = { maxSteps: 5_000, ...(start === undefined ? {} : { start }) };
  const evaluate: HandlerTable["evaluate"] = ({ id, type, synthetic }, { scope, data }) =>
    synthetic === true || type === "parallel" ? { output: data } : resultOf(id, scope, data);
  return seen(ir, interpret(ir, { v: 1 }, { ...options, handlers: { evaluate } }));
}

/** What an author sees of a run: no node that the compiler has made. */
function seen(ir: Ir, { status, nodes, output, error }: InterpretResult): Values {
  const own = ir.nodes.filter(({ synthetic }) => synthetic !== true).map(({ id }) => id);
  const ended = Object.fromEntries(own.toSorted().map((id) => [id, nodes[id] ?? null]));
  // Which of several failures is told first is a matter of the order; each is with its node.
  const told = ir.settings.failure === "continue" ? null : (error ?? null);
  const shown = { status, ended, output: output ?? null, error: told };
  return JSON.parse(placeless(JSON.stringify(shown))) as Values;
}

/**
 * Without scopes: they have the numbers of nodes, which are others in the other graph. And without
 * messages: of two conditions that cannot be evaluated either may be told.
 */
function placeless(text: string): string {
  return text.replaceAll(/"(scope|message)":"(?:[^"\\]|\\.)*"/g, '"$1":""');
}

/** With the keys of an object in the order of the alphabet. */
function inOrder(data: Json): Json {
  const isObject = typeof data === "object" && data !== null && !Array.isArray(data);
  return isObject ? Object.fromEntries(Object.entries(data).toSorted()) : data;
}

describe("a random graph that is split", () => {
  const drawn = (seed: number, id: string, scope: string, data: Json): HandlerResult => {
    // What it has got is part of what it comes to.
    const given = placeless(JSON.stringify(inOrder(data)));
    const rounds = scope.replaceAll(/\d+:/g, "");
    const bytes = createHash("sha256").update(`${seed} ${id} ${rounds} ${given}`).digest();
    const [kind = 0, a = 0, b = 0, k = 0] = bytes;
    const error = { code: kind % 2 === 0 ? "BROKEN" : "TIMEOUT", message: "", retryable: false };
    if (kind % 6 === 0) return { error };
    // Without them conditions cannot be evaluated.
    if (kind % 6 === 1) return { output: {} };
    return { output: { a: a % 2 === 0, b: b % 2 === 0, k: (k % 4) - 1 } };
  };
  const hasRaces = (ir: Ir): boolean => ir.nodes.some(({ join }) => join.kind !== "all");

  it.each([false, true])("ends as it does whole; with loops: %s", (loops) => {
    const compared = { continue: 0, fail_fast: 0, parts: 0 };
    for (let seed = 1; seed <= CASES; seed++) {
      const options: RandomGraphOptions = { nodesMax: 12, loops, isWide: true };
      const whole = randomGraph(seed, options);
      const split = randomGraph(seed, { ...options, compile: SPLIT });
      if (!whole || !split || hasRaces(whole)) continue;
      const [was, is] = [whole, split].map((ir) =>
        Array.from({ length: 20 }, (_, round) =>
          run(ir, (...place) => drawn(100 * seed + round, ...place)),
        ),
      ) as [Values[], Values[]];
      // What else has run when the first failure ends a run is a matter of the order.
      const isFast = whole.settings.failure === "fail_fast";
      const shown = isFast ? (one: Values) => one["status"] : (one: Values) => one;
      expect(is.map(shown), `seed ${seed}`).toEqual(was.map(shown));
      compared[whole.settings.failure]++;
      if (split.nodes.some((node) => node.part_of !== undefined)) compared.parts++;
    }
    expect(Math.min(...Object.values(compared))).toBeGreaterThan(CASES / 30);
  });
});

const fn = (id: string, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: "f" } },
  ...more,
});
const noop = (id: string): object => ({ id, type: "noop" });
const ids = (count: number): string[] => Array.from({ length: count }, (_, i) => `n${i}`);
const to = (from: string, targets: string[], more: object = {}): Edge[] =>
  targets.map((id) => ({ from, to: id, ...more }));

/** The document whole and split, run alike. */
function both(
  nodes: object[],
  edges: Edge[],
  resultOf: ResultOf,
  more: { settings?: object; start?: Start } = {},
): [Values, Values] {
  const { settings = {}, start } = more;
  const document = { name: "w", nodes, edges, settings };
  return [{}, SPLIT].map((options) => {
    const { ir, diagnostics } = compile({ document }, options);
    if (!ir) throw new Error(diagnostics.map(formatDiagnostic).join("\n"));
    return run(ir, resultOf, start);
  }) as [Values, Values];
}

const output = (value: Json) => (): HandlerResult => ({ output: value });

describe("a node with parts", () => {
  const many = ids(10);

  it("finds itself that no branch matches, and its error edge takes that", () => {
    const edges = many.map((id, i): Edge => ({ from: "c", to: id, condition: `output.v == ${i}` }));
    const nodes = [{ id: "c", type: "conditional" }, noop("err"), ...many.map(noop)];
    const [whole, split] = both(
      nodes,
      [...edges, { from: "c", to: "err", on: "error" }],
      output({ v: 99 }),
    );
    expect(whole).toMatchObject({ status: "COMPLETED", ended: { err: { status: "completed" } } });
    expect(split).toEqual(whole);
  });

  it("fails itself by a condition that cannot be evaluated, before any target runs", () => {
    const edges = many.map((id): Edge => ({ from: "c", to: id, condition: "true" }));
    edges.push({ from: "c", to: "last", condition: "output.missing" });
    const nodes = [fn("c"), noop("last"), ...many.map(noop)];
    const settings = { failure: "continue" };
    const [whole, split] = both(nodes, edges, output({}), { settings });
    const failed = { status: "failed", error: { code: "CONDITION_FAILED", node: "c" } };
    expect(whole).toMatchObject({ ended: { c: failed, n0: { status: "skipped" } } });
    expect(split).toEqual(whole);
  });

  it("does not take a failure for handled by edges whose conditions do not hold", () => {
    const edges = to("c", many, { on: "always", condition: "has(output.v)" });
    const error = { code: "X", message: "", retryable: false };
    const [whole, split] = both([fn("c"), ...many.map(noop)], edges, () => ({ error }));
    expect(whole).toMatchObject({ status: "FAILED", error: { code: "X", node: "c" } });
    expect(split).toEqual(whole);
  });

  it("tries branches in the order of the file, beside many edges that do not compete", () => {
    const beside = ["always", "error", "timeout"].flatMap((on) => to("c", many, { on }));
    const tried = ["x", "y", "z"].map((id): Edge => ({ from: "c", to: id, condition: "true" }));
    tried[0] = { from: "c", to: "x", condition: "output.v == 1" };
    const nodes = [{ id: "c", type: "conditional" }, ...["x", "y", "z", ...many].map(noop)];
    // A condition that always holds hides what is behind it: a warning here.
    const [whole, split] = both(nodes, [...tried.slice(0, 2), ...beside], output({ v: 2 }));
    expect(whole).toMatchObject({
      ended: { x: { status: "skipped" }, y: { status: "completed" }, n9: { status: "completed" } },
    });
    expect(split).toEqual(whole);
  });

  it.each(["always", "error"])("ends compiling with 499 and more %s edges", (on) => {
    const targets = ids(600);
    for (const count of [499, 500, 600]) {
      const document = {
        name: "w",
        nodes: [{ id: "c", type: "conditional" }, noop("x"), noop("y"), ...targets.map(noop)],
        edges: [
          { from: "c", to: "x", condition: "output.v == 1" },
          { from: "c", to: "y" },
          ...to("c", targets.slice(0, count), { on }),
        ],
      };
      const { ir } = compile({ document });
      for (const node of ir?.nodes ?? []) expect(node.out.length).toBeLessThanOrEqual(500);
      expect(ir?.nodes.filter((node) => node.part_of !== undefined).length).toBeGreaterThan(0);
    }
  });
});

describe("a condition that may read something else one step later", () => {
  const codes = (nodes: object[], edges: Edge[]): string[] => {
    const document = { name: "w", nodes: [...nodes, ...ids(10).map(noop)], edges };
    expect(
      compile({ document }).diagnostics.filter(({ severity }) => severity === "error"),
    ).toEqual([]);
    return compile({ document }, SPLIT).diagnostics.flatMap(({ code, severity, message }) =>
      severity === "error" ? [`${code} ${message}`] : [],
    );
  };

  it("keeps the edges of a loop together that ask for its round", () => {
    const loop = { condition: "output.again", max_iterations: 3, loop_back_to: "c" };
    expect(codes([fn("c", { loop })], to("c", ids(10), { condition: "iteration == 2" }))).toEqual([
      "GV2024 `c` has 10 out-edges, and one cannot be decided by `iteration`",
    ]);
  });

  it("keeps edges together that ask for the attempt of the run, and not for its id", () => {
    expect(codes([fn("c")], to("c", ids(10), { condition: "run.attempt == 2" }))).toEqual([
      "GV2024 `c` has 10 out-edges, and one cannot be decided by `run.attempt`",
    ]);
    expect(codes([fn("c")], to("c", ids(10), { condition: "run.id == 'x'" }))).toEqual([]);
  });

  it("keeps edges together that ask for a loser of a race, and not for what the race was behind", () => {
    const race = [fn("a"), fn("b"), fn("o"), fn("c", { join: "any" })];
    const before = [...to("o", ["a", "b"]), ...to("a", ["c"]), ...to("b", ["c"])];
    const asks = (id: string): Edge[] => to("c", ids(10), { condition: `has(ctx.${id}.output)` });
    expect(codes(race, [...before, ...asks("b")])).toEqual([
      "GV2024 `c` has 10 out-edges, and one cannot be decided by `b`, which may still run then",
    ]);
    expect(codes(race, [...before, ...asks("o")])).toEqual([]);
  });
});

describe("a start in the middle of what is split", () => {
  it("gets the run's input at an entry, as in a small workflow", () => {
    const nodes = [...ids(10), "z"].map(noop);
    const [whole, split] = both(nodes, to("n5", ["z"]), output(null), { start: { at: ["n5"] } });
    expect(whole).toMatchObject({ ended: { n5: { output: { v: 1 } }, z: { output: { v: 1 } } } });
    expect(split).toEqual(whole);
  });

  it("takes only what a node whose output is given would have handed on", () => {
    const many = ids(10);
    const edges = [
      ...many.map((id, i): Edge => ({ from: "c", to: id, condition: `output.v == ${i}` })),
      ...to("c", ["err"], { on: "error" }),
      ...[...many, "err", "s"].map((from): Edge => ({ from, to: "j" })),
    ];
    const nodes = [{ id: "c", type: "conditional" }, ...["err", "s", "j", ...many].map(noop)];
    const start = { at: ["s", ...many, "err"], outputs: { c: { v: 7 } } };
    const [whole, split] = both(nodes, edges, output(null), { start });
    expect(split).toEqual(whole);
  });
});
