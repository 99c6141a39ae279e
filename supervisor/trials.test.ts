/** Processes that die of what they read: simulated by connections that end, as all of theirs do. */
import { afterAll, beforeAll, beforeEach, afterEach, describe, expect, it } from "vitest";
import type { Json } from "../compiler/ir.ts";
import { globalKeys, INTAKE_GROUP, type Service } from "../sdk/internal.ts";
import { listDeadLetters, readDeadLetter, readRun, type Database } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import type { SubmissionReply } from "./admit-batch.ts";
import { COSTLY, type CompileGuard } from "./compile-guard.ts";
import { Intake, type IntakeOptions } from "./intake.ts";
import { createPartition } from "./partition.ts";
import { compileFake, contextOf, startStack, TestClock, type Stack } from "./stack.fixture.ts";
import { Starter } from "./starter.ts";
import { runIdOfEntry } from "./submission.ts";
import { Trials, TRIALS_MAX, type LeftBehind } from "./trials.ts";
import type { Compile } from "./workflows.ts";

const REPLIES = `${globalKeys.replies}:trials`;
const GOOD = { workflow: { nodes: ["a"] }, reply_to: REPLIES };
const KILLER = { workflow: { nodes: ["a"], schema: { title: "kills" } }, reply_to: REPLIES };
const NEVER = new Promise<never>(() => undefined);

let stack: Stack;
let partition: Service;
let closePartition: () => void;

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());

beforeEach(async () => {
  await stack.redis.del(globalKeys.submissions, REPLIES);
  const context = await contextOf(stack);
  partition = createPartition(context, 0);
  await partition.start();
  closePartition = () => context.close();
});
afterEach(async () => {
  await partition.stop(2000);
  closePartition();
});

async function submit(submission: Json): Promise<string> {
  const fields = ["submission", JSON.stringify(submission)];
  return (await stack.redis.xadd(globalKeys.submissions, "*", ...fields)) as string;
}

async function answers(): Promise<Map<string, SubmissionReply>> {
  const entries = await stack.redis.xrange(REPLIES, "-", "+");
  const replies = entries.map(([, fields]) => JSON.parse(fields[1] ?? "") as SubmissionReply);
  return new Map(replies.map((reply) => [reply.submission_id, reply]));
}

interface Process {
  /** Its connections end, and nothing that it began goes on. */
  die(): void;
  dead: Promise<void>;
  intake: Intake;
}

/** An intake in a process of its own. */
async function startProcess(
  id: string,
  options: (process: Process) => Partial<IntakeOptions> & { db?: Database; clock?: TestClock },
): Promise<Process> {
  const redis = stack.redis.duplicate();
  let isDead = false;
  let told = (): void => undefined;
  const process = {
    dead: new Promise<void>((resolve) => (told = resolve)),
    die: () => {
      isDead = true;
      context.close();
      redis.disconnect();
      told();
    },
  } as Process;
  const { db = stack.db, clock = new TestClock(), ...more } = options(process);
  const ofLiving: Database = {
    pool: db.pool,
    singleSession: db.singleSession,
    query: (statement, values) => (isDead ? NEVER : db.query(statement, values)),
    transaction: (steps) => (isDead ? NEVER : db.transaction(steps)),
    close: () => Promise.resolve(),
  };
  const context = await contextOf(stack, { id, redis, db: ofLiving, clock });
  const starter = new Starter(context);
  process.intake = new Intake({ context, compile: compileFake, starter, youngMs: 0, ...more });
  await process.intake.start();
  return process;
}

/** What is pending has been so for long, delivered as often as before. */
async function timePasses(): Promise<void> {
  const pending = await pendingEntries();
  for (const [id, consumer] of pending) {
    const of = [globalKeys.submissions, INTAKE_GROUP, consumer, 0, id] as const;
    await stack.redis.xclaim(...of, "IDLE", 60_000, "JUSTID");
  }
}

async function pendingEntries(): Promise<[id: string, consumer: string, ms: number, n: number][]> {
  const all = ["-", "+", 1000] as const;
  return (await stack.redis
    .xpending(globalKeys.submissions, INTAKE_GROUP, ...all)
    .catch(() => [])) as never;
}

