import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { seeded } from "../../test/harness/random.ts";
import { startedRun, type TokenPlayer } from "../../test/harness/tokens.ts";
import type { Ir } from "../../compiler/ir.ts";
import { timerMember, type ReadyToken } from "../entry.ts";
import { parseJournalRecord } from "../journal.ts";
import { commonQueueKey } from "../keys.ts";
import { COMPLETION, completeTokens } from "./complete-tokens.ts";
import { packBatch } from "./pack-batch.ts";
import { fireTimers } from "./run-scripts.ts";

let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

const player = (ir: Ir): Promise<TokenPlayer> => startedRun(p, ir);
/** Where everybody reads, so that what executes nothing waits for nobody in particular. */
const commonOf = (run: TokenPlayer): string => commonQueueKey(run.profile.queueKeys[0] as string);

async function events(): Promise<string[]> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  return entries.flatMap(([id, fields]) =>
    parseJournalRecord(id, fields).transitions.map(
      (t) => `${t.e}${t.n === undefined ? "" : `:${t.n}`}`,
    ),
  );
}

const chain = miniIr(["a", "b"], [["a", "b"]]);
const diamond = miniIr(
  ["a", "b", "c", "d"],
  [
    ["a", "b"],
    ["a", "c"],
    ["b", "d"],
    ["c", "d"],
  ],
);

describe("acceptance of a result", () => {
  it("B3: a repeated item changes nothing and is told so", async () => {
    const run = await player(chain);
    const item = run.item(await run.take("a"), "L");
    expect(await completeTokens(p.scripts, [item])).toEqual([COMPLETION.done]);
    const before = await run.hash();
    expect(await completeTokens(p.scripts, [item])).toEqual([COMPLETION.tokenNotActive]);
    expect(await run.hash()).toEqual(before);
    expect((await run.read()).length).toBe(1);
  });

  it("the same item twice in one batch is accepted once", async () => {
    const run = await player(chain);
    const item = run.item(await run.take("a"), "L");
    expect(await completeTokens(p.scripts, [item, item])).toEqual([0, COMPLETION.tokenNotActive]);
    expect((await run.read()).length).toBe(1);
  });

  it("B2: items of one run see each other's writes in one batch", async () => {
    const run = await player(diamond);
    await run.settle(await run.take("a"), "LL");
    const tokens = await run.read();
    const codes = await completeTokens(
      p.scripts,
      tokens.map((token) => run.item(token, "L")),
    );
    expect(codes).toEqual([0, 0]);
    expect((await run.read()).map((token) => run.idOf(token))).toEqual(["d"]);
  });

  it("an unknown run, another epoch and an ended run are refused and acknowledged", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    const item = run.item(token, "L");
    expect(await completeTokens(p.scripts, [{ ...item, epoch: "7" }])).toEqual([-2]);
    expect(await completeTokens(p.scripts, [{ ...item, runId: "no-such-run" }])).toEqual([-1]);
    const pending = await p.redis.xpending(token.queueKey, "workers");
    expect(pending[0]).toBe(0);
    expect(await p.redis.exists(p.scripts.keys.run("no-such-run"))).toBe(0);
  });

  it("A5: a token that was never activated is refused", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    expect(await run.settle({ ...token, node: 1 }, "")).toBe(COMPLETION.tokenNotActive);
  });

  it("A6: a failure of an earlier attempt is stale, its success is accepted", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    const retry = { op: "R" as const, value: '{"error":{"code":"E","message":""}}', delayMs: 1000 };
    expect(await run.settle(token, "", retry)).toBe(0);
    expect(await run.settle(token, "", retry)).toBe(COMPLETION.tokenNotActive);
    await p.advance(1001);
    expect((await fireTimers(p.scripts)).fired).toBe(1);
    const failed = { ...retry, op: "X" as const };
    expect(await run.settle(token, "", failed)).toBe(COMPLETION.attemptStale);
    expect(await run.settle(token, "L")).toBe(0);
  });

  it("a success while the retry waits removes the retry's timer", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    await run.settle(token, "", { op: "R", value: '{"error":{}}', delayMs: 1000 });
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(1);
    expect(await run.settle(token, "L")).toBe(0);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("a success that comes after the final failure is refused", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    expect(await run.settle(token, "", { op: "X", value: '{"error":{"code":"E"}}' })).toBe(0);
    expect(await run.settle(token, "L")).toBe(COMPLETION.runGone);
    expect((await run.hash())["s"]).toBe("failed");
  });
});

