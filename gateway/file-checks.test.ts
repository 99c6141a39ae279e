/** Files that are checked and not submitted: what is told of them, and what the gateway bears. */
import { EventEmitter } from "node:events";
import { pino } from "pino";
import { afterEach, describe, expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import type { GuardLimits } from "../sdk/internal.ts";
import { FileChecks } from "./file-checks.ts";

const logger = pino({ level: "silent" });
const open: FileChecks[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((checks) => checks.stop()));
});

function checksOf(limits?: Partial<GuardLimits>, start?: unknown): FileChecks {
  const checks = new FileChecks(logger, limits, start as undefined);
  open.push(checks);
  return checks;
}

/** A thread whose answers are the test's. */
class FakeThread extends EventEmitter {
  readonly performance = { eventLoopUtilization: () => ({ active: 0 }) };
  readonly jobs: unknown[] = [];

  unref(): void {}
  postMessage(job: unknown): void {
    this.jobs.push(job);
    this.emit("job");
  }
  terminate(): Promise<number> {
    this.emit("exit", 1);
    return Promise.resolve(1);
  }
}

const here = new AbortController().signal;
const YAML = "name: small\nnodes:\n  - { id: a, type: transform, config: { expression: input } }\n";

function line(count: number): string {
  const nodes = Array.from({ length: count }, (_, i) => ({ id: `n${i}`, type: "noop" }));
  const edges = nodes.slice(1).map(({ id }, i) => ({ from: `n${i}`, to: id }));
  return JSON.stringify({ name: "line", nodes, edges });
}

describe("a file that is checked", () => {
  it.each([
    ["good YAML", YAML],
    ["good JSON", line(3)],
    ["mistakes", YAML.replace("transform", "transfrom").replace("config", "confgi")],
    ["a key that is there twice", `${YAML}name: again\n`],
    ["a tab", YAML.replace("  -", "\t-")],
    ["an anchor", YAML.replace("{ id", "&all { id")],
    ["what YAML 1.1 reads as false", `${YAML}version: no\non: push\n`],
    ["half of a JSON file", line(3).slice(0, 40)],
    ["nothing", ""],
    ["one that is too large", `${YAML}#`.padEnd(1_048_577)],
  ])("is told what the command line tells: %s", async (_, text) => {
    const { hash, diagnostics } = compile({ text });
    const valid = !diagnostics.some(({ severity }) => severity === "error");
    expect(await checksOf().check(text, here)).toEqual({ valid, hash, diagnostics });
  });

  it("does not hold the event loop up", async () => {
    let turns = 0;
    let isDone = false;
    const count = (): void => void (turns++, isDone || setImmediate(count));
    count();
    await checksOf().check(line(3000), here);
    isDone = true;
    expect(turns).toBeGreaterThan(100);
  });

  it("is refused where it costs more than a submission may, and the next is checked", async () => {
    const checks = checksOf({ cpuMsMax: 1 });
    const told = [checks.check(line(9000), here), checks.check(line(9000), here)];
    for (const one of told) {
      await expect(one).rejects.toMatchObject({ code: "GV_WORKFLOW_COSTLY" });
    }
  });

  it("is refused while as many wait as may; those whose sender is gone are passed over", async () => {
    const thread = new FakeThread();
    const checks = checksOf({}, () => thread);
    const asked = new Promise((done) => thread.once("job", done));
    const first = checks.check("first", here);
    await asked;
    const gone = new AbortController();
    const others = Array.from({ length: 15 }, () => checks.check("other", gone.signal));
    const told = Promise.allSettled(others);
    await expect(checks.check("more", here)).rejects.toMatchObject({ code: "GV_GATEWAY_BUSY" });
    gone.abort();
    thread.emit("message", { valid: true });
    expect(await first).toEqual({ valid: true });
    expect(new Set((await told).map(({ status }) => status))).toEqual(new Set(["rejected"]));
    const last = checks.check("last", here);
    await new Promise((done) => thread.once("job", done));
    thread.emit("message", { valid: false });
    expect(await last).toEqual({ valid: false });
    expect(thread.jobs).toEqual([{ text: "first" }, { text: "last" }]);
  });

  it("is to be sent again where there is no thread, and not checked on the event loop", async () => {
    const start = (): never => {
      throw new Error("no threads left");
    };
    const told = checksOf({}, start).check(YAML, here);
    await expect(told).rejects.toMatchObject({ code: "GV_GATEWAY_BUSY" });
  });

  it("is to be sent to another gateway when this one stops", async () => {
    const checks = checksOf({}, () => new FakeThread());
    const told = Promise.allSettled([checks.check(YAML, here), checks.check(YAML, here)]);
    await checks.stop();
    for (const one of await told) {
      expect(one).toMatchObject({ reason: { code: "GV_GATEWAY_UNAVAILABLE" } });
    }
  });

  it("is no fault of its sender where the compiler fails", async () => {
    const thread = new FakeThread();
    thread.once("job", () => thread.emit("message", { failed: "it broke" }));
    await expect(checksOf({}, () => thread).check(YAML, here)).rejects.toThrow("it broke");
  });
});
