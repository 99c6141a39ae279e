/** Chains: several tokens on one stream entry (21 A11). */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import type { ReadyToken } from "../entry.ts";
import { COMPLETION, completeTokens, type CompletionItem } from "./complete-tokens.ts";

let p: TestPartition;
let run: TokenPlayer;
let serial = 0;

const chain = miniIr(
  ["a", "b", "c"],
  [
    ["a", "b"],
    ["b", "c"],
  ],
);

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(async () => {
  await p.reset();
  serial += 1;
  run = new TokenPlayer(p, await p.publish(chain, `hash-${serial}`), `run-${serial}`);
  await run.start();
});

const kept = (token: ReadyToken, edges = "L"): CompletionItem => ({
  ...run.item(token, edges),
  keeps: true,
});

async function send(item: CompletionItem, consumer: string): Promise<number> {
  return (await completeTokens(p.scripts, [item], consumer))[0] as number;
}

/** [consumer, deliveries] of the entry; null: nobody has it pending. */
async function pending(token: ReadyToken): Promise<[string, number] | null> {
  const { queueKey, entryId } = token;
  const [row] = (await p.redis.xpending(queueKey, "workers", entryId, entryId, 1)) as [
    string,
    string,
    number,
    number,
  ][];
  return row === undefined ? null : [row[1], row[3]];
}

async function steal(token: ReadyToken, by: string): Promise<void> {
  await p.redis.xclaim(token.queueKey, "workers", by, 0, token.entryId);
}

describe("A11: a chain's tokens share the entry of the first", () => {
  it("the entry stays pending until the last token is settled", async () => {
    const a = await run.take("a");
    expect(await send(kept(a), "c")).toBe(COMPLETION.goOn);
    expect(await run.read()).toEqual([]);
    expect((await run.hash())["n1"]).toBe("a1||");
    expect(await pending(a)).toEqual(["c", 1]);
    expect(await send(kept({ ...a, node: 1 }), "c")).toBe(COMPLETION.goOn);
    expect(await send(run.item({ ...a, node: 2 }, ""), "c")).toBe(COMPLETION.done);
    expect(await pending(a)).toBeNull();
    expect(await p.redis.xlen(a.queueKey)).toBe(0);
    expect((await run.hash())["s"]).toBe("completed");
  });

  it("who lost the entry is told not to go on, and its new owner is told to look again", async () => {
    const a = await run.take("a");
    await steal(a, "other");
    expect(await send(kept(a), "c")).toBe(COMPLETION.entryLost);
    expect(await send(kept(a), "other")).toBe(COMPLETION.entryYours);
    expect(await pending(a)).toEqual(["other", 2]);
  });

  it("a late success of a token that waits for its retry queues the next one: nobody has the entry", async () => {
    const a = await run.take("a");
    await steal(a, "other");
    const retry = { op: "R" as const, value: '{"error":{}}', delayMs: 60_000 };
    expect(await send(run.item(a, "", retry), "other")).toBe(COMPLETION.done);
    expect(await pending(a)).toBeNull();
    expect(await send(kept(a), "c")).toBe(COMPLETION.done);
    expect((await run.hash())["n1"]).toBe("a1||");
    expect((await run.read()).map(({ node }) => node)).toEqual([1]);
  });

  it("a refused result of a worker that lost the entry does not acknowledge it", async () => {
    const a = await run.take("a");
    expect(await send(kept(a), "c")).toBe(COMPLETION.goOn);
    await steal(a, "other");
    expect(await send(run.item(a, "L"), "c")).toBe(COMPLETION.tokenNotActive);
    expect(await send({ ...run.item(a, "L"), results: [] }, "c")).toBe(COMPLETION.done);
    expect(await pending(a)).toEqual(["other", 2]);
  });

  it("deliveries are counted per token: a chain that moved on counts anew", async () => {
    const a = await run.take("a");
    await steal(a, "c");
    await steal(a, "c");
    expect(await pending(a)).toEqual(["c", 3]);
    expect(await send(kept(a), "c")).toBe(COMPLETION.goOn);
    expect(await pending(a)).toEqual(["c", 1]);
  });

  it("an item that activates more than one token goes through the queues after all", async () => {
    const fork = miniIr(
      ["a", "b", "c"],
      [
        ["a", "b"],
        ["a", "c"],
      ],
    );
    run = new TokenPlayer(p, await p.publish(fork, "fork"), "run-fork");
    await run.start();
    const a = await run.take("a");
    expect(await send(kept(a, "LL"), "c")).toBe(COMPLETION.done);
    expect((await run.read()).length).toBe(2);
    expect(await pending(a)).toBeNull();
  });
});
