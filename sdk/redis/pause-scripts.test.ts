import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { startedRun, TokenPlayer } from "../../test/harness/tokens.ts";
import type { Ir } from "../../compiler/ir.ts";
import { hotFields } from "../hot-fields.ts";
import { HotState } from "../hot-state.ts";
import { parseJournalRecord } from "../journal.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { heldItem, holdTokens, pauseRun, resumeRun } from "./pause-scripts.ts";
import { cancelRun, fireTimers, redisTimeMs, releaseRuns, startRuns } from "./run-scripts.ts";
import { allKeys } from "../../test/support/index.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const player = (ir: Ir): Promise<TokenPlayer> => startedRun(p, ir);

const held = (run: TokenPlayer): Promise<string[]> =>
  p.redis.lrange(p.scripts.keys.held(run.runId), 0, -1);

const chain = miniIr(["a", "b"], [["a", "b"]]);
const fan = miniIr(
  ["a", "b", "c"],
  [
    ["a", "b"],
    ["a", "c"],
  ],
);
const RETRY = { op: "R" as const, value: '{"error":{"code":"E","message":""}}', delayMs: 1000 };

describe("B5: a paused run", () => {
  it("accepts results; what they make ready waits in the held list", async () => {
    const run = await player(fan);
    const a = await run.take("a");
    expect(await pauseRun(p.scripts, run.runId, "run")).toMatchObject({ kind: "paused" });
    expect(await run.settle(a, "LL")).toBe(COMPLETION.done);
    expect(await run.read()).toEqual([]);
    expect(await held(run)).toHaveLength(2);
    expect(await run.hash()).toMatchObject({ s: "paused", c: "2", ps: "r" });
  });

  it("keeps what a chain would go on with, and acknowledges the chain's entry", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    await pauseRun(p.scripts, run.runId, "run");
    const item = { ...run.item(a, "L"), keeps: true };
    expect(await completeTokens(p.scripts, [item], "c")).toEqual([COMPLETION.done]);
    expect(await held(run)).toHaveLength(1);
    expect((await p.redis.xpending(a.queueKey, "workers"))[0]).toBe(0);
  });

  it("lets retries come due into the held list", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    await pauseRun(p.scripts, run.runId, "run");
    await run.settle(a, "", RETRY);
    await p.advance(1001);
    expect((await fireTimers(p.scripts)).fired).toBe(1);
    expect(await run.read()).toEqual([]);
    expect(await held(run)).toHaveLength(1);
    await resumeRun(p.scripts, run.runId, "run");
    expect(await run.take("a")).toMatchObject({ attempt: 2 });
  });

  it("takes a delivered token aside once, whoever else holds it", async () => {
    const run = await player(chain);
    const a = await run.take("a");
    expect(await holdTokens(p.scripts, [a])).toEqual(["not_paused"]);
    await pauseRun(p.scripts, run.runId, "run");
    expect(await holdTokens(p.scripts, [a, a])).toEqual(["held", "gone"]);
    expect(await held(run)).toHaveLength(1);
    await resumeRun(p.scripts, run.runId, "run");
    const [again, ...more] = await run.read();
    expect(more).toEqual([]);
    expect(again).toEqual({ ...a, entryId: again?.entryId });
  });

  it("ends when nothing is left to do, and fails when its timeout passes", async () => {
    const run = await player(miniIr(["a"], []));
    const a = await run.take("a");
    await pauseRun(p.scripts, run.runId, "run");
    await run.settle(a, "");
    expect((await run.hash())["s"]).toBe("completed");
    const late = await player({ ...chain, settings: { ...chain.settings, timeout_ms: 500 } });
    await pauseRun(p.scripts, late.runId, "run");
    await p.advance(501);
    await fireTimers(p.scripts);
    expect((await late.hash())["s"]).toBe("failed");
  });

  it("can be cancelled, and its held list goes with its release", async () => {
    const run = await player(fan);
    const a = await run.take("a");
    await pauseRun(p.scripts, run.runId, "run");
    await run.settle(a, "LL");
    expect(await cancelRun(p.scripts, run.runId, "enough")).toBe("cancelled");
    expect(await resumeRun(p.scripts, run.runId, "run")).toMatchObject({ status: "cancelled" });
    await releaseRuns(p.scripts, [run.runId], []);
    expect(await allKeys(p.redis, `*${run.runId}*`)).toEqual([]);
    expect(await p.redis.zcard(p.scripts.keys.paused)).toBe(0);
  });

  it("goes on when the last of its causes is taken back, and not before", async () => {
    const run = await player(chain);
    await pauseRun(p.scripts, run.runId, "workflow");
    await pauseRun(p.scripts, run.runId, "run");
    expect(await pauseRun(p.scripts, run.runId, "run")).toMatchObject({ kind: "was_paused" });
    expect(await resumeRun(p.scripts, run.runId, "workflow")).toEqual({ kind: "still_paused" });
    expect(await resumeRun(p.scripts, run.runId, "workflow")).toMatchObject({ status: "paused" });
    expect(await resumeRun(p.scripts, run.runId, "run")).toEqual({ kind: "resumed" });
    expect(await resumeRun(p.scripts, run.runId, "run")).toMatchObject({ status: "running" });
  });

  it("may start so: its entry tokens are held", async () => {
    const profile = await p.publish(fan, "hash-start");
    const notAfterMs = (await redisTimeMs(p.scripts)) + 1000;
    const start = { profile, runId: "born-paused", epoch: 1, input: "{}", notAfterMs };
    expect(await startRuns(p.scripts, [{ ...start, paused: true }])).toEqual([0]);
    const run = new TokenPlayer(p, profile, "born-paused");
    expect(await run.read()).toEqual([]);
    expect(await run.hash()).toMatchObject({ s: "paused", ps: "w" });
    await resumeRun(p.scripts, "born-paused", "workflow");
    expect(await run.take("a")).toMatchObject({ payload: "{}" });
  });
});

