/** Children through a whole engine: supervisor, worker, Redis, Postgres. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  cancelRun,
  partitionKeys,
  ScriptRunner,
  globalKeys,
  type Transition,
} from "../../sdk/internal.ts";
import { listRuns, readJournal, readRun } from "../../sdk/postgres/index.ts";
import { startEngine, type Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { allKeys, waitFor } from "../support/index.ts";

let engine: Engine;
beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
});
afterAll(() => engine.stop());

const keys = partitionKeys(0);

async function scripts(): Promise<ScriptRunner> {
  const deployment = (await engine.redis.hget(globalKeys.deployment, "id")) as string;
  return new ScriptRunner({ redis: engine.redis, deployment, partition: 0 });
}

async function childrenOf(runId: string): Promise<Awaited<ReturnType<typeof listRuns>>> {
  return listRuns(engine.db, { parent: runId, limit: 100 });
}

const add = (name: string, more: object = {}): object => ({
  metadata: { name, version: "1" },
  nodes: [
    {
      ...{ id: "add", type: "function" },
      config: { function_name: "builtin.add", params: { a: "${input.n}", b: 1 } },
    },
  ],
  edges: [],
  ...more,
});
const sub = (id: string, workflow: string, more: object = {}, config: object = {}): object => ({
  ...{ id, type: "subworkflow", config: { workflow, ...config } },
  ...more,
});
const flow = (name: string, nodes: object[], edges: object[] = [], more: object = {}): object => ({
  metadata: { name, version: "1" },
  ...{ nodes, edges },
  ...more,
});

describe("A7: a child's end completes its parent's node", () => {
  it("the child's output is the node's, with an output template and without one", async () => {
    await publish(engine.db, add("plain"));
    await publish(engine.db, add("shaped", { output: { value: "${ctx.add.output.sum}" } }));
    const parent = flow(
      "two",
      [sub("a", "plain"), sub("b", "shaped", {}, { input: { n: "${ctx.a.output.sum}" } })],
      [{ from: "a", to: "b" }],
    );
    const runId = await engine.submit({ workflow: parent, input: { n: 1 } });
    const row = await engine.ended(runId);
    expect(row.status).toBe("COMPLETED");
    expect(JSON.parse(row.output as string)).toEqual({ value: 3 });
    const children = await childrenOf(runId);
    expect(children.map((c) => [c.parentNode, c.status, c.depth, c.workflow]).sort()).toEqual([
      ["a", "COMPLETED", 1, "plain"],
      ["b", "COMPLETED", 1, "shaped"],
    ]);
    for (const child of children) {
      expect(child.id).toMatch(new RegExp(`^${runId}~[0-9a-f]{20}$`));
    }
  });

  it("children of children, and everything of them is released", async () => {
    await publish(engine.db, add("leaf1"));
    await publish(engine.db, flow("mid1", [sub("m", "leaf1")]));
    const runId = await engine.submit({
      workflow: flow("top1", [sub("t", "mid1")]),
      input: { n: 5 },
    });
    const row = await engine.ended(runId);
    expect(JSON.parse(row.output as string)).toEqual({ sum: 6 });
    await waitFor(async () => (await allKeys(engine.redis, `${keys.run(runId)}*`)).length === 0, {
      timeoutMs: 15_000,
      describe: "keys are left behind",
    });
  });

  it("the child's error is the node's: its code, its run, and error edges take it", async () => {
    const failing = {
      ...{ id: "f", type: "function" },
      config: {
        function_name: "builtin.fail",
        params: { code: "NO_STOCK", message: "sold out" },
      },
    };
    for (const failure of ["fail_fast", "continue"]) {
      await publish(engine.db, flow(`fails_${failure}`, [failing], [], { settings: { failure } }));
      const caught = { id: "caught", type: "transform", config: { expression: "data.error" } };
      const parent = flow(
        "catches",
        [sub("s", `fails_${failure}`), caught],
        [{ from: "s", to: "caught", on: "error" }],
      );
      const runId = await engine.submit({ workflow: parent });
      const row = await engine.ended(runId);
      expect(row.status).toBe("COMPLETED");
      const [child] = await childrenOf(runId);
      expect(child?.status).toBe("FAILED");
      expect(JSON.parse(row.output as string)).toMatchObject({
        code: "NO_STOCK",
        node: "s",
        details: { run_id: child?.id },
      });
    }
  });

  it("a retry starts another child", async () => {
    const flaky = {
      ...{ id: "f", type: "function" },
      config: { function_name: "builtin.fail", params: { when: "${input.attempt < 2}" } },
    };
    await publish(engine.db, flow("flaky", [flaky]));
    const node = sub("s", "flaky", { retry: { max_attempts: 2, backoff_ms: 1 } });
    const runId = await engine.submit({ workflow: flow("retries", [node]), input: { attempt: 1 } });
    expect((await engine.ended(runId)).status).toBe("FAILED");
    const children = await childrenOf(runId);
    expect(children.map(({ status }) => status)).toEqual(["FAILED", "FAILED"]);
    expect(new Set(children.map(({ id }) => id)).size).toBe(2);
  });

  it("an input that the child's schema refuses fails the node without a child", async () => {
    const input_schema = { type: "object", required: ["n"] };
    await publish(engine.db, add("strict", { input_schema }));
    const runId = await engine.submit({ workflow: flow("loose", [sub("s", "strict")]), input: {} });
    const row = await engine.ended(runId);
    expect(row.status).toBe("FAILED");
    expect(JSON.parse(row.error as string)).toMatchObject({ code: "BAD_INPUT" });
    expect(await childrenOf(runId)).toEqual([]);
  });

  it("a workflow that starts itself for ever fails at the depth limit", async () => {
    const runId = await engine.submit({ workflow: flow("eats", [sub("s", "eats")]) });
    const row = await engine.ended(runId);
    expect(row.status).toBe("FAILED");
    expect(JSON.parse(row.error as string)).toMatchObject({ code: "TOO_DEEP" });
  });
});

describe("semantics 20: wait: false", () => {
  it("completes when the child was started; the child has no parent and goes on", async () => {
    const slow = { id: "d", type: "delay", config: { delay_ms: 300 } };
    await publish(engine.db, flow("slow", [slow]));
    const parent = flow("detaches", [sub("s", "slow", {}, { wait: false })]);
    const runId = await engine.submit({ workflow: parent, input: { x: 1 } });
    const row = await engine.ended(runId);
    const { run_id: childId } = JSON.parse(row.output as string) as { run_id: string };
    expect(await childrenOf(runId)).toEqual([]);
    const child = await engine.ended(childId);
    expect([child.status, child.parentRunId, child.depth]).toEqual(["COMPLETED", null, 1]);
  });
});

describe("B6: cancelling a tree", () => {
  const waits = { id: "w", type: "wait", config: { signal: "never" } };

  async function begun(name: string, more: object = {}, edges: object[] = []): Promise<string[]> {
    await publish(engine.db, flow(`${name}_leaf`, [waits]));
    await publish(engine.db, flow(`${name}_mid`, [sub("m", `${name}_leaf`)]));
    const nodes = [sub("t", `${name}_mid`, more)];
    const after = { id: "after", type: "transform", config: { expression: "data.error.code" } };
    const document = flow(`${name}_top`, edges.length > 0 ? [...nodes, after] : nodes, edges);
    const top = await engine.submit({ workflow: document });
    const [mid] = await waitFor(async () => {
      const found = await childrenOf(top);
      return found.length > 0 ? found : undefined;
    });
    const [leaf] = await waitFor(async () => {
      const found = await childrenOf(mid?.id ?? "");
      return found.length > 0 ? found : undefined;
    });
    return [top, mid?.id ?? "", leaf?.id ?? ""];
  }

  it("a parent's cancel cancels its children, and theirs", async () => {
    const [top = "", mid = "", leaf = ""] = await begun("down");
    await cancelRun(await scripts(), top, "enough");
    for (const id of [top, mid, leaf]) {
      expect((await engine.ended(id)).status).toBe("CANCELLED");
    }
  });

  it("a child cancelled by hand fails its parent's node with CANCELLED, never retried", async () => {
    const [top = "", mid = "", leaf = ""] = await begun(
      "up",
      { retry: { max_attempts: 5, backoff_ms: 1 } },
      [{ from: "t", to: "after", on: "error" }],
    );
    await cancelRun(await scripts(), mid, "by hand");
    const row = await engine.ended(top);
    expect([row.status, row.output]).toEqual(["COMPLETED", '"CANCELLED"']);
    expect((await engine.ended(leaf)).status).toBe("CANCELLED");
    expect((await childrenOf(top)).length).toBe(1);
  });

  it("a node that is over time leaves its child, which is cancelled; its retry starts another", async () => {
    const [top = "", mid = "", leaf = ""] = await begun("late", {
      timeout_ms: 150,
      retry: { max_attempts: 2, backoff_ms: 1 },
    });
    const row = await engine.ended(top);
    expect(JSON.parse(row.error as string)).toMatchObject({ code: "TIMEOUT" });
    for (const id of [mid, leaf]) {
      expect((await engine.ended(id)).status).toBe("CANCELLED");
    }
    const children = await childrenOf(top);
    expect(children.length).toBe(2);
    for (const { id } of children) {
      expect((await engine.ended(id)).status).toBe("CANCELLED");
    }
  });

  it("a round that is void cancels the children that it left", async () => {
    await publish(engine.db, flow("round_leaf", [waits]));
    const nodes = [
      { id: "head", type: "parallel" },
      sub("stuck", "round_leaf"),
      { id: "quick", type: "function", config: { function_name: "builtin.echo" } },
      {
        ...{ id: "again", type: "loop", join: "any" },
        config: { loop_back_to: "head", condition: "iteration < 3", max_iterations: 5 },
      },
    ];
    const edges = [
      { from: "head", to: "stuck" },
      { from: "head", to: "quick" },
      { from: "stuck", to: "again" },
      { from: "quick", to: "again" },
    ];
    const runId = await engine.submit({ workflow: flow("rounds", nodes, edges) });
    expect((await engine.ended(runId)).status).toBe("COMPLETED");
    const children = await waitFor(async () => {
      const all = await childrenOf(runId);
      return all.length === 3 && all.every(({ status }) => status === "CANCELLED")
        ? all
        : undefined;
    });
    expect(children.length).toBe(3);
  });
});

describe("D25: several versions live", () => {
  it("a tree begun on v1 finishes on v1 while v2 is published", async () => {
    const version = (v: string): object => ({
      metadata: { name: "ver_leaf", version: v },
      nodes: [{ id: "a", type: "transform", config: { expression: `"v${v}"` } }],
      edges: [],
    });
    await publish(engine.db, version("1"));
    const gate = { id: "gate", type: "wait", config: { signal: "go" } };
    const parent = flow("ver_top", [gate, sub("s", "ver_leaf")], [{ from: "gate", to: "s" }]);
    const runId = await engine.submit({ workflow: parent });
    await publish(engine.db, version("2"));
    const { signalRun } = await import("../../sdk/internal.ts");
    const signal = { runId, id: "1", name: "go", data: null };
    await waitFor(async () => (await signalRun(await scripts(), signal)) !== "gone");
    expect((await engine.ended(runId)).output).toBe('"v1"');
    const pinned = flow("ver_pin", [sub("s", "ver_leaf@1")]);
    const newest = flow("ver_new", [sub("s", "ver_leaf")]);
    const [one, two] = await Promise.all([
      engine.submit({ workflow: pinned }),
      engine.submit({ workflow: newest }),
    ]);
    expect((await engine.ended(one)).output).toBe('"v1"');
    expect((await engine.ended(two)).output).toBe('"v2"');
  });
});

describe("the journal of a child", () => {
  it("begins with who waits for it and ends in one record with the parent's resume", async () => {
    await publish(engine.db, add("told"));
    const runId = await engine.submit({
      workflow: flow("teller", [sub("s", "told")]),
      input: { n: 1 },
    });
    await engine.ended(runId);
    const [child] = await childrenOf(runId);
    const row = await readRun(engine.db, child?.id ?? "");
    expect(row?.input).toBe('{"n":1}');
    const own = await readJournal(engine.db, child?.id ?? "");
    expect(own[0]?.transition.up).toContain(`${runId}|0||1|`);
    const end = own.find(({ transition }) => transition.e === "run.completed");
    const parent = await readJournal(engine.db, runId);
    const resumed = parent.find(({ transition }) => transition.e === "node.resumed");
    const answer: Transition["v"] = { kind: "child", run: child?.id ?? "", status: "completed" };
    expect(resumed?.transition.v).toEqual(answer);
    expect(Number.parseInt(resumed?.position ?? "", 10)).toBe(
      Number.parseInt(end?.position ?? "", 10),
    );
  });
});

describe("A7: children of a map's elements", () => {
  it("complete their elements, and the map gathers their outputs", async () => {
    await publish(engine.db, add("each"));
    const each = {
      ...{ id: "m", type: "map" },
      config: { items: "[1, 2, 3]", do: sub("s", "each", {}, { input: { n: "${item}" } }) },
    };
    const runId = await engine.submit({ workflow: flow("maps", [each]) });
    const row = await engine.ended(runId);
    expect(JSON.parse(row.output as string)).toEqual([{ sum: 2 }, { sum: 3 }, { sum: 4 }]);
    const children = await childrenOf(runId);
    expect(children.map(({ parentNode, status }) => [parentNode, status])).toEqual(
      Array.from({ length: 3 }, () => ["s", "COMPLETED"]),
    );
    await waitFor(async () => (await allKeys(engine.redis, `${keys.run(runId)}*`)).length === 0, {
      timeoutMs: 15_000,
      describe: "keys are left behind",
    });
  });

  it("are cancelled when the map fails beside them", async () => {
    const waits = { id: "w", type: "wait", config: { signal: "never" } };
    const failing = {
      ...{ id: "f", type: "function" },
      config: { function_name: "builtin.fail", params: { code: "BROKEN" } },
    };
    const choice = { id: "c", type: "conditional" };
    await publish(
      engine.db,
      flow(
        "picky",
        [choice, waits, failing],
        [
          { from: "c", to: "f", condition: "input.bad" },
          { from: "c", to: "w" },
        ],
      ),
    );
    const each = {
      ...{ id: "m", type: "map" },
      config: {
        items: "[false, false, true]",
        do: sub("s", "picky", {}, { input: { bad: "${item}" } }),
      },
    };
    const after = { id: "after", type: "wait", config: { signal: "never" } };
    const runId = await engine.submit({
      workflow: flow("spoilt", [each, after], [{ from: "m", to: "after", on: "error" }]),
    });
    const ends = await waitFor(async () => {
      const all = (await childrenOf(runId)).map(({ status }) => status).sort();
      return all.length === 3 && !all.includes("RUNNING") ? all : undefined;
    });
    expect(ends).toEqual(["CANCELLED", "CANCELLED", "FAILED"]);
    expect((await readRun(engine.db, runId))?.status).toBe("RUNNING");
    await cancelRun(await scripts(), runId, "enough");
  });
});
