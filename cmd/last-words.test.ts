/** A function that leaves an error to nobody, or exits, ends its worker, which says what it executed. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { Worker } from "../worker/index.ts";
import { withLastWords } from "./last-words.ts";

const program = `
import { pino } from "pino";
import { withLastWords } from ${JSON.stringify(import.meta.resolve("./last-words.ts"))};
import { onInterrupt } from ${JSON.stringify(import.meta.resolve("./exit.ts"))};
const executing = Array.from({ length: 30 }, (_, i) => ({ run: "run-" + i, node: "leaves", ms: 30 - i }));
const worker = { name: "worker", queues: [], inFlight: () => 30, executing: () => executing,
  start: async () => {}, stop: async () => {} };
const spoken = withLastWords(worker, "w1", pino(pino.destination({ dest: 2, sync: true })));
await spoken.start();
if (process.argv.includes("stopped")) await spoken.stop(0);
function givesUp() { process.exit(7); }
if (process.argv.includes("exits")) setTimeout(givesUp, 0);
else if (process.argv.includes("interrupted")) {
  const controller = new AbortController();
  onInterrupt(controller);
  controller.abort();
  process.kill(process.pid, "SIGINT");
  setInterval(() => {}, 1000);
} else setTimeout(() => { throw new Error("left to nobody"); }, 0);
`;

/** Lines that the program has left in its log. */
async function logged(...args: string[]): Promise<string[]> {
  const { stderr } = await ended(...args);
  expect(stderr).toContain("Error: left to nobody");
  return linesOf(stderr);
}

/** How the program has ended. */
async function ended(...args: string[]): Promise<{ code: number; stderr: string }> {
  const module = ["--input-type=module", "--eval", program, ...args];
  const argv = ["--import", import.meta.resolve("tsx"), ...module];
  return promisify(execFile)(process.execPath, argv).then(
    ({ stderr }) => ({ code: 0, stderr }),
    (error: { code: number; stderr: string }) => error,
  );
}

function linesOf(stderr: string): string[] {
  return stderr.split("\n").filter((line) => line.startsWith("{"));
}

it("a worker that an error ends names what it was executing for longest, and how many there were", async () => {
  const [words = ""] = await logged();
  const { level, msg, err, steps, executing } = JSON.parse(words) as { [name: string]: unknown };
  expect(level).toBe(60);
  expect(msg).toContain("an error that nobody caught ends this worker");
  expect(err).toMatchObject({ message: "left to nobody" });
  expect(await logged()).toHaveLength(1);
  expect(steps).toBe(30);
  expect(executing).toHaveLength(20);
  expect((executing as unknown[])[0]).toEqual({ run: "run-0", node: "leaves", ms: 30 });
});

it("one that cannot start, or be stopped, listens no more", async () => {
  const logger = pino({ level: "silent" }); // it listens for the exit itself
  const fails = (): Promise<void> => Promise.reject(new Error("no"));
  const listeners = (): number =>
    process.listenerCount("uncaughtExceptionMonitor") + process.listenerCount("exit");
  const before = listeners();
  const worker = { name: "worker", start: fails, stop: fails } as unknown as Worker;
  await expect(withLastWords(worker, "w1", logger).start()).rejects.toThrow("no");
  expect(listeners()).toBe(before);
  const started = { ...worker, start: () => Promise.resolve() };
  const spoken = withLastWords(started, "w2", logger);
  await spoken.start();
  expect(listeners()).toBe(before + 2);
  await expect(spoken.stop(0)).rejects.toThrow("no");
  expect(listeners()).toBe(before);
});

it("one that has been stopped says nothing", async () => {
  expect(await logged("stopped")).toEqual([]);
});

it("a worker that a function exits from says so, with what it was executing and where", async () => {
  const { code, stderr } = await ended("exits");
  expect(code).toBe(7);
  const [words = "", ...more] = linesOf(stderr);
  expect(more).toEqual([]);
  const { level, msg, err, steps } = JSON.parse(words) as { [name: string]: unknown };
  expect(level).toBe(60);
  expect(msg).toContain("process.exit was called, which ends this worker");
  expect(err).toMatchObject({ message: "the process exits with 7" });
  expect((err as { stack: string }).stack).toContain("givesUp");
  expect(steps).toBe(30);
});

it("who interrupts twice is not told of a function that exits", async () => {
  const { code, stderr } = await ended("interrupted");
  expect(code).toBe(130);
  expect(linesOf(stderr)).toEqual([]);
});
