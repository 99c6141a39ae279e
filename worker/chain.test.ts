import { describe, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { Profiles, type CompletionItem, type ReadyToken } from "../sdk/internal.ts";
import { chainNext, laterToken, nextToken } from "./chain.ts";

function irOf(nodes: object[], edges: object[], settings = {}): Ir {
  const { ir, diagnostics } = compile({ document: { name: "t", nodes, edges, settings } as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

const step = (id: string, more = {}): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  ...more,
});
const line = (...ids: string[]): object[] => ids.slice(1).map((to, i) => ({ from: ids[i], to }));

const place = { partition: 0, namespace: "", priority: "normal" } as const;

/** The item of a plain success of this node. */
function done(ir: Ir, id: string, scope = ""): CompletionItem {
  const profile = new Profiles().add(ir, "h", place);
  const node = ir.nodes.findIndex((n) => n.id === id);
  const edges = "L".repeat(ir.nodes[node]?.out.length ?? 0);
  const plan = profile.planner.end(node, edges, false);
  const value = '{"n":1}';
  const result = { node, scope, attempt: 1, op: "C", value, edges, extra: "", delayMs: 0, plan };
  return {
    ...{ profile, runId: "r", epoch: "1", queue: ir.nodes[node]?.queue ?? 0, entryId: "1-0" },
    results: [result as CompletionItem["results"][number]],
  };
}

const nextId = (ir: Ir, id: string, scope = ""): string | undefined =>
  ir.nodes[chainNext(done(ir, id, scope), scope) ?? -1]?.id;

describe("a chain goes on", () => {
  it("to the only successor in the same queue", () => {
    const ir = irOf([step("a"), step("b"), step("c")], line("a", "b", "c"));
    expect(nextId(ir, "a")).toBe("b");
    expect(nextId(ir, "c")).toBeUndefined();
  });

  it("not across queues, joins and forks, nor where the workflow says `fusion: false`", () => {
    const queues = irOf([step("a"), step("b", { queue: "other" })], line("a", "b"));
    expect(nextId(queues, "a")).toBeUndefined();
    const fork = irOf(
      [step("a"), step("b"), step("c"), step("d")],
      [...line("a", "b", "d"), ...line("a", "c", "d")],
    );
    expect(nextId(fork, "a")).toBeUndefined();
    expect(nextId(fork, "b")).toBeUndefined();
    expect(nextId(irOf([step("a"), step("b")], line("a", "b"), { fusion: false }), "a")).toBe(
      undefined,
    );
  });

  it("not to a node that may not wait for long: its timer goes with its entry", () => {
    const ir = irOf([step("a"), step("b", { queue_timeout_ms: 1000 })], line("a", "b"));
    expect(nextId(ir, "a")).toBeUndefined();
  });

  it("inside a round, and not out of it", () => {
    const again = {
      type: "loop",
      config: {
        function_name: "builtin.echo",
        loop_back_to: "a",
        condition: "false",
        max_iterations: 2,
      },
    };
    const ir = irOf([step("a"), step("b"), step("l", again), step("z")], line("a", "b", "l", "z"));
    const scope = `${ir.nodes.findIndex((n) => n.id === "l")}:1`;
    expect(nextId(ir, "a", scope)).toBe("b");
    expect(nextId(ir, "l", scope)).toBeUndefined();
  });

  it("with the output as the next node's input", () => {
    const ir = irOf([step("a"), step("b")], line("a", "b"));
    const token = { node: 0, scope: "", attempt: 3, entryId: "1-0", kind: "resumed" } as ReadyToken;
    const next = nextToken(token, done(ir, "a"), 1);
    expect(next).toMatchObject({ node: 1, attempt: 1, entryId: "1-0", payload: '{"n":1}' });
    expect(next.kind).toBe("run");
  });
});

describe("a chain that was taken over", () => {
  it("goes on with the first attempt of its active token, whose input is read", () => {
    const token = { node: 0, scope: "7:1", attempt: 3, entryId: "1-0", payload: "1" } as ReadyToken;
    expect(laterToken({ ...token, kind: "resumed" }, 2)).toMatchObject({
      ...{ node: 2, attempt: 1, entryId: "1-0", scope: "7:1" },
      ...{ kind: "run", payload: null, answer: null },
    });
  });
});