const killing =
  (process: Process): Compile =>
  (source) => {
    if (JSON.stringify(source).includes("kills")) {
      process.die();
    }
    return compileFake(source);
  };

/** A Postgres that answers nothing. */
function hanging(): Database {
  const db = Object.create(stack.db) as Database;
  db.transaction = () => NEVER;
  return db;
}

const isEmpty = async (): Promise<boolean> =>
  (await stack.redis.xlen(globalKeys.submissions)) === 0;

/** Processes one after the other until nothing is left; how many have died. */
async function processesUntilEmpty(
  compile: (process: Process) => Compile,
  guard?: CompileGuard,
): Promise<number> {
  for (let deaths = 0; ; deaths++) {
    expect(deaths).toBeLessThan(20);
    await timePasses();
    const process = await startProcess(`p${deaths}`, (own) => ({
      compile: compile(own),
      ...(guard && { guard }),
    }));
    const ended = process.dead.then(() => true);
    const isDead = await Promise.race([ended, waitFor(isEmpty).then(() => false)]);
    await process.intake.stop(isDead ? 0 : 2000);
    process.die();
    if (!isDead) {
      return deaths;
    }
  }
}

describe("a submission that kills whoever takes it", () => {
  it("is set apart after a bounded number of deaths; those beside it are accepted", async () => {
    const before = [await submit(GOOD), await submit({ ...GOOD, input: 1 })];
    const killer = await submit(KILLER);
    const after = await submit({ ...GOOD, input: 2 });
    // The first had them all in one batch, the others had each by itself.
    expect(await processesUntilEmpty(killing)).toBe(1 + TRIALS_MAX);
    const told = await answers();
    expect(told.get(killer)).toMatchObject({
      status: "rejected",
      run_id: runIdOfEntry(killer),
      errors: [{ code: "GV_SUBMISSION_POISON" }],
    });
    expect(told.get(killer)?.errors?.[0]?.message).toContain(`submission-${killer}`);
    for (const id of [...before, after]) {
      expect(told.get(id)).toMatchObject({ status: "accepted" });
      expect(await readRun(stack.db, told.get(id)?.run_id ?? "")).not.toBeNull();
    }
    const letter = await readDeadLetter(stack.db, `submission-${killer}`);
    expect(letter).toMatchObject({ kind: "submission", state: "open" });
    expect(JSON.parse(letter?.payload ?? "")).toEqual(KILLER);
    const letters = await listDeadLetters(stack.db, { state: "open", limit: 50 });
    expect(letters.map(({ id }) => id)).toEqual([`submission-${killer}`]);
  });

  it("is one of several: each is found by itself", async () => {
    const killers = [await submit(KILLER), await submit({ ...KILLER, input: 1 })];
    const good = await submit(GOOD);
    expect(await processesUntilEmpty(killing)).toBe(1 + 2 * TRIALS_MAX);
    const told = await answers();
    expect(killers.map((id) => told.get(id)?.status)).toEqual(["rejected", "rejected"]);
    expect(told.get(good)?.status).toBe("accepted");
  });

  it("is answered as accepted if its row is there: its run goes on", async () => {
    const id = await submit({ ...GOOD, input: "late" });
    const dies = (own: Process): Partial<IntakeOptions> & { db: Database } => {
      const db = Object.create(stack.db) as Database;
      const commit = (work: Promise<unknown>): Promise<never> =>
        work.then(() => {
          own.die();
          return NEVER;
        });
      db.transaction = (steps) => commit(stack.db.transaction(steps));
      return { db };
    };
    for (let death = 0; death <= TRIALS_MAX; death++) {
      await timePasses();
      const process = await startProcess(`late-${death}`, dies);
      await process.dead;
      await process.intake.stop(0);
    }
    expect(await processesUntilEmpty(() => compileFake)).toBe(0);
    expect((await answers()).get(id)).toMatchObject({
      status: "accepted",
      run_id: runIdOfEntry(id),
    });
    expect(await readDeadLetter(stack.db, `submission-${id}`)).toBeNull();
  });
});

