/** Tokens whose workflow cannot be read: left to others for a while, then parked with their run. */
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseJournalRecord, releaseRuns, resumeRun } from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { startedRun } from "../test/harness/tokens.ts";
import { LEFT_MS, Unreadable } from "./unreadable.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const WHY = new Error("IR version 99, this program reads IR version 1");

/** One worker's, and its clock. */
function unreadable(): { by: Unreadable; pass: (ms: number) => void } {
  let now = 0;
  const { redis, scripts } = p;
  const logger = pino({ level: "silent" });
  const by = new Unreadable({ redis, scripts, consumer: "c", logger, nowMs: () => now });
  return { by, pass: (ms) => (now += ms) };
}

describe("a token whose workflow cannot be read", () => {
  it("is left to other workers for ten minutes, and its run goes on", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, pass } = unreadable();
    expect(by.isLeft(token)).toBe(false);
    await by.met(token, WHY);
    expect(by.isLeft(token)).toBe(true);
    pass(LEFT_MS);
    expect(by.isLeft(token)).toBe(false);
    expect((await run.hash())["s"]).toBe("running");
  });

  it("is for the others while it is being read, and met once", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by } = unreadable();
    let fail: (error: Error) => void = () => undefined;
    const loading = new Promise((_, reject) => (fail = reject));
    const readable = by.isReadable(token, loading);
    expect(by.isLeft(token)).toBe(true);
    fail(WHY);
    expect(await readable).toBe(false);
    expect(by.isLeft(token)).toBe(true);
    expect((await run.hash())["s"]).toBe("running");
    const { by: other } = unreadable();
    expect(await other.isReadable(token, Promise.resolve())).toBe(true);
    expect(other.isLeft(token)).toBe(false);
  });

  it("is parked with its run by who meets it again, with the reason, until that is resumed", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, pass } = unreadable();
    await by.met(token, WHY);
    pass(LEFT_MS);
    await by.met(token, WHY);
    expect((await run.hash())["s"]).toBe("paused");
    const [[id, fields]] = (await p.redis.xrevrange(p.scripts.keys.ev, "+", "-")) as [
      [string, string[]],
    ];
    expect(parseJournalRecord(id, fields).transitions).toMatchObject([
      { e: "run.paused", by: "worker c", why: `UNREADABLE_WORKFLOW: ${WHY.message}` },
    ]);
    expect(await p.redis.xlen(token.queueKey)).toBe(0);
    await resumeRun(p.scripts, run.runId, "run");
    await run.settle(await run.take("a"), "");
    expect((await run.hash())["s"]).toBe("completed");
  });

  it("is set aside if its run is gone", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "completed");
    await releaseRuns(p.scripts, [run.runId], []);
    const { by, pass } = unreadable();
    await by.met(token, WHY);
    pass(LEFT_MS);
    await by.met(token, WHY);
    await expect.poll(() => p.redis.xlen(p.scripts.keys.quarantine)).toBe(1);
  });
});
