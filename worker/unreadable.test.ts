/** Tokens whose workflow cannot be read: left to others for a while, then parked with their run. */
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  connectionAt,
  finishRun,
  fireTimers,
  parseJournalRecord,
  releaseRuns,
  resumeRun,
  type ReadyToken,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { startedRun, TokenPlayer } from "../test/harness/tokens.ts";
import { LEFT_MS, Unreadable, WORKFLOWS_MAX } from "./unreadable.ts";
import { Workflows } from "./workflows.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const WHY = new Error("IR version 99, this program reads IR version 1");

const LEASE_MS = 30_000;
/** Idleness of what nobody has touched since it was handed back, when its time is over. */
const OVER_MS = LEFT_MS + LEASE_MS;

interface OneWorker {
  by: Unreadable;
  /** Whether it leaves the entry to others, which nobody has touched for so long. */
  isLeft: (token: ReadyToken, idleMs?: number) => Promise<boolean>;
  pass: (ms: number) => void;
  workflows: Workflows;
  /** What it has logged: fields and message. */
  log: { [field: string]: unknown }[];
}

/** One worker's, and its clock. */
function unreadable(): OneWorker {
  let now = 0;
  const { scripts } = p;
  const redis = connectionAt(p.redis, scripts.keys.meta);
  const workflows = new Workflows(p.redis);
  const log: OneWorker["log"] = [];
  const write = (line: string): void => void log.push(JSON.parse(line) as OneWorker["log"][0]);
  const to = { redis, scripts, consumer: "c", leaseMs: LEASE_MS, workflows, nowMs: () => now };
  const by = new Unreadable({ ...to, logger: pino({}, { write }) });
  return {
    by,
    isLeft: async ({ queueKey, entryId }, idleMs = LEASE_MS) =>
      (await by.notLeft([{ queueKey, entryId, idleMs, deliveries: 0 }])).length === 0,
    pass: (ms) => (now += ms),
    ...{ workflows, log },
  };
}

describe("a token whose workflow cannot be read", () => {
  it("is left to other workers for ten minutes, and its run goes on", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, isLeft, pass } = unreadable();
    expect(await isLeft(token)).toBe(false);
    await by.met(token, WHY);
    expect(await isLeft(token)).toBe(true);
    pass(LEFT_MS - 1);
    expect(await isLeft(token, OVER_MS)).toBe(true);
    pass(1);
    // Somebody else has had it meanwhile.
    expect(await isLeft(token)).toBe(true);
    expect(await isLeft(token, OVER_MS)).toBe(false);
    expect((await run.hash())["s"]).toBe("running");
  });

  it("is left no more once its workflow can be read", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, isLeft, workflows } = unreadable();
    await by.met(token, WHY);
    expect(await isLeft(token)).toBe(true);
    await workflows.load(token.irHash, token.queueKey);
    expect(await isLeft(token)).toBe(false);
    expect(by.size).toBe(0);
  });

  it("is for the others while it is being read, and met once", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, isLeft } = unreadable();
    let fail: (error: Error) => void = () => undefined;
    const loading = new Promise((_, reject) => (fail = reject));
    const readable = [by.isReadable(token, loading), by.isReadable(token, loading)];
    expect(await isLeft(token, OVER_MS)).toBe(true);
    fail(WHY);
    expect(await Promise.all(readable)).toEqual([false, false]);
    expect(await isLeft(token)).toBe(true);
    expect((await run.hash())["s"]).toBe("running");
    const other = unreadable();
    expect(await other.by.isReadable(token, Promise.resolve())).toBe(true);
    expect(await other.isLeft(token)).toBe(false);
  });

  it("is looked for soon if it was the server's trouble", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by } = unreadable();
    const loading = Promise.reject(new Error("BUSY Redis is busy running a script."));
    expect([await by.isReadable(token, loading), by.size]).toEqual([true, 0]);
  });

  it("lies for ten minutes whoever else takes it in vain, and is handed back as it was", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, pass } = unreadable();
    expect(by.idleOf(token, 0)).toBe(LEASE_MS);
    expect(by.idleOf(token, OVER_MS)).toBe(OVER_MS);
    await by.met(token, WHY, OVER_MS);
    expect((await run.hash())["s"]).toBe("running");
    pass(LEFT_MS);
    // Should its run not be paused, that is tried again in ten minutes.
    expect(by.idleOf(token, OVER_MS)).toBe(LEASE_MS);
  });

  it("is parked with its run by who meets it again, with the reason, until that is resumed", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, pass } = unreadable();
    await by.met(token, WHY);
    pass(LEFT_MS);
    await by.met(token, WHY, OVER_MS);
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

  it("is named each ten minutes if it asks for the output of a run, which is not paused any more", async () => {
    const run = await startedRun(p, miniIr(["a"], [], { output: "${ctx.a.output}" }));
    await run.settle(await run.take("a"), "");
    await p.advance(60_000);
    await fireTimers(p.scripts);
    const [token] = (await run.read()) as [ReadyToken];
    const { by, pass, log } = unreadable();
    await by.met(token, WHY);
    log.length = 0;
    for (let times = 1; times <= 2; times++) {
      pass(LEFT_MS);
      await by.met(token, WHY, OVER_MS);
      expect(log).toHaveLength(times);
    }
    expect(log[0]).toMatchObject({
      level: 50,
      run: run.runId,
      ir: token.irHash,
      reason: WHY.message,
    });
    // The first worker that can read it ends the run.
    const end = { ...token, status: "completed" as const, value: "1" };
    expect(await finishRun(p.scripts, end)).toBe(true);
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
    await by.met(token, WHY, OVER_MS);
    expect(await p.redis.xlen(p.scripts.keys.quarantine)).toBe(1);
  });
});

describe("many tokens whose workflow cannot be read", () => {
  it("are parked in the tenth minute, each, however many there are", async () => {
    const count = 1100;
    const profile = await p.publish(miniIr(["a"], []), "many");
    const runs = Array.from({ length: count }, (_, i) => new TokenPlayer(p, profile, `many-${i}`));
    for (const run of runs) {
      await run.start();
    }
    const [first] = runs as [TokenPlayer];
    const tokens = [...(await first.read()), ...(await first.read())];
    expect(tokens).toHaveLength(count);
    const { by, isLeft, pass } = unreadable();
    for (const token of tokens) {
      await by.met(token, WHY);
    }
    expect([by.size, await isLeft(tokens[0] as ReadyToken)]).toEqual([1, true]);
    pass(LEFT_MS);
    for (const token of tokens) {
      await by.met(token, WHY, OVER_MS);
    }
    const all = await Promise.all(runs.map((run) => run.hash()));
    expect(all.filter(({ s }) => s === "paused")).toHaveLength(count);
  });

  it("of more workflows than are remembered: each gets its ten minutes", async () => {
    const run = await startedRun(p, miniIr(["a"], []));
    const token = await run.take("a");
    const { by, pass } = unreadable();
    const meet = (i: number, idleMs = 0): Promise<void> =>
      by.met({ ...token, irHash: `w${i}` }, WHY, idleMs);
    for (let i = 0; i <= WORKFLOWS_MAX; i++) {
      await meet(i);
    }
    expect(by.size).toBe(WORKFLOWS_MAX);
    pass(LEFT_MS);
    // One that is remembered still is met before it has its time; and when nothing is left of the others
    // there is a place.
    await meet(1);
    await meet(WORKFLOWS_MAX);
    expect(by.size).toBe(2);
    await meet(1, OVER_MS);
    expect((await run.hash())["s"]).toBe("paused");
  });
});