describe("a submission that its process waits for in a thread", () => {
  it("is charged as long as that goes on, and nobody else takes it over meanwhile", async () => {
    const id = await submit({ ...GOOD, input: "slow" });
    let isBusy = true;
    let looks = 0;
    let answer = (_: unknown): void => undefined;
    const answered = new Promise((resolve) => (answer = resolve));
    const guard = {
      ...{
        compile: () => answered,
        check: () => Promise.resolve([]),
        stop: () => Promise.resolve(),
      },
      get isBusy() {
        looks++;
        return isBusy;
      },
    } as never as CompileGuard;
    const first = await startProcess("reads", () => ({ db: hanging() }));
    await waitFor(async () => (await pendingEntries()).length === 1);
    first.die();
    await first.intake.stop(0);
    await timePasses();
    const tries = await startProcess("tries", () => ({ guard, trialMs: 5 }));
    await waitFor(() => Promise.resolve(looks > 0));
    await timePasses();
    const before = looks;
    await waitFor(() => Promise.resolve(looks > before + 1));
    const [pending] = await pendingEntries();
    expect(pending).toMatchObject([id, "tries", expect.any(Number), 1_000_000]);
    expect(pending?.[2]).toBeLessThan(10_000);
    isBusy = false;
    await waitFor(async () => (await pendingEntries())[0]?.[3] === 1);
    const { ir, ...rest } = compileFake({ document: GOOD.workflow });
    answer({ ...rest, ir: JSON.stringify(ir) });
    await waitFor(isEmpty);
    expect((await answers()).get(id)?.status).toBe("accepted");
    await tries.intake.stop(2000);
    tries.die();
  });

  it("ends at its first trial when that is what kills, or never ends", async () => {
    const killer = await submit(KILLER);
    const guard = {
      ...{ compile: () => Promise.resolve(COSTLY), bounds: "1 s", isBusy: false },
      stop: () => Promise.resolve(),
    } as never as CompileGuard;
    expect(await processesUntilEmpty(killing, guard)).toBe(1);
    const told = (await answers()).get(killer);
    expect(told).toMatchObject({ status: "rejected", errors: [{ code: "GV_WORKFLOW_COSTLY" }] });
    expect(await readDeadLetter(stack.db, `submission-${killer}`)).toMatchObject({ state: "open" });
  });
});