describe("errors inside the script", () => {
  it("C5: outputs are the bytes that were sent, in the record and in the journal", async () => {
    const run = await player(miniIr(["a"], []));
    const value = '{"list":[],"id":12345678901234567,"empty":{},"text":"\\u0000"}';
    await run.settle(await run.take("a"), "", { value });
    expect((await run.hash())["n0"]).toBe(`c1||${value}`);
    const [, fields] = (await p.redis.xrevrange(p.scripts.keys.ev, "+", "-", "COUNT", 1))[0] ?? [];
    expect(fields?.join(" ")).toContain(`"o":${value}`);
  });

  it("A4: an item that cannot be planned changes nothing, and its neighbours are settled", async () => {
    const good = await player(chain);
    const neighbour = await good.take("a");
    const bad = await player(diamond);
    await bad.settle(await bad.take("a"), "LL");
    const [b] = await bad.read();
    // In-edge 0 of the join arrives although it did before: a broken record.
    await p.redis.hset(p.scripts.keys.run(bad.runId), "j3", "|1|1|0|L.");
    const before = await bad.hash();
    const first = bad.item(b as NonNullable<typeof b>, "L");
    const second = good.item(neighbour, "L");
    const codes = await completeTokens(p.scripts, [first, second]);
    expect(codes).toEqual([COMPLETION.planFailed, COMPLETION.done]);
    expect(await bad.hash()).toEqual(before);
    const pending = await p.redis.xpending(first.profile.queueKeys[0] as string, "workers");
    expect(pending[0]).toBe(2); // b, not acknowledged, and c
    expect(await events()).toContain("node.completed:0");
  });

  it("A4: an error while writing is told in the journal, and the batch is acknowledged", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    // The successor's queue is of a wrong type: XADD fails after the run was written.
    const wrong = p.scripts.keys.queue("wrong", "normal");
    await p.redis.set(wrong, "not a stream");
    const item = run.item(token, "L");
    const profile = { ...item.profile, key: "wrong", queueKeys: [wrong] };
    const codes = await completeTokens(p.scripts, [{ ...item, profile, entryId: null }]);
    expect(codes).toEqual([COMPLETION.applyFailed]);
    expect(await events()).toEqual(expect.arrayContaining(["node.completed:0", "run.suspect"]));
  });
});

describe("what is written and cannot be journalled", () => {
  it("A4: stops its partition, which is rebuilt from the archive", async () => {
    const run = await player(chain);
    const item = run.item(await run.take("a"), "L");
    await p.redis.set(p.scripts.keys.ev, "not a stream");
    await expect(completeTokens(p.scripts, [item])).rejects.toThrow("WRONGTYPE");
    expect(await p.redis.hget(p.scripts.keys.meta, "epoch")).toBeNull();
  });
});

describe("an error outside an item's plan and writes", () => {
  it("is none when an entry's stream is gone: nobody owns it, and the batch is journalled", async () => {
    const first = await player(chain);
    const a = await first.take("a");
    const second = await player(chain);
    const b = await second.take("a");
    const third = await player(chain);
    const c = await third.take("a");
    await second.settle(b, "L");
    await p.redis.del(b.queueKey);
    const retry = { op: "R" as const, value: '{"error":{"code":"E"}}', delayMs: 1000 };
    const batch = [first.item(a, "", retry), second.item(b, "", retry), third.item(c, "", retry)];
    expect(await completeTokens(p.scripts, batch, "c")).toEqual([0, COMPLETION.tokenNotActive, 0]);
    expect((await events()).filter((event) => event === "node.retrying:0")).toHaveLength(2);
  });

  it("skips a general item, which stays as it is, and its neighbours are settled", async () => {
    const run = await player(chain);
    const token = await run.take("a");
    const k = p.scripts.keys;
    const [queue] = run.profile.queueKeys as [string];
    const keys = [k.ev, k.meta, k.timers, k.halted, k.release, k.run("none"), k.run(run.runId)];
    const profile = [run.profile.irHash, "", 9];
    const result = [0, "", 1, "R", '{"error":{}}', "", 1000, 0, 0];
    // Its entry stands in a stream that is not among KEYS: it cannot be acknowledged.
    const bad = [0, 6, "none", "1", 1, 0, 99, "1-1", 1, ...result];
    const good = [0, 7, run.runId, token.epoch, 1, 0, 8, token.entryId, 1, ...result];
    const packed = packBatch([-1, 1, ...profile, ...bad, ...good]);
    const args = [p.scripts.nonce(), "c", packed, "[]"];
    const sent = [...keys, token.queueKey, queue];
    const reply = (await p.scripts.transition("completeTokens", sent, args)) as number[];
    expect(reply.slice(1)).toEqual([COMPLETION.planFailed, COMPLETION.done]);
    expect(await events()).toContain("node.retrying:0");
  });
});

