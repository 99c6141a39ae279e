import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compile, type Ir } from "../compiler/index.ts";
import { globalKeys, partitionKeys } from "../sdk/internal.ts";
import { readJournal, readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { createSupervisor, type Supervisor } from "./index.ts";
import { startStack, work, type Stack } from "./stack.fixture.ts";

const call = (id: string): object => ({
  ...{ id, type: "function" },
  config: { function_name: "work" },
});
let stack: Stack;
let supervisor: Supervisor;

beforeAll(async () => {
  stack = await startStack();
  supervisor = await started();
});

async function started(): Promise<Supervisor> {
  const { redisUrl, db: database } = stack;
  const one = createSupervisor({ redisUrl, database, logger: pino({ level: "silent" }) });
  await one.start();
  return one;
}

afterAll(async () => {
  await supervisor.stop(5000);
  await stack.close();
});

async function submit(submission: object): Promise<string> {
  const text = JSON.stringify(submission);
  return (await stack.redis.xadd(globalKeys.submissions, "*", "submission", text)) as string;
}

async function answer(entryId: string): Promise<{ run_id: string; status: string }> {
  return waitFor(async () => {
    const entries = await stack.redis.xrange(globalKeys.replies, "-", "+");
    const replies = entries.map(([, fields]) => JSON.parse(fields[1] as string));
    return replies.find((reply) => reply.submission_id === entryId);
  });
}

describe("supervisor", () => {
  it("takes a submission from the queue to a completed, released run", async () => {
    const edges = [
      { from: "a", to: "b" },
      { from: "b", to: "c" },
    ];
    const nodes = ["a", "b", "c"].map(call);
    const workflow = { metadata: { name: "three" }, nodes, edges };
    const id = await submit({ workflow, input: { x: "\u0000" } });
    const { run_id: runId, status } = await answer(id);
    expect(status).toBe("accepted");

    const { ir, hash } = compile({ document: workflow });
    await waitFor(() => work(stack, ir as Ir, hash as string));
    const row = await waitFor(async () => {
      const found = await readRun(stack.db, runId);
      return found?.status === "COMPLETED" ? found : null;
    });
    expect(row.output).toBe('{"from":"c"}');
    expect(row.endedAtMs).toBeGreaterThanOrEqual(row.startedAtMs as number);
    await waitFor(async () => (await stack.redis.exists(partitionKeys(0).run(runId))) === 0);
    const journal = await readJournal(stack.db, runId);
    expect(journal.map(({ transition }) => transition.e)).toEqual([
      ...["run.started", "node.completed", "node.completed", "node.completed", "run.completed"],
    ]);
    expect(await stack.redis.xlen(globalKeys.submissions)).toBe(0);
  });

  it("runs a published workflow by name and version", async () => {
    const workflow = { metadata: { name: "one", version: "2" }, nodes: [call("a")], edges: [] };
    const { ir, hash } = compile({ document: workflow });
    const first = await answer(await submit({ workflow }));
    const again = await answer(await submit({ workflow_ref: "one@2" }));
    expect([first.status, again.status]).toEqual(["accepted", "accepted"]);
    await waitFor(() => work(stack, ir as Ir, hash as string));
    await waitFor(async () => (await readRun(stack.db, again.run_id))?.status === "COMPLETED");
  });

  it("X14: closes a run that came to its end while no supervisor was there", async () => {
    const workflow = { metadata: { name: "alone" }, nodes: [call("a")], edges: [] };
    const { ir, hash } = compile({ document: workflow });
    const { run_id: runId } = await answer(await submit({ workflow }));
    const key = partitionKeys(0).run(runId);
    await waitFor(() => stack.redis.exists(key), { describe: "it is not started" });
    await supervisor.stop(5000);
    await waitFor(() => work(stack, ir as Ir, hash as string));
    expect(await stack.redis.hmget(key, "s", "c")).toEqual(["completed", "0"]);
    expect((await readRun(stack.db, runId))?.endedAtMs).toBeNull();
    supervisor = await started();
    await waitFor(async () => (await readRun(stack.db, runId))?.status === "COMPLETED");
    await waitFor(async () => (await stack.redis.exists(key)) === 0);
    const ends = (await readJournal(stack.db, runId)).filter(
      ({ transition: t }) => t.e === "run.completed",
    );
    expect(ends).toHaveLength(1);
  });

  it("refuses a number of partitions other than the deployment's", async () => {
    const { redisUrl, db: database } = stack;
    const logger = pino({ level: "silent" });
    const other = createSupervisor({ redisUrl, database, logger, partitions: 8 });
    await expect(other.start()).rejects.toMatchObject({ code: "GV_PARTITION_MISMATCH" });
    await other.stop(1000);
  });

  it("that waits for a Redis that is away says so, and can be stopped", async () => {
    const lines: string[] = [];
    const logger = pino({}, { write: (line: string) => void lines.push(line) });
    const redisUrl = "redis://u:hidden@127.0.0.1:1";
    const waits = createSupervisor({ redisUrl, database: stack.db, logger });
    const started = waits.start();
    const ended = expect(started).rejects.toThrow();
    await waitFor(() => lines.join("").includes("the start waits for it"));
    expect(lines.join("")).toMatch(/redis:\/\/\*\*\*@127\.0\.0\.1:1.*ECONNREFUSED/);
    expect(lines.join("")).not.toContain("hidden");
    await waits.stop(60_000);
    await ended;
  });

  it("holds the role of its partition, and may be stopped twice", async () => {
    expect(supervisor.roles()).toEqual(["partition 0"]);
    await supervisor.stop(5000);
    await supervisor.stop(5000);
  });
});
