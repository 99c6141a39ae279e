/** What is evaluated in the step before it, and what there is no room for. */
import { pino } from "pino";
import { describe, expect, it } from "vitest";
import { compile, type Ir, type IrNode, type Json } from "../compiler/index.ts";
import {
  type CompletionItem,
  defineFunction,
  Profiles,
  RunData,
  type FunctionContext,
} from "../sdk/internal.ts";
import { Ahead } from "./ahead.ts";
import { createHttpClient } from "./kinds/http-client.ts";
import { WORKER_DEFAULTS } from "./options.ts";
import { FunctionRegistry } from "./registry.ts";
import { itemOf, Results } from "./results.ts";

type Handler = (context: FunctionContext) => unknown;

const MIB = 1024 * 1024;
const { outputBytesMax } = WORKER_DEFAULTS;
const A = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
const config = { function_name: "own" };
const pure = (id: string): object => ({ id, type: "function", pure: true, config });
const told = (id: string, expression: Json): object => ({
  ...{ id, type: "transform", config: { expression } },
});

/** `edges` are from the first node to each other unless they are given. */
function irOf(nodes: object[], edges?: object[]): Ir {
  const all = nodes as { id: string }[];
  const document = { name: "t", nodes, edges: edges ?? all.slice(1).map(({ id }) => to("a", id)) };
  const { ir, diagnostics } = compile({ document: document as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

const to = (from: string, id: string): object => ({ from, to: id });

/** The item of the first node's success. The clock stands still: 10 ms are never over. */
function settled(ir: Ir, output: Json, handler: Handler = () => 1): CompletionItem {
  const place = { partition: 0, namespace: "", priority: "normal" } as const;
  const profile = new Profiles().add(ir, "h", place);
  const entry = { queueKey: profile.queueKeys[ir.nodes[0]?.queue ?? 0], entryId: "1-0" };
  const token = { runId: "r", unit: "r", epoch: "1", node: 0, scope: "", attempt: 1, kind: "run" };
  const p = {
    ...{ token: { ...token, ...entry }, profile, data: new RunData(ir) },
    node: ir.nodes[0] as IrNode,
  };
  const ahead = new Ahead({
    registry: new FunctionRegistry([defineFunction("own", handler)]),
    ...{ http: createHttpClient(), secrets: () => ({}), logger: pino({ level: "silent" }) },
    ...{ nowMs: () => 0, reader: { isOpen: () => true } },
  });
  const item = itemOf(p as never);
  const results = new Results({ workerId: "w", outputBytesMax, ahead });
  results.succeed(p as never, item, 0, 1, { data: 1 }, output, "");
  return item;
}

/** What an item says of a node; undefined: it is a step of its own. */
function valueOf(item: CompletionItem, ir: Ir, id: string): string | undefined {
  return item.results.find(({ node }) => ir.nodes[node]?.id === id)?.value;
}

describe("a function called in the step before it", () => {
  it.each(["returns", "throws", "answers with a promise"])(
    "changes nothing of what its siblings get, if it sorts its input in place and %s",
    (how) => {
      const ir = irOf([A, pure("least"), told("all", "data")]);
      const item = settled(ir, [3, 1, 2], ({ input }) => {
        const [least] = (input as number[]).sort();
        if (how === "throws") {
          throw new Error("no");
        }
        return how === "returns" ? least : Promise.resolve(least);
      });
      expect(valueOf(item, ir, "least")).toBe(how === "returns" ? "1" : undefined);
      expect(valueOf(item, ir, "a")).toBe("[3,1,2]");
      expect(valueOf(item, ir, "all")).toBe("[3,1,2]");
    },
  );

  it("is left to a step of its own, and has not failed, if its output is too large to keep", () => {
    const ir = irOf([A, pure("p")]);
    const item = settled(ir, 1, () => "x".repeat(outputBytesMax));
    expect(item.results.map(({ op }) => op)).toEqual(["C"]);
  });
});

describe("A10: an item has 256 KiB of what pure nodes put out", () => {
  const ids = Array.from({ length: 20 }, (_, i) => `p${i}`);
  const chain = ids.map((id, i) => to(ids[i - 1] ?? "a", id));
  // Functions of 1 MiB each, nodes of 60 kB each: of those the fifth goes beyond.
  const mib: Handler = ({ node }) => node + "x".repeat(MIB);

  it.each([
    ["functions beside one another", ids.map(pure), undefined, 1],
    ["functions in a row", ids.map(pure), chain, 1],
    ["nodes beside one another", ids.map((id) => told(id, "data")), undefined, 5],
    ["nodes in a row", ids.map((id) => told(id, "data")), chain, 5],
  ])("of %s", (_, nodes, edges, fit) => {
    const ir = irOf([A, ...nodes], edges);
    const { results } = settled(ir, "x".repeat(60_000), mib);
    expect(results).toHaveLength(1 + fit);
    // All others go through their queue.
    const queued = results.flatMap(({ plan }) => plan.plain.filter((_, i) => i % 2 === 0));
    expect(queued).toHaveLength(edges === undefined ? ids.length - fit : 1);
  });

  it("what the step itself puts out is not of them", () => {
    const ir = irOf([A, told("b", "size(data)"), pure("c")]);
    const item = settled(ir, "x".repeat(MIB));
    expect(valueOf(item, ir, "b")).toBe(String(MIB));
    expect(valueOf(item, ir, "c")).toBe("1");
  });

  it("each item has as many", () => {
    const ir = irOf([A, ...ids.map(pure)]);
    expect(settled(ir, 1, mib).results).toHaveLength(2);
    expect(settled(ir, 1).results).toHaveLength(21);
  });
});
