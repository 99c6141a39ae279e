/** Which nodes of a run are executed, how often, and with what, as their handlers see it. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClient, type Client, type FunctionContext, type Json } from "../sdk/index.ts";
import { partitionKeys } from "../sdk/internal.ts";
import { FunctionRegistry } from "../worker/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { waitFor } from "./support/index.ts";

interface Seen {
  node: string;
  scope: string;
  key: string;
  input: Json;
}

let engine: Engine;
let client: Client;
const seen: { [run: string]: Seen[] } = {};
/** Handlers that wait to be let go, by run/node. */
const held: { [key: string]: () => void } = {};

beforeAll(async () => {
  engine = await startEngine();
  const registry = new FunctionRegistry();
  const note = ({ runId, node, scope, idempotencyKey: key, input }: FunctionContext): void =>
    void (seen[runId] ??= []).push({ node, scope, key, input });
  registry.register("note", (context) => {
    note(context);
    return { from: context.node, n: context.iteration ?? 0 };
  });
  registry.register("held", async (context) => {
    note(context);
    await new Promise<void>((resolve) => (held[`${context.runId}/${context.node}`] = resolve));
    return { from: context.node };
  });
  registry.register("refuse", (context) => {
    note(context);
    throw Object.assign(new Error("no"), { code: "DECLINED", details: { limit: 7 } });
  });
  await engine.worker({ registry, concurrency: 600 });
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

const call = (id: string, function_name = "note", more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name } },
  ...more,
});
const edges = (...pairs: string[]): object[] =>
  pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));

const submit = (name: string, nodes: object[], links: object[], input: Json = {}, more = {}) =>
  client.submit({ workflow: { name, nodes, edges: links, ...more } as never, input });

async function ended(id: string): Promise<{ status: string; output: unknown; nodes: string[] }> {
  const { status, output, error } = await client.ended(id, { timeoutMs: 30_000 });
  const text = status === "COMPLETED" ? output : error;
  return { status, output: JSON.parse(text ?? "null"), nodes: (seen[id] ?? []).map((s) => s.node) };
}

/** All orders of these. */
function orders(of: readonly string[]): string[][] {
  return of.length < 2
    ? [[...of]]
    : of.flatMap((one) => orders(of.filter((two) => two !== one)).map((rest) => [one, ...rest]));
}

describe("X03, X05: a join", () => {
  const branches = ["b", "c", "d"];
  const nodes = [call("a"), ...branches.map((id) => call(id, "held")), call("j")];
  const links = edges("a>b", "a>c", "a>d", "d>j", "b>j", "c>j");

  it.each(orders(branches))(
    "is executed once, with the same input: %s, %s, %s",
    async (...order) => {
      const id = await submit("three", nodes, links);
      for (const node of order) {
        const go = await waitFor(() => held[`${id}/${node}`]);
        expect((await client.status(id)).nodes["j"]?.status ?? "pending").not.toBe("completed");
        go();
        await waitFor(async () => (await client.status(id)).nodes[node]?.status === "completed");
      }
      await ended(id);
      const [input, ...more] = (seen[id] ?? []).filter(({ node }) => node === "j");
      expect(more).toEqual([]);
      expect(JSON.stringify(input?.input)).toBe(
        '{"b":{"from":"b"},"c":{"from":"c"},"d":{"from":"d"}}',
      );
    },
  );

  it("of 500 branches is executed once, with all of them", async () => {
    const wide = Array.from({ length: 500 }, (_, i) => `w${i}`);
    const all = [call("a"), ...wide.map((id) => call(id)), call("j")];
    const id = await submit("wide", all, edges(...wide.flatMap((w) => [`a>${w}`, `${w}>j`])));
    await ended(id);
    const joins = (seen[id] ?? []).filter(({ node }) => node === "j");
    expect(joins).toHaveLength(1);
    expect(Object.keys(joins[0]?.input as object).sort()).toEqual(wide.sort());
  });
});

describe("X06: a conditional", () => {
  const links = [
    { from: "if", to: "some", condition: "output.n > 1" },
    { from: "if", to: "big", condition: "output.n > 10" },
  ];
  const otherwise = { from: "if", to: "other" };
  const targets = ["some", "big"].map((id) => call(id));
  const steered = (name: string, n: Json, config: object = {}) =>
    submit(name, [{ id: "if", type: "conditional", config }, ...targets], links, { n });
  const steeredElse = (name: string, n: Json) =>
    submit(
      name,
      [{ id: "if", type: "conditional" }, ...targets, call("other")],
      [otherwise, ...links],
      { n },
    );

  it("takes the first edge of the file that holds, else the default, wherever that stands", async () => {
    expect((await ended(await steeredElse("first", 11))).nodes).toEqual(["some"]);
    expect((await ended(await steeredElse("first", 0))).nodes).toEqual(["other"]);
  });

  it("without a default fails when nothing holds, or ends where the file says so", async () => {
    expect(await ended(await steered("none", 0))).toMatchObject({
      ...{ status: "FAILED", nodes: [] },
      output: { code: "NO_BRANCH_MATCHED", details: { output: { n: 0 } } },
    });
    expect(await ended(await steered("skip", 0, { on_no_match: "skip" }))).toMatchObject({
      ...{ status: "COMPLETED", nodes: [] },
    });
  });

  it("takes no branch, the default neither, when a condition cannot be evaluated", async () => {
    expect(await ended(await steeredElse("text", "many"))).toMatchObject({
      ...{ status: "FAILED", nodes: [] },
      output: {
        ...{ code: "CONDITION_FAILED", node: "if", details: { output: { n: "many" } } },
        message: expect.stringMatching(/^edge to "some" \(condition output.n > 1\): /) as string,
      },
    });
  });
});