describe("a good submission", () => {
  const MANY = 3 * TRIALS_MAX;

  it("is accepted, however often processes were killed that had it beside others", async () => {
    const ids = [await submit({ ...GOOD, input: "a" }), await submit({ ...GOOD, input: "b" })];
    await stack.redis.xgroup("CREATE", globalKeys.submissions, INTAKE_GROUP, "0");
    await stack.redis.xreadgroup(
      ...(["GROUP", INTAKE_GROUP, "first", "STREAMS", globalKeys.submissions, ">"] as const),
    );
    for (let i = 0; i < MANY; i++) {
      // As an intake of before takes them over.
      await timePasses();
      const from = [globalKeys.submissions, INTAKE_GROUP, `old-${i}`, 10_000, "0-0"] as const;
      await stack.redis.xautoclaim(...from);
    }
    expect((await pendingEntries()).map(([, , , n]) => n)).toEqual([1 + MANY, 1 + MANY]);
    expect(await processesUntilEmpty(killing)).toBe(0);
    const told = await answers();
    expect(ids.map((id) => told.get(id)?.status)).toEqual(["accepted", "accepted"]);
  });

  it("is accepted, however often an earlier version took it over after a trial", async () => {
    const id = await submit({ ...GOOD, input: "c" });
    await stack.redis.xgroup("CREATE", globalKeys.submissions, INTAKE_GROUP, "0");
    const first = ["GROUP", INTAKE_GROUP, "first", "STREAMS", globalKeys.submissions, ">"] as const;
    await stack.redis.xreadgroup(...first);
    const context = await contextOf(stack);
    const trials = new Trials(context, { youngMs: 0 });
    await timePasses();
    const [one] = await trials.leftBehind(1);
    await trials.begin(one as LeftBehind);
    for (let i = 0; i < MANY; i++) {
      await timePasses();
      const from = [globalKeys.submissions, INTAKE_GROUP, `old-${i}`, 10_000, "0-0"] as const;
      await stack.redis.xautoclaim(...from);
    }
    await timePasses();
    expect(await trials.leftBehind(1)).toEqual([{ id, trials: 1 }]);
    context.close();
    expect(await processesUntilEmpty(killing)).toBe(0);
    expect((await answers()).get(id)?.status).toBe("accepted");
  });

  it("is tried by no process that has only begun, which may die of something else", async () => {
    const id = await submit({ ...GOOD, input: "d" });
    const first = await startProcess("reads", () => ({ db: hanging() }));
    await waitFor(async () => (await pendingEntries()).length === 1);
    first.die();
    await first.intake.stop(0);
    await timePasses();
    const young = await startProcess("young", () => ({ youngMs: 600_000 }));
    for (const input of ["e", "f"]) {
      const other = await submit({ ...GOOD, input });
      await waitFor(async () => (await answers()).has(other));
    }
    await waitFor(async () => (await pendingEntries()).length === 1);
    expect(await pendingEntries()).toMatchObject([[id, "reads", expect.any(Number), 1]]);
    young.die();
    await young.intake.stop(0);
    expect(await processesUntilEmpty(killing)).toBe(0);
    expect((await answers()).get(id)?.status).toBe("accepted");
  });

  it("is accepted, however often processes that had it on trial died at about the same age", async () => {
    const id = await submit({ ...GOOD, input: "g" });
    const YOUNG_MS = 600_000;
    const ofId = async (): Promise<unknown[]> =>
      (await pendingEntries()).find(([pendingId]) => pendingId === id) ?? [];
    for (let i = 0; i < MANY; i++) {
      await timePasses();
      const clock = new TestClock();
      const db = i < 2 ? hanging() : stack.db;
      const dies = await startProcess(`d${i}`, () => ({ db, clock, youngMs: YOUNG_MS }));
      clock.offsetMs += 1.5 * YOUNG_MS;
      if (i < 2) {
        // It is read by the first, and tried by the second.
        const count = i === 0 ? 1 : 1_000_000;
        await waitFor(async () => (await ofId())[3] === count);
      }
      for (const round of i < 2 ? [] : [1, 2]) {
        // What is read second is read after a look for what is left behind.
        const other = await submit({ ...GOOD, input: `${i} ${round}` });
        await waitFor(async () => (await answers()).has(other));
      }
      dies.die();
      await dies.intake.stop(0);
    }
    expect(await ofId()).toMatchObject([id, "d1", expect.any(Number), 1_000_000]);
    expect(await processesUntilEmpty(killing)).toBe(0);
    expect((await answers()).get(id)?.status).toBe("accepted");
  });

  it("is accepted, however often processes were killed that waited for Postgres with it", async () => {
    const id = await submit({ ...GOOD, input: "patient" });
    const hangs = hanging();
    for (let i = 0; i < MANY; i++) {
      await timePasses();
      const waiting = await startProcess(`w${i}`, () => ({ db: hangs, trialMs: 5 }));
      // It has it, and has lived on: none of its trials counts.
      await waitFor(async () => {
        const [pending] = await pendingEntries();
        return pending?.[1] === `w${i}` && pending[3] === 1;
      });
      waiting.die();
      await waiting.intake.stop(0);
    }
    expect(await processesUntilEmpty(killing)).toBe(0);
    expect((await answers()).get(id)?.status).toBe("accepted");
  });

  it("is accepted, however often its trial failed", async () => {
    const id = await submit({ ...GOOD, input: "unlucky" });
    const failing = Object.create(stack.db) as Database;
    failing.transaction = () => Promise.reject(new Error("no luck"));
    for (let i = 0; i < MANY; i++) {
      await timePasses();
      const unlucky = await startProcess(`u${i}`, () => ({ db: failing }));
      await waitFor(async () => {
        const [pending] = await pendingEntries();
        return pending?.[1] === `u${i}` && pending[3] === 1;
      });
      unlucky.die();
      await unlucky.intake.stop(0);
    }
    expect(await processesUntilEmpty(killing)).toBe(0);
    expect((await answers()).get(id)?.status).toBe("accepted");
  });
});
