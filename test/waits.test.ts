/** Waits through a whole engine: signals, callbacks, approvals, timeouts, and Redis lost meanwhile. */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { createClient, type Approval, type Client, type Json } from "../sdk/index.ts";
import { explainRun } from "../supervisor/index.ts";
import { startEngine, type Engine } from "./harness/engine.ts";
import { emptyRedis, waitFor } from "./support/index.ts";

let engine: Engine;
let client: Client;

beforeAll(async () => {
  engine = await startEngine();
  await engine.worker();
  client = await createClient({ redisUrl: engine.redisUrl, database: engine.db });
});
afterAll(async () => {
  await client.close();
  await engine.stop();
});

function example(name: string): { [key: string]: Json } {
  const text = readFileSync(new URL(`../test_data/${name}.yaml`, import.meta.url), "utf8");
  return parse(text) as { [key: string]: Json };
}

const signalled = example("signal");
const approval = example("approval");
/** Two nodes that wait for the same signal, one after the other. */
const twice = {
  name: "twice",
  nodes: [
    { id: "a", type: "wait", config: { signal: "go" } },
    { id: "b", type: "wait", config: { signal: "go" } },
  ],
  edges: [{ from: "a", to: "b" }],
  output: { a: "${ctx.a.output}", b: "${ctx.b.output}" },
};

async function waiting(runId: string, node: string): Promise<string> {
  const found = await waitFor(
    async () => {
      const report = await client.status(runId);
      return report.nodes[node]?.wait;
    },
    { describe: `${node} of ${runId} does not wait` },
  );
  return found.token ?? "";
}

async function asked(runId: string, state: Approval["state"] = "open"): Promise<Approval> {
  const list = async (): Promise<Approval | undefined> =>
    (await client.approvals({ runId, state }))[0];
  return waitFor(list, { describe: `no ${state} approval of ${runId}` });
}

async function outputOf(runId: string): Promise<unknown> {
  const row = await client.ended(runId, { timeoutMs: 20_000 });
  return row.status === "COMPLETED" ? JSON.parse(row.output ?? "null") : row.status;
}

