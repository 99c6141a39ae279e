/** What transitions of a run itself say of its row. */
import { expect, it } from "vitest";
import type { Transition } from "../sdk/internal.ts";
import { addRun, emptyBlock, type BlockFold, type RunFold } from "./block-fold.ts";
import { foldRun } from "./fold-run.ts";

const record = { streamId: "1-0", seq: 7, nonce: "n", prev: "m", t: 50, body: "" };

/** A block in which the transitions of one run have been folded one after the other. */
function folded(...transitions: object[]): { block: BlockFold; run: RunFold } {
  const block = emptyBlock();
  const run = addRun(block, "r", record);
  transitions.forEach((members, index) => {
    const transition = { r: "r", ...members } as Transition;
    const text = JSON.stringify(transition);
    foldRun(block, run, { transition, text, record, position: `7.${index}` });
  });
  return { block, run };
}

it("the last transition of a block decides the run's status", () => {
  expect(folded({ e: "run.started", ir: "h" }, { e: "run.paused", ps: "r" }).run).toMatchObject({
    ...{ status: "PAUSED", startedAtMs: 50, endedAtMs: null, irHash: "h" },
  });
  expect(folded({ e: "run.paused", ps: "r" }, { e: "run.resumed", ps: "" }).run.status).toBe(
    "RUNNING",
  );
  const error = { code: "BOOM", message: "no luck" };
  expect(folded({ e: "run.started" }, { e: "run.failed", err: { error } }).run).toMatchObject({
    ...{ status: "FAILED", endedAtMs: 50, error },
  });
});

it("an output is the text that the journal brings, to the letter", () => {
  const { run } = folded({ e: "run.completed", o: { b: 1, a: '"o":' } });
  expect(run).toMatchObject({ status: "COMPLETED", output: '{"b":1,"a":"\\"o\\":"}' });
  expect(folded({ e: "run.completed" }).run.output).toBeNull();
});

it("a run that another started is its child, with the input to the letter", () => {
  const up = "parent!x|0|";
  const { block, run } = folded({
    ...{ e: "run.started", ir: "h", dep: 1, p: "ns:blue:|high", up, un: "sub", inp: { n: 1 } },
  });
  expect(run.child).toMatchObject({
    ...{ id: "r", irHash: "h", namespace: "ns:blue:", priority: "high", depth: 1 },
    ...{ input: '{"n":1}', parent: { runId: "parent", node: "sub", up } },
  });
  expect(block.children).toEqual([run.child]);
});

it("what cannot be read makes its run a suspect, and is named by its place", () => {
  const { block } = folded({ e: "run.suspect", raw: "{" }, { e: "run.suspect" });
  expect(block.suspects).toEqual(["r", "r"]);
  expect(block.apart).toEqual([{ runId: "r", position: "7.0" }]);
});
