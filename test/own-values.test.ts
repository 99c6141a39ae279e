/**
 * What a handler does to its input and its params is seen by nobody else, in a whole engine: whether
 * steps are executed together or each by itself.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Json } from "../compiler/index.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";

let engine: Engine;

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  registry.register("list", () => [3, 1, 2]);
  // A value over the limit of what goes with a token, so it is read from the run.
  registry.register("long", () => ({ list: [3, 1, 2], more: "x".repeat(5000) }));
  const first = (list: Json): Json => (list as number[]).sort()[0] as number;
  registry.register("least", ({ input }) => first(input));
  registry.register("least_of", ({ input }) => first((input as { list: Json }).list));
  registry.register("least_told", ({ params }) => first(params["list"] as Json));
  registry.register("drain", ({ params }) => (params["list"] as Json[]).splice(0).length);
  await engine.worker({ registry });
}, 60_000);

afterAll(() => engine.stop());

const call = (
  id: string,
  function_name: string,
  more: object = {},
  config: object = {},
): object => ({
  ...{ id, type: "function", config: { function_name, ...config } },
  ...more,
});
const told = (id: string, expression: string): object => ({
  ...{ id, type: "transform", config: { expression } },
});
const pure = { pure: true };

/** What a run puts out where everything of it is there: the first one may have to be fetched. */
async function outputOf(
  nodes: readonly object[],
  edges: readonly string[],
  output: Json,
  more: { fusion?: boolean; input?: Json } = {},
): Promise<Json> {
  const { fusion = true, input = null } = more;
  const workflow = {
    ...{ name: "own", nodes, output, settings: { fusion } },
    edges: edges.map((edge) => ({ from: edge.split(" ")[0], to: edge.split(" ")[1] })),
  };
  await engine.ended(await engine.submit({ workflow, input }));
  const { status, output: text } = await engine.ended(await engine.submit({ workflow, input }));
  expect(status).toBe("COMPLETED");
  return JSON.parse(text ?? "null") as Json;
}

describe.each([false, true])(
  "with fusion: %s, a function that sorts in place what it is given",
  (fusion) => {
    it("leaves what the step before it has put out to the nodes beside it", async () => {
      const nodes = [call("a", "list"), call("least", "least", pure), told("all", "data")];
      const found = await outputOf(nodes, ["a least", "a all"], "${ctx.all.output}", { fusion });
      expect(found).toEqual([3, 1, 2]);
    });

    it("leaves what it has from other nodes by its params to those behind it", async () => {
      const nodes = [
        ...[call("a", "list"), call("b", "list", pure)],
        call("least", "least_told", pure, { params: { list: "${ctx.a.output}" } }),
        told("all", "ctx.a.output"),
      ];
      const edges = ["a b", "b least", "least all"];
      expect(await outputOf(nodes, edges, "${ctx.all.output}", { fusion })).toEqual([3, 1, 2]);
    });

    it("leaves the run's input to those behind it", async () => {
      const input = { list: [3, 1, 2], more: "x".repeat(5000) };
      const nodes = [call("a", "least_of"), told("all", "input.list")];
      const found = await outputOf(nodes, ["a all"], "${ctx.all.output}", { fusion, input });
      expect(found).toEqual([3, 1, 2]);
      const named = [
        call("a", "least_told", {}, { params: "${input}" }),
        told("all", "input.list"),
      ];
      expect(await outputOf(named, ["a all"], "${ctx.all.output}", { fusion, input })).toEqual([
        3, 1, 2,
      ]);
    });

    it("leaves a map's elements, and what is around it, to the others", async () => {
      const body = {
        nodes: [
          call("least", "least"),
          call("drain", "drain", {}, { params: { list: "${ctx.a.output.list}" } }),
          told("both", "{'item': item, 'drained': data}"),
        ],
        edges: [
          { from: "least", to: "drain" },
          { from: "drain", to: "both" },
        ],
      };
      const map = { id: "m", type: "map", config: { items: "${[[2, 1], [4, 3]]}", do: body } };
      const nodes = [call("a", "long"), map];
      const found = await outputOf(nodes, ["a m"], "${ctx.m.output}", { fusion });
      expect(found).toEqual([
        { item: [2, 1], drained: 3 },
        { item: [4, 3], drained: 3 },
      ]);
    });

    it("leaves what stands in the workflow to all runs of it", async () => {
      const list = [3, 1, 2];
      const nodes = [
        call("a", "drain", {}, { params: { list } }),
        call("b", "drain", pure, { params: { list } }),
        call("c", "least_of", {}, { input: { list } }),
        call("d", "list"),
      ];
      const drained = "${[ctx.a.output, ctx.b.output]}";
      const found = await outputOf(nodes, ["a b", "b c", "c d"], drained, { fusion });
      expect(found).toEqual([3, 3]);
    });
  },
);
