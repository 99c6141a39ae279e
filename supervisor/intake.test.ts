import { uuidv7 } from "uuidv7";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import {
  globalKeys,
  INTAKE_GROUP,
  partitionKeys,
  SCRIPT_BATCH_MAX,
  type Service,
} from "../sdk/internal.ts";
import {
  connectPostgres,
  insertRuns,
  keepNamespace,
  listDeadLetters,
  readJournal,
  readRun,
} from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import type { SubmissionReply } from "./admit-batch.ts";
import type { SupervisorContext } from "./context.ts";
import { Intake } from "./intake.ts";
import { createPartition } from "./partition.ts";
import { chainIr, compileFake, contextOf, startStack } from "./stack.fixture.ts";
import { queueAgain, startRuns, TestClock, type Stack } from "./stack.fixture.ts";
import { StartSweep } from "./start-sweep.ts";
import { Starter } from "./starter.ts";

const keys = partitionKeys(0);
const GOOD = { workflow: { nodes: ["a"] } };
let stack: Stack;
let context: SupervisorContext & { close(): void };
let partition: Service;
let intake: Intake;

beforeAll(async () => {
  stack = await startStack();
});

afterAll(async () => {
  await stack.close();
});

beforeEach(async () => {
  context = await contextOf(stack);
  partition = createPartition(context, 0);
  await partition.start();
  const starter = new Starter(context);
  intake = new Intake({ context, compile: compileFake, starter, youngMs: 0 });
});

afterEach(async () => {
  await intake.stop(2000);
  await partition.stop(2000);
  context.close();
});

async function submit(submission: Json): Promise<string> {
  const text = typeof submission === "string" ? submission : JSON.stringify(submission);
  return (await stack.redis.xadd(globalKeys.submissions, "*", "submission", text)) as string;
}

async function answer(
  entryId: string,
  stream: string = globalKeys.replies,
): Promise<SubmissionReply> {
  return waitFor(async () => {
    const entries = await stack.redis.xrange(stream, "-", "+");
    const replies = entries.map(([, fields]) => JSON.parse(fields[1] ?? "") as SubmissionReply);
    return replies.find((reply) => reply.submission_id === entryId);
  });
}

const codesOf = (reply: SubmissionReply): string[] => (reply.errors ?? []).map(({ code }) => code);

