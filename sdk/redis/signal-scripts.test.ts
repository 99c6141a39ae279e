/** Signals at the level of the scripts: who gets which, whoever comes first, however many wait. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { readAll } from "../../test/harness/deliveries.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { waitingRun, type WaitingRun } from "../../test/harness/waiting-run.ts";
import { blobRefOf } from "../blobs.ts";
import type { ReadyToken } from "../entry.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { releaseRuns } from "./run-scripts.ts";
import { signalRun } from "./wait-scripts.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const one = miniIr(["a"], []);
const two = miniIr(["a", "b"], []);
const loop = miniIr(["a", "z"], [["a", "z"]], {
  loops: [{ head: 0, latch: 1, body: [0, 1], parent: null }],
});

const started = (ir = one): Promise<WaitingRun> => waitingRun(p, ir);

describe("B7: signals", () => {
  it("B7: a signal goes to the token that waits for it, which goes on once", async () => {
    const run = await started();
    const token = await run.take("a");
    expect(await run.park(token)).toBe(COMPLETION.done);
    expect(await run.ready()).toEqual([]);
    expect(await run.signal("s1", 7)).toBe("delivered");
    await run.expectFold();
    expect(await run.ready()).toEqual(["a:signal:7"]);
    expect((await run.hash())["w0"]).toBe("=1|");
  });

  it("B7: an early signal is kept, and the wait that comes takes it in the same step", async () => {
    const run = await started();
    const token = await run.take("a");
    expect(await run.signal("s1", 7)).toBe("kept");
    await run.expectFold();
    expect(await run.park(token)).toBe(COMPLETION.done);
    expect(await run.ready()).toEqual(["a:signal:7"]);
    await run.expectFold();
    const events = (await run.transitions()).map(({ t }) => t.e);
    expect(events).toEqual(["run.started", "signal.kept", "node.parked", "node.resumed"]);
  });

  it("B7: the same id is accepted once per run, whatever became of the first", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    expect(await run.signal("early")).toBe("kept");
    expect(await run.signal("early")).toBe("repeated");
    await run.park(a as ReadyToken);
    expect(await run.signal("early")).toBe("repeated");
    await run.park(b as ReadyToken);
    expect(await run.signal("late")).toBe("delivered");
    expect(await run.signal("late")).toBe("repeated");
    const other = await started();
    expect(await other.signal("late")).toBe("kept");
    await run.expectFold();
  });

  it("B7: signals of one name serve waits in the order in which both came", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    for (const [i, id] of ["s1", "s2", "s3"].entries()) {
      expect(await run.signal(id, i + 1)).toBe("kept");
    }
    expect(await run.signal("o1", 9, "other")).toBe("kept");
    await run.park(a as ReadyToken);
    await run.park(b as ReadyToken);
    expect((await run.ready()).sort()).toEqual(["a:signal:1", "b:signal:2"]);
    await run.expectFold();
    const second = await started(two);
    const [c, d] = await second.read();
    await second.park(d as ReadyToken);
    await second.park(c as ReadyToken);
    await second.signal("s1", 1);
    await second.signal("s2", 2);
    expect((await second.ready()).sort()).toEqual(["a:signal:2", "b:signal:1"]);
    await second.expectFold();
  });

  it("B7: at most 64 signals are kept, each of at most 64 KiB", async () => {
    const run = await started();
    const token = await run.take("a");
    for (let i = 0; i < 64; i++) {
      expect(await run.signal(`s${i}`)).toBe("kept");
    }
    expect(await run.signal("one too many")).toBe("full");
    const data = "x".repeat(65_536);
    expect(await signalRun(p.scripts, { runId: run.runId, id: "big", name: "paid", data })).toBe(
      "too_large",
    );
    await run.park(token);
    expect(await run.signal("one too many")).toBe("kept");
  });

  it("large data are kept beside the run when the signal is accepted, and only then", async () => {
    const run = await started();
    const blobs = p.scripts.keys.blobs(run.runId);
    const data = "x".repeat(20_000);
    const signal = { runId: run.runId, id: "big", name: "paid" };
    expect(await signalRun(p.scripts, { ...signal, data: data.repeat(4) })).toBe("too_large");
    expect(await p.redis.exists(blobs)).toBe(0);
    expect(await signalRun(p.scripts, { ...signal, data })).toBe("kept");
    expect(await signalRun(p.scripts, { ...signal, data: `${data}!` })).toBe("repeated");
    expect(await p.redis.hvals(blobs)).toEqual([JSON.stringify(data)]);
    const kept = await p.redis.hget(p.scripts.keys.signals(run.runId), "p1");
    const { sha256, bytes } = blobRefOf(JSON.stringify(data));
    expect(JSON.parse(kept ?? "")).toMatchObject({ data: { "$gv:blob": `${sha256}:${bytes}` } });
    await run.expectFold();
  });

  it("B7: the run remembers its last thousand ids and no more", async () => {
    const run = await started(loop);
    let token = await run.take("a");
    for (let i = 0; i < 1003; i++) {
      await run.signal(`s${i}`);
      await run.park(token);
      token = (await run.read())[0] as ReadyToken;
      await run.settle(token, "L");
      await run.settle(await run.take("z"), "again");
      token = await run.take("a");
    }
    const fields = await p.redis.hkeys(p.scripts.keys.signals(run.runId));
    expect(fields.filter((f) => f.startsWith("i:")).length).toBe(1000);
    expect(fields.length).toBeLessThan(2010);
    expect(await run.signal("s1002")).toBe("repeated");
    await run.expectFold();
  }, 300_000); // 7,000 calls in a row: minutes where much else is done

  it("B7: a late signal to an ended run is told so, and to a released one too", async () => {
    const run = await started();
    await run.settle(await run.take("a"), "");
    expect(await run.signal("s1")).toBe("ended");
    await releaseRuns(p.scripts, [run.runId], []);
    expect(await run.signal("s1")).toBe("gone");
    expect(await p.redis.exists(p.scripts.keys.signals(run.runId))).toBe(0);
  });

  it("B7: what stands in place of its signals is no matter of a run that is not under way", async () => {
    const run = await started();
    const signals = p.scripts.keys.signals(run.runId);
    const token = await run.take("a");
    expect(await run.signal("s1")).toBe("kept");
    await p.redis.del(signals);
    await p.redis.set(signals, "put here by hand");
    await expect(run.signal("s2")).rejects.toThrow("WRONGTYPE"); // so it is rebuilt
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "suspect");
    expect(await run.signal("s2")).toBe("busy");
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "running");
    await run.settle(token, "");
    expect(await run.signal("s2")).toBe("ended");
    await p.redis.del(p.scripts.keys.run(run.runId));
    expect(await run.signal("s2")).toBe("gone");
    await p.redis.del(signals);
  });

  it("B7: a run in repair asks for the signal again later", async () => {
    const run = await started();
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "suspect");
    expect(await run.signal("s1")).toBe("busy");
  });

  it("B7: a signal that comes with a wait's last moment finds it or is kept, never both", async () => {
    for (let i = 0; i < 20; i++) {
      const run = await started();
      const token = await run.take("a");
      const [sent] = await Promise.all([run.signal("s1", 5), run.park(token)]);
      expect(["kept", "delivered"]).toContain(sent);
      expect(await run.ready()).toEqual(["a:signal:5"]);
      await run.expectFold();
    }
  });

  it("B7: a wait of a round that is over takes no signal; its place goes to the next round's", async () => {
    const run = await started(loop);
    const first = await run.take("a");
    await run.park(first);
    const z = { ...first, node: 1 };
    // The latch is decided by another way through the round: what waits in it is void.
    await p.redis.hset(p.scripts.keys.run(run.runId), "n1", `a1|${first.scope}|`);
    await run.settle(z, "again");
    const second = await run.take("a");
    expect(await run.signal("s1", 1)).toBe("kept");
    expect(await run.park(second)).toBe(COMPLETION.done);
    expect(await run.ready()).toEqual(["a:signal:1"]);
    expect(await p.redis.hget(p.scripts.keys.signals(run.runId), "w:paid")).toBeNull();
  });
});

describe("B7: a line of ten thousand", () => {
  const COUNT = 10_000;
  const CALLS_MAX = 1 + COUNT / 500;
  const wide = miniIr(
    Array.from({ length: COUNT }, (_, i) => `w${i}`),
    [],
  );
  const fieldsOf = (run: WaitingRun) => p.redis.hgetall(p.scripts.keys.signals(run.runId));

  /** All of them wait for the same name, in the order of their nodes. */
  async function waiting(): Promise<WaitingRun> {
    const run = await started(wide);
    const keys = [...run.profile.queueKeys, ...run.profile.entryKeys];
    const tokens = await readAll(p.redis, keys, "c", COUNT);
    tokens.sort((a, b) => a.node - b.node);
    for (let from = 0; from < COUNT; from += 500) {
      const items = tokens.slice(from, from + 500).map((token) => {
        const info = run.wait(token);
        return run.item(token, "", { op: "W", value: "", delayMs: 0, wait: info });
      });
      expect(new Set(await completeTokens(p.scripts, items))).toEqual(new Set([COMPLETION.done]));
    }
    return run;
  }

  it("B7: who comes and who leaves touches a few bytes, the oldest is found at once", async () => {
    const run = await waiting();
    const sizes = Object.entries(await fieldsOf(run)).map(([field, text]) => (field + text).length);
    expect(Math.max(...sizes)).toBeLessThan(100);
    const calls = vi.spyOn(p.scripts, "transition");
    for (let i = 0; i < 3; i++) {
      expect(await run.signal(`s${i}`, i)).toBe("delivered");
    }
    expect(calls).toHaveBeenCalledTimes(3);
    calls.mockRestore();
    expect(await run.ready()).toEqual(["w0:signal:0", "w1:signal:1", "w2:signal:2"]);
    await run.expectFold();
  }, 60_000);

  it("B7: those that wait no more are passed by some hundreds at a time, once, and forgotten", async () => {
    const run = await waiting();
    const last = COUNT - 1;
    const over = Array.from({ length: last }, (_, i) => [`n${i}`, "x1||"]);
    await p.redis.hset(p.scripts.keys.run(run.runId), Object.fromEntries(over));
    const calls = vi.spyOn(p.scripts, "transition");
    expect(await run.signal("s1", 1)).toBe("delivered");
    expect(calls.mock.calls.length).toBeLessThanOrEqual(CALLS_MAX);
    calls.mockClear();
    expect(await run.signal("s2", 2)).toBe("kept");
    expect(calls).toHaveBeenCalledTimes(1);
    calls.mockRestore();
    expect(await run.ready()).toEqual([`w${last}:signal:1`]);
    const left = Object.keys(await fieldsOf(run));
    expect(left.filter((field) => /^[wvu]/.test(field))).toEqual([]);
  }, 60_000);

  it("B7: names that look like others' fields have lines of their own", async () => {
    const run = await started(two);
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await run.park(a, { signal: "go" });
    await run.park(b, { signal: "0:go|x" });
    expect(await run.signal("s1", 1, "0:go|x")).toBe("delivered");
    expect(await run.signal("s2", 2, "go")).toBe("delivered");
    expect(await run.ready()).toEqual(["b:signal:1", "a:signal:2"]);
    await run.expectFold();
  });
});
