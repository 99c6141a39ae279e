import { EventEmitter, once } from "node:events";
import { platform } from "node:os";
import { setImmediate as nextTurn, setTimeout as delay } from "node:timers/promises";
import { Worker as Thread } from "node:worker_threads";
import { pino } from "pino";
import { afterEach, describe, expect, it, vi } from "vitest";
import { canonicalJson, compile, type Json } from "../compiler/index.ts";
import { IDLE_MS, makeValidator, type GuardLimits, type UserValidator } from "../sdk/internal.ts";
import { nameThread, threadCell, type ThreadCell } from "../sdk/thread-time.ts";
import { CompileGuard, COSTLY, isQuick, NO_THREAD, type CompileAnswer } from "./compile-guard.ts";

const logger = pino({ level: "silent" });
const open: CompileGuard[] = [];
afterEach(async () => {
  vi.useRealTimers();
  await Promise.all(open.splice(0).map((guard) => guard.stop()));
});

function guardOf(limits?: Partial<GuardLimits>, start?: never): CompileGuard {
  const guard = new CompileGuard(logger, limits, start);
  open.push(guard);
  return guard;
}

/** A thread that computes nothing, and was at work for so long, ms. */
class FakeThread extends EventEmitter {
  readonly performance;
  isEnded = false;

  constructor(active = 0) {
    super();
    this.performance = { eventLoopUtilization: () => ({ active }) };
  }

  unref(): void {}
  postMessage(): void {}
  terminate(): Promise<number> {
    this.isEnded = true;
    this.emit("exit", 1);
    return Promise.resolve(1);
  }
}

/** A line of so many steps. */
function line(count: number): string {
  const nodes = Array.from({ length: count }, (_, i) => ({ id: `n${i}`, type: "noop" }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `n${i}`, to: id }));
  return JSON.stringify({ name: "line", metadata: { tags: ["t"] }, nodes, edges });
}

/** The rest of the process computes, for many looks of a guard that looks every 5 ms. */
async function busy(): Promise<void> {
  for (let looks = 0; looks < 5; looks++) {
    const begun = process.cpuUsage();
    while (process.cpuUsage(begun).user < 10_000);
    // A timer of the same length as the guard's, which comes after it.
    await delay(5);
  }
}

describe("what is quick", () => {
  const pattern = (text: string): string => JSON.stringify({ input_schema: { pattern: text } });
  it.each<[string, string, boolean]>([
    ["a small file", line(20), true],
    ["one of some kilobytes", line(1000), false],
    ["a name of at most 64 characters", pattern("^[a-z]{1,64}$"), true],
    ["a few of at most a thousand", pattern("^[a-z]{1,1000}@[a-z]{1,1000}$"), true],
    ["repeats of repeats", pattern("((a{30}){30}){9}"), false],
    [
      "repeats that are written otherwise",
      pattern("a{1000}".repeat(6)).replace("{1", "\\u007b1"),
      false,
    ],
    ["a template, which is no repeat", JSON.stringify({ params: "${12} ".repeat(90) }), true],
  ])("%s", (_, text, quick) => {
    // As the intake has it: what is read is written anew.
    expect(isQuick(JSON.stringify(JSON.parse(text)))).toBe(quick);
  });
});

