/** Every way in which a token can stand still, and what `gavotte why` says of it: docs/why.md. */
import { uuidv7 } from "uuidv7";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { whyLines } from "../../cmd/commands/why.ts";
import type { Client } from "../../sdk/client.ts";
import { globalKeys, GROUP } from "../../sdk/internal.ts";
import { keepNamespace, removeWorker, reportWorker } from "../../sdk/postgres/index.ts";
import type { Explanation, Reason } from "../../supervisor/index.ts";
import { FunctionRegistry } from "../../worker/index.ts";
import type { Engine } from "../harness/engine.ts";
import { publish } from "../harness/publish.ts";
import { intercepted, waitFor } from "../support/index.ts";
import { fn, flow, keys, node, WhyScene } from "./why.fixture.ts";

let on: WhyScene;
let engine: Engine;
let client: Client;

beforeAll(async () => {
  on = await WhyScene.start();
  ({ engine, client } = on);
});
afterAll(() => on.stop());
beforeEach(() => on.shut());

describe("a token stands still, because", () => {
  it("join: an in-edge is missing, and who can still bring it", async () => {
    const id = await on.submit(
      flow(
        [fn("quick", "at_once"), fn("slow"), fn("after", "at_once"), fn("meet", "at_once")],
        [
          ["quick", "meet"],
          ["slow", "after"],
          ["after", "meet"],
        ],
      ),
    );
    const reason = await on.reasonOf(id, "join");
    expect(reason).toMatchObject({ node: "meet", missing: [{ from: "after", can: ["slow"] }] });
    expect(reason.text).toContain("can still come by way of slow");
    on.open();
    await engine.ended(id);
  });

  it("join: nobody can bring what is missing: that is a drift, and said", async () => {
    const id = await on.submit(
      flow(
        [fn("quick", "at_once"), fn("slow"), fn("meet", "at_once")],
        [
          ["quick", "meet"],
          ["slow", "meet"],
        ],
      ),
    );
    await on.reasonOf(id, "join");
    const before = (await engine.redis.hget(keys.run(id), "n1")) as string;
    await engine.redis.hdel(keys.run(id), "n1");
    const [join] = (await on.ask(id)).filter(({ kind }) => kind === "join");
    expect(join?.text).toContain("no token in flight can bring it");
    await engine.redis.hset(keys.run(id), "n1", before);
    on.open();
    await engine.ended(id);
  });

  it("timer, retry, rate_limit: something is due later", async () => {
    const delay = await on.submit(flow([node("d", "delay", { delay_ms: 600_000 })]));
    expect((await on.reasonOf(delay, "timer")).dueMs).toBeGreaterThan(Date.now());
    const again = { retry: { max_attempts: 3, backoff_ms: 600_000 } };
    const retry = await on.submit(flow([fn("r", "fails", again)]));
    expect(await on.reasonOf(retry, "retry")).toMatchObject({ node: "r", attempt: 2 });
    const limit = { rate_limit: { key: "one", limit: 1, per_ms: 600_000 } };
    await engine.ended(await on.submit(flow([fn("l", "at_once", limit)])));
    const limited = await on.submit(flow([fn("l", "at_once", limit)]));
    expect(await on.reasonOf(limited, "rate_limit")).toMatchObject({ node: "l", key: "one" });
    await Promise.all([delay, retry, limited].map((id) => client.cancel(id, "enough")));
  });

  it("circuit: too many have failed, and which circuit it is, also in a map", async () => {
    const circuit_breaker = { key: "api-${input.k}", failures: 1, open_ms: 600_000 };
    // Its failure is told before its next attempt asks.
    const again = { retry: { max_attempts: 2, backoff_ms: 500 }, circuit_breaker };
    const held = await on.submit(flow([fn("c", "fails", again)]), { k: 1 });
    const reason = await on.reasonOf(held, "circuit");
    expect(reason).toMatchObject({ node: "c", name: "api-1", state: "open" });
    expect(reason.text).toContain("is open until 2");
    const each = { items: "[1]", do: fn("e", "at_once", { circuit_breaker }) };
    const inMap = await on.submit(flow([node("m", "map", each)]), { k: 1 });
    expect(await on.reasonOf(inMap, "circuit")).toMatchObject({
      node: "e",
      home: "0#0",
      name: "api-1",
    });
    // Nothing of the run is archived yet: what a circuit's name is made of is not its name.
    const db = intercepted(engine.db, (name, call) => async (...args) => {
      const [statement] = args as [{ name: string }];
      return name === "query" && statement.name === "journal_read" ? [] : call(...args);
    });
    for (const id of [held, inMap]) {
      expect((await on.ask(id, { db })).map(({ kind }) => kind)).not.toContain("circuit");
    }
    await client.circuits.close("api-1", { by: "ann" });
    expect((await on.reasonOf(held, "circuit")).text).toContain("closed by now");
    await Promise.all([held, inMap].map((id) => client.cancel(id, "enough")));
  });

  it("wait: for a signal, an approval, a child run", async () => {
    const signal = await on.submit(flow([node("s", "wait", { signal: "go" })]));
    expect((await on.reasonOf(signal, "wait")).wait).toMatchObject({
      kind: "signal",
      signal: "go",
    });
    const approval = await on.submit(flow([node("h", "human", { title: "May I?" })]));
    expect((await on.reasonOf(approval, "wait")).wait).toMatchObject({ kind: "approval" });
    await publish(engine.db, { ...flow([node("w", "wait", { signal: "go" })]), name: "below" });
    const parent = await on.submit(flow([node("c", "subworkflow", { workflow: "below" })]));
    const reason = await on.reasonOf(parent, "wait");
    expect(reason).toMatchObject({ node: "c", child: "running", wait: { kind: "child" } });
    await Promise.all([signal, approval, parent].map((id) => client.cancel(id, "enough")));
  });

  it("a node: whatever stands at it is found among however many tokens, and a cut is told", async () => {
    const WIDE = 130;
    const ids = Array.from({ length: WIDE }, (_, i) => `w${i}`);
    const id = await on.submit(flow(ids.map((name) => node(name, "wait", { signal: name }))));
    await waitFor(async () => {
      const { reasons, more } = (await on.explained(id)) ?? { reasons: [], more: 0 };
      return reasons.filter(({ kind }) => kind === "wait").length + more === WIDE;
    });
    const whole = await on.explained(id);
    expect(whole?.reasons).toHaveLength(100);
    const nonsense = on.ask(id, { node: "nonsense" });
    await expect(nonsense).rejects.toThrow(/no node "nonsense"; its nodes are w0, w1, .* and 110/);
    expect(whyLines(whole as Explanation).at(-1)).toBe("… and 30 more tokens: name a node");
    for (const at of [0, 1, 63, 64, 99, 100, 128, 129]) {
      const name = `w${at}`;
      expect((await on.explained(id, { node: name }))?.reasons).toMatchObject([
        { kind: "wait", node: name },
      ]);
    }
    await client.cancel(id, "enough");
  });

  it("map: so many elements are open, and what each of them waits for", async () => {
    const body = { nodes: [node("w", "wait", { signal: "go" })] };
    const map = node("m", "map", { items: "${input.list}", do: body, max_concurrency: 2 });
    const id = await on.submit(flow([map]), { list: [1, 2, 3] });
    const inside = async (): Promise<boolean> => {
      return (await on.ask(id)).filter(({ kind }) => kind === "wait").length === 2;
    };
    await waitFor(inside, { describe: "the elements do not wait" });
    expect(await on.reasonOf(id, "map")).toMatchObject({ total: 3, done: 0, running: 2 });
    expect(await on.reasonOf(id, "wait")).toMatchObject({ node: "w", home: "0#0" });
    expect((await on.reasonOf(id, "map")).text).toContain("1 wait for one of these to end");
    // As when its body has an output template that no worker has evaluated yet.
    await engine.redis.hset(keys.run(`${id}!0#1`), "s", "finishing");
    const finishing = await on.reasonOf(id, "finishing", { node: "m" });
    expect(finishing).toMatchObject({ node: "m", home: "0#1" });
    expect(await on.ask(id, { node: "w" })).toMatchObject([{ kind: "wait", home: "0#0" }]);
    await client.cancel(id, "enough");
  });

  it("executing: on a worker that lives, in a chain; its worker is silent", async () => {
    const id = await on.submit(flow([fn("a", "at_once"), fn("b")], [["a", "b"]]));
    const reason = await on.reasonOf(id, "executing");
    expect(reason).toMatchObject({ node: "b", consumer: "w0", isSilent: false });
    expect(reason.text).toMatch(/^executing on w0 for \d+ s/);
    await waitFor(async () => (await on.reasonOf(id, "executing", { leaseMs: 1 })).isSilent);
    const gone = await on.reasonOf(id, "executing", { leaseMs: 1 });
    expect(gone.text).toMatch(/silent for \d+ s; taken over in/);
    on.open();
    await engine.ended(id);
  });

  it("executing: says at which node the chain began", async () => {
    const registry = new FunctionRegistry();
    let first = true;
    registry.register("linked", async () => {
      await (first ? undefined : on.gate);
      first = false;
    });
    await engine.worker({ registry });
    const atY = async (id: string) => {
      return (await on.ask(id)).find(({ kind, node }) => kind === "executing" && node === "y");
    };
    const found = await waitFor(async () => {
      first = true;
      on.shut();
      const id = await on.submit(flow([fn("x", "linked"), fn("y", "linked")], [["x", "y"]]));
      const reason = (await waitFor(() => atY(id))) as Reason & { kind: "executing" };
      on.open();
      await engine.ended(id);
      // A chain ends after a quarter of a second: a machine may be busy for as long between the two.
      return reason.chainFrom === null ? undefined : reason;
    });
    expect(found).toMatchObject({ chainFrom: "x" });
    expect(found.text).toContain("in a chain that began at x");
  });

  it("no_worker, queue_paused, queued: nobody reads its queue, or not now, or others are first", async () => {
    const nobody = await on.submit(flow([fn("n", "nobody")]));
    const unread = await on.reasonOf(nobody, "no_worker");
    expect(unread).toMatchObject({ queue: "fn:nobody" });
    expect(unread.text).toContain('in fn:nobody: no worker reads it; define it for one ("gavotte');
    await client.operations.pauseQueue("fn:nobody");
    await waitFor(() => engine.redis.sismember(globalKeys.pausedQueues, "fn:nobody"));
    expect(await on.reasonOf(nobody, "queue_paused")).toMatchObject({ queue: "fn:nobody" });
    await client.operations.resumeQueue("fn:nobody");
    const second = await on.submit(flow([fn("n", "nobody")]));
    const stream = keys.entryQueue("fn:nobody", "normal");
    await engine.redis.xgroup("CREATE", stream, GROUP, "0");
    await engine.redis.xgroup("CREATECONSUMER", stream, GROUP, "reader");
    expect(await on.reasonOf(nobody, "queued")).toMatchObject({
      ...{ ahead: 0, text: "queued in fn:nobody, the next to be read" },
    });
    const group = ["GROUP", GROUP, "reader", "COUNT", 1, "STREAMS", stream, ">"] as const;
    await engine.redis.xreadgroup(...group);
    expect(await on.reasonOf(second, "queued")).toMatchObject({ queue: "fn:nobody", ahead: 1 });
    const behind = await on.reasonOf(second, "archive_behind", { backlogBytesMax: 1 });
    expect(behind.bytes).toBeGreaterThan(1);
    await Promise.all([nobody, second].map((id) => client.cancel(id, "enough")));
  });

  it("no_worker: which queue is meant, and who has to read it", async () => {
    const about = { id: "w8", host: "h", pid: 1, startedAtMs: 1, concurrency: 2, inFlight: 0 };
    const queues = ["fn:charge", "ns:run-0123456789ab:fn:other"];
    await reportWorker(engine.db, { ...about, queues, lastSeenAtMs: Date.now() });
    const namespace = "ns:run-0123456789ab:";
    const runId = uuidv7();
    await keepNamespace(engine.db, { ...about, namespace, runId, queues: [], machine: "m" });
    const asked: [object, string][] = [
      [{}, "in fn:chrage: no worker reads it; fn:charge is read: did you mean that? Else define"],
      [
        { namespace: "ns:eu:" },
        'in ns:eu:fn:chrage: no worker reads it; define it for one ("gavotte worker --namespace eu',
      ],
      [
        { namespace, run_id: runId },
        `in ${namespace}fn:chrage: no worker reads it; only the "gavotte run"`,
      ],
    ];
    for (const [more, text] of asked) {
      const workflow = flow([fn("n", "chrage")]);
      const id = await client.submit({ workflow: workflow as never, ...more });
      expect((await on.reasonOf(id, "no_worker")).text).toContain(text);
      await client.cancel(id, "enough");
    }
    await removeWorker(engine.db, "w8");
  });

  it("saturated: whoever reads its queue is busy, and that is not nobody", async () => {
    const id = await on.submit(flow([fn("n", "busy")]));
    await on.reasonOf(id, "no_worker");
    const about = { id: "w9", host: "h", pid: 1, queues: ["fn:busy"], startedAtMs: 1 };
    const heard = async (inFlight: number, agoMs = 0): Promise<void> => {
      const lastSeenAtMs = Date.now() - agoMs;
      await reportWorker(engine.db, { ...about, concurrency: 2, inFlight, lastSeenAtMs });
    };
    await heard(2);
    const full = await on.reasonOf(id, "saturated");
    expect(full).toMatchObject({ queue: "fn:busy", ahead: 0, workers: ["w9"] });
    expect(full.text).toContain("w9 (2 under way)");
    await heard(1);
    await on.reasonOf(id, "queued");
    await heard(2, 60_000);
    await on.reasonOf(id, "no_worker");
    await removeWorker(engine.db, "w9");
    await client.cancel(id, "enough");
  });

  it("held: it is ready, and its run is paused", async () => {
    const steps = [fn("a", "at_once"), fn("b"), fn("c", "at_once")];
    const id = await on.submit(
      flow(steps, [
        ["a", "b"],
        ["b", "c"],
      ]),
    );
    await on.reasonOf(id, "executing");
    await client.operations.pause(id);
    on.open();
    expect(await on.reasonOf(id, "held")).toMatchObject({ node: "c" });
    await client.operations.resume(id);
    await engine.ended(id);
  });

  it("lost_entry: it is active and nobody has its entry", async () => {
    const id = await on.submit(flow([fn("a")]));
    const { node: executing } = await on.reasonOf(id, "executing");
    const stream = keys.entryQueue("fn:step", "normal");
    const entries = await engine.redis.xrange(stream, "-", "+");
    const [entry] = entries.find(([, fields]) => fields[1]?.startsWith(id)) ?? [""];
    await engine.redis.xack(stream, GROUP, entry);
    expect(await on.reasonOf(id, "lost_entry")).toMatchObject({ node: executing });
    on.open();
    await engine.ended(id);
    await engine.redis.xdel(stream, entry);
  });
});

describe("docs/why.md, of tokens", () => {
  it("has every reason, and each has a test", () => {
    on.expectToldAll("Of a token");
  });
});