describe("X07: a join of all behind branches that exclude each other", () => {
  it.each(["left", "right", "neither"])("is executed with what was taken: %s", async (way) => {
    const nodes = [
      { id: "if", type: "conditional", config: { on_no_match: "skip" } },
      ...["left", "right", "more", "beside", "j"].map((id) => call(id)),
    ];
    const links = [
      { from: "if", to: "left", condition: 'output.way == "left"' },
      { from: "if", to: "right", condition: 'output.way == "right"' },
      ...edges("right>more", "left>j", "more>j", "beside>j"),
    ];
    const id = await submit("xor", nodes, links, { way });
    expect((await ended(id)).status).toBe("COMPLETED");
    const [join, ...again] = (seen[id] ?? []).filter(({ node }) => node === "j");
    const taken = { left: ["left"], right: ["more"], neither: [] }[way] ?? [];
    expect(again).toEqual([]);
    expect(Object.keys(join?.input as object)).toEqual(["beside", ...taken]);
  });
});

describe("X08, X09: a loop", () => {
  const latch = (id: string, back: string, more: object): object => ({
    ...{ id, type: "loop", config: { loop_back_to: back, max_iterations: 50, ...more } },
  });

  it("has exactly the rounds that its condition asks for, each step with a key of its own", async () => {
    // A fork and a join in the body; the node before the latch is also one that goes back to itself.
    const nodes = [
      ...["a", "b", "c", "j"].map((id) => call(id)),
      latch("self", "self", { condition: "iteration < 2", function_name: "note" }),
      latch("again", "a", { condition: "iteration < 4" }),
      call("after"),
    ];
    const links = edges("a>b", "a>c", "b>j", "c>j", "j>self", "self>again", "again>after");
    const id = await submit("nested", nodes, links);
    expect((await ended(id)).status).toBe("COMPLETED");
    const count = (node: string): number => (seen[id] ?? []).filter((s) => s.node === node).length;
    expect(["a", "b", "c", "j", "self", "after"].map(count)).toEqual([4, 4, 4, 4, 8, 1]);
    const keys = (seen[id] ?? []).map(({ key }) => key);
    expect(new Set(keys).size).toBe(keys.length);
  });

  it("that is at its limit takes its timeout path, that is done its break path", async () => {
    const ways = { break_path: ["done"], timeout_path: ["gave_up"] };
    const run = async (condition: string): Promise<string[]> => {
      const nodes = [
        call("a"),
        latch("l", "a", { condition, max_iterations: 3, ...ways }),
        ...["done", "gave_up"].map((id) => call(id)),
      ];
      return (await ended(await submit("paths", nodes, edges("a>l")))).nodes;
    };
    expect(await run("iteration < 2")).toEqual(["a", "a", "done"]);
    expect(await run("true")).toEqual(["a", "a", "a", "gave_up"]);
  });

  it("leaves nothing of its rounds: a run has the same fields after three and after thirty", async () => {
    const fieldsAfter = async (rounds: number): Promise<string[]> => {
      const nodes = [
        ...["a", "b", "c", "j"].map((id) => call(id)),
        latch("again", "a", { condition: `iteration < ${rounds}` }),
        call("after", "held"),
      ];
      const links = edges("a>b", "a>c", "b>j", "c>j", "j>again", "again>after");
      const id = await submit("rounds", nodes, links);
      const go = await waitFor(() => held[`${id}/after`]);
      const fields = await engine.redis.hkeys(partitionKeys(0).run(id));
      go();
      await ended(id);
      return fields.sort();
    };
    expect(await fieldsAfter(30)).toEqual(await fieldsAfter(3));
  });
});

describe("X27: a failure with an edge for it", () => {
  it("is what that edge's node gets, and the run completes", async () => {
    const nodes = [call("pay", "refuse"), call("next"), call("tell")];
    const links = [...edges("pay>next"), { from: "pay", to: "tell", on: "error" }];
    const id = await submit("handled", nodes, links, { sum: 3 });
    expect(await ended(id)).toMatchObject({ status: "COMPLETED", nodes: ["pay", "tell"] });
    expect(seen[id]?.at(-1)?.input).toMatchObject({
      error: { code: "DECLINED", node: "pay", message: expect.stringContaining("no") as string },
    });
  });
});

describe("N05: parallel", () => {
  it("branches are executed at the same time, each by a worker of its own", async () => {
    const waiting: (() => void)[] = [];
    const by: string[] = [];
    const meet = (worker: string) => {
      const registry = new FunctionRegistry();
      // Nobody comes back before both are there.
      registry.register("meet", async () => {
        by.push(worker);
        await new Promise<void>((resolve) => {
          if (waiting.push(resolve) === 2) {
            waiting.forEach((go) => go());
          }
        });
        return null;
      });
      return engine.worker({ registry, concurrency: 1, id: worker });
    };
    await meet("one");
    await meet("two");
    const nodes = [
      { id: "p", type: "parallel" },
      ...["left", "right"].map((id) => call(id, "meet")),
      { id: "j", type: "noop" },
    ];
    const id = await submit("at once", nodes, edges("p>left", "p>right", "left>j", "right>j"));
    expect((await ended(id)).status).toBe("COMPLETED");
    expect(by.sort()).toEqual(["one", "two"]);
  });
});