describe("the compile thread", () => {
  it("says what the compiler says, while the event loop turns", async () => {
    const text = line(3000);
    let turns = 0;
    let isDone = false;
    const count = (): void => void (turns++, isDone || setImmediate(count));
    count();
    const answer = await guardOf().compile(text);
    isDone = true;
    const { ir, hash, tags } = compile({ document: JSON.parse(text) as Json });
    expect(answer).toEqual({ ir: canonicalJson(ir), hash, tags, diagnostics: [] });
    expect(turns).toBeGreaterThan(100);
  });

  it("does one job after the other, of those that come at one time", async () => {
    const guard = guardOf();
    const texts = [line(2), '{"nodes":[]}', line(3)];
    const answers = await Promise.all(texts.map((text) => guard.compile(text)));
    const codes = answers.map((one) => (one as CompileAnswer).diagnostics);
    const expected = texts.map((text) =>
      compile({ document: JSON.parse(text) as Json }).diagnostics.filter(
        ({ severity }) => severity === "error",
      ),
    );
    expect(codes.map((list) => list.map(({ code }) => code))).toEqual(
      expected.map((list) => list.map(({ code }) => code)),
    );
    expect(codes[1]).not.toEqual([]);
    expect(guard.isBusy).toBe(false);
  });

  it("says what a validator says of data", async () => {
    const schema = { type: "object", properties: { a: { maxLength: 2 } }, required: ["b"] };
    const guard = guardOf();
    const validate = makeValidator(schema) as UserValidator;
    for (const value of [{ a: "abc" }, { b: 1 }, 5]) {
      const told = await guard.check(JSON.stringify(schema), JSON.stringify(value));
      expect(told).toEqual(validate(value));
    }
    expect(await guard.check('{"type":"nothing"}', "1")).toContain("no JSON Schema");
  });

  it.each<[string, Partial<GuardLimits>]>([
    ["processor time", { cpuMsMax: 1 }],
    ["memory", { heapMbMax: 8 }],
  ])("is given up when a job takes too much %s, and the next has a new one", async (_, limits) => {
    const guard = guardOf(limits);
    const answers = [guard.compile(line(9000)), guard.compile(line(9000))];
    expect(await Promise.all(answers)).toEqual([COSTLY, COSTLY]);
    expect(guard.isBusy).toBe(false);
  });

  it("is not charged what the rest of its process computes", async () => {
    const thread = new FakeThread(0);
    const told = guardOf({ cpuMsMax: 5 }, (() => thread) as never).compile("{}");
    await busy();
    thread.emit("message", { ir: null });
    expect(await told).toEqual({ ir: null });
  });

  it("is ended when it has had no job for a while, but never in the middle of one", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const threads: FakeThread[] = [];
    const start = (): FakeThread => {
      threads.push(new FakeThread());
      return threads.at(-1) as FakeThread;
    };
    const guard = guardOf({}, start as never);
    const first = guard.compile("{}");
    await nextTurn();
    threads[0]?.emit("message", { ir: "1" });
    expect(await first).toEqual({ ir: "1" });
    vi.advanceTimersByTime(IDLE_MS - 1);
    const second = guard.compile("{}");
    await nextTurn();
    vi.advanceTimersByTime(IDLE_MS);
    await nextTurn();
    threads.at(-1)?.emit("message", { ir: "2" });
    expect(await second).toEqual({ ir: "2" });
    expect(threads.map(({ isEnded }) => isEnded)).toEqual([false]);
    vi.advanceTimersByTime(IDLE_MS);
    expect(threads.map(({ isEnded }) => isEnded)).toEqual([true]);
  });

  it.runIf(platform() === "linux")("is not charged for waiting for a processor", async () => {
    // What the system counts is that of a thread that does nothing.
    const cell = threadCell();
    const names = `const { workerData, parentPort } = require("node:worker_threads");
      const id = require("node:fs").readlinkSync("/proc/thread-self").split("/").at(-1);
      Atomics.store(workerData, 0, Number(id));
      parentPort.postMessage("");
      setInterval(() => undefined, 60_000);`;
    const asleep = new Thread(names, { eval: true, workerData: cell });
    await once(asleep, "message");
    const thread = new FakeThread(99);
    const start = (_: string, __: string, { workerData }: { workerData: { cell: ThreadCell } }) => {
      workerData.cell.set(cell);
      return thread;
    };
    const told = guardOf({ cpuMsMax: 5 }, start as never).compile("{}");
    await busy();
    thread.emit("message", { ir: null });
    expect(await told).toEqual({ ir: null });
    await asleep.terminate();
  });

  it("is charged where the system counts nothing, once it was at work for very long", async () => {
    const thread = new FakeThread(101);
    const start = (_: string, __: string, { workerData }: { workerData: { cell: ThreadCell } }) => {
      nameThread(workerData.cell);
      return thread;
    };
    const told = guardOf({ cpuMsMax: 5 }, start as never).compile("{}");
    await busy();
    expect(await told).toBe(COSTLY);
  });

  it("is not there: whoever asks is told to do it himself", async () => {
    const start = (): never => {
      throw new Error("no threads left");
    };
    expect(await guardOf({}, start as never).compile(line(2))).toBe(NO_THREAD);
  });

  it("ends with its supervisor: who waits for it is told, and later ones, too", async () => {
    const guard = guardOf();
    const asked = [guard.compile(line(9000)), guard.compile(line(2))];
    const told = Promise.allSettled(asked);
    await guard.stop();
    await guard.stop();
    expect((await told).map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    await expect(guard.compile(line(2))).rejects.toThrow("stopped");
  });
});
