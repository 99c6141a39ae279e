import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Json } from "../compiler/index.ts";
import {
  cancelRun,
  completeTokens,
  COMPLETION,
  holdTokens,
  pauseRun,
  resumeRun,
} from "../sdk/internal.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { TokenPlayer } from "../test/harness/tokens.ts";
import { Preparer } from "./prepare.ts";
import { Workflows } from "./workflows.ts";

let p: TestPartition;
beforeAll(async () => {
  p = await openTestPartition();
});
afterAll(() => p.close());

const echo = (id: string): Json => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
});

describe("A11, B5: a chain whose entry a pause has put aside", () => {
  it("goes on though its new entry names a token that was completed meanwhile", async () => {
    const edges = [
      { from: "s", to: "a" },
      { from: "a", to: "b" },
    ];
    const document = { name: "chain", nodes: ["s", "a", "b"].map(echo), edges };
    const { ir, hash } = compile({ document });
    if (ir === null || hash === null) {
      throw new Error("not valid");
    }
    const run = new TokenPlayer(p, await p.publish(ir, hash), "run-1");
    await run.start();
    await run.settle(await run.take("s"), "L");
    const token = await run.take("a");
    const { scripts } = p;
    await pauseRun(scripts, run.runId, "run");
    expect(await holdTokens(scripts, [token])).toEqual(["held"]);
    await resumeRun(scripts, run.runId, "run");
    // A worker that was at it all the time.
    const item = { ...run.item(token, "L"), keeps: true };
    expect(await completeTokens(scripts, [item], "slow")).toEqual([COMPLETION.entryLost]);

    const [back] = await run.read("other");
    expect(run.idOf(back as never)).toBe("a");
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    // Delivered for the first time, and without its input: its record is read.
    const [looked] = await preparer.prepare([{ ...back, payload: null } as never], false);
    expect(looked?.kind === "ready" && run.idOf(looked.prepared.token)).toBe("b");
  });
});

describe("B1: before a token is executed", () => {
  it("its run is looked at: a cancelled one's queued tokens are dropped, in one look", async () => {
    const { ir, hash } = compile({ document: { name: "one", nodes: [echo("a")], edges: [] } });
    const run = new TokenPlayer(p, await p.publish(ir as never, hash as string), "run-2");
    await run.start();
    const tokens = await run.read();
    await cancelRun(p.scripts, run.runId, "enough");
    const preparer = new Preparer(p.scripts.redis, new Workflows(p.redis), 0);
    await preparer.news.look(p.scripts.redis);
    const kinds = (await preparer.prepare(tokens, false)).map(({ kind }) => kind);
    expect(kinds).toEqual(["drop"]);
  });
});