describe("joins and dead paths", () => {
  it("a join fires once, with the arrivals it was fired with", async () => {
    const run = await player(diamond);
    await run.settle(await run.take("a"), "LL");
    for (const token of await run.read()) {
      await run.settle(token, "L");
    }
    const [d] = await run.read();
    expect(d).toMatchObject({ node: 3, arrivals: "LL", payload: null });
    expect((await run.hash())["c"]).toBe("1");
  });

  it("X03: a join of 500 fires once, whoever sends what in which order, and everything thrice", async () => {
    const random = seeded(5);
    const ids = Array.from({ length: 500 }, (_, i) => `b${i}`);
    const edges = ids.flatMap((id): [string, string][] => [
      ["a", id],
      [id, "z"],
    ]);
    const run = await player(miniIr(["a", ...ids, "z"], edges));
    await run.settle(await run.take("a"), "L".repeat(500));
    const tokens = await run.read();
    const sent = [...tokens, ...tokens, ...tokens]
      .map((token) => ({ token, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ token }) => run.item(token, "L"));
    while (sent.length > 0) {
      const items = sent.splice(0, 1 + Math.floor(random() * 40));
      await completeTokens(p.scripts, items, random() < 0.5 ? "one" : "another");
    }
    const [z, ...more] = await run.read();
    expect([run.idOf(z as ReadyToken), z?.arrivals, more]).toEqual(["z", "L".repeat(500), []]);
    expect((await run.hash())["c"]).toBe("1");
    await run.settle(z as ReadyToken, "");
    expect((await run.hash())["s"]).toBe("completed");
    expect((await events()).filter((event) => event === "node.completed:501")).toHaveLength(1);
  });

  it("a dead arrival can be the one that fires an all-join", async () => {
    const run = await player(diamond);
    await run.settle(await run.take("a"), "LL");
    const [b, c] = await run.read();
    await run.settle(b as NonNullable<typeof b>, "L");
    await run.settle(c as NonNullable<typeof c>, "D");
    expect((await run.read()).map((token) => token.arrivals)).toEqual(["LD"]);
  });

  it("A3: a count join short of arrivals is skipped and consumes what waits there", async () => {
    const ir = miniIr(
      ["s", "a", "b", "j", "e"],
      [
        ["s", "a"],
        ["s", "b"],
        ["a", "j"],
        ["b", "j"],
        ["j", "e"],
      ],
      { joins: { j: { kind: "count", need: 2 } } },
    );
    const run = await player(ir);
    await run.settle(await run.take("s"), "LL");
    const [a, b] = await run.read();
    await run.settle(a as NonNullable<typeof a>, "L");
    expect((await run.hash())["c"]).toBe("2");
    await run.settle(b as NonNullable<typeof b>, "D");
    expect((await run.hash())["s"]).toBe("completed");
  });

  it("A2: the loser of an any-join is consumed when it arrives, and ends the run", async () => {
    const ir = miniIr(
      ["s", "a", "b", "j"],
      [
        ["s", "a"],
        ["s", "b"],
        ["a", "j"],
        ["b", "j"],
      ],
      { joins: { j: { kind: "any", need: 1 } } },
    );
    const run = await player(ir);
    await run.settle(await run.take("s"), "LL");
    const [a, b] = await run.read();
    await run.settle(a as NonNullable<typeof a>, "L");
    await run.settle(await run.take("j"), "");
    expect((await run.hash())["s"]).toBe("running");
    await run.settle(b as NonNullable<typeof b>, "L");
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
  });

  it("C1: a cascade that the worker did not send goes on in a token of its own", async () => {
    const ir = miniIr(
      ["s", "a", "b", "j", "x", "y", "k"],
      [
        ["s", "a"],
        ["s", "b"],
        ["a", "j"],
        ["b", "j"],
        ["j", "x"],
        ["s", "y"],
        ["x", "k"],
        ["y", "k"],
      ],
    );
    const run = await player(ir);
    const item = run.item(await run.take("s"), "DDL");
    const [result] = item.results;
    const plan = { ...(result as NonNullable<typeof result>).plan, closure: "" };
    const bare = { ...item, results: [{ ...(result as NonNullable<typeof result>), plan }] };
    expect(await completeTokens(p.scripts, [bare])).toEqual([0]);
    const tokens = await run.read();
    const skip = tokens.find((token) => token.kind === "skip");
    expect(skip).toMatchObject({ node: 3, skipValue: "D", queueKey: commonOf(run) });
    expect((await run.hash())["c"]).toBe("2");
    const spread = { op: "S" as const, value: "D", plan: run.profile.planner.skip(3, "D") };
    expect(await run.settle(skip as NonNullable<typeof skip>, "", spread)).toBe(0);
    const y = tokens.find((token) => run.idOf(token) === "y");
    await run.settle(y as NonNullable<typeof y>, "L");
    await run.settle(await run.take("k"), "");
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
  });
});

