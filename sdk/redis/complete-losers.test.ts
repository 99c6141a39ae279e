/** A join that cancels its losers: what one call of complete_tokens ends, and what it refuses after. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { compile } from "../../compiler/index.ts";
import type { Ir } from "../../compiler/ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../../test/harness/tokens.ts";
import { checkUnits } from "../../test/harness/units.ts";
import { parseJournalRecord, type Transition } from "../journal.ts";
import { linesOf, waitToken } from "../waits.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { fireTimers } from "./run-scripts.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

/** Nodes and edges as `a>b c>b`; `j` is the join, unless told otherwise the first of any. */
function irOf(
  edges: string,
  join: object = { mode: "any" },
  more: { [id: string]: object } = {},
): Ir {
  const drawn = edges.split(" ").map((text) => {
    const [from = "", to = ""] = text.split(">");
    return { from, to };
  });
  const ids = [...new Set(drawn.flatMap(({ from, to }) => [from, to]))];
  const nodes = ids.map((id) => ({
    ...{ id, type: "function", config: { function_name: "f" } },
    ...(id === "j" ? { join: { ...join, cancel_losers: true } } : {}),
    ...more[id],
  }));
  const { ir, diagnostics } = compile({ document: { name: "race", nodes, edges: drawn } as never });
  if (ir === null) {
    throw new Error(JSON.stringify(diagnostics));
  }
  return ir;
}

async function told(run: TokenPlayer): Promise<Transition[]> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  const all = entries.flatMap(([id, fields]) => parseJournalRecord(id, fields).transitions);
  return all.filter(({ r }) => r === run.runId);
}

/** Counter, fold and hash say the same. */
async function check(run: TokenPlayer): Promise<void> {
  await checkUnits({ redis: p.redis, keys: p.scripts.keys }, run.profile.ir, run.runId);
}

const indexOf = (run: TokenPlayer, id: string): number =>
  run.profile.ir.nodes.findIndex((node) => node.id === id);
const recordOf = async (run: TokenPlayer, id: string): Promise<string | undefined> =>
  (await run.hash())[`n${indexOf(run, id)}`];

async function all(
  run: TokenPlayer,
  ...ids: string[]
): Promise<Awaited<ReturnType<TokenPlayer["take"]>>[]> {
  const ready = await run.read();
  return ids.map((id) => {
    const found = ready.find((token) => run.idOf(token) === id);
    if (found === undefined) {
      throw new Error(`no token of ${id} is ready`);
    }
    return found;
  });
}

const RACE = "a>j b>j c>j j>z";

