import { setImmediate as nextTurn } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { compile, type Json } from "../compiler/index.ts";
import {
  cancelRun,
  completeTokens,
  COMPLETION,
  fireTimers,
  globalKeys,
  holdTokens,
  pauseRun,
  resumeRun,
  type ReadyToken,
} from "../sdk/internal.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import { Executor } from "./execute.ts";
import { Preparer } from "./prepare.ts";
import type { Prepared } from "./prepared.ts";
import { Workflows } from "./workflows.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

const echo = (id: string): Json => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
});

describe("A11, B5: a chain whose entry a pause has put aside", () => {
  it("goes on though its new entry names a token that was completed meanwhile", async () => {
    const edges = [
      { from: "s", to: "a" },
      { from: "a", to: "b" },
    ];
    const document = { name: "chain", nodes: ["s", "a", "b"].map(echo), edges };
    const { ir, hash } = compile({ document });
    if (ir === null || hash === null) {
      throw new Error("not valid");
    }
    const run = new TokenPlayer(p, await p.publish(ir, hash), "run-1");
    await run.start();
    await run.settle(await run.take("s"), "L");
    const token = await run.take("a");
    const { scripts } = p;
    await pauseRun(scripts, run.runId, "run");
    expect(await holdTokens(scripts, [token])).toEqual(["held"]);
    await resumeRun(scripts, run.runId, "run");
    // A worker that was at it all the time.
    const item = { ...run.item(token, "L"), keeps: true };
    expect(await completeTokens(scripts, [item], "slow")).toEqual([COMPLETION.entryLost]);

    const [back] = await run.read("other");
    expect(run.idOf(back as never)).toBe("a");
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    // Delivered for the first time, and without its input: its record is read.
    const [looked] = await preparer.prepare([{ ...back, payload: null } as never], false);
    expect(looked?.kind === "ready" && run.idOf(looked.prepared.token)).toBe("b");
  });
});