describe("loops", () => {
  const loop = miniIr(
    ["h", "x", "y", "j", "l", "o"],
    [
      ["h", "x"],
      ["h", "y"],
      ["x", "j"],
      ["y", "j"],
      ["j", "l"],
      ["l", "o"],
    ],
    {
      joins: { j: { kind: "any", need: 1 } },
      loops: [{ head: 0, latch: 4, body: [0, 1, 2, 3, 4], parent: null }],
    },
  );

  it("A1: what is in flight in a round is void when its latch has decided", async () => {
    const run = await player(loop);
    await run.settle(await run.take("h"), "LL");
    const [x, y] = await run.read();
    await run.settle(x as NonNullable<typeof x>, "L");
    await run.settle(await run.take("j"), "L");
    expect(await run.settle(await run.take("l"), "again")).toBe(0);
    expect(await run.settle(y as NonNullable<typeof y>, "L")).toBe(COMPLETION.tokenNotActive);
    const h = await run.take("h");
    expect(h).toMatchObject({ scope: "4:2", payload: "1" });
    expect((await run.hash())["c"]).toBe("1");
  });

  it("A15: a latch whose in-edges all died ends the loop and consumes its unit", async () => {
    const run = await player(loop);
    await run.settle(await run.take("h"), "DD");
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0", l4: "e4:1" });
  });

  /** s leads to a and b, either to h; h begins a round that l decides on, which o follows. */
  const entered = miniIr(
    ["s", "a", "b", "h", "l", "o"],
    [
      ["s", "a"],
      ["s", "b"],
      ["a", "h"],
      ["b", "h"],
      ["h", "l"],
      ["l", "o"],
    ],
    {
      joins: { h: { kind: "any", need: 1 } },
      loops: [{ head: 3, latch: 4, body: [3, 4], parent: null }],
    },
  );

  it("A15: a late arrival from outside at the head of a loop begins nothing, in any round", async () => {
    const run = await player(entered);
    await run.settle(await run.take("s"), "LL");
    const [a, b] = await run.read();
    await run.settle(a as NonNullable<typeof a>, "L");
    const head = await run.take("h");
    expect(head).toMatchObject({ scope: "4:1", arrivals: "L." });
    await run.settle(head, "L");
    await run.settle(await run.take("l"), "again");
    expect((await run.take("h")).scope).toBe("4:2");
    const before = await run.hash();
    expect(before).toMatchObject({ c: "2" });
    await run.settle(b as NonNullable<typeof b>, "L");
    expect(await run.read()).toEqual([]);
    expect(await run.hash()).toMatchObject({ c: "1", l4: "4:2", n3: before["n3"] });
  });

  it("A15: dead edges into the head end the loop as one unit, and what follows it", async () => {
    const run = await player(entered);
    await run.settle(await run.take("s"), "LL");
    const [a, b] = await run.read();
    await run.settle(a as NonNullable<typeof a>, "D");
    expect((await run.hash())["c"]).toBe("1");
    await run.settle(b as NonNullable<typeof b>, "D");
    expect(await run.read()).toEqual([]);
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
  });

  it("a pause between rounds is a timer, and counts as in flight", async () => {
    const run = await player(loop);
    await run.settle(await run.take("h"), "LD");
    await run.settle(await run.take("x"), "L");
    await run.settle(await run.take("j"), "L");
    await run.settle(await run.take("l"), "again", { delayMs: 500 });
    expect(await run.read()).toEqual([]);
    expect((await run.hash())["c"]).toBe("1");
    // N08: never before its time.
    await p.advance(400);
    expect((await fireTimers(p.scripts)).fired).toBe(0);
    await p.advance(101);
    await fireTimers(p.scripts);
    expect((await run.take("h")).scope).toBe("4:2");
  });
});