describe("a join that cancels its losers", () => {
  it("ends what is open of its branches, tells each, and leaves one token in flight", async () => {
    const run = await startedRun(p, irOf(RACE));
    const [a] = await all(run, "a", "b", "c");
    expect(await run.settle(a!, "L")).toBe(COMPLETION.done);
    expect(await recordOf(run, "b")).toBe("x1||");
    expect((await run.hash())["c"]).toBe("1");
    const [b, c, j] = ["b", "c", "j"].map((id) => indexOf(run, id));
    expect((await told(run)).slice(-3)).toMatchObject([
      { e: "join.decided", n: j, v: "fired" },
      { e: "node.cancelled", n: b, a: 1, j },
      { e: "node.cancelled", n: c, a: 1, j },
    ]);
    await check(run);
  });

  it("takes losers that wait for a signal off its line: the signal is kept for who comes", async () => {
    const run = await startedRun(p, irOf(RACE));
    const [a, b] = await all(run, "a", "b");
    const token = waitToken(run.runId, b!.node, "secret12");
    const wait = { kind: "signal" as const, signal: "go", token };
    await run.settle(b!, "", { op: "W", value: "", delayMs: 0, wait });
    const signals = p.scripts.keys.signals(run.runId);
    expect(linesOf(await p.redis.hgetall(signals)).size).toBe(1);
    await run.settle(a!, "L");
    expect(await p.redis.exists(signals)).toBe(0);
    await check(run);
  });

  it("refuses losers that come late, with a success or a failure, and the winner's own again", async () => {
    const run = await startedRun(p, irOf(RACE));
    const [a, b, c] = await all(run, "a", "b", "c");
    await run.settle(a!, "L");
    const before = await run.hash();
    const failure = { op: "X" as const, value: '{"error":{"code":"E"}}' };
    expect(await run.settle({ ...b!, entryId: "" }, "L")).toBe(COMPLETION.tokenNotActive);
    expect(await run.settle({ ...c!, entryId: "" }, "", failure)).toBe(COMPLETION.tokenNotActive);
    expect(await run.settle({ ...a!, entryId: "" }, "L")).toBe(COMPLETION.tokenNotActive);
    expect(await run.hash()).toEqual(before);
    await run.settle(await run.take("j"), "L");
    await run.settle(await run.take("z"), "");
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
  });

  it.each([
    ["a", "b"],
    ["b", "a"],
  ])("in one call has one winner: %s before %s", async (...order) => {
    const run = await startedRun(p, irOf("a>j b>y y>j j>z"));
    const tokens = await all(run, ...order);
    const items = tokens.map((token) => run.item(token, "L"));
    const codes = await completeTokens(p.scripts, [...items, ...items], "c");
    const second = order[0] === "a" ? COMPLETION.entryYours : COMPLETION.done;
    expect(codes.slice(0, 2)).toEqual([COMPLETION.done, second]);
    // b has ended by then, or has lost; what comes after it never runs.
    expect(await recordOf(run, "b")).toMatch(order[0] === "a" ? /^x/ : /^c/);
    expect(await recordOf(run, "y")).toBe(order[0] === "a" ? undefined : "x1||");
    expect((await run.hash())["c"]).toBe("1");
    await check(run);
  });

  it("writes no entry for what the very step that makes it fire begins", async () => {
    const run = await startedRun(p, irOf("s>j s>b s>x b>j j>z"));
    const [s] = await all(run, "s");
    expect(await run.settle(s!, "LLL")).toBe(COMPLETION.done);
    expect(await recordOf(run, "b")).toBe("x1||");
    const ready = (await run.read()).map((token) => run.idOf(token));
    expect(ready.toSorted()).toEqual(["j", "x"]);
    await check(run);
  });

  it("consumes live tokens that wait at joins of its branches, however many they are", async () => {
    const run = await startedRun(p, irOf("a>m b>m c>m m>j d>j j>z"));
    const [a, b, , d] = await all(run, "a", "b", "c", "d");
    await run.settle(a!, "L");
    await run.settle(b!, "L");
    expect((await run.hash())["c"]).toBe("4");
    await run.settle(d!, "L");
    expect((await run.hash())["c"]).toBe("1");
    const [c, m, j] = ["c", "m", "j"].map((id) => indexOf(run, id));
    expect((await told(run)).slice(-2)).toMatchObject([
      { e: "node.cancelled", n: c, j },
      { e: "join.decided", n: m, v: "cancelled", j },
    ]);
    await check(run);
  });

  it("waits for as many as it counts", async () => {
    const run = await startedRun(p, irOf(RACE, { count: 2 }));
    const [a, b] = await all(run, "a", "b");
    await run.settle(a!, "L");
    expect(await recordOf(run, "c")).toBe("a1||");
    await run.settle(b!, "L");
    expect(await recordOf(run, "c")).toBe("x1||");
    expect((await run.hash())["c"]).toBe("1");
  });

  it("takes off the timer of a loser that waits for its retry", async () => {
    const run = await startedRun(
      p,
      irOf("a>j b>j j>z", { mode: "any" }, { b: { retry: { max_attempts: 3 } } }),
    );
    const [a, b] = await all(run, "a", "b");
    const retry = { op: "R" as const, value: '{"error":{}}', delayMs: 1 };
    await run.settle(b!, "", retry);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(1);
    await run.settle(a!, "L");
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    expect(await run.hash()).not.toHaveProperty(`d${indexOf(run, "b")}`);
    expect((await fireTimers(p.scripts)).nextMs).toBeNull();
    await check(run);
  });

  it("ends a loop among its branches as one token, whatever is going on in it", async () => {
    const config = { function_name: "f", loop_back_to: "h", condition: "true", max_iterations: 9 };
    const loop = { l: { type: "loop", config } };
    const run = await startedRun(p, irOf("h>x h>y x>l y>l l>j a>j j>z", { mode: "any" }, loop));
    const [a, h] = await all(run, "a", "h");
    await run.settle(h!, "LL");
    await run.settle(a!, "L");
    const l = indexOf(run, "l");
    expect(await run.hash()).toMatchObject({ c: "1", [`l${l}`]: `e${l}:1` });
    expect((await told(run)).at(-1)).toMatchObject({ e: "node.cancelled", n: l, s: `${l}:1` });
    await check(run);
  });

  it("names its run among those whose tokens are looked at before they are executed", async () => {
    const run = await startedRun(p, irOf(RACE));
    const [a] = await all(run, "a");
    expect(await p.redis.zscore(p.scripts.keys.halted, run.runId)).toBeNull();
    await run.settle(a!, "L");
    expect(await p.redis.zscore(p.scripts.keys.halted, run.runId)).not.toBeNull();
  });
});

describe("a join that does not", () => {
  it("leaves its losers alone, and their arrivals are absorbed", async () => {
    const run = await startedRun(p, irOf(RACE, {}, { j: { join: "any" } }));
    const [a, b, c] = await all(run, "a", "b", "c");
    for (const token of [a!, b!, c!]) {
      expect(await run.settle(token, "L")).toBe(COMPLETION.done);
    }
    expect((await run.hash())["c"]).toBe("1");
    await check(run);
  });
});
