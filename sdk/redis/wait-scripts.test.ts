/** Waits at the level of the scripts: what ends them, and who wins when two come at once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { waitingRun, type WaitingRun } from "../../test/harness/waiting-run.ts";
import { blobRefOf } from "../blobs.ts";
import type { ReadyToken } from "../entry.ts";
import { parseJournalRecord } from "../journal.ts";
import type { WaitInfo } from "../waits.ts";
import { COMPLETION } from "./complete-tokens.ts";
import { cancelRun, fireTimers } from "./run-scripts.ts";
import { callbackWait, decideApproval, readWait } from "./wait-scripts.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const one = miniIr(["a"], []);
const two = miniIr(["a", "b"], []);

const started = (ir = one): Promise<WaitingRun> => waitingRun(p, ir);

describe("A6: who comes first", () => {
  it("A6: a late worker does not park a token again that was answered meanwhile", async () => {
    const run = await started();
    const token = await run.take("a");
    await run.park(token);
    await run.signal("s1", 1);
    expect(await run.park(token)).toBe(COMPLETION.tokenNotActive);
    expect(await run.ready()).toEqual(["a:signal:1"]);
  });

  it("A6: a late worker does not begin a delay again that is over", async () => {
    const run = await started();
    const token = await run.take("a");
    const delay = { op: "P", value: "", delayMs: 10 } as const;
    await run.settle(token, "", delay);
    await p.advance(11);
    await fireTimers(p.scripts);
    expect(await run.settle(token, "", delay)).toBe(COMPLETION.tokenNotActive);
    expect((await run.read()).map((t) => t.kind)).toEqual(["resumed"]);
  });

  it("A6: a token that its circuit holds back begins anew, the same attempt, as its journal says", async () => {
    const run = await started();
    const circuit = { op: "P", value: "held", delayMs: 10, extra: ',"circuit":"api"' } as const;
    const first = await run.take("a");
    await run.settle(first, "", { op: "P", value: "", delayMs: 10 });
    await p.advance(11);
    await fireTimers(p.scripts);
    // It was resumed in this attempt before: that keeps no circuit from holding it back.
    expect(await run.settle(await run.take("a"), "", circuit)).toBe(COMPLETION.done);
    expect((await run.hash())["n0"]).toBe("r1||");
    await run.expectFold();
    await p.advance(11);
    await fireTimers(p.scripts);
    const again = await run.take("a");
    expect(again).toMatchObject({ kind: "run", attempt: 1 });
    await run.expectFold();
    expect(await run.settle(again, "", circuit)).toBe(COMPLETION.done);
    // Whoever has worked at it after all, and is slow to say so, is heard; the timer goes.
    expect(await run.settle(first, "L")).toBe(COMPLETION.done);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    await run.expectFold();
  });

  it("A6: a first park that is repeated after its circuit's hold has one more execution, and one end", async () => {
    const run = await started();
    const rate = { op: "P", value: "", delayMs: 10 } as const;
    const due = async (): Promise<ReadyToken> => {
      await p.advance(11);
      await fireTimers(p.scripts);
      return run.take("a");
    };
    const first = await run.take("a");
    await run.settle(first, "", rate);
    await run.settle(await due(), "", { ...rate, value: "held" });
    const executed = await due();
    // The call of the first park comes once more, while the node is executed.
    expect(await run.settle(first, "", rate)).toBe(COMPLETION.done);
    expect(await run.settle(executed, "L")).toBe(COMPLETION.tokenNotActive);
    const again = await due();
    expect(await run.settle(again, "L")).toBe(COMPLETION.done);
    for (const late of [executed, again]) {
      expect(await run.settle(late, "L")).not.toBe(COMPLETION.done);
    }
    expect(await run.settle(first, "", rate)).not.toBe(COMPLETION.done);
    const ends = (await p.redis.xrange(p.scripts.keys.ev, "-", "+")).flatMap(([id, fields]) =>
      parseJournalRecord(id, fields).transitions.filter(({ e }) => e === "node.completed"),
    );
    expect(ends).toHaveLength(1);
    await run.expectFold();
  });

  it("A6: signal first, then its timer: the timer is gone", async () => {
    const run = await started();
    await run.park(await run.take("a"), {}, 100);
    await run.signal("s1", 1);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    await p.advance(101);
    await fireTimers(p.scripts);
    expect(await run.ready()).toEqual(["a:signal:1"]);
  });

  it("A6: the timer first: the wait is over, a signal is kept for the next", async () => {
    const run = await started();
    await run.park(await run.take("a"), {}, 100);
    await p.advance(101);
    await fireTimers(p.scripts);
    expect(await run.ready()).toEqual(["a:timeout:undefined"]);
    expect(await run.signal("s1", 1)).toBe("kept");
    await run.expectFold();
  });

  it("A6: signal and timer at once: exactly one wins", async () => {
    for (let i = 0; i < 20; i++) {
      const run = await started();
      await run.park(await run.take("a"), {}, 100);
      await p.advance(101);
      const race = [fireTimers(p.scripts), run.signal("s1", 1), run.callback("c1")];
      await Promise.all(i % 2 === 0 ? race : [run.signal("s1", 1), fireTimers(p.scripts)]);
      const tokens = await run.ready();
      expect(tokens.length).toBe(1);
      await run.expectFold();
    }
  });

  it("A6: a cancelled run's wait is over, and its signal is told so", async () => {
    const run = await started();
    await run.park(await run.take("a"), {}, 100);
    await cancelRun(p.scripts, run.runId, "enough");
    expect(await run.signal("s1")).toBe("ended");
    expect(await run.callback("c1")).toBe("ended");
    await p.advance(101);
    expect(await fireTimers(p.scripts)).toMatchObject({ due: 1, fired: 0 });
    expect(await run.ready()).toEqual([]);
  });
});

describe("callbacks", () => {
  it("B7: one that came before its wait was put back goes on in the wait's own queue", async () => {
    const run = await started();
    await run.park(await run.take("a"));
    const asked = vi.spyOn(p.scripts.redis, "hget").mockResolvedValueOnce(null);
    expect(await run.callback("c1")).toBe("done");
    expect(asked).toHaveBeenCalledTimes(2);
    asked.mockRestore();
    expect(await run.ready()).toEqual(["a:callback:3"]);
  });

  it("B7: a callback token reaches one wait, once", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    await run.park(a as ReadyToken);
    await run.park(b as ReadyToken);
    expect((await readWait(p.scripts, run.address(1)))?.signal).toBe("paid");
    expect(await run.callback("c1", 1)).toBe("done");
    await run.expectFold();
    expect(await run.ready()).toEqual(["b:callback:3"]);
    expect(await run.callback("c1", 1)).toBe("repeated");
    expect(await run.callback("c2", 1)).toBe("over");
    expect(await readWait(p.scripts, run.address(1))).toBeNull();
    expect(await run.signal("s1", 1)).toBe("delivered");
    expect(await run.callback("c3", 0)).toBe("over");
  });

  it("a wrong secret, an unknown run, a decision by a callback's token are refused", async () => {
    const run = await started();
    await run.park(await run.take("a"));
    const wrong = { ...run.address(), secret: "wrong-secret" };
    expect(await callbackWait(p.scripts, wrong, { id: "c", data: 1 })).toBe("over");
    const unknown = { ...run.address(), unit: "nobody", runId: "nobody" };
    expect(await callbackWait(p.scripts, unknown, { id: "c", data: 1 })).toBe("gone");
    const decision = { actor: "ann", approved: true, data: null };
    expect(await decideApproval(p.scripts, run.address(), decision)).toBe("other_kind");
    const data = "x".repeat(65_536);
    expect(await callbackWait(p.scripts, run.address(), { id: "c", data })).toBe("too_large");
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "suspect");
    expect(await run.callback("c")).toBe("busy");
  });
});

it("large data of an answer are kept beside the run when it is accepted, and only then", async () => {
  const run = await started();
  await run.park(await run.take("a"));
  const blobs = p.scripts.keys.blobs(run.runId);
  const call = { id: "c1", data: "x".repeat(20_000) };
  const wrong = { ...run.address(), secret: "wrong-secret" };
  expect(await callbackWait(p.scripts, wrong, call)).toBe("over");
  expect(await p.redis.exists(blobs)).toBe(0);
  expect(await callbackWait(p.scripts, run.address(), call)).toBe("done");
  expect(await p.redis.hvals(blobs)).toEqual([JSON.stringify(call.data)]);
  const { sha256 } = blobRefOf(JSON.stringify(call.data));
  expect((await run.ready())[0]).toContain(sha256);
  await run.expectFold();
});

describe("decisions", () => {
  async function asked(more: Partial<WaitInfo>, timeoutMs = 0): Promise<WaitingRun> {
    const run = await started();
    const token = await run.take("a");
    const { signal: _, ...info } = { ...run.wait(token), kind: "approval" as const, ...more };
    const settled = { op: "W", value: "", delayMs: timeoutMs, wait: info } as const;
    expect(await run.settle(token, "", settled)).toBe(COMPLETION.done);
    return run;
  }
  const decide = (run: WaitingRun, actor: string, approved = true, data: number | null = null) =>
    decideApproval(p.scripts, run.address(), { actor, approved, data });

  it("one approval is enough where nothing else is said; repeated it is the same one", async () => {
    const run = await asked({ required: 1 });
    expect(await decide(run, "ann", true, 5)).toBe("done");
    expect(await decide(run, "ann", true, 5)).toBe("repeated");
    expect(await decide(run, "ann", false)).toBe("decided");
    expect(await decide(run, "bob")).toBe("over");
    const [token] = await run.read();
    expect(JSON.parse(token?.answer ?? "")).toMatchObject({
      kind: "approval",
      approved: true,
      decisions: [{ actor: "ann", approved: true, data: 5 }],
    });
    await run.expectFold();
  });

  it("two approvals need two people; a rejection ends it at once", async () => {
    const run = await asked({ required: 2 });
    expect(await decide(run, "ann")).toBe("recorded");
    expect(await decide(run, "ann")).toBe("repeated");
    expect(await decide(run, "ann", false)).toBe("decided");
    expect(await run.ready()).toEqual([]);
    await run.expectFold();
    expect(await decide(run, "bob")).toBe("done");
    await run.expectFold();
    const [token] = await run.read();
    const answer = JSON.parse(token?.answer ?? "") as { decisions: { actor: string }[] };
    expect(answer.decisions.map((d) => d.actor)).toEqual(["ann", "bob"]);

    const second = await asked({ required: 2 });
    expect(await decide(second, "ann")).toBe("recorded");
    expect(await decide(second, "bob", false)).toBe("done");
    const [rejected] = await second.read();
    expect(JSON.parse(rejected?.answer ?? "")).toMatchObject({ approved: false });
  });

  it("only who is named may decide; a name inside another's data is nobody's decision", async () => {
    const run = await asked({ required: 2, assignees: ["ann", 'b"ob'] });
    expect(await decide(run, "eve")).toBe("not_assigned");
    expect(await decide(run, "an")).toBe("not_assigned");
    const data = { actor: 'b"ob', approved: true };
    const sly = { actor: "ann", approved: true, data };
    expect(await decideApproval(p.scripts, run.address(), sly)).toBe("recorded");
    expect(await decide(run, 'b"ob')).toBe("done");
    await run.expectFold();
  });

  it("two at once: both count, the last one ends it", async () => {
    const run = await asked({ required: 2 });
    const outcomes = await Promise.all([decide(run, "ann"), decide(run, "bob")]);
    expect(outcomes.sort()).toEqual(["done", "recorded"]);
    expect((await run.read()).length).toBe(1);
  });

  it("A6: a decision and the timer at once: exactly one wins", async () => {
    for (let i = 0; i < 20; i++) {
      const run = await asked({ required: 1 }, 100);
      await p.advance(101);
      const race = [fireTimers(p.scripts), decide(run, "ann")] as const;
      await Promise.all(i % 2 === 0 ? race : [...race].reverse());
      expect((await run.read()).length).toBe(1);
      await run.expectFold();
    }
  });
});

describe("what a parked run costs", () => {
  it("no worker: its entry is acknowledged and gone, whoever held it", async () => {
    const run = await started();
    const token = await run.take("a");
    await run.park(token);
    expect(await p.redis.xlen(token.queueKey)).toBe(0);
    const [pending] = await p.redis.xpending(token.queueKey, "workers");
    expect(pending).toBe(0);
  });

  it("the keys of a run that waits take less than 1.5 KB", async () => {
    const run = await started();
    await run.park(await run.take("a"), {}, 3_600_000);
    const usage = async (key: string): Promise<number> =>
      Number(await p.scripts.redis.memory("USAGE", key, "SAMPLES", 0));
    const { keys } = p.scripts;
    const bytes = (await usage(keys.run(run.runId))) + (await usage(keys.signals(run.runId)));
    expect(bytes).toBeLessThan(1500);
  });
});
