/** What becomes of the entries of a batch: gone are those that it settled, and nothing else. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { readAll } from "../../test/harness/deliveries.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../../test/harness/partition.ts";
import { struckPartition } from "../../test/harness/struck-scripts.ts";
import { TokenPlayer } from "../../test/harness/tokens.ts";
import { waitFor } from "../../test/support/index.ts";
import { GROUP } from "../keys.ts";
import type { RunProfile } from "../profile.ts";
import { COMPLETION, completeBatch, type CompletionItem } from "./complete-tokens.ts";
import { redisTimeMs, startRuns } from "./run-scripts.ts";

const RUNS = 12;

let p: TestPartition;
let profile: RunProfile;
let stream: string;
/** Ids of their entries, by place. They are of several milliseconds, as those of one call may be. */
let ids: string[];

beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());
beforeEach(begin);

async function begin(): Promise<void> {
  await p.reset();
  profile = await p.publish(miniIr(["a"], []), "one");
  stream = profile.entryKeys[0] as string;
  const nowMs = await redisTimeMs(p.scripts);
  const runs = Array.from({ length: RUNS }, (_, i) => {
    return { profile, runId: `r${i}`, epoch: 1, input: "{}", notAfterMs: nowMs + 30_000 };
  });
  await startRuns(p.scripts, runs.slice(0, 9));
  await waitFor(async () => (await redisTimeMs(p.scripts)) > nowMs + 1);
  await startRuns(p.scripts, runs.slice(9));
  ids = (await p.redis.xrange(stream, "-", "+")).map(([id]) => id);
}

/** Delivers so many entries. */
async function deliver(count = RUNS): Promise<void> {
  expect(await readAll(p.redis, [stream], "c", count)).toHaveLength(count);
}

/** Settles the tokens of these runs in one batch, in this order. */
async function settle(...places: number[]): Promise<void> {
  const { codes } = await completeBatch(p.scripts, itemsOf(places), "c");
  expect(codes).toEqual(places.map(() => COMPLETION.done));
}

function itemsOf(places: number[]): CompletionItem[] {
  return places.map((i) => {
    const entryId = ids[i] ?? "";
    const token = { runId: `r${i}`, epoch: "1", node: 0, scope: "", attempt: 1, entryId };
    return new TokenPlayer(p, profile, `r${i}`).item({ ...token, queueKey: stream } as never, "");
  });
}

/** Places of those that stand in the stream. */
async function left(): Promise<number[]> {
  const entries = await p.redis.xrange(stream, "-", "+");
  return entries.map(([id]) => ids.indexOf(id));
}

async function pending(): Promise<number[]> {
  const all = (await p.redis.xpending(stream, GROUP, "-", "+", 100)) as [string][];
  return all.map(([id]) => ids.indexOf(id));
}

const upTo = (count: number): number[] => [...Array(count).keys()];

describe("entries of a batch", () => {
  it("that are the oldest are gone, newer ones stand, in whatever order they are told", async () => {
    await deliver();
    await settle(3, 10, 0, 9, 1, 8, 2, 7, 6, 5, 4);
    expect([await left(), await pending()]).toEqual([[11], [11]]);
  });

  it("leave what has not been delivered yet", async () => {
    await deliver(9);
    await settle(...upTo(9));
    expect([await left(), await pending()]).toEqual([[9, 10, 11], []]);
    await deliver(3);
  });

  it("leave older ones that somebody is at", async () => {
    await deliver();
    await settle(...upTo(12).filter((i) => i !== 1 && i !== 4));
    expect([await left(), await pending()]).toEqual([
      [1, 4],
      [1, 4],
    ]);
    await settle(1, 4);
    expect([await left(), await pending()]).toEqual([[], []]);
  });

  it("that a group made anew has not delivered yet take none with them", async () => {
    await deliver();
    await p.redis.xgroup("DESTROY", stream, GROUP);
    await p.redis.xgroup("CREATE", stream, GROUP, "0");
    await settle(...upTo(12).slice(4));
    expect([await left(), await pending()]).toEqual([[0, 1, 2, 3], []]);
    await deliver(4);
  });

  it("of which the group made anew has some take none with them", async () => {
    await deliver();
    await p.redis.xgroup("DESTROY", stream, GROUP);
    await p.redis.xgroup("CREATE", stream, GROUP, "0");
    await deliver(2);
    await settle(0, ...upTo(12).slice(3));
    expect([await left(), await pending()]).toEqual([[1, 2], [1]]);
  });

  it("A4: are pending if they are still there, whatever call the script fails after", async () => {
    const struck = await struckPartition(p);
    for (let at = 1; ; at++) {
      await begin();
      await deliver();
      const items = itemsOf(upTo(12));
      await struck.arm(at);
      await completeBatch(struck.scripts, items, "c");
      expect(await pending(), `after call ${at}`).toEqual(expect.arrayContaining(await left()));
      if ((await struck.calls()) < at) {
        break; // nothing was struck: those were all calls
      }
    }
    expect(await left()).toEqual([]);
  });
});
