/** One file that takes long to compile, and all others, which do not wait for it. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import { globalKeys, INTAKE_GROUP, type Service } from "../sdk/internal.ts";
import { waitFor } from "../test/support/index.ts";
import type { SubmissionReply } from "./admit-batch.ts";
import type { CompileGuard } from "./compile-guard.ts";
import type { SupervisorContext } from "./context.ts";
import { Intake, type IntakeOptions } from "./intake.ts";
import { createPartition } from "./partition.ts";
import { compileFake, contextOf, startStack, TestClock, type Stack } from "./stack.fixture.ts";
import { Starter } from "./starter.ts";

const GOOD = { workflow: { nodes: ["a"] } };
const LONG_AGO_MS = 60_000;
const clock = new TestClock();
let stack: Stack;
let context: SupervisorContext & { close(): void };
let partition: Service;
let intake: Intake;
/** Texts that the thread has been given, and what lets it answer. */
let asked: string[];
let answers: (() => void)[];

const guard = {
  get isBusy() {
    return answers.length > 0;
  },
  bounds: "",
  check: () => Promise.resolve([]),
  compile: (text: string) =>
    new Promise((resolve) => {
      asked.push(text);
      const { ir, ...rest } = compileFake({ document: JSON.parse(text) as never });
      answers.push(() => resolve({ ...rest, ir: JSON.stringify(ir) }));
    }),
  stop: () => Promise.resolve(finish()),
} as unknown as CompileGuard;

/** The thread is done with what it was given. */
function finish(): void {
  answers.splice(0).forEach((answer) => answer());
}

beforeAll(async () => {
  stack = await startStack();
});
afterAll(() => stack.close());
beforeEach(async () => {
  await stack.redis.del(globalKeys.submissions, globalKeys.replies);
  [asked, answers] = [[], []];
  context = await contextOf(stack, { clock });
  partition = createPartition(context, 0);
  await partition.start();
});
afterEach(async () => {
  await intake.stop(2000);
  await partition.stop(2000);
  context.close();
});

async function start(more: Partial<IntakeOptions> = {}): Promise<void> {
  const starter = new Starter(context);
  intake = new Intake({ context, compile: compileFake, guard, starter, youngMs: 0, ...more });
  await intake.start();
}

/** Not known to be quick: it is the thread's. */
const costly = (name: string): object => ({
  workflow: { nodes: [name], text: "x".repeat(10_000) },
});

/** Puts them on the stream at one time. */
async function submit(...submissions: object[]): Promise<string[]> {
  const adds = stack.redis.multi();
  submissions.forEach((one) =>
    adds.xadd(globalKeys.submissions, "*", "submission", JSON.stringify(one)),
  );
  return ((await adds.exec()) ?? []).map(([, id]) => id as string);
}

async function repliesByEntry(): Promise<Map<string, SubmissionReply>> {
  const entries = await stack.redis.xrange(globalKeys.replies, "-", "+");
  const replies = entries.map(([, fields]) => JSON.parse(fields[1] ?? "") as SubmissionReply);
  return new Map(replies.map((reply) => [reply.submission_id, reply]));
}

const accepted = (id: string | undefined): Promise<boolean> =>
  waitFor(async () => (await repliesByEntry()).get(id ?? "")?.status === "accepted");

type Pending = [id: string, consumer: string, idleMs: number, deliveries: number][];
const pending = async (): Promise<Pending> =>
  (await stack.redis.xpending(globalKeys.submissions, INTAKE_GROUP, "-", "+", 10)) as Pending;

/** It has been pending for long, delivered as often as before. */
async function age(id: string): Promise<void> {
  const [one] = (await pending()).filter(([pendingId]) => pendingId === id);
  const of = [globalKeys.submissions, INTAKE_GROUP, one?.[1] ?? "dead", 0, id] as const;
  await stack.redis.xclaim(...of, "IDLE", LONG_AGO_MS, "JUSTID");
}

it("those that come with it are answered meanwhile, and it when it is compiled", async () => {
  const [slow, good] = await submit(costly("b"), GOOD);
  await start();
  await accepted(good);
  await waitFor(() => asked.length === 1);
  expect((await repliesByEntry()).has(slow as string)).toBe(false);
  finish();
  await accepted(slow);
  await waitFor(async () => (await stack.redis.xlen(globalKeys.submissions)) === 0);
});

it("those that come later are answered meanwhile, however long it takes", async () => {
  await start();
  const [slow] = await submit(costly("c"));
  await waitFor(() => asked.length === 1);
  for (let i = 0; i < 3; i++) {
    await age(slow as string);
    // Time for the next look for what is left behind.
    clock.offsetMs += LONG_AGO_MS;
    const [good] = await submit(GOOD);
    await accepted(good);
  }
  expect(asked).toHaveLength(1);
  finish();
  await accepted(slow);
});

