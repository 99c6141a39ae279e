/** Waits at the level of the scripts: every answer they give, and who wins when two come at once. */
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { readAll } from "../../test/harness/deliveries.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import type { ReadyToken } from "../entry.ts";
import { hotFields } from "../hot-fields.ts";
import { HotState } from "../hot-state.ts";
import { parseJournalRecord, type Transition } from "../journal.ts";
import { linesOf, parseWaitToken, waitToken, type WaitAddress, type WaitInfo } from "../waits.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { cancelRun, fireTimers, releaseRuns } from "./run-scripts.ts";
import { callbackWait, decideApproval, readWait, signalRun } from "./wait-scripts.ts";

let p: TestPartition;
let serial = 0;

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

async function started(ir = one): Promise<TokenPlayer> {
  serial += 1;
  const run = new TokenPlayer(p, await p.publish(ir, `w-${serial}`), `run-${serial}`);
  await run.start();
  return run;
}

function wait(run: TokenPlayer, token: ReadyToken, more: Partial<WaitInfo> = {}): WaitInfo {
  const secret = `secret-${token.node}${token.scope.replaceAll(/[:/]/g, "_")}`;
  const address = waitToken(run.runId, token.node, secret);
  return { kind: "signal", signal: "paid", token: address, ...more };
}

async function park(
  run: TokenPlayer,
  token: ReadyToken,
  more: Partial<WaitInfo> = {},
  timeoutMs = 0,
): Promise<number> {
  const info = wait(run, token, more);
  return run.settle(token, "", { op: "W", value: "", delayMs: timeoutMs, wait: info });
}

const signal = (run: TokenPlayer, id: string, data: number = 1, name = "paid") =>
  signalRun(p.scripts, { runId: run.runId, id, name, data });

function address(run: TokenPlayer, node = 0): WaitAddress {
  return parseWaitToken(waitToken(run.runId, node, `secret-${node}`)) as WaitAddress;
}

/** Ready tokens as "<node>:<kind of the answer>:<data>". */
async function ready(run: TokenPlayer): Promise<string[]> {
  return (await run.read()).map((token) => {
    const answer = JSON.parse(token.answer ?? "null") as { kind: string; data?: unknown } | null;
    return `${run.idOf(token)}:${answer?.kind ?? token.kind}:${JSON.stringify(answer?.data)}`;
  });
}

async function transitions(): Promise<{ t: Transition; ms: number }[]> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  return entries.flatMap(([id, fields]) => {
    const record = parseJournalRecord(id, fields);
    return record.transitions.map((t) => ({ t, ms: record.t }));
  });
}

/** The fold of the journal is what Redis holds: the run's tokens, waits and signals. */
async function expectFold(run: TokenPlayer): Promise<void> {
  const { ir, irHash } = run.profile;
  const hot = new HotState(ir);
  (await transitions())
    .filter(({ t }) => t.r === run.runId)
    .forEach(({ t, ms }) => hot.apply(t, ms));
  const more = { epoch: 1, irHash, input: {}, namespace: "", priority: "normal" };
  const folded = hotFields(hot, more);
  const hash = await run.hash();
  const shown = (of: { [f: string]: string }): [string, string][] =>
    Object.entries(of)
      .filter(([f, v]) => /^[nal]\d+$/.test(f) || f === "c" || (/^w\d+$/.test(f) && v[0] === "="))
      .sort(([a], [b]) => (a < b ? -1 : 1));
  expect(shown(folded)).toEqual(shown(hash));
  const queue = run.profile.queueKeys[0] as string;
  const signals = hot.signals.fields((node, _, scope) =>
    hot.tokens.get(node)?.state === "w" && hot.isCurrent(scope) ? queue : null,
  );
  const written = await p.redis.hgetall(p.scripts.keys.signals(run.runId));
  expect(linesOf(signals)).toEqual(linesOf(written));
  expect(unnumbered(signals)).toEqual(unnumbered(written));
}