describe("intake", () => {
  it("answers each entry of a batch by itself, bad ones among good ones", async () => {
    const schema = { type: "object", required: ["n"], properties: { n: { pattern: "^(a+)+$" } } };
    const checked = { nodes: ["a"], schema };
    const ids = [
      await submit(GOOD),
      await submit("{not json"),
      await submit({ workflow: { broken: true } }),
      await submit({ workflow: checked, input: {} }),
      await submit({ workflow: checked, input: { n: `${"a".repeat(40)}!` } }),
      await submit({ workflow: checked, input: { n: "aaa" } }),
      await submit({ workflow_ref: "nobody@1" }),
      await submit({ workflow: { nodes: "not a list" } }),
      await submit({ ...GOOD, input: ["\u0000"] }),
    ];
    const nameless = await stack.redis.xadd(globalKeys.submissions, "*", "other", "x");
    await intake.start();
    const replies = await Promise.all([...ids, nameless as string].map((id) => answer(id)));
    const outcomes = replies.map((reply) => codesOf(reply)[0] ?? reply.status);
    expect(outcomes).toEqual([
      "accepted",
      "GV_BAD_SUBMISSION",
      "GV2001",
      "GV_BAD_INPUT",
      "GV_BAD_INPUT",
      "accepted",
      "GV_WORKFLOW_NOT_FOUND",
      "GV_WORKFLOW_INVALID",
      "accepted",
      "GV_BAD_SUBMISSION",
    ]);
    await waitFor(async () => (await stack.redis.xlen(globalKeys.submissions)) === 0);
    const letters = await listDeadLetters(stack.db, { state: "open", limit: 50 });
    const kept = letters.filter(({ kind }) => kind === "submission").map(({ id }) => id);
    expect(kept).toContain(`submission-${ids[1]}`);
    expect(kept).toHaveLength(7);
  });

  it("refuses data by schemas that crash or stop who asks them, and goes on", async () => {
    const part = { properties: { a: { $ref: "#" } } };
    const text = `${'{"a":'.repeat(40)}1${"}".repeat(40)}`;
    const hostile: [schema: Json, input: Json][] = [
      [{ $async: true, type: "object" }, 5],
      [{ allOf: [part, part, part, part] }, JSON.parse(text) as Json],
      [{ $id: "y", allOf: [{ $ref: "y" }] }, 1],
    ];
    const ids: string[] = [];
    for (const [schema, input] of hostile) {
      ids.push(await submit({ workflow: { nodes: ["a"], schema }, input }));
    }
    ids.push(await submit(GOOD));
    await intake.start();
    const replies = await Promise.all(ids.map((id) => answer(id)));
    const outcomes = replies.map((reply) => codesOf(reply)[0] ?? reply.status);
    expect(outcomes).toEqual(["GV_BAD_INPUT", "GV_BAD_INPUT", "GV_BAD_INPUT", "accepted"]);
  });

  it("B13: answers the same key and payload with the first run, another payload with a refusal", async () => {
    await intake.start();
    const keyed = { ...GOOD, idempotency_key: "order-7" };
    const first = await answer(await submit({ ...keyed, input: { a: 1, b: 2 } }));
    const again = await answer(await submit({ ...keyed, input: { b: 2, a: 1 } }));
    const other = await answer(await submit({ ...keyed, input: { a: 2 } }));
    const tenant = await answer(await submit({ ...keyed, tenant: "t2", input: { a: 2 } }));
    expect(again).toMatchObject({ status: "accepted", run_id: first.run_id });
    expect(codesOf(other)).toEqual(["GV_IDEMPOTENCY_CONFLICT"]);
    expect(JSON.stringify(other)).toContain(
      `used before by run ${first.run_id ?? ""} with another`,
    );
    expect(tenant.status).toBe("accepted");
    expect(tenant.run_id).not.toBe(first.run_id);
  });

  it("B3: answers a submission that its client's connection has sent twice as one run", async () => {
    await intake.start();
    const run_id = uuidv7();
    const sent = { ...GOOD, run_id };
    const answers = [await answer(await submit(sent)), await answer(await submit(sent))];
    expect(answers).toMatchObject([
      { status: "accepted", run_id },
      { status: "accepted", run_id },
    ]);
    await waitFor(async () => (await readRun(stack.db, run_id))?.status === "RUNNING");
    const journal = await readJournal(stack.db, run_id);
    expect(journal.filter(({ transition }) => transition.e === "run.started")).toHaveLength(1);
  });

  it("B13: refuses a run id that was used for something else", async () => {
    await intake.start();
    const run_id = uuidv7();
    const sent = { ...GOOD, input: { a: 1, b: 2 }, run_id };
    expect((await answer(await submit(sent))).status).toBe("accepted");
    const reordered = { ...sent, input: { b: 2, a: 1 } };
    expect((await answer(await submit(reordered))).status).toBe("accepted");
    const others = [
      { ...sent, input: { a: 2 } },
      { ...sent, workflow: { nodes: ["b"] } },
      { ...sent, priority: "high" },
      { ...sent, namespace: "ns:other:" },
      { ...sent, tenant: "other" },
    ];
    for (const other of others) {
      expect(codesOf(await answer(await submit(other)))).toEqual(["GV_IDEMPOTENCY_CONFLICT"]);
    }
    expect(JSON.parse((await readRun(stack.db, run_id))?.input ?? "")).toEqual({ a: 1, b: 2 });
  });

  it("begins nothing for a command that has gone and is forgotten, also when it is told twice", async () => {
    await intake.start();
    const [gone, lives] = ["ns:run-00000000dead:", "ns:run-00000000beef:"];
    const of = { queues: [], host: "h", machine: "elsewhere", pid: 1 };
    const sent = { ...GOOD, namespace: gone, run_id: uuidv7() };
    const other = { ...GOOD, namespace: lives, run_id: uuidv7() };
    await keepNamespace(stack.db, { namespace: lives, runId: other.run_id, ...of });
    for (const _ of [1, 2]) {
      expect((await answer(await submit(sent))).status).toBe("accepted");
      expect(await readRun(stack.db, sent.run_id)).toMatchObject({
        status: "CANCELLED",
        startedAtMs: null,
        error: expect.stringContaining("was gone before it began"),
      });
    }
    await answer(await submit(other));
    await waitFor(async () => (await readRun(stack.db, other.run_id))?.status === "RUNNING");
  });

  it("takes over what a dead intake had read, as the same run, started once", async () => {
    const queue = keys.entryQueue("fn:work", "normal");
    const before = await stack.redis.xlen(queue);
    await stack.redis
      .xgroup("CREATE", globalKeys.submissions, INTAKE_GROUP, "0", "MKSTREAM")
      .catch(() => undefined);
    const id = await submit({ ...GOOD, reply_to: "gv:submissions:replies:me" });
    const group = ["GROUP", INTAKE_GROUP, "dead"] as const;
    await stack.redis.xreadgroup(...group, "STREAMS", globalKeys.submissions, ">");
    const ids = [globalKeys.submissions, INTAKE_GROUP, "dead", 0, id] as const;
    await stack.redis.xclaim(...ids, "IDLE", 60_000, "JUSTID");
    await intake.start();
    const reply = await answer(id, "gv:submissions:replies:me");
    expect(reply.status).toBe("accepted");
    expect(await readRun(stack.db, reply.run_id ?? "")).toMatchObject({ workflow: "chain" });
    expect(await stack.redis.xlen(queue)).toBe(before + 1);
    expect(await stack.redis.ttl("gv:submissions:replies:me")).toBeGreaterThan(0);
  });

  it("B13: keeps entries while Postgres is away, and goes on when it is back", async () => {
    const away = connectPostgres({ url: "postgres://nobody@127.0.0.1:1/none" });
    let isAway = true;
    const now = (): typeof away => (isAway ? away : stack.db);
    const db: typeof away = {
      pool: stack.db.pool,
      singleSession: stack.db.singleSession,
      query: (statement, values) => now().query(statement, values),
      transaction: (steps) => now().transaction(steps),
      close: () => Promise.resolve(),
    };
    const starter = new Starter(context);
    const flaky = new Intake({ context: { ...context, db }, compile: compileFake, starter });
    await flaky.start();
    const id = await submit({ ...GOOD, input: "patient" });
    await waitFor(async () => {
      const [pending] = await stack.redis.xpending(globalKeys.submissions, INTAKE_GROUP);
      return Number(pending) === 1;
    });
    isAway = false;
    expect((await answer(id)).status).toBe("accepted");
    await flaky.stop(2000);
    await away.close();
  });

  it("recreates its group in a Redis that was emptied", async () => {
    await intake.start();
    await stack.redis.del(globalKeys.submissions);
    const id = await submit(GOOD);
    expect((await answer(id)).status).toBe("accepted");
  });

  it("C9: pauses while the journal waits to be archived", async () => {
    await partition.stop(2000);
    const starter = new Starter(context);
    const limited = { context, compile: compileFake, starter, backlogRecordsMax: 0 };
    const paused = new Intake(limited);
    const id = await submit(GOOD);
    await paused.start();
    await stack.redis.ping();
    const [entry] = await stack.redis.xrange(globalKeys.submissions, id, id);
    expect(entry?.[0]).toBe(id);
    await paused.stop(2000);
    await stack.redis.xdel(globalKeys.submissions, id);
  });
});

