import { describe, expect, it } from "vitest";
import type { Json } from "../ir.ts";
import { chain, fails, fn, irOf, late, on, play, statuses } from "./play.fixture.ts";
import type { Work } from "./play.fixture.ts";
import { lastCome, seededOrder } from "./order.ts";

type JsonObject = { [key: string]: Json };

function map(id: string, body: Json, config: JsonObject = {}, more: JsonObject = {}): JsonObject {
  return { id, type: "map", config: { do: body, ...config }, ...more };
}

const task: JsonObject = { type: "function", config: { function_name: "work" } };
const double: Work = ({ data }) => ({ output: Number(data) * 2 });
/** Fails for these items. */
const failsOn =
  (...items: Json[]): Work =>
  ({ data }) =>
    items.includes(data)
      ? { error: { code: "BAD", message: `no ${JSON.stringify(data)}` } }
      : { output: data };

describe("a map", () => {
  it("gives the results in the order of the elements, whatever the order of their ends", () => {
    const ir = irOf([map("m", task)], []);
    for (const order of [undefined, lastCome, seededOrder(5)]) {
      const more = order ? { order } : {};
      const result = play(ir, { input: [1, 2, 3], work: { "m-do": double }, ...more });
      expect(result.output).toEqual([2, 4, 6]);
    }
  });

  it("with no elements has an empty list at once", () => {
    const result = play(irOf([map("m", task), fn("z")], chain("m>z")), { input: [] });
    expect(result.output).toEqual([]);
    expect(result.elements).toEqual({});
  });

  it("fails with BAD_INPUT when its items are no list", () => {
    const result = play(irOf([map("m", task)], []), { input: { a: 1 } });
    expect(result.error).toMatchObject({ code: "BAD_INPUT", node: "m", attempts: 1 });
  });

  it("takes its items from an expression", () => {
    const ir = irOf([map("m", task, { items: "input.rows.filter(x, x > 1)" })], []);
    expect(play(ir, { input: { rows: [1, 2, 3] } }).output).toEqual([2, 3]);
  });

  it("begins only as many elements as max_concurrency says, and the next when one has ended", () => {
    const ir = irOf([map("m", task, { max_concurrency: 2 })], []);
    let most = 0;
    const result = play(ir, {
      input: [1, 2, 3, 4, 5],
      order: (ready) => {
        most = Math.max(most, ready.length);
        return ready.length - 1;
      },
    });
    expect(result.output).toEqual([1, 2, 3, 4, 5]);
    expect(most).toBe(2);
  });

  it("makes an element of joins, branches and output like a run", () => {
    const body = {
      nodes: [fn("a"), fn("b"), fn("c"), fn("j")],
      edges: [{ from: "a", to: "b", condition: "output > 1" }, ...chain("a>c", "b>j", "c>j")],
      output: { j: "${ctx.j.output}", at: "${index}", of: "${size(input)}" },
    };
    const { output } = play(irOf([map("m", body)], []), { input: [1, 2] });
    expect(output).toEqual([
      { j: { c: 1 }, at: 0, of: 2 },
      { j: { b: 2, c: 2 }, at: 1, of: 2 },
    ]);
  });

  it("shows its elements' nodes by their homes", () => {
    const result = play(irOf([fn("a"), map("m", task)], chain("a>m")), { input: [7] });
    expect(Object.keys(result.nodes)).toEqual(["a", "m"]);
    expect(result.elements).toEqual({
      "1#0": { "m-do": { status: "completed", activations: 1, attempts: 1, output: 7 } },
    });
  });

  it("lets an element end only when losers of an any join have ended", () => {
    const body = {
      nodes: [fn("a"), fn("slow"), fn("fast"), fn("j", { join: "any" })],
      edges: chain("a>slow>j", "a>fast>j"),
    };
    const ir = irOf([map("m", body, { max_concurrency: 1 })], []);
    const result = play(ir, { input: [1, 2], order: late("slow") });
    expect(result.output).toEqual([{ fast: 1 }, { fast: 2 }]);
    expect(result.elements["0#0"]?.["slow"]?.status).toBe("completed");
  });
});

describe("a map that fails by its element's time", () => {
  it("takes its timeout edge, as its failure has the element's code", () => {
    const slow: JsonObject = { type: "wait", config: { signal: "go" }, timeout_ms: 10 };
    const edges = [on("m", "late", "timeout"), on("m", "bad", "error")];
    const result = play(irOf([map("m", slow), fn("late"), fn("bad")], edges), { input: [1] });
    expect(statuses(result)).toMatchObject({ m: "failed", late: "completed", bad: "skipped" });
  });
});

describe("what a body sees", () => {
  it("is its item, its own nodes, and what is upstream of the map, from any depth", () => {
    const inner = map(
      "inner",
      {
        type: "transform",
        config: { expression: "[ctx.a.output.k, ctx.row.output, item, index]" },
      },
      { items: "[10, 20]" },
    );
    const body = { nodes: [fn("row"), inner], edges: chain("row>inner") };
    const ir = irOf([fn("a"), map("m", body, { items: "ctx.a.output.rows" })], chain("a>m"));
    const seen: Work = ({ vars }) => ({
      output: [vars.ctx?.["a"]?.output, vars.ctx?.["row"]?.output, vars.item, vars.index] as Json,
    });
    const { output } = play(ir, {
      input: { k: "K", rows: ["x"] },
      work: { "inner-do": seen },
    });
    const a = { k: "K", rows: ["x"] };
    expect(output).toEqual([
      [
        [a, "x", 10, 0],
        [a, "x", 20, 1],
      ],
    ]);
  });

  it("is the round of the loop around the map, unless it is in a loop of its own", () => {
    const body = {
      nodes: [fn("b"), fn("l", { loop: { condition: "iteration < 2", max_iterations: 2 } })],
      edges: chain("b>l"),
    };
    const latch = {
      id: "latch",
      type: "loop",
      config: { loop_back_to: "m", condition: "iteration < 2", max_iterations: 2 },
    };
    const ir = irOf([map("m", body, { items: "[0]" }), latch], chain("m>latch"));
    const rounds: string[] = [];
    const note =
      (name: string): Work =>
      ({ iteration, data }) => {
        rounds.push(`${name}${iteration}`);
        return { output: data };
      };
    play(ir, { work: { b: note("b"), l: note("l") } });
    expect(rounds).toEqual(["b1", "l1", "l2", "b2", "l1", "l2"]);
  });
});

