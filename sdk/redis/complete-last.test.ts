/** The short form of a token that leads nowhere: it ends the run where nothing else is on its way. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr, type MiniOptions } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { startedRun, type TokenPlayer } from "../../test/harness/tokens.ts";
import { parseJournalRecord } from "../journal.ts";
import { COMPLETION, completeBatch, type CompletionItem } from "./complete-tokens.ts";
import { encodeCompletion } from "./encode-completion.ts";
import { simpleItem } from "./simple-completion.ts";

const NOT_SIMPLE = -8;
let p: TestPartition;

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(() => p.reset());

/** Two branches, the first of which to come makes `d` ready. */
function race(options: MiniOptions = {}): Promise<TokenPlayer> {
  const edges: [string, string][] = [
    ["b", "d"],
    ["c", "d"],
  ];
  const joins = { d: { kind: "any" as const, need: 1 } };
  return startedRun(p, miniIr(["b", "c", "d"], edges, { joins, ...options }));
}

async function settle(item: CompletionItem): Promise<void> {
  expect((await completeBatch(p.scripts, [item], "c")).codes).toEqual([COMPLETION.done]);
}

/** One call in the short forms alone; codes in the order of the items. */
async function short(...items: CompletionItem[]): Promise<number[]> {
  const { keys, args: batch, order } = encodeCompletion(p.scripts, items, true);
  const args = [p.scripts.nonce(), "c", ...batch];
  const reply = (await p.scripts.transition("completeTokens", keys, args)) as number[];
  return items.map((_, i) => reply[order.indexOf(i) + 1] as number);
}

/** An item that is sent in the form of a last one. */
function last(run: TokenPlayer, token: Parameters<TokenPlayer["item"]>[0]): CompletionItem {
  const item = run.item(token, "");
  expect(simpleItem(item)?.end).toContain("run.completed");
  return item;
}

/** What was told of nodes and of the run's end. */
async function told(): Promise<string[]> {
  const entries = await p.redis.xrange(p.scripts.keys.ev, "-", "+");
  const all = entries.flatMap(([id, fields]) => parseJournalRecord(id, fields).transitions);
  return all.flatMap(({ e, n }) => (/^(node|run\.[cf])/.test(e) ? [`${e}:${n ?? ""}`] : []));
}

describe("a token that leads nowhere", () => {
  it("ends the run: status, counter, journal and what is released, in one call", async () => {
    const run = await startedRun(p, miniIr(["a"], [], { timeoutMs: 60_000 }));
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(1);
    await settle(last(run, await run.take("a")));
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
    expect(await told()).toEqual(["node.completed:0", "run.completed:"]);
    expect(await p.redis.zrange(p.scripts.keys.release, 0, -1)).toEqual([run.runId]);
    expect(await p.redis.zcard(p.scripts.keys.timers)).toBe(0);
  });

  it("leaves a run that has another token on its way, which then ends it", async () => {
    const run = await race();
    const [b, c] = await run.read();
    await settle(run.item(b!, "L"));
    await settle(last(run, await run.take("d")));
    expect(await run.hash()).toMatchObject({ s: "running", c: "1" });
    expect((await told()).at(-1)).toBe("node.completed:2");
    await settle(run.item(c!, "L"));
    expect(await run.hash()).toMatchObject({ s: "completed", c: "0" });
    expect((await told()).filter((one) => one.startsWith("run."))).toEqual(["run.completed:"]);
  });

  it("is of a run that failed under `continue`: it ends as failed", async () => {
    const run = await race({ failure: "continue" });
    const [b, c] = await run.read();
    await settle(run.item(b!, "X", { op: "U", value: '{"error":{"code":"E"}}' }));
    await settle(run.item(c!, "L"));
    await settle(last(run, await run.take("d")));
    expect(await run.hash()).toMatchObject({ s: "failed", c: "0" });
    expect((await told()).at(-1)).toBe("run.failed:");
  });

  it("changes nothing when it is told again", async () => {
    const run = await race();
    const [b] = await run.read();
    await settle(run.item(b!, "L"));
    const item = last(run, await run.take("d"));
    await settle(item);
    const before = [await run.hash(), await told()];
    const again = await completeBatch(p.scripts, [item], "c");
    expect(again.codes).toEqual([COMPLETION.tokenNotActive]);
    expect([await run.hash(), await told()]).toEqual(before);
  });

  it.each([
    ["of another epoch", { e: "2" }],
    ["that is paused", { s: "paused" }],
    ["that is to be repaired", { s: "suspect" }],
    ["that has failed", { s: "failed" }],
    ["in which a node has failed", { nf: "1" }],
    ["whose counter has nothing in flight", { c: "0" }],
    ["in which it is on its second attempt", { n0: "a2||" }],
    ["in which it was settled before", { n0: "c1||1" }],
  ])("changes nothing in a run %s", async (_, fields) => {
    const run = await startedRun(p, miniIr(["a"], []));
    const item = last(run, await run.take("a"));
    await p.redis.hset(p.scripts.keys.run(run.runId), fields);
    const before = [await run.hash(), await told()];
    expect(await short(item)).toEqual([NOT_SIMPLE]);
    expect([await run.hash(), await told()]).toEqual(before);
  });

  it("comes after what is sent again of its run, however usual it is itself", async () => {
    const edges: [string, string][] = [
      ["b", "d"],
      ["c", "x"],
      ["x", "d"],
    ];
    const joins = { d: { kind: "any" as const, need: 1 } };
    const run = await startedRun(p, miniIr(["b", "c", "x", "d"], edges, { joins }));
    const [b, c] = await run.read();
    await settle(run.item(b!, "L"));
    const { takeovers } = await completeBatch(p.scripts, [], "c");
    // Of a chain, which goes on: so it is in no group with others.
    const step = { ...run.item(c!, "L"), keeps: true, takeovers };
    const items = [step, last(run, await run.take("d"))];
    await p.redis.hset(p.scripts.keys.run(run.runId), `n${c!.node}`, "a2||");
    const before = [await run.hash(), await told()];
    expect(await short(...items)).toEqual([NOT_SIMPLE, NOT_SIMPLE]);
    expect([await run.hash(), await told()]).toEqual(before);
  });
});
