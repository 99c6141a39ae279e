/** Children at the level of the scripts: who starts, who waits, who goes when. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import { blobRefOf, blobText } from "../blobs.ts";
import type { ReadyToken } from "../entry.ts";
import { parseJournalRecord, type Transition } from "../journal.ts";
import type { RunProfile } from "../profile.ts";
import {
  cancelOrphans,
  CHILD_DEPTH_MAX,
  childRunId,
  startChild,
  type ChildStarted,
} from "./child-scripts.ts";
import { interveneToken } from "./intervene.ts";
import { hotFields } from "../hot-fields.ts";
import { HotState } from "../hot-state.ts";
import { pauseRun, resumeRun } from "./pause-scripts.ts";
import { cancelRun, releaseRuns } from "./run-scripts.ts";
import { hibernateRuns } from "./sleep-scripts.ts";

let p: TestPartition;
let child: RunProfile;
let parent: TokenPlayer;
let token: ReadyToken;
const ir = { ...miniIr(["a"], []), name: "child", queues: ["fn:child"] };

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(async () => {
  await p.reset();
  child = await p.publish(ir, "child");
  parent = new TokenPlayer(p, await p.publish(miniIr(["s"], []), "parent"), "parent-1");
  await parent.start();
  token = await parent.take("s");
});

const idOf = (attempt = 1): string => {
  const { unit, epoch, node, scope } = token;
  return childRunId({ unit, epoch, node, scope, attempt });
};

interface Start {
  waits?: boolean;
  attempt?: number;
  input?: string;
}

async function start(more: Start = {}): Promise<ChildStarted["kind"]> {
  return (await startOf(token, more)).kind;
}

const INPUT = '{"big":12345678901234567}';

function startOf(token: ReadyToken, more: Start): Promise<ChildStarted> {
  const { waits = true, attempt = 1, input = INPUT } = more;
  const { unit, epoch, node, scope, queueKey: streamKey, entryId } = token;
  const queueKey = parent.profile.queueKeys[0] as string;
  return startChild(p.scripts, {
    token: { unit, epoch, node, scope, attempt, nodeId: "s", queueKey, streamKey, entryId },
    ...{ profile: child, input, waits, waitMs: null },
  });
}

async function told(): Promise<Transition[]> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  return entries.flatMap(([id, fields]) => parseJournalRecord(id, fields).transitions);
}

const field = (runId: string, name: string): Promise<string | null> =>
  p.redis.hget(p.scripts.keys.run(runId), name);
const count = async (event: string): Promise<unknown> =>
  (await told()).filter(({ e }) => e === event).length;

describe("A7: starting a child", () => {
  it("parks the token in the same step, and a redelivered token starts nothing new", async () => {
    expect(await start()).toBe("started");
    expect(await start()).toBe("void");
    expect(await count("run.started")).toBe(2);
    expect(await field("parent-1", "n0")).toBe("w1||");
    expect(await field(idOf(), "in")).toBe(INPUT);
    expect(await p.redis.exists(p.scripts.keys.blobs(idOf()))).toBe(0);
    expect((await p.redis.xpending(token.queueKey, "workers"))[0]).toBe(0);
  });

  it("a large input is beside the child, and has its reference in hash and journal", async () => {
    const input = JSON.stringify("x".repeat(20_000));
    expect(await start({ input })).toBe("started");
    const reference = blobText(blobRefOf(input));
    expect(await field(idOf(), "in")).toBe(reference);
    expect((await told()).find(({ r }) => r === idOf())?.inp).toEqual(JSON.parse(reference));
    expect(await p.redis.hvals(p.scripts.keys.blobs(idOf()))).toEqual([input]);
  });

  it("starts one only although the token is the caller's to complete (wait: false)", async () => {
    expect(await start({ waits: false })).toBe("started");
    expect(await start({ waits: false })).toBe("started");
    expect(await count("run.started")).toBe(2);
    expect(await field("parent-1", "n0")).toBe("a1||");
    expect(await field(idOf(), "up")).toBe(null);
  });

  /** The parent as it is put back from its journal, and its token's record. */
  async function rebuilt(record: string): Promise<void> {
    const journal = await told();
    const state = new HotState(parent.profile.ir, parent.profile.planner);
    journal.filter(({ r }) => r === "parent-1").forEach((t) => state.apply(t, 0));
    const fields = hotFields(state, {
      ...{ epoch: 2, irHash: "parent", input: null, namespace: "", priority: "normal" },
    });
    await p.redis.del(p.scripts.keys.run("parent-1"));
    await p.redis.hset(p.scripts.keys.run("parent-1"), { ...fields, n0: record });
  }

  it("that nobody waits for names the same one under the next epoch, too", async () => {
    const { childId } = await startOf(token, { waits: false });
    await rebuilt("a1||");
    const again = await startOf({ ...token, epoch: "2" }, { waits: false });
    expect(again).toEqual({ kind: "started", childId });
    expect(await count("run.started")).toBe(2);
  });

  it("of a paused run is paused with it, from its first token on", async () => {
    await pauseRun(p.scripts, "parent-1", "run");
    expect(await start()).toBe("started");
    expect([await field(idOf(), "s"), await field(idOf(), "ps")]).toEqual(["paused", "p"]);
    expect(await p.redis.xlen(child.queueKeys[0] as string)).toBe(0);
    await resumeRun(p.scripts, idOf(), "parent");
    expect(await p.redis.xlen(child.queueKeys[0] as string)).toBe(1);
  });

  it("is refused to a token that has moved on, a run that has ended, a tree too deep", async () => {
    expect(await start({ attempt: 2 })).toBe("void");
    await p.redis.hset(p.scripts.keys.run("parent-1"), "dep", CHILD_DEPTH_MAX);
    expect(await start()).toBe("too_deep");
    await cancelRun(p.scripts, "parent-1", "enough");
    expect(await start()).toBe("void");
    expect(await count("run.started")).toBe(1);
  });

  /** The token waits no more, and is to be tried again. */
  async function givenUp(): Promise<void> {
    const answer = { action: "fail", error: { code: "TIMEOUT", message: "late" }, by: "ann" };
    const at = { runId: "parent-1", home: "", node: token.node, scope: null };
    const queueKey = parent.profile.queueKeys[0] as string;
    const order = { ...at, queueKey, answer: { kind: "manual", ...answer } as const };
    expect(await interveneToken(p.scripts, order as never)).toMatchObject({ kind: "done" });
  }

  it("ends what is left of the attempt before", async () => {
    await start();
    await givenUp();
    await p.redis.hset(p.scripts.keys.run("parent-1"), "n0", "a2||");
    expect(await start({ attempt: 2 })).toBe("started");
    expect([await field(idOf(1), "s"), await field(idOf(2), "s")]).toEqual([
      "cancelled",
      "running",
    ]);
    expect(await field("parent-1", "n0")).toBe("w2||");
  });

  it("ends it also when its parent was rebuilt since: its name has another epoch", async () => {
    await start();
    await givenUp();
    await rebuilt("a2||");
    // The attempt after was tried again before it could start a run of its own.
    await p.redis.hset(p.scripts.keys.run("parent-1"), "n0", "a3||");
    const { childId } = await startOf({ ...token, epoch: "2" }, { attempt: 3 });
    expect([await field(idOf(1), "s"), await field(childId, "s")]).toEqual([
      "cancelled",
      "running",
    ]);
    const ends = (await told()).filter(({ e }) => e === "run.cancelled" || e === "run.started");
    expect(ends.map(({ r }) => r)).toEqual(["parent-1", idOf(1), idOf(1), childId]);
  });

  it("leaves alone what an earlier round of a loop has started", async () => {
    await start({ waits: false });
    const key = p.scripts.keys.run("parent-1");
    await p.redis.hset(key, "n0", "a2|7:2|", "l7", "7:2");
    const { kind } = await startOf({ ...token, scope: "7:2" }, { attempt: 2 });
    expect([kind, await field(idOf(1), "s")]).toEqual(["started", "running"]);
  });

  it("that fails half-way freezes both runs and says so in the journal", async () => {
    await p.redis.del(...child.queueKeys);
    await p.redis.set(child.queueKeys[0] as string, "no stream");
    await expect(start()).rejects.toThrow(/^WRONGTYPE/);
    expect([await field("parent-1", "s"), await field(idOf(), "s")]).toEqual([
      "suspect",
      "suspect",
    ]);
    expect(await count("run.suspect")).toBe(2);
    expect(await count("node.parked")).toBe(1);
  });
});