describe("B7: signals", () => {
  it("B7: a run goes on with the signal's payload; unknown names and misfits are refused", async () => {
    const runId = await client.submit({ workflow: signalled });
    await waiting(runId, "delivered");
    await expect(client.signal(runId, "deliverd", {})).rejects.toMatchObject({
      code: "GV_SIGNAL_UNKNOWN",
      message: expect.stringContaining("delivered") as string,
    });
    await expect(client.signal(runId, "delivered", { at: 3 })).rejects.toMatchObject({
      code: "GV_BAD_INPUT",
    });
    const big = { at: "x".repeat(70_000) };
    await expect(client.signal(runId, "delivered", big)).rejects.toMatchObject({
      code: "GV_SIGNAL_TOO_LARGE",
    });
    expect(await client.signal(runId, "delivered", { at: "noon" }, { id: "s1" })).toMatchObject({
      outcome: "delivered",
    });
    expect(await outputOf(runId)).toEqual({ parcel: "P-1", status: "arrived noon" });
    await expect(client.signal(runId, "delivered", { at: "later" })).rejects.toMatchObject({
      code: "GV_RUN_ENDED",
    });
    await expect(client.signal("nobody", "x")).rejects.toMatchObject({ code: "GV_RUN_NOT_FOUND" });
  });

  it("B7: signals sent before anything waits are kept and served in order", async () => {
    const runId = await client.submit({ workflow: twice });
    const first = await client.signal(runId, "go", 1, { id: "one" });
    await client.signal(runId, "go", 2, { id: "two" });
    expect(["kept", "delivered"]).toContain(first.outcome);
    expect(await outputOf(runId)).toEqual({ a: 1, b: 2 });
  });

  it("B7: a callback token reaches its node alone, and works once", async () => {
    const runId = await client.submit({ workflow: twice });
    const token = await waiting(runId, "a");
    expect(await client.callback(token, "first", { id: "c" })).toMatchObject({
      outcome: "delivered",
    });
    expect(await client.callback(token, "first", { id: "c" })).toMatchObject({
      outcome: "repeated",
    });
    await expect(client.callback(token, "again")).rejects.toMatchObject({
      code: "GV_CALLBACK_USED",
    });
    const wrong = [`${token}x`, token.slice(0, -1), token.replace(".0-", ".1-"), "what?"];
    for (const mistyped of wrong) {
      await expect(client.callback(mistyped, "first", { id: "c" })).rejects.toMatchObject({
        code: "GV_CALLBACK_UNKNOWN",
      });
    }
    await waiting(runId, "b");
    await client.signal(runId, "go", "second");
    expect(await outputOf(runId)).toEqual({ a: "first", b: "second" });
  });

  it("what ended the run may be sent once more, under its id", async () => {
    const last = { name: "last", nodes: [{ id: "w", type: "wait", config: { signal: "go" } }] };
    const [called, told] = [
      await client.submit({ workflow: last }),
      await client.submit({ workflow: last }),
    ];
    const token = await waiting(called, "w");
    await waiting(told, "w");
    await client.callback(token, 1, { id: "k" });
    await client.signal(told, "go", 2, { id: "k" });
    expect([await outputOf(called), await outputOf(told)]).toEqual([1, 2]);
    for (const forget of [false, true]) {
      // Of a run that Redis has forgotten only the journal knows.
      if (forget) await engine.redis.del(`gv:{0}:run:${called}`, `gv:{0}:run:${told}`);
      expect((await client.callback(token, 1, { id: "k" })).outcome).toBe("repeated");
      expect((await client.signal(told, "go", 2, { id: "k" })).outcome).toBe("repeated");
      const refused = { code: "GV_RUN_ENDED" };
      await expect(client.callback(token, 1, { id: "other" })).rejects.toMatchObject(refused);
      await expect(client.callback(`${token}x`, 1, { id: "k" })).rejects.toMatchObject(refused);
      await expect(client.signal(told, "go", 2, { id: "other" })).rejects.toMatchObject(refused);
    }
  });

  it("a payload that does not fit fails the node, though a sender let it in", async () => {
    const runId = await client.submit({ workflow: signalled });
    const token = await waiting(runId, "delivered");
    const { callbackWait, parseWaitToken, ScriptRunner } = await import("../sdk/internal.ts");
    const { id } = await client.deployment();
    const scripts = new ScriptRunner({ redis: engine.redis, deployment: id, partition: 0 });
    const at = parseWaitToken(token) as NonNullable<ReturnType<typeof parseWaitToken>>;
    await callbackWait(scripts, at, { id: "c", data: { at: 7 } });
    const row = await client.ended(runId, { timeoutMs: 20_000 });
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({ code: "BAD_INPUT", node: "delivered" });
  });
});

