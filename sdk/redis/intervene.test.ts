import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../../test/harness/tokens.ts";
import type { Ir } from "../../compiler/ir.ts";
import type { ReadyToken } from "../entry.ts";
import { blobRefOf, blobText } from "../blobs.ts";
import { hotFields } from "../hot-fields.ts";
import { HotState } from "../hot-state.ts";
import { parseJournalRecord } from "../journal.ts";
import type { ManualAnswer } from "../waits.ts";
import { COMPLETION } from "./complete-tokens.ts";
import { interveneToken, type InterventionAnswer } from "./intervene.ts";
import { pauseRun, resumeRun } from "./pause-scripts.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const player = (ir: Ir): Promise<TokenPlayer> => startedRun(p, ir);

function order(
  run: TokenPlayer,
  id: string,
  action: ManualAnswer["action"],
  scope: string | null = null,
): Promise<InterventionAnswer> {
  const node = run.profile.ir.nodes.findIndex((one) => one.id === id);
  const answer: ManualAnswer = { kind: "manual", action, by: "ann" };
  const queueKey = run.profile.queueKeys[0] as string;
  return interveneToken(p.scripts, { runId: run.runId, home: "", node, scope, queueKey, answer });
}

/** The entry that an order has made. */
async function ordered(run: TokenPlayer, kind: ReadyToken["kind"]): Promise<ReadyToken> {
  const found = (await run.read()).find((token) => token.kind === kind);
  return found as ReadyToken;
}

async function folded(run: TokenPlayer): Promise<{ [field: string]: string }> {
  const state = new HotState(run.profile.ir);
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  for (const [id, fields] of entries) {
    const record = parseJournalRecord(id, fields);
    record.transitions.forEach((t) => state.apply(t, record.t));
  }
  const more = { epoch: 1, irHash: "", input: {}, namespace: "", priority: "normal" };
  return { ...hotFields(state, more), c: String(state.counter) };
}

const tokens = (of: { [field: string]: string }): [string, string][] =>
  Object.entries(of)
    .filter(([field]) => /^([nwjl]\d+|c|s)$/.test(field))
    .sort(([a], [b]) => (a < b ? -1 : 1));

const chain = miniIr(["a", "b"], [["a", "b"]]);
const loop = miniIr(
  ["h", "x", "l", "o"],
  [
    ["h", "x"],
    ["x", "l"],
    ["l", "o"],
  ],
  { loops: [{ head: 0, latch: 2, body: [0, 1, 2], parent: null }] },
);

describe("an order for an open token", () => {
  it("B9: leaves a success that came before it in the journal as the attempt that it was", async () => {
    const run = await player(chain);
    const working = await run.take("a");
    expect(await order(run, "a", "complete")).toEqual({ kind: "done", attempt: 2 });
    expect(await run.settle(working, "L")).toBe(COMPLETION.done);
    expect((await run.hash())["n0"]).toMatch(/^c1\|/);
    expect(tokens(await folded(run))).toEqual(tokens(await run.hash()));
  });

  it("gives one in execution the next attempt: the failure of the earlier one is stale", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    expect(await order(run, "a", "complete")).toEqual({ kind: "done", attempt: 2 });
    const failure = { op: "X" as const, value: '{"error":{"code":"E"}}' };
    expect(await run.settle(a, "", failure)).toBe(COMPLETION.attemptStale);
    const told = await ordered(run, "answered");
    expect(JSON.parse(told.answer ?? "")).toMatchObject({ action: "complete", by: "ann" });
    expect(tokens(await folded(run))).toEqual(tokens(await run.hash()));
    expect(await run.settle(told, "L")).toBe(COMPLETION.done);
  });

  it("takes the timer off one that waits for its retry", async () => {
    const run = await player(chain);
    const retry = { op: "R" as const, value: '{"error":{}}', delayMs: 60_000 };
    await run.settle(await run.take("a"), "", retry);
    expect(await order(run, "a", "retry")).toEqual({ kind: "done", attempt: 2 });
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    expect(tokens(await folded(run))).toEqual(tokens(await run.hash()));
    expect(await ordered(run, "run")).toMatchObject({ attempt: 2, node: 0 });
  });

  it("B12: begins the time in its queue anew for one that is tried again, not while it is paused", async () => {
    const timers = (): Promise<string[]> => p.redis.zrange(p.scripts.keys.timers, 0, -1);
    const run = await player(miniIr(["a"], [], { nodes: { a: { queue_timeout_ms: 60_000 } } }));
    const before = await timers();
    expect(before).toEqual([expect.stringMatching(/^late\|.*\|1\|/)]);
    await order(run, "a", "retry");
    const late = await timers();
    expect(late).toEqual([expect.stringMatching(/^late\|.*\|2\|/)]);
    expect((await run.hash())["d0"]).toBe(late[0]);
    await pauseRun(p.scripts, run.runId, "run");
    await order(run, "a", "retry");
    expect(await timers()).toEqual([]);
    await resumeRun(p.scripts, run.runId, "run");
    expect(await timers()).toEqual([expect.stringMatching(/^late\|.*\|3\|/)]);
  });

  it.each(["h", "x", "l"])(
    "skips %s inside a round: the loop ends and its unit is consumed",
    async (id) => {
      const run = await player(loop);
      for (const before of ["h", "x"].slice(0, ["h", "x", "l"].indexOf(id))) {
        await run.settle(await run.take(before), "L");
      }
      await run.take(id);
      await order(run, id, "skip");
      const skip = await ordered(run, "skip");
      const plan = run.profile.planner.spread(skip.node, skip.scope, "D");
      expect(tokens(await folded(run))).toEqual(tokens(await run.hash()));
      expect(await run.settle(skip, "", { op: "S", value: "D", plan })).toBe(COMPLETION.done);
      expect(await run.hash()).toMatchObject({ s: "completed", c: "0", l2: "e2:1" });
      expect(tokens(await folded(run))).toEqual(tokens(await run.hash()));
    },
  );

  it("brings large values, which are kept beside the run if it is taken", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    const input = "x".repeat(20_000);
    const of = { runId: run.runId, home: "", scope: null };
    const queueKey = run.profile.queueKeys[0] as string;
    const answer: ManualAnswer = { kind: "manual", action: "retry", by: "ann", input };
    const blobs = p.scripts.keys.blobs(run.runId);
    await interveneToken(p.scripts, { ...of, node: 1, queueKey, answer });
    expect(await p.redis.exists(blobs)).toBe(0);
    await interveneToken(p.scripts, { ...of, node: a.node, queueKey, answer });
    expect(await p.redis.hvals(blobs)).toEqual([JSON.stringify(input)]);
    const { o0 } = await run.hash();
    expect(o0).toBe(`|${blobText(blobRefOf(JSON.stringify(input)))}`);
    expect((await folded(run))["o0"]).toBe(o0);
  });

  it("is refused for another scope, a settled node, a run that is over or unknown", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    expect(await order(run, "a", "skip", "7:1")).toEqual({ kind: "not_open", state: "a" });
    expect(await order(run, "b", "skip")).toEqual({ kind: "not_open", state: "" });
    await run.settle(a, "L");
    expect(await order(run, "a", "skip")).toEqual({ kind: "not_open", state: "c" });
    await run.settle(await run.take("b"), "");
    expect(await order(run, "b", "retry")).toEqual({ kind: "run_refused", status: "completed" });
    await p.redis.del(p.scripts.keys.run(run.runId));
    expect(await order(run, "b", "retry")).toEqual({ kind: "gone" });
  });
});
