/** A function that leaves an error to nobody ends its worker, which says what it was executing. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { pino } from "pino";
import { expect, it } from "vitest";
import type { Worker } from "../worker/index.ts";
import { withLastWords } from "./last-words.ts";

const program = `
import { pino } from "pino";
import { withLastWords } from ${JSON.stringify(import.meta.resolve("./last-words.ts"))};
const executing = Array.from({ length: 30 }, (_, i) => ({ run: "run-" + i, node: "leaves", ms: 30 - i }));
const worker = { name: "worker", queues: [], inFlight: () => 30, executing: () => executing,
  start: async () => {}, stop: async () => {} };
const spoken = withLastWords(worker, "w1", pino(pino.destination({ dest: 2, sync: true })));
await spoken.start();
if (process.argv.includes("stopped")) await spoken.stop(0);
setTimeout(() => { throw new Error("left to nobody"); }, 0);
`;

/** Lines that the program has left in its log. */
async function logged(...args: string[]): Promise<string[]> {
  const module = ["--input-type=module", "--eval", program, ...args];
  const argv = ["--import", import.meta.resolve("tsx"), ...module];
  const { stderr } = await promisify(execFile)(process.execPath, argv).catch(
    (error: { stderr: string }) => error,
  );
  expect(stderr).toContain("Error: left to nobody");
  return stderr.split("\n").filter((line) => line.startsWith("{"));
}

it("a worker that an error ends names what it was executing for longest, and how many there were", async () => {
  const [words = ""] = await logged();
  const { level, msg, err, steps, executing } = JSON.parse(words) as { [name: string]: unknown };
  expect(level).toBe(60);
  expect(msg).toContain("an error that nobody caught ends this worker");
  expect(err).toMatchObject({ message: "left to nobody" });
  expect(steps).toBe(30);
  expect(executing).toHaveLength(20);
  expect((executing as unknown[])[0]).toEqual({ run: "run-0", node: "leaves", ms: 30 });
});

it("one that cannot start, or be stopped, listens no more", async () => {
  const fails = (): Promise<void> => Promise.reject(new Error("no"));
  const listeners = (): number => process.listenerCount("uncaughtExceptionMonitor");
  const before = listeners();
  const logger = pino({ level: "silent" });
  const worker = { name: "worker", start: fails, stop: fails } as unknown as Worker;
  await expect(withLastWords(worker, "w1", logger).start()).rejects.toThrow("no");
  expect(listeners()).toBe(before);
  const started = { ...worker, start: () => Promise.resolve() };
  const spoken = withLastWords(started, "w2", logger);
  await spoken.start();
  expect(listeners()).toBe(before + 1);
  await expect(spoken.stop(0)).rejects.toThrow("no");
  expect(listeners()).toBe(before);
});

it("one that has been stopped says nothing", async () => {
  expect(await logged("stopped")).toEqual([]);
});
