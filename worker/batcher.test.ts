import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import {
  COMPLETION,
  NO_EFFECTS,
  ScriptRunner,
  type CompletionItem,
  type NewBlob,
  type RunProfile,
} from "../sdk/internal.ts";
import { miniIr } from "../test/harness/mini-ir.ts";
import { openTestPartition, type TestPartition } from "../test/harness/partition.ts";
import { waitFor } from "../test/support/wait-for.ts";
import { CompletionBatcher } from "./batcher.ts";

/** Calls wait, in the order in which they were made, until they are let through. */
class Gate extends ScriptRunner {
  readonly calls: (() => void)[] = [];

  override async transition(...call: Parameters<ScriptRunner["transition"]>): Promise<unknown> {
    await new Promise<void>((resolve) => this.calls.push(resolve));
    return super.transition(...call);
  }
}

type Result = CompletionItem["results"][number];

interface Sent {
  item: CompletionItem;
}

let p: TestPartition;
let profile: RunProfile;
let gate: Gate;
let batcher: CompletionBatcher<Sent>;
/** Names of the runs of each settled batch. */
let settled: string[];

beforeAll(async () => {
  p = await openTestPartition();
  profile = await p.publish(miniIr(["a", "b"], [["a", "b"]]), "batcher");
});
afterAll(() => p.close());
beforeEach(() => {
  settled = [];
  gate = new Gate({ redis: p.redis, deployment: "test", partition: 0 });
  batcher = new CompletionBatcher<Sent>({
    scripts: gate,
    consumer: "c",
    itemsMax: 3,
    effectsMax: 8,
    charsMax: 1000,
    onSettled: (sent, codes) => {
      expect(codes).toEqual(sent.map(() => COMPLETION.runGone));
      settled.push(sent.map(({ item }) => item.runId).join(" "));
    },
    onError: (error) => expect.unreachable(String(error)),
  });
});

/** Hands over one item per run, none of which exists, and lets the event loop turn. */
async function add(runs: string, more: Partial<Result> = {}, blobs?: NewBlob[]): Promise<void> {
  for (const runId of runs.split(" ")) {
    const result = {
      node: 0,
      scope: "",
      attempt: 1,
      op: "C",
      value: "1",
      edges: "L",
      extra: "",
    } as const;
    const results = [{ ...result, delayMs: 0, plan: NO_EFFECTS, ...more }];
    const item = { profile, runId, epoch: "1", queue: 0, entryId: null, results };
    batcher.add({ item: blobs === undefined ? item : { ...item, blobs } });
  }
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/**
 * Lets the next call through and waits for what it settles. Items of runs that do not exist are sent
 * once more, in their general form: that call is let through with it.
 */
async function answer(): Promise<string | undefined> {
  const before = settled.length;
  gate.calls.shift()?.();
  const others = gate.calls.length;
  await waitFor(() => {
    if (settled.length === before && gate.calls.length > others) {
      gate.calls.pop()?.();
    }
    return settled.length > before;
  });
  return settled[before];
}

describe("completion batcher", () => {
  it("what is handed over in one turn of the event loop is one call", async () => {
    await add("r1 r2");
    expect(gate.calls.length).toBe(1);
    expect(await answer()).toBe("r1 r2");
  });

  it("a lone call has the next batch to itself until that is full", async () => {
    await add("r1");
    await add("r2 r3");
    expect(gate.calls.length).toBe(1);
    await add("r4");
    expect(gate.calls.length).toBe(2);
    expect(await answer()).toBe("r1");
    expect(await answer()).toBe("r2 r3 r4");
  });

  it("two calls are under way at most", async () => {
    await add("r1 r2 r3 r4 r5 r6 r7 r8 r9");
    expect(gate.calls.length).toBe(2);
    await answer();
    expect(gate.calls.length).toBe(2);
    await answer();
    await answer();
    expect(settled).toEqual(["r1 r2 r3", "r4 r5 r6", "r7 r8 r9"]);
  });

  it("B2: no item is sent while an earlier one of its run is unanswered", async () => {
    await add("r1 r2");
    await add("r1 r3 r2 r4 r5");
    expect(await answer()).toBe("r1 r2");
    expect(await answer()).toBe("r3 r4 r5");
    expect(await answer()).toBe("r1 r2");
  });

  it("B2: and a full batch that is none without such items is not sent", async () => {
    await add("r1 r2");
    await add("r1 r2 r3 r4");
    expect(gate.calls.length).toBe(1);
    expect(await answer()).toBe("r1 r2");
    expect(await answer()).toBe("r1 r2 r3");
    expect(await answer()).toBe("r4");
  });

  it("a dead edge counts as many times as there are joins on the border of what dies", async () => {
    const joins = ["j1", "j2", "j3", "j4", "j5"];
    const edges = joins.flatMap((join) => [["x", join] as never, ["other", join] as never]);
    const ir = miniIr(["a", "x", "other", ...joins], [["a", "x"], ...edges]);
    const { planner } = await p.publish(ir, "dead");
    await add("r1 r2 r3", { edges: "D", plan: planner.end(0, "D", false) });
    expect(await answer()).toBe("r1 r2");
    expect(await answer()).toBe("r3");
  });

  it("and so do tokens that are handed on", async () => {
    const next = ["b", "c", "d", "e"];
    const ir = miniIr(
      ["a", ...next],
      next.map((id) => ["a", id]),
    );
    const { planner } = await p.publish(ir, "fan-out");
    await add("r1 r2 r3", { edges: "LLLL", plan: planner.end(0, "LLLL", false) });
    expect(await answer()).toBe("r1 r2");
    expect(await answer()).toBe("r3");
  });

  it.each<[what: string, more: Partial<Result>, blobs?: NewBlob[]]>([
    ["outputs", { value: JSON.stringify("x".repeat(600)) }],
    ["closures", { plan: { ...NO_EFFECTS, closure: `|1=${"x".repeat(600)}|` } }],
    ["what is told of a result", { extra: `,"errs":"${"x".repeat(600)}"` }],
    ["outputs that are kept beside the run", {}, [{ sha256: "", text: "x".repeat(600) }]],
  ])("long %s fill a batch as many items do", async (_, more, blobs) => {
    await add("r1 r2 r3", more, blobs);
    await waitFor(() => {
      gate.calls.shift()?.();
      return settled.join(" ").endsWith("r3");
    });
    expect(settled).toEqual(["r1 r2", "r3"]);
  });

  it("is drained when the last call is answered, and counts what is under way", async () => {
    await add("r1 r2 r3 r4 r5 r6");
    expect(batcher.pending).toBe(6);
    const drained = batcher.drain().then(() => settled.length);
    await answer();
    expect(batcher.pending).toBe(3);
    await answer();
    expect(await drained).toBe(2);
    await batcher.drain();
  });

  it("takeovers are known of no epoch but the one that they were counted in", async () => {
    await add("r1");
    expect(batcher.takeovers).toBeUndefined();
    await answer();
    expect(batcher.takeovers).toBe(0);
    await add("r2");
    batcher.forsake(); // while its call is under way
    expect(batcher.takeovers).toBeUndefined();
    await answer();
    expect(batcher.takeovers).toBeUndefined();
    await add("r3");
    await answer();
    expect(batcher.takeovers).toBe(0);
  });

  it("what was not sent is taken back without a word", async () => {
    await add("r1");
    await add("r2");
    const drained = batcher.drain();
    batcher.forsake();
    await answer();
    await drained;
    expect(settled).toEqual(["r1"]);
  });
});