describe("approvals", () => {
  it("who is named decides; the output says who, what and with which data", async () => {
    const workflow = { ...approval, output: "${ctx.ask.output}" };
    const runId = await client.submit({ workflow });
    const open = await asked(runId);
    expect(open).toMatchObject({ title: "Pay 1200?", assignees: ["ann", "bob"], required: 1 });
    expect((await client.approvals({ assignee: "ann" })).map((a) => a.id)).toContain(open.id);
    expect((await client.approvals({ assignee: "eve" })).map((a) => a.id)).not.toContain(open.id);
    const decide = (actor: string, approved: boolean, data: Json = null) =>
      client.decide(open.id, { actor, approved, data });
    await expect(decide("eve", true, {})).rejects.toMatchObject({ code: "GV_APPROVAL_FORBIDDEN" });
    // Who may not decide is told that, whatever he says.
    await expect(decide("eve", true)).rejects.toMatchObject({ code: "GV_APPROVAL_FORBIDDEN" });
    for (const [data, why] of [
      [null, "no data is given, but the form of"],
      [{ note: 3 }, "the data does not fit the form of"],
    ] as const) {
      await expect(decide("ann", true, data)).rejects.toMatchObject({
        code: "GV_BAD_INPUT",
        message: expect.stringContaining(`${why} approval ${open.id}`) as string,
        details: { form: open.form },
      });
    }
    expect(await decide("ann", true, { note: "ok" })).toMatchObject({ state: "approved" });
    expect(await outputOf(runId)).toEqual({ approved: true, by: "ann", data: { note: "ok" } });
    expect(await decide("ann", true, { note: "ok" })).toMatchObject({ repeated: true });
    const closed = await asked(runId, "approved");
    expect(closed.decisions).toMatchObject([
      { actor: "ann", approved: true, data: { note: "ok" } },
    ]);
    await expect(decide("bob", false)).rejects.toMatchObject({ code: "GV_APPROVAL_CLOSED" });
    const other = open.id.replace(/.$/, (last) => (last === "_" ? "-" : "_"));
    await expect(client.decide(other, { actor: "ann", approved: true })).rejects.toMatchObject({
      code: "GV_APPROVAL_NOT_FOUND",
    });
  });

  it("two are needed where two are asked for, and a rejection takes the other branch", async () => {
    const ask = { id: "ask", type: "human", config: { title: "Go?", required: 2 } };
    const two = { name: "two", nodes: [ask], edges: [] };
    const runId = await client.submit({ workflow: two });
    const { id } = await asked(runId);
    expect(await client.decide(id, { actor: "ann", approved: true })).toMatchObject({
      state: "open",
    });
    await expect(client.decide(id, { actor: "ann", approved: false })).rejects.toMatchObject({
      code: "GV_APPROVAL_DECIDED",
    });
    await client.decide(id, { actor: "bob", approved: true, data: 2 });
    expect(await outputOf(runId)).toEqual({ approved: true, by: ["ann", "bob"], data: [null, 2] });

    const refused = await client.submit({ workflow: approval });
    const { id: second } = await asked(refused);
    await client.decide(second, { actor: "bob", approved: false });
    expect(await outputOf(refused)).toEqual({ status: "refused" });
    expect((await asked(refused, "rejected")).decisions).toHaveLength(1);
  });

  it("B12: nobody decides in time: the timeout's branch, and the approval is expired", async () => {
    const nodes = (approval["nodes"] as { id: string }[]).map((node) =>
      node.id === "ask" ? { ...node, timeout_ms: 50 } : node,
    );
    const runId = await client.submit({ workflow: { ...approval, nodes } });
    expect(await outputOf(runId)).toEqual({ status: "put off" });
    const expired = await asked(runId, "expired");
    await expect(client.decide(expired.id, { actor: "ann", approved: true })).rejects.toMatchObject(
      {
        code: "GV_APPROVAL_CLOSED",
      },
    );
  });

  it("a cancelled run's approvals are cancelled with it", async () => {
    const runId = await client.submit({ workflow: approval });
    const { id } = await asked(runId);
    await client.cancel(runId);
    await asked(runId, "cancelled");
    await expect(client.decide(id, { actor: "ann", approved: true })).rejects.toMatchObject({
      code: "GV_APPROVAL_CLOSED",
    });
  });
});

describe("approvals of tokens that are void while their run goes on", () => {
  const ask = { id: "ask", type: "human", config: { title: "well?" } };
  const gate = { id: "gate", type: "wait", config: { signal: "end" } };
  const go = { id: "go", type: "wait", config: { signal: "go" } };
  const boom = { id: "boom", type: "function", config: { function_name: "builtin.fail" } };
  const edges = (...pairs: string[]): object[] =>
    pairs.map((pair) => ({ from: pair.split(">")[0], to: pair.split(">")[1] }));
  const body = { nodes: [ask, go, boom], edges: edges("go>boom") };
  const again = (to: string, condition: string): object => ({
    ...{ id: "again", type: "loop" },
    config: { loop_back_to: to, condition, max_iterations: 3 },
  });

  const submit = (workflow: object): Promise<string> =>
    client.submit({ workflow: workflow as never });
  /** How many approvals the run has in these states, once that is so. */
  const counted = (runId: string, open: number, cancelled: number): Promise<unknown> =>
    waitFor(
      async () => {
        const states = (await client.approvals({ runId })).map(({ state }) => state);
        const count = (of: string): number => states.filter((state) => state === of).length;
        return count("open") === open && count("cancelled") === cancelled ? states : undefined;
      },
      { describe: `not ${open} approvals are open and ${cancelled} cancelled` },
    );
  const stillRuns = async (runId: string): Promise<void> => {
    await waiting(runId, "gate");
    expect((await client.status(runId)).status).toBe("RUNNING");
  };

  it("of an element that has failed is cancelled, and no other's", async () => {
    const config = { items: [1, 2], tolerated_failures: 1, do: body };
    const runId = await submit({
      name: "element",
      nodes: [{ id: "m", type: "map", config }, gate],
    });
    await counted(runId, 2, 0);
    await client.signal(runId, "go");
    await counted(runId, 1, 1);
    await stillRuns(runId);
  });

  it("of a map that has failed are all cancelled", async () => {
    const map = { id: "m", type: "map", config: { items: [1, 2], do: body } };
    const handled = { from: "m", to: "after", on: "error" };
    const after = { id: "after", type: "parallel" };
    const workflow = { name: "map", nodes: [map, after, gate], edges: [handled] };
    const runId = await submit(workflow);
    await counted(runId, 2, 0);
    await client.signal(runId, "go");
    await counted(runId, 0, 2);
    await stillRuns(runId);
  });

  it("of a round that is over are cancelled, in its maps too", async () => {
    const map = { id: "m", type: "map", config: { items: [1], do: { ...ask, id: "inner" } } };
    const nodes = [
      ...[{ id: "head", type: "parallel" }, ask, map, go],
      ...[{ id: "first", type: "parallel", join: "any" }, again("head", "iteration < 2"), gate],
    ];
    const all = ["head>ask", "head>m", "head>go", "ask>first", "m>first", "go>first"];
    const workflow = { name: "round", nodes, edges: edges(...all, "first>again", "again>gate") };
    const runId = await submit(workflow);
    await counted(runId, 2, 0);
    await client.signal(runId, "go");
    await counted(runId, 2, 2);
    await client.signal(runId, "go");
    await counted(runId, 0, 4);
    await stillRuns(runId);
  });

  it("of a loop that a join had no need of is cancelled", async () => {
    const join = { mode: "any", cancel_losers: true };
    const nodes = [
      ...[{ id: "s", type: "parallel" }, ask, again("ask", "false"), go],
      ...[{ id: "first", type: "parallel", join }, gate],
    ];
    const all = ["s>ask", "ask>again", "again>first", "s>go", "go>first", "first>gate"];
    const runId = await submit({ name: "loser", nodes, edges: edges(...all) });
    await counted(runId, 1, 0);
    await client.signal(runId, "go");
    await counted(runId, 0, 1);
    await stillRuns(runId);
  });
});