it("those that wait for the thread with it are answered when they are compiled", async () => {
  const [soon, slow] = await submit(costly("s"), costly("t"));
  await start();
  await waitFor(() => asked.length === 1);
  finish();
  await waitFor(() => asked.length === 2);
  await accepted(soon);
  expect((await repliesByEntry()).has(slow as string)).toBe(false);
  finish();
  await accepted(slow);
  expect(asked).toHaveLength(2);
});

it("others wait for one of a tenant's files that take long, not for all that it has sent", async () => {
  const of = (tenant: string, name: string): object => ({ ...costly(name), tenant });
  const many = Array.from({ length: 40 }, (_, i) => of("many", `m${i}`));
  const ids = await submit(...many, of("few", "n"));
  await start();
  await waitFor(() => asked.length === 1);
  finish();
  await waitFor(() => asked.length === 2);
  finish();
  await accepted(ids.at(-1));
  expect(asked[1]).toContain('"n"');
  expect((await repliesByEntry()).size).toBeLessThan(4);
  await waitFor(async () => (finish(), (await repliesByEntry()).size === ids.length));
});

it("one that names what is nowhere is told so when what came with it is compiled", async () => {
  const hash = "0".repeat(64);
  const [lost, first, second] = await submit({ hash }, costly("h"), costly("i"));
  const isTold = async (): Promise<boolean> => (await repliesByEntry()).has(lost as string);
  await start({ touchMs: 10 });
  await waitFor(() => asked.length === 1);
  // There always is one that waits for the thread.
  const more = await submit(costly("j"), costly("k"));
  await waitFor(async () => (await pending()).length === 5);
  await Promise.all(more.map(age));
  const isFresh = ([, , idleMs]: Pending[number]): boolean => idleMs < LONG_AGO_MS / 2;
  await waitFor(async () => (await pending()).every(isFresh));
  finish();
  await accepted(first);
  await waitFor(() => asked.length === 2);
  expect(await isTold()).toBe(false);
  finish();
  await accepted(second);
  await waitFor(isTold);
  finish();
  await waitFor(() => asked.length === 4);
  finish();
  await accepted(more[1]);
});

it("one that names what is nowhere waits for what came with it also where they are handled one by one", async () => {
  const [slow, lost] = await submit(costly("l"), { hash: "0".repeat(64) });
  const isTold = async (): Promise<boolean> => (await repliesByEntry()).has(lost as string);
  const starter = new Starter(context);
  const deadlines = starter.deadlines.bind(starter);
  starter.deadlines = () => {
    starter.deadlines = deadlines;
    return Promise.reject(new Error("of the batch as a whole"));
  };
  await start({ starter });
  await waitFor(() => asked.length === 1);
  expect(await isTold()).toBe(false);
  finish();
  await accepted(slow);
  await waitFor(isTold);
});

it("nobody takes for left behind what waits for it", async () => {
  const ids = await submit(costly("d"), costly("e"));
  await start({ touchMs: 10 });
  await waitFor(() => asked.length === 1);
  for (const id of ids) {
    await age(id);
  }
  const isFresh = ([, , idleMs]: Pending[number]): boolean => idleMs < LONG_AGO_MS / 2;
  await waitFor(async () => (await pending()).every(isFresh));
  expect((await pending()).map(([id, , , deliveries]) => [id, deliveries])).toEqual(
    ids.map((id) => [id, 1]),
  );
  finish();
  await waitFor(() => asked.length === 2);
  finish();
  await accepted(ids[1]);
});

it("others are answered while it is on trial, which nothing else disturbs in the thread", async () => {
  await stack.redis.xgroup("CREATE", globalKeys.submissions, INTAKE_GROUP, "0", "MKSTREAM");
  const [suspect] = await submit(costly("f"));
  const group = ["GROUP", INTAKE_GROUP, "dead", "STREAMS", globalKeys.submissions, ">"] as const;
  await stack.redis.xreadgroup(...group);
  await age(suspect as string);
  await start({ trialMs: 50 });
  await waitFor(() => asked.length === 1);
  const [good, slow] = await submit(GOOD, costly("g"));
  await accepted(good);
  const [next] = await submit(GOOD);
  await accepted(next);
  expect(asked).toHaveLength(1);
  expect((await repliesByEntry()).has(slow as string)).toBe(false);
  finish();
  await accepted(suspect);
  await waitFor(() => asked.length === 2);
  finish();
  await accepted(slow);
});
