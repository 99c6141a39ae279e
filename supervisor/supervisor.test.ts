import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { globalKeys, partitionKeys } from "../sdk/internal.ts";
import { readJournal, readRun } from "../sdk/postgres/index.ts";
import { createSupervisor, type Supervisor } from "./index.ts";
import { chainIr, compileFake, eventually, startStack, work, type Stack } from "./stack.fixture.ts";

let stack: Stack;
let supervisor: Supervisor;

beforeAll(async () => {
  stack = await startStack();
  supervisor = createSupervisor({
    redisUrl: stack.redisUrl,
    database: stack.db,
    logger: pino({ level: process.env.GV_TEST_LOG ?? "silent" }),
    compile: compileFake,
  });
  await supervisor.start();
});

afterAll(async () => {
  await supervisor.stop(5000);
  await stack.close();
});

async function submit(submission: object): Promise<string> {
  const text = JSON.stringify(submission);
  return (await stack.redis.xadd(globalKeys.submissions, "*", "submission", text)) as string;
}

async function answer(entryId: string): Promise<{ run_id: string; status: string }> {
  return eventually(async () => {
    const entries = await stack.redis.xrange(globalKeys.replies, "-", "+");
    const replies = entries.map(([, fields]) => JSON.parse(fields[1] as string));
    return replies.find((reply) => reply.submission_id === entryId);
  });
}

describe("supervisor", () => {
  it("takes a submission from the queue to a completed, released run", async () => {
    const id = await submit({ workflow: { nodes: ["a", "b", "c"] }, input: { x: "\u0000" } });
    const { run_id: runId, status } = await answer(id);
    expect(status).toBe("accepted");

    const ir = chainIr(["a", "b", "c"]);
    await eventually(() => work(stack, ir, "hash-abc-[null,null]"));
    const row = await eventually(async () => {
      const found = await readRun(stack.db, runId);
      return found?.status === "COMPLETED" ? found : null;
    });
    expect(row.output).toBe('{"from":"c"}');
    expect(row.endedAtMs).toBeGreaterThanOrEqual(row.startedAtMs as number);
    await eventually(async () => (await stack.redis.exists(partitionKeys(0).run(runId))) === 0);
    const journal = await readJournal(stack.db, runId);
    expect(journal.map(({ transition }) => transition.e)).toEqual([
      ...["run.started", "node.completed", "node.completed", "node.completed", "run.completed"],
    ]);
    expect(await stack.redis.xlen(globalKeys.submissions)).toBe(0);
  });
});