describe("B12: time-outs", () => {
  it("B12: a wait without an edge for it fails its run with TIMEOUT", async () => {
    const wait = { id: "w", type: "wait", timeout_ms: 30, config: { signal: "never" } };
    const runId = await client.submit({ workflow: { name: "late", nodes: [wait], edges: [] } });
    const row = await client.ended(runId, { timeoutMs: 20_000 });
    expect(JSON.parse(row.error ?? "{}")).toMatchObject({ code: "TIMEOUT", node: "w" });
  });

  it("B12: a wait that is retried waits anew, under another callback token", async () => {
    const retry = { max_attempts: 2, backoff_ms: 1 };
    const wait = { id: "w", type: "wait", timeout_ms: 400, retry, config: { signal: "go" } };
    const runId = await client.submit({ workflow: { name: "again", nodes: [wait], edges: [] } });
    const first = await waiting(runId, "w");
    const second = await waitFor(
      async () => {
        const token = (await client.status(runId)).nodes["w"]?.wait?.token;
        return token === undefined || token === first ? undefined : token;
      },
      { describe: "the wait is not repeated" },
    );
    await expect(client.callback(first)).rejects.toMatchObject({ code: "GV_CALLBACK_USED" });
    await client.callback(second, "in time");
    expect(await outputOf(runId)).toBe("in time");
  });
});

describe("elements of a map", () => {
  it("B7: each waits for itself: signals serve them in turn, approvals by their ids", async () => {
    const wait = { id: "w", type: "wait", config: { signal: "part" } };
    const each = { id: "each", type: "map", config: { items: "[1, 2, 3]", do: wait } };
    const runId = await client.submit({ workflow: { name: "parts", nodes: [each], edges: [] } });
    for (const [i, part] of ["a", "b", "c"].entries()) {
      await client.signal(runId, "part", part, { id: `p${i}` });
    }
    expect(((await outputOf(runId)) as string[]).sort()).toEqual(["a", "b", "c"]);

    const ask = { id: "ask", type: "human", config: { title: "${string(item)}?" } };
    const asking = { id: "each", type: "map", config: { items: "[7, 8]", do: ask } };
    const order = await client.submit({ workflow: { name: "asked", nodes: [asking], edges: [] } });
    const open = await waitFor(
      async () => {
        const list = await client.approvals({ runId: order, state: "open" });
        return list.length === 2 ? list : undefined;
      },
      { describe: "not both are asked" },
    );
    expect(open.map(({ title }) => title).sort()).toEqual(["7?", "8?"]);
    for (const { id, title } of open) {
      await client.decide(id, { actor: "ann", approved: title === "7?" });
    }
    expect(await outputOf(order)).toMatchObject([{ approved: true }, { approved: false }]);
    await asked(order, "rejected");
  });
});