describe("the end of a run", () => {
  it("fail-fast ends the run in the step that failed and halts what is queued", async () => {
    const run = await player(diamond);
    await run.settle(await run.take("a"), "LL");
    const [b, c] = await run.read();
    await run.settle(b as NonNullable<typeof b>, "", { op: "X", value: '{"error":{"code":"E"}}' });
    expect((await run.hash())["s"]).toBe("failed");
    expect(await p.redis.zrange(p.scripts.keys.halted, 0, -1)).toContain(run.runId);
    expect(await run.settle(c as NonNullable<typeof c>, "L")).toBe(COMPLETION.runGone);
  });

  it("A12: under continue a failed arrival skips the join and the run ends failed at zero", async () => {
    const ir = { ...diamond, settings: { ...diamond.settings, failure: "continue" as const } };
    const run = await player(ir);
    await run.settle(await run.take("a"), "LL");
    const [b, c] = await run.read();
    await run.settle(b as NonNullable<typeof b>, "X", { op: "U", value: '{"error":{"code":"E"}}' });
    expect((await run.hash())["s"]).toBe("running");
    await run.settle(c as NonNullable<typeof c>, "L");
    expect(await run.hash()).toMatchObject({ s: "failed", c: "0", nf: "1" });
  });

  it("with an output template the run waits for the worker that was told", async () => {
    const run = await player(miniIr(["a"], [], { output: "${ctx.a.output}" }));
    expect(await run.settle(await run.take("a"), "")).toBe(COMPLETION.finish);
    expect((await run.hash())["s"]).toBe("finishing");
    await p.advance(10_001);
    await fireTimers(p.scripts);
    expect(await run.read()).toMatchObject([{ kind: "finish", queueKey: commonOf(run) }]);
  });

  it("its output is asked for where every worker reads, whichever queue its timer names", async () => {
    const run = await player(miniIr(["a"], [], { output: "${ctx.a.output}" }));
    await run.settle(await run.take("a"), "");
    const { timers } = p.scripts.keys;
    const [queue] = run.profile.queueKeys as [string];
    const before = timerMember({ kind: "finish", runId: run.runId, epoch: 1, queue });
    await p.redis.del(timers);
    await p.redis.zadd(timers, 1, before);
    await fireTimers(p.scripts);
    expect(await run.read()).toMatchObject([{ kind: "finish", queueKey: commonOf(run) }]);
    await p.advance(10_001);
    await fireTimers(p.scripts);
    expect(await run.read()).toEqual([]);
  });

  it("every record of the journal continues the one before", async () => {
    const run = await player(diamond);
    await run.settle(await run.take("a"), "LL");
    const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
    const records = entries.map(([id, fields]) => parseJournalRecord(id, fields));
    records.slice(1).forEach((record, i) => {
      expect(record).toMatchObject({ seq: (records[i]?.seq ?? 0) + 1, prev: records[i]?.nonce });
    });
    const tail = await p.redis.hmget(p.scripts.keys.meta, "seq", "nonce");
    expect(tail).toEqual([String(records.at(-1)?.seq), records.at(-1)?.nonce]);
  });
});