describe("failed elements", () => {
  const tolerant = (tolerated: number, more: JsonObject[] = []) =>
    irOf([map("m", task, { tolerated_failures: tolerated }), fn("z"), ...more], chain("m>z"));

  it("are null in the list and named in its errors as far as they are tolerated", () => {
    const ir = irOf([map("m", task, { tolerated_failures: 2 })], [], {
      output: { list: "${ctx.m.output}", errors: "${ctx.m.errors}" },
    });
    const work = { "m-do": failsOn(2, 4) };
    expect(play(ir, { input: [1, 2, 3, 4], work, order: lastCome }).output).toEqual({
      list: [1, null, 3, null],
      errors: [
        { index: 1, code: "BAD", message: "no 2", node: "m-do" },
        { index: 3, code: "BAD", message: "no 4", node: "m-do" },
      ],
    });
  });

  it("leave an empty list of errors when there are none", () => {
    const ir = irOf([map("m", task, { tolerated_failures: 1 })], [], { output: "${ctx.m.errors}" });
    expect(play(ir, { input: [1] }).output).toEqual([]);
  });

  it("fail the map when they are one too many, and what is in progress is void", () => {
    const result = play(tolerant(1), {
      input: [1, 2, 3, 4],
      work: { "m-do": failsOn(1, 2) },
    });
    expect(result.error).toEqual({
      ...{ code: "BAD", message: "element 1: no 2", node: "m", scope: "", attempts: 1 },
    });
    expect(result.elements["0#3"]?.["m-do"]?.status).toBe("cancelled");
    expect(statuses(result)).toMatchObject({ m: "failed", z: "pending" });
  });

  it("are handled by the map's error edge; the run does not fail by an element directly", () => {
    const ir = irOf([map("m", task), fn("z")], [{ from: "m", to: "z", on: "error" }]);
    const result = play(ir, { input: [1], work: { "m-do": failsOn(1) } });
    expect(result.status).toBe("COMPLETED");
    expect(result.output).toMatchObject({ error: { code: "BAD", node: "m" } });
  });

  it("are none if an edge in the body handles the failure", () => {
    const body = { nodes: [fn("a"), fn("h")], edges: [{ from: "a", to: "h", on: "error" }] };
    const ir = irOf([map("m", body)], [], {});
    const result = play(ir, { input: [1], work: { a: fails("BAD") } });
    expect(result.output).toMatchObject([{ error: { code: "BAD" } }]);
  });

  it("fail at their first unhandled failure, also when the run goes on after failures", () => {
    const body = { nodes: [fn("a"), fn("b"), fn("c")], edges: chain("a>c", "b>c") };
    const ir = irOf([map("m", body), fn("x")], [], { settings: { failure: "continue" } });
    const result = play(ir, { input: [1], work: { a: fails("BAD") } });
    expect(statuses(result)).toEqual({ m: "failed", x: "completed" });
    expect(result.elements["0#0"]).toMatchObject({
      ...{ b: { status: "cancelled" }, c: { status: "pending" } },
    });
    expect(result.failed_nodes).toEqual(["m"]);
  });

  it("are tried again by the retry of their nodes", () => {
    const ir = irOf([map("m", task, {}, { retry: { max_attempts: 3 } })], []);
    const work: Work = ({ attempt, data }) =>
      attempt < 3 ? { error: { code: "X", message: "" } } : { output: data };
    expect(play(ir, { input: [1], work: { "m-do": work } }).output).toEqual([1]);
  });
});

describe("a map in a loop", () => {
  it("begins anew in each round", () => {
    const latch = {
      ...{ id: "l", type: "loop" },
      config: { loop_back_to: "m", condition: "iteration < 3", max_iterations: 3 },
    };
    const ir = irOf([map("m", task), latch], chain("m>l"));
    const result = play(ir, { input: [1, 2], work: { "m-do": double } });
    expect(result.output).toEqual([8, 16]);
    expect(Object.keys(result.elements)).toEqual([
      ...["1:1/0#0", "1:1/0#1", "1:2/0#0", "1:2/0#1", "1:3/0#0", "1:3/0#1"],
    ]);
  });

  it("is void with all its elements when its round ends without it", () => {
    const latch = {
      ...{ id: "l", type: "loop", join: "any" },
      config: { loop_back_to: "h", condition: "false", max_iterations: 1 },
    };
    const ir = irOf([fn("h"), map("m", task), fn("x"), latch], chain("h>m>l", "h>x>l"));
    const result = play(ir, { input: [1, 2], order: late("m-do") });
    expect(result.status).toBe("COMPLETED");
    expect(statuses(result)).toMatchObject({ m: "cancelled", x: "completed" });
    expect(result.elements["3:1/1#0"]?.["m-do"]?.status).toBe("cancelled");
  });
});