describe("why it does not move", () => {
  it("a run that waits says for whom, and until when", async () => {
    const runId = await client.submit({ workflow: approval });
    const { id } = await asked(runId);
    const { reasons } = await explainRun({
      ...{ redis: engine.redis, partition: 0, runId },
      irOf: (hash) => client.irOf(hash),
    });
    expect(reasons.map((reason) => reason.text)).toEqual([
      expect.stringMatching(new RegExp(`^waiting for approval by ann or bob \\(${id}\\) until 20`)),
      expect.stringContaining("missing: answer"),
    ]);
    await client.cancel(runId);
  });
});

describe("Redis lost", () => {
  it("parked tokens, kept and accepted signals, decisions survive an emptied Redis", async () => {
    const runId = await client.submit({ workflow: twice });
    const token = await waiting(runId, "a");
    const two = { id: "ask", type: "human", config: { required: 2 } };
    const order = await client.submit({ workflow: { name: "two", nodes: [two], edges: [] } });
    const { id } = await asked(order);
    await client.decide(id, { actor: "ann", approved: true });
    const early = await client.submit({
      workflow: {
        name: "early",
        nodes: [
          { id: "d", type: "delay", config: { delay_ms: 1500 } },
          { id: "w", type: "wait", config: { signal: "go" } },
        ],
        edges: [{ from: "d", to: "w" }],
      },
    });
    await waiting(early, "d");
    expect(await client.signal(early, "go", 5, { id: "kept" })).toMatchObject({ outcome: "kept" });
    const archived = async (): Promise<boolean> => {
      const [tail] = await engine.redis.hmget("gv:{0}:meta", "seq");
      const text = "SELECT seq FROM cursors WHERE partition = 0";
      const [row] = await engine.db.query<{ seq: number }>({ name: "test_cursor", text });
      return Number(row?.seq) === Number(tail);
    };
    await waitFor(archived, { describe: "the journal is not archived" });
    await emptyRedis(engine.redis);

    expect(await client.signal(early, "go", 6, { id: "kept" })).toMatchObject({
      outcome: "repeated",
    });
    expect(await outputOf(early)).toBe(5);
    expect(await client.callback(token, "back", { id: "c" })).toMatchObject({
      outcome: "delivered",
    });
    await waiting(runId, "b");
    await client.signal(runId, "go", "on");
    expect(await outputOf(runId)).toEqual({ a: "back", b: "on" });
    expect(await client.decide(id, { actor: "ann", approved: true })).toMatchObject({
      repeated: true,
      state: "open",
    });
    await client.decide(id, { actor: "bob", approved: true });
    expect(await outputOf(order)).toMatchObject({ approved: true, by: ["ann", "bob"] });
  }, 60_000);
});

it("C8: a loop leaves no more timers than one round has, and a run that ends none", async () => {
  const echo = (id: string): object => ({
    ...{ id, type: "function", config: { function_name: "builtin.echo" } },
  });
  const condition = "iteration < 20";
  const again = { loop_back_to: "head", condition, max_iterations: 30 };
  const workflow = {
    name: "rounds",
    nodes: [
      echo("head"),
      echo("work"),
      { id: "slow", type: "delay", config: { delay_ms: 86_400_000 } },
      { id: "again", type: "loop", join: "any", config: again },
      { id: "held", type: "wait", config: { signal: "go" } },
    ],
    edges: [
      { from: "head", to: "work" },
      { from: "head", to: "slow" },
      { from: "work", to: "again" },
      { from: "slow", to: "again" },
      { from: "again", to: "held" },
    ],
  };
  const timers = async (runId: string): Promise<number> => {
    const members = await engine.redis.zrange("gv:{0}:timers", 0, -1);
    return members.filter((member) => member.includes(runId)).length;
  };
  const runId = await client.submit({ workflow: workflow as never });
  await waiting(runId, "held");
  expect(await timers(runId)).toBe(1);
  await client.signal(runId, "go", 1);
  expect((await client.ended(runId, { timeoutMs: 20_000 })).status).toBe("COMPLETED");
  await waitFor(async () => (await timers(runId)) === 0, { describe: "a timer is left" });
}, 60_000);