describe("a token whose workflow cannot be read", () => {
  it("leaves no rejection behind where nobody asks any more why", async () => {
    await p.redis.set(globalKeys.ir("damaged"), "{");
    const { ir, hash } = compile({ document: { name: "one", nodes: [echo("a")], edges: [] } });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-damaged");
    await run.start();
    const token = { ...(await run.take("a")), irHash: "damaged" };
    const workflows = new Workflows(p.redis);
    const unhandled = vi.fn();
    process.on("unhandledRejection", unhandled);
    const [looked] = await new Preparer(p.scripts.redis, workflows, 0).prepare([token], false);
    expect(looked?.kind).toBe("later");
    await expect(workflows.load("damaged", token.queueKey)).rejects.toThrow("JSON"); // the same load
    await nextTurn();
    process.off("unhandledRejection", unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe("B1: before a token is executed", () => {
  it("its run is looked at: a cancelled one's queued tokens are dropped, in one look", async () => {
    const { ir, hash } = compile({ document: { name: "one", nodes: [echo("a")], edges: [] } });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-2");
    await run.start();
    const tokens = await run.read();
    await cancelRun(p.scripts, run.runId, "enough");
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    await preparer.news.look(p.scripts.redis);
    const kinds = (await preparer.prepare(tokens, false)).map(({ kind }) => kind);
    expect(kinds).toEqual(["drop"]);
  });

  /** The tokens of a run of one node, read and not yet looked at. */
  async function queued(runId: string): Promise<[ReadyToken[], Preparer]> {
    const { ir, hash } = compile({ document: { name: "one", nodes: [echo("a")], edges: [] } });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), runId);
    await run.start();
    const tokens = await run.read();
    await cancelRun(p.scripts, runId, "enough");
    // As if that were long ago.
    await p.redis.del(p.scripts.keys.halted);
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    await preparer.news.look(p.scripts.redis);
    return [tokens, preparer];
  }
  const kindsOf = async (preparer: Preparer, tokens: ReadyToken[]): Promise<string[]> =>
    (await preparer.prepare(tokens, false)).map(({ kind }) => kind);
  const addedAt = (tokens: ReadyToken[], ms: number): ReadyToken[] =>
    tokens.map((token) => ({ ...token, entryId: `${Math.floor(ms)}-0` }));

  it("its time in the queue goes on while a worker has it in hand", async () => {
    const late = { ...(echo("a") as object), queue_timeout_ms: 60_000 };
    const { ir, hash } = compile({ document: { name: "late", nodes: [late], edges: [] } as never });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-6");
    await run.start();
    const tokens = await run.read();
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    await preparer.news.look(p.scripts.redis);
    const kinds = (await preparer.prepare(tokens, false, true)).map(({ kind }) => kind);
    expect(kinds).toEqual(["ready"]);
    const timers = await p.redis.zrange(p.scripts.keys.timers, 0, -1);
    expect(timers.filter((member) => member.startsWith("late|run-6|"))).toHaveLength(1);
  });

  it("its run is looked at though Redis' clock was set back since it was queued", async () => {
    const [tokens, preparer] = await queued("run-3");
    const nowMs = preparer.news.nowMs();
    expect(await kindsOf(preparer, addedAt(tokens, nowMs + 3_600_000))).toEqual(["drop"]);
    // For half a minute longer than the clock was ahead; also what comes with an id of before.
    expect(await kindsOf(preparer, addedAt(tokens, nowMs))).toEqual(["drop"]);
  });

  it("its run is looked at after a set-back that no entry shows", async () => {
    const [tokens, preparer] = await queued("run-4");
    const { news } = preparer;
    const nowMs = news.nowMs();
    const hear = (ms: number): void => news.hear([String(Math.floor(ms / 1000)), "0"], []);
    hear(nowMs + 10_000);
    hear(nowMs);
    expect(await kindsOf(preparer, addedAt(tokens, nowMs))).toEqual(["drop"]);
    hear(nowMs + 41_000);
    expect(await kindsOf(preparer, addedAt(tokens, nowMs + 41_000))).toEqual(["ready"]);
  });

  it("its round is looked at, where that may be over before the token is begun", async () => {
    const nodes = [
      { id: "head", type: "noop" },
      ...["a", "b"].map(echo),
      { id: "first", type: "noop", join: "any" },
      {
        ...{ id: "again", type: "loop" },
        config: { loop_back_to: "head", condition: "false", max_iterations: 2 },
      },
      echo("after"),
    ];
    const pairs = ["head>a", "head>b", "a>first", "b>first", "first>again", "again>after"];
    const edges = pairs.map((pair) => pair.split(">")).map(([from, to]) => ({ from, to }));
    const { ir, hash } = compile({ document: { name: "rounds", nodes, edges } as never });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-5");
    await run.start();
    await run.settle(await run.take("head"), "LL");
    const tokens = await run.read();
    const b = tokens.filter((token) => run.idOf(token) === "b");
    await run.settle(tokens.find((token) => run.idOf(token) === "a") as ReadyToken, "L");
    await run.settle(await run.take("first"), "L");
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    await preparer.news.look(p.scripts.redis);
    expect(await kindsOf(preparer, b)).toEqual(["ready"]);
    await run.settle(await run.take("again"), "L");
    expect(await kindsOf(preparer, b)).toEqual(["drop"]);
  });
});

describe("a join that makes its input itself", () => {
  const joinOf = (input: Json): Json => ({
    ...{ id: "j", type: "transform", config: { expression: "data", input } },
  });

  /** Its token's input; `isGone`: when nothing that its branches left is there any more. */
  async function inputOfJoin(runId: string, input: Json, isGone: boolean): Promise<unknown> {
    const edges = ["a", "b"].map((id) => ({ from: id, to: "j" }));
    const document = { name: "join", nodes: [echo("a"), echo("b"), joinOf(input)], edges };
    const { ir, hash } = compile({ document });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), runId);
    await run.start('{"given":7}');
    const branches = (await run.read()).filter((token) => token.runId === runId);
    for (const token of branches) {
      await run.settle(token, "L", { value: `"of ${run.idOf(token)}"` });
    }
    const token = await run.take("j");
    if (isGone) {
      await p.redis.hdel(p.scripts.keys.run(runId), "n0", "n1");
    }
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    const [looked] = await preparer.prepare([token], false);
    const { prepared } = looked as { prepared: Prepared };
    const options = { workerId: "w", secrets: () => ({}), random: () => 0, outputBytesMax: 9999 };
    return new Executor(options).begin(prepared, 0).input;
  }

  it("begins without a look at what its branches left", async () => {
    expect(await inputOfJoin("run-own-1", { of: "${input.given}" }, true)).toEqual({ of: 7 });
  });

  it("gets it where its template names it", async () => {
    const input = { of: "${\ndata.b}" };
    expect(await inputOfJoin("run-own-2", input, false)).toEqual({ of: "of b" });
  });
});

describe("a token that asks for the output of its run", () => {
  it("is ready without anything that the run has put out", async () => {
    const nodes = [echo("a"), echo("b")];
    const document = { name: "out", nodes, edges: [], output: "${input.n}" };
    const { ir, hash } = compile({ document });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-out");
    await run.start('{"n":1}');
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.settle(a, "", { value: JSON.stringify("x".repeat(10_000)) });
    await run.settle(b, "");
    await p.advance(11_000);
    await fireTimers(p.scripts);
    const tokens = await run.read();
    expect(tokens.map(({ kind }) => kind)).toEqual(["finish"]);
    const { redis } = p.scripts;
    const asked: string[][] = [];
    const pipeline = redis.pipeline.bind(redis);
    const noting = vi.spyOn(redis, "pipeline").mockImplementation((...args) => {
      const made = pipeline(...args);
      const hmget = made.hmget.bind(made) as (...fields: string[]) => typeof made;
      made.hmget = ((key: string, ...fields: string[]) => {
        asked.push(fields);
        return hmget(key, ...fields);
      }) as never;
      return made;
    });
    const preparer = new Preparer(redis, new Workflows(p.redis), 0);
    const found = await preparer.prepare(tokens, true);
    noting.mockRestore();
    expect(found.map(({ kind }) => kind)).toEqual(["ready"]);
    expect(asked).toEqual([["s", "e"]]);
  });
});