/** Without who waits: a fold has no gaps in its lines. */
function unnumbered(signals: { [field: string]: string }): [string, string][] {
  return Object.entries(signals)
    .filter(([field]) => !/^(w:|v\d+:|u\d+\|)/.test(field))
    .sort(([a], [b]) => (a < b ? -1 : 1));
}

describe("B7: signals", () => {
  it("B7: a signal goes to the token that waits for it, which goes on once", async () => {
    const run = await started();
    const token = await run.take("a");
    expect(await park(run, token)).toBe(COMPLETION.done);
    expect(await ready(run)).toEqual([]);
    expect(await signal(run, "s1", 7)).toBe("delivered");
    await expectFold(run);
    expect(await ready(run)).toEqual(["a:signal:7"]);
    expect((await run.hash())["w0"]).toBe("=1|");
  });

  it("B7: an early signal is kept, and the wait that comes takes it in the same step", async () => {
    const run = await started();
    const token = await run.take("a");
    expect(await signal(run, "s1", 7)).toBe("kept");
    await expectFold(run);
    expect(await park(run, token)).toBe(COMPLETION.done);
    expect(await ready(run)).toEqual(["a:signal:7"]);
    await expectFold(run);
    const events = (await transitions()).map(({ t }) => t.e);
    expect(events).toEqual(["run.started", "signal.kept", "node.parked", "node.resumed"]);
  });

  it("B7: the same id is accepted once per run, whatever became of the first", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    expect(await signal(run, "early")).toBe("kept");
    expect(await signal(run, "early")).toBe("repeated");
    await park(run, a as ReadyToken);
    expect(await signal(run, "early")).toBe("repeated");
    await park(run, b as ReadyToken);
    expect(await signal(run, "late")).toBe("delivered");
    expect(await signal(run, "late")).toBe("repeated");
    const other = await started();
    expect(await signal(other, "late")).toBe("kept");
    await expectFold(run);
  });

  it("B7: signals of one name serve waits in the order in which both came", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    for (const [i, id] of ["s1", "s2", "s3"].entries()) {
      expect(await signal(run, id, i + 1)).toBe("kept");
    }
    expect(await signal(run, "o1", 9, "other")).toBe("kept");
    await park(run, a as ReadyToken);
    await park(run, b as ReadyToken);
    expect((await ready(run)).sort()).toEqual(["a:signal:1", "b:signal:2"]);
    await expectFold(run);
    const second = await started(two);
    const [c, d] = await second.read();
    await park(second, d as ReadyToken);
    await park(second, c as ReadyToken);
    await signal(second, "s1", 1);
    await signal(second, "s2", 2);
    expect((await ready(second)).sort()).toEqual(["a:signal:2", "b:signal:1"]);
    await expectFold(second);
  });

  it("B7: at most 64 signals are kept, each of at most 64 KiB", async () => {
    const run = await started();
    const token = await run.take("a");
    for (let i = 0; i < 64; i++) {
      expect(await signal(run, `s${i}`)).toBe("kept");
    }
    expect(await signal(run, "one too many")).toBe("full");
    const data = "x".repeat(65_536);
    expect(await signalRun(p.scripts, { runId: run.runId, id: "big", name: "paid", data })).toBe(
      "too_large",
    );
    await park(run, token);
    expect(await signal(run, "one too many")).toBe("kept");
  });

  it("B7: the run remembers its last thousand ids and no more", async () => {
    const run = await started(loop);
    let token = await run.take("a");
    for (let i = 0; i < 1003; i++) {
      await signal(run, `s${i}`);
      await park(run, token);
      token = (await run.read())[0] as ReadyToken;
      await run.settle(token, "L");
      await run.settle(await run.take("z"), "again");
      token = await run.take("a");
    }
    const fields = await p.redis.hkeys(p.scripts.keys.signals(run.runId));
    expect(fields.filter((f) => f.startsWith("i:")).length).toBe(1000);
    expect(fields.length).toBeLessThan(2010);
    expect(await signal(run, "s1002")).toBe("repeated");
    await expectFold(run);
  }, 60_000);

  it("B7: a late signal to an ended run is told so, and to a released one too", async () => {
    const run = await started();
    await run.settle(await run.take("a"), "");
    expect(await signal(run, "s1")).toBe("ended");
    await releaseRuns(p.scripts, [run.runId], []);
    expect(await signal(run, "s1")).toBe("gone");
    expect(await p.redis.exists(p.scripts.keys.signals(run.runId))).toBe(0);
  });

  it("B7: a run in repair asks for the signal again later", async () => {
    const run = await started();
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "suspect");
    expect(await signal(run, "s1")).toBe("busy");
  });

  it("B7: a signal that comes with a wait's last moment finds it or is kept, never both", async () => {
    for (let i = 0; i < 20; i++) {
      const run = await started();
      const token = await run.take("a");
      const [sent] = await Promise.all([signal(run, "s1", 5), park(run, token)]);
      expect(["kept", "delivered"]).toContain(sent);
      expect(await ready(run)).toEqual(["a:signal:5"]);
      await expectFold(run);
    }
  });

  it("B7: a wait of a round that is over takes no signal; its place goes to the next round's", async () => {
    const run = await started(loop);
    const first = await run.take("a");
    await park(run, first);
    const z = { ...first, node: 1 };
    // The latch is decided by another way through the round: what waits in it is void.
    await p.redis.hset(p.scripts.keys.run(run.runId), "n1", `a1|${first.scope}|`);
    await run.settle(z, "again");
    const second = await run.take("a");
    expect(await signal(run, "s1", 1)).toBe("kept");
    expect(await park(run, second)).toBe(COMPLETION.done);
    expect(await ready(run)).toEqual(["a:signal:1"]);
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
  const fieldsOf = (run: TokenPlayer) => p.redis.hgetall(p.scripts.keys.signals(run.runId));

  /** All of them wait for the same name, in the order of their nodes. */
  async function waiting(): Promise<TokenPlayer> {
    const run = await started(wide);
    const keys = [...run.profile.queueKeys, ...run.profile.entryKeys];
    const tokens = await readAll(p.redis, keys, "c", COUNT);
    tokens.sort((a, b) => a.node - b.node);
    for (let from = 0; from < COUNT; from += 500) {
      const items = tokens.slice(from, from + 500).map((token) => {
        const info = wait(run, token);
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
      expect(await signal(run, `s${i}`, i)).toBe("delivered");
    }
    expect(calls).toHaveBeenCalledTimes(3);
    calls.mockRestore();
    expect(await ready(run)).toEqual(["w0:signal:0", "w1:signal:1", "w2:signal:2"]);
    await expectFold(run);
  }, 60_000);

  it("B7: those that wait no more are passed by some hundreds at a time, once, and forgotten", async () => {
    const run = await waiting();
    const last = COUNT - 1;
    const over = Array.from({ length: last }, (_, i) => [`n${i}`, "x1||"]);
    await p.redis.hset(p.scripts.keys.run(run.runId), Object.fromEntries(over));
    const calls = vi.spyOn(p.scripts, "transition");
    expect(await signal(run, "s1", 1)).toBe("delivered");
    expect(calls.mock.calls.length).toBeLessThanOrEqual(CALLS_MAX);
    calls.mockClear();
    expect(await signal(run, "s2", 2)).toBe("kept");
    expect(calls).toHaveBeenCalledTimes(1);
    calls.mockRestore();
    expect(await ready(run)).toEqual([`w${last}:signal:1`]);
    const left = Object.keys(await fieldsOf(run));
    expect(left.filter((field) => /^[wvu]/.test(field))).toEqual([]);
  }, 60_000);

  it("B7: names that look like others' fields have lines of their own", async () => {
    const run = await started(two);
    const [a, b] = (await run.read()) as [ReadyToken, ReadyToken];
    await park(run, a, { signal: "go" });
    await park(run, b, { signal: "0:go|x" });
    expect(await signal(run, "s1", 1, "0:go|x")).toBe("delivered");
    expect(await signal(run, "s2", 2, "go")).toBe("delivered");
    expect(await ready(run)).toEqual(["b:signal:1", "a:signal:2"]);
    await expectFold(run);
  });
});

describe("A6: who comes first", () => {
  it("A6: a late worker does not park a token again that was answered meanwhile", async () => {
    const run = await started();
    const token = await run.take("a");
    await park(run, token);
    await signal(run, "s1", 1);
    expect(await park(run, token)).toBe(COMPLETION.tokenNotActive);
    expect(await ready(run)).toEqual(["a:signal:1"]);
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
    await expectFold(run);
    await p.advance(11);
    await fireTimers(p.scripts);
    const again = await run.take("a");
    expect(again).toMatchObject({ kind: "run", attempt: 1 });
    await expectFold(run);
    expect(await run.settle(again, "", circuit)).toBe(COMPLETION.done);
    // Whoever has worked at it after all, and is slow to say so, is heard; the timer goes.
    expect(await run.settle(first, "L")).toBe(COMPLETION.done);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    await expectFold(run);
  });

  it("A6: signal first, then its timer: the timer is gone", async () => {
    const run = await started();
    await park(run, await run.take("a"), {}, 100);
    await signal(run, "s1", 1);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
    await p.advance(101);
    await fireTimers(p.scripts);
    expect(await ready(run)).toEqual(["a:signal:1"]);
  });

  it("A6: the timer first: the wait is over, a signal is kept for the next", async () => {
    const run = await started();
    await park(run, await run.take("a"), {}, 100);
    await p.advance(101);
    await fireTimers(p.scripts);
    expect(await ready(run)).toEqual(["a:timeout:undefined"]);
    expect(await signal(run, "s1", 1)).toBe("kept");
    await expectFold(run);
  });

  it("A6: signal and timer at once: exactly one wins", async () => {
    for (let i = 0; i < 20; i++) {
      const run = await started();
      await park(run, await run.take("a"), {}, 100);
      await p.advance(101);
      const race = [fireTimers(p.scripts), signal(run, "s1", 1), callback(run, "c1")];
      await Promise.all(i % 2 === 0 ? race : [signal(run, "s1", 1), fireTimers(p.scripts)]);
      const tokens = await ready(run);
      expect(tokens.length).toBe(1);
      await expectFold(run);
    }
  });

  it("A6: a cancelled run's wait is over, and its signal is told so", async () => {
    const run = await started();
    await park(run, await run.take("a"), {}, 100);
    await cancelRun(p.scripts, run.runId, "enough");
    expect(await signal(run, "s1")).toBe("ended");
    expect(await callback(run, "c1")).toBe("ended");
    await p.advance(101);
    expect(await fireTimers(p.scripts)).toMatchObject({ due: 1, fired: 0 });
    expect(await ready(run)).toEqual([]);
  });
});

function callback(run: TokenPlayer, id: string, node = 0): ReturnType<typeof callbackWait> {
  return callbackWait(p.scripts, address(run, node), { id, data: 3 });
}

describe("callbacks", () => {
  it("B7: one that came before its wait was put back goes on in the wait's own queue", async () => {
    const run = await started();
    await park(run, await run.take("a"));
    const asked = vi.spyOn(p.scripts.redis, "hget").mockResolvedValueOnce(null);
    expect(await callback(run, "c1")).toBe("done");
    expect(asked).toHaveBeenCalledTimes(2);
    asked.mockRestore();
    expect(await ready(run)).toEqual(["a:callback:3"]);
  });

  it("B7: a callback token reaches one wait, once", async () => {
    const run = await started(two);
    const [a, b] = await run.read();
    await park(run, a as ReadyToken);
    await park(run, b as ReadyToken);
    expect((await readWait(p.scripts, address(run, 1)))?.signal).toBe("paid");
    expect(await callback(run, "c1", 1)).toBe("done");
    await expectFold(run);
    expect(await ready(run)).toEqual(["b:callback:3"]);
    expect(await callback(run, "c1", 1)).toBe("repeated");
    expect(await callback(run, "c2", 1)).toBe("over");
    expect(await readWait(p.scripts, address(run, 1))).toBeNull();
    expect(await signal(run, "s1", 1)).toBe("delivered");
    expect(await callback(run, "c3", 0)).toBe("over");
  });

  it("a wrong secret, an unknown run, a decision by a callback's token are refused", async () => {
    const run = await started();
    await park(run, await run.take("a"));
    const wrong = { ...address(run), secret: "wrong-secret" };
    expect(await callbackWait(p.scripts, wrong, { id: "c", data: 1 })).toBe("over");
    const unknown = { ...address(run), unit: "nobody", runId: "nobody" };
    expect(await callbackWait(p.scripts, unknown, { id: "c", data: 1 })).toBe("gone");
    const decision = { actor: "ann", approved: true, data: null };
    expect(await decideApproval(p.scripts, address(run), decision)).toBe("other_kind");
    const data = "x".repeat(65_536);
    expect(await callbackWait(p.scripts, address(run), { id: "c", data })).toBe("too_large");
    await p.redis.hset(p.scripts.keys.run(run.runId), "s", "suspect");
    expect(await callback(run, "c")).toBe("busy");
  });
});

describe("decisions", () => {
  async function asked(more: Partial<WaitInfo>, timeoutMs = 0): Promise<TokenPlayer> {
    const run = await started();
    const token = await run.take("a");
    const { signal: _, ...info } = { ...wait(run, token), kind: "approval" as const, ...more };
    const settled = { op: "W", value: "", delayMs: timeoutMs, wait: info } as const;
    expect(await run.settle(token, "", settled)).toBe(COMPLETION.done);
    return run;
  }
  const decide = (run: TokenPlayer, actor: string, approved = true, data: number | null = null) =>
    decideApproval(p.scripts, address(run), { actor, approved, data });

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
    await expectFold(run);
  });

  it("two approvals need two people; a rejection ends it at once", async () => {
    const run = await asked({ required: 2 });
    expect(await decide(run, "ann")).toBe("recorded");
    expect(await decide(run, "ann")).toBe("repeated");
    expect(await decide(run, "ann", false)).toBe("decided");
    expect(await ready(run)).toEqual([]);
    await expectFold(run);
    expect(await decide(run, "bob")).toBe("done");
    await expectFold(run);
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
    expect(await decideApproval(p.scripts, address(run), sly)).toBe("recorded");
    expect(await decide(run, 'b"ob')).toBe("done");
    await expectFold(run);
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
      await expectFold(run);
    }
  });
});

describe("what a parked run costs", () => {
  it("no worker: its entry is acknowledged and gone, whoever held it", async () => {
    const run = await started();
    const token = await run.take("a");
    await park(run, token);
    expect(await p.redis.xlen(token.queueKey)).toBe(0);
    const [pending] = await p.redis.xpending(token.queueKey, "workers");
    expect(pending).toBe(0);
  });

  it("the keys of a run that waits take less than 1.5 KB", async () => {
    const run = await started();
    await park(run, await run.take("a"), {}, 3_600_000);
    const usage = async (key: string): Promise<number> =>
      Number(await p.scripts.redis.memory("USAGE", key, "SAMPLES", 0));
    const { keys } = p.scripts;
    const bytes = (await usage(keys.run(run.runId))) + (await usage(keys.signals(run.runId)));
    expect(bytes).toBeLessThan(1500);
  });
});