describe("B5: resuming", () => {
  it("queues what was held in its order, in bounded calls; one that stopped half-way is gone on with", async () => {
    const run = await player(chain);
    await pauseRun(p.scripts, run.runId, "run");
    const queue = run.profile.queueKeys[0] as string;
    const entry = (n: number): string => `${run.runId}\x1f1\x1f0\x1f\x1f1\x1fh\x1f\x1f\x1f=${n}`;
    const items = Array.from({ length: 1203 }, (_, n) => heldItem(queue, entry(n)));
    await p.redis.rpush(p.scripts.keys.held(run.runId), ...items);
    // The first call of a resume whose caller dies after it.
    const k = p.scripts.keys;
    const keys = [k.ev, k.meta, k.halted, k.paused, k.run(run.runId), k.held(run.runId)];
    keys.push(k.timers, queue);
    const args = [p.scripts.nonce(), run.runId, "r", "", 500];
    expect(await p.scripts.transition("resumeRun", keys, args)).toEqual([0, 703]);
    expect(await p.redis.zrangebyscore(k.paused, 0, 0)).toEqual([run.runId]);
    expect(await resumeRun(p.scripts, run.runId, null)).toEqual({ kind: "resumed" });
    const all = [...(await run.read()), ...(await run.read())];
    const numbers = all.map((token) => Number(token.payload)).filter(Number.isInteger);
    expect(numbers).toEqual(Array.from({ length: 1203 }, (_, n) => n));
    expect(await p.redis.exists(k.held(run.runId), k.paused)).toBe(0);
  });

  it("pauses and resumes are in the journal, and folding it gives the paused state", async () => {
    const run = await player(chain);
    await pauseRun(p.scripts, run.runId, "run", { by: "ann", why: 'a "reason"' });
    const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
    const state = new HotState(chain);
    const told = entries.flatMap(([id, fields]) => {
      const record = parseJournalRecord(id, fields);
      record.transitions.forEach((t) => state.apply(t, record.t));
      return record.transitions;
    });
    expect(told.at(-1)).toMatchObject({ e: "run.paused", by: "ann", why: 'a "reason"', ps: "r" });
    const more = { epoch: 1, irHash: "h", input: {}, namespace: "", priority: "normal" };
    expect(hotFields(state, more)).toMatchObject({ s: "paused", ps: "r" });
  });
});