describe("A7: a child's end", () => {
  it("wakes the parent's token, and the child stays until that is settled", async () => {
    await start();
    await cancelRun(p.scripts, idOf(), "by hand");
    expect(await field("parent-1", "n0")).toBe("a1||");
    const woken = await parent.take("s");
    expect(JSON.parse(woken.answer ?? "null")).toEqual({
      ...{ kind: "child", run: idOf(), status: "cancelled" },
    });
    expect(await releaseRuns(p.scripts, [idOf()], [])).toBe(0);
    expect(await field(idOf(), "res")).toContain("by hand");
    await parent.settle(woken, "");
    expect(await releaseRuns(p.scripts, [idOf()], [])).toBe(1);
  });

  it("that was missed wakes the parent when the child is released", async () => {
    await start();
    await p.redis.hset(p.scripts.keys.run(idOf()), "s", "completed", "res", "7");
    expect(await releaseRuns(p.scripts, [idOf()], [])).toBe(0);
    expect(await field("parent-1", "n0")).toBe("a1||");
    expect(await count("node.resumed")).toBe(1);
  });

  it("keeps a parent awake that has yet to hear of it", async () => {
    await start();
    expect(await hibernateRuns(p.scripts, ["parent-1"], 0)).toEqual(["asleep"]);
    // Woken while the child ended: its release is on the way.
    await p.redis.hset(p.scripts.keys.run("parent-1"), "s", "running");
    await p.redis.hset(p.scripts.keys.run(idOf()), "s", "completed");
    expect(await hibernateRuns(p.scripts, ["parent-1"], 0)).toEqual(["busy"]);
    await releaseRuns(p.scripts, [idOf()], []);
    expect(await field("parent-1", "n0")).toBe("a1||");
  });

  it("changes nothing for a parent that waits in the same place for another", async () => {
    await start();
    const key = p.scripts.keys.run("parent-1");
    // As of an element whose map was expanded again: same name, same attempt, another child.
    const waits = await field("parent-1", "w0");
    await p.redis.hset(key, "w0", (waits ?? "").replace(idOf(), "parent-1~other"));
    expect((await cancelOrphans(p.scripts, [{ id: idOf(), isParentOver: false }])).cancelled).toBe(
      1,
    );
    expect(await field("parent-1", "n0")).toBe("w1||");
    expect(await count("node.resumed")).toBe(0);
    expect(await releaseRuns(p.scripts, [idOf()], [])).toBe(1);
  });

  it("changes nothing for a parent that went on without it", async () => {
    await start();
    await p.redis.hset(p.scripts.keys.run("parent-1"), "n0", "a2||");
    await cancelRun(p.scripts, idOf(), "late");
    expect(await count("node.resumed")).toBe(0);
    expect(await releaseRuns(p.scripts, [idOf()], [])).toBe(1);
  });
});