describe("start sweep", () => {
  async function secondsPass(runId: string): Promise<void> {
    const text = "UPDATE runs SET created_at_ms = created_at_ms - 10000 WHERE id = $1";
    await context.db.query({ name: "test_seconds_pass", text }, [runId]);
  }

  it("starts rows whose intake died before the start, once, whatever its own clock says", async () => {
    const ir = chainIr(["swept"]);
    await startRuns({ ...context, redis: stack.redis }, ir, "h-swept", ["run-swept"]);
    await stack.redis.del(keys.run("run-swept"));
    await secondsPass("run-swept");
    await queueAgain(context.db, "run-swept");
    const clock = new TestClock();
    clock.setAheadMs = -3_600_000;
    const wrong = { ...context, clock };
    const sweep = new StartSweep(wrong, new Starter(wrong));
    await sweep.start();
    await waitFor(async () => (await stack.redis.exists(keys.run("run-swept"))) === 1);
    await sweep.stop(2000);
  });

  it("comes to every row, although those before it cannot start yet", async () => {
    await partition.stop(2000); // a run whose start is archived would be no row to start
    const ir = chainIr(["behind"]);
    await startRuns({ ...context, redis: stack.redis }, ir, "h-behind", ["behind"]);
    await stack.redis.del(keys.run("behind"));
    await queueAgain(context.db, "behind");
    // Of a partition whose server is away.
    const about = { tenant: "", workflow: "w", version: "1", irHash: "h-behind", partition: 7 };
    const more = { namespace: "", priority: "normal", input: "{}", idempotencyKey: null } as const;
    const ids = Array.from({ length: SCRIPT_BATCH_MAX }, (_, i) => `away-${i}`);
    await insertRuns(
      context.db,
      ids.map((id) => ({ id, ...about, ...more, requestHash: "", createdAtMs: 1 })),
    );
    await secondsPass("behind");
    const sweep = new StartSweep(context, new Starter(context));
    const isThere = async (): Promise<boolean> =>
      (await stack.redis.exists(keys.run("behind"))) === 1;
    await sweep.look();
    expect(await isThere()).toBe(false);
    await sweep.look();
    expect(await isThere()).toBe(true);
    await stack.redis.del(keys.run("behind"));
    await queueAgain(context.db, "behind");
    await sweep.look(); // from the oldest again
    await sweep.look();
    expect(await isThere()).toBe(true);
    await context.db.query({ name: "away", text: "DELETE FROM runs WHERE partition = 7" });
  });
});
