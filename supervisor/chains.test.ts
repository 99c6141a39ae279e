/** Many runs of many steps that are to be undone at one time, and all else that a supervisor does. */
import { pino } from "pino";
import { afterAll, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { BlobTaker, systemClock } from "../sdk/internal.ts";
import { Chains } from "./chains.ts";
import { CompileGuard, COSTLY, NO_THREAD } from "./compile-guard.ts";
import type { CompensationStep } from "./compensation-steps.ts";
import { undoingOf, type MadeToUndo } from "./compensation-workflow.ts";

const logger = pino({ level: "silent" });
const node = { id: "a", type: "function", config: { function_name: "builtin.echo" } };
const ir = compile({ document: { metadata: { name: "w" }, nodes: [node], edges: [] } }).ir as Ir;
const step: CompensationStep = {
  ...{ node: "a", scope: "", home: "", functionName: "undo", queue: "default" },
  ...{ given: '{"order":"0123456789"}', hasParams: true },
};
type ThreadAnswer = Awaited<ReturnType<CompileGuard["compile"]>>;

const guard = new CompileGuard(logger);
afterAll(() => guard.stop());

async function undo(chains: Chains, runId: string, count: number): Promise<MadeToUndo> {
  const steps = Array.from({ length: count }, () => step);
  const making = { logger, clock: { ...systemClock, nowMs: () => 1 }, chains };
  const left = { steps, count, bytes: 0 };
  return (await undoingOf(making, ir, runId, left, new BlobTaker())) as MadeToUndo;
}

it("what undoes a run of many steps is compiled in a thread, once for all of them", async () => {
  const asked: string[] = [];
  const watched: Pick<CompileGuard, "compile"> = {
    compile: (text, limits) => (asked.push(text), guard.compile(text, limits)),
  };
  const chains = new Chains(watched);
  const made = await undo(chains, "r1", 300);
  expect(asked).toHaveLength(1);
  expect(made).toEqual(await undo(new Chains(), "r1", 300));
  // Runs that failed at the same place, and a block that is tried again.
  const [again, other] = await Promise.all([undo(chains, "r2", 300), undo(chains, "r3", 301)]);
  expect(again.definition).toEqual(made.definition);
  expect(other.definition.hash).not.toBe(made.definition.hash);
  expect(asked).toHaveLength(2);
});

it.each<ThreadAnswer>([COSTLY, NO_THREAD, { failed: "x" }])(
  "it is made here if the thread says only %s",
  async (answer) => {
    const chains = new Chains({ compile: () => Promise.resolve(answer) });
    expect(await undo(chains, "r", 100)).toEqual(await undo(new Chains(), "r", 100));
  },
);

it("it may have other limits than what somebody writes, in the thread, too", async () => {
  const line = JSON.stringify({ name: "line", nodes: [node, { ...node, id: "b" }], edges: [] });
  expect(await guard.compile(line, { bytes: 10_000, nodes: 2 })).toMatchObject({ diagnostics: [] });
  expect(await guard.compile(line, { bytes: 10_000, nodes: 1 })).toMatchObject({ ir: null });
});