describe("B6: orphans", () => {
  const look = async (isParentOver = false): Promise<number> =>
    (await cancelOrphans(p.scripts, [{ id: idOf(), isParentOver }])).cancelled;

  it("a child that is waited for is left alone, whatever the caller believes", async () => {
    await start();
    expect(await look(true)).toBe(0);
    expect(await field(idOf(), "s")).toBe("running");
  });

  it("is cancelled once its parent has ended or went on, and only then", async () => {
    await start();
    await cancelRun(p.scripts, "parent-1", "enough");
    expect(await look()).toBe(1);
    expect(await look()).toBe(0);
    expect(await count("run.cancelled")).toBe(2);
  });

  it("of a parent that is not in Redis only if that is known to have ended", async () => {
    await start();
    await p.redis.del(p.scripts.keys.run("parent-1"));
    expect(await look(false)).toBe(0);
    expect(await look(true)).toBe(1);
  });
});

describe("a child's id", () => {
  it("follows from parent, node, scope and attempt, and stays in the root's partition", () => {
    const base = { unit: "r", epoch: "1", node: 3, scope: "", attempt: 1 };
    expect(childRunId(base)).toMatch(/^r~[0-9a-f]{20}$/);
    const others = [
      { ...base, node: 4 },
      { ...base, scope: "7:2" },
      { ...base, attempt: 2 },
      { ...base, epoch: "2" },
      { ...base, unit: "r!2#1" },
      { ...base, unit: "r~0123" },
    ].map(childRunId);
    expect(new Set([childRunId(base), ...others]).size).toBe(7);
    expect(others.every((id) => id.startsWith("r~") && id.length === 22)).toBe(true);
  });
});
