/** What a thread is charged, while its process computes something else, and while it waits. */
import { platform } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { expect, it } from "vitest";
import { nameThread, threadCell, threadCpuMs } from "./thread-time.ts";

/** Uses so much of a processor, then waits. */
const WORKS = `
  const { workerData: { cell, ms }, parentPort } = require("node:worker_threads");
  const { readFileSync, readlinkSync } = require("node:fs");
  const id = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
  const used = () => {
    const fields = readFileSync("/proc/thread-self/schedstat", "latin1").split(" ");
    return Number(fields[0]) / 1e6;
  };
  while (used() < ms);
  Atomics.store(cell, 0, id);
  parentPort.postMessage("done");
  setInterval(() => undefined, 60_000);
`;

const isLinux = platform() === "linux";

/** Uses so much of a processor in this thread, and its event loop turns. */
async function burn(ms: number): Promise<void> {
  for (const begun = process.cpuUsage(); process.cpuUsage(begun).user < ms * 1000;) {
    const part = process.cpuUsage();
    while (process.cpuUsage(part).user < 10_000);
    await delay(0);
  }
}

it.runIf(isLinux)("is what it has used itself, and nothing for what it waits", async () => {
  const cell = threadCell();
  expect(threadCpuMs(cell)).toBeNull(); // it has not begun
  const thread = new Worker(WORKS, { eval: true, workerData: { cell, ms: 50 } });
  await new Promise((done) => thread.once("message", done));
  const used = threadCpuMs(cell) ?? 0;
  expect(used).toBeGreaterThanOrEqual(40);
  await burn(150);
  expect((threadCpuMs(cell) ?? 0) - used).toBeLessThan(100);
  await thread.terminate();
  expect(threadCpuMs(cell)).toBeNull(); // it has ended
});

it.runIf(isLinux)("is known of a thread that has named itself", async () => {
  const cell = threadCell();
  nameThread(cell);
  const before = threadCpuMs(cell) ?? Number.NaN;
  await burn(50);
  expect((threadCpuMs(cell) ?? 0) - before).toBeGreaterThanOrEqual(40);
});

it("is not known where the system has no such thread", () => {
  const cell = threadCell();
  cell[0] = 2 ** 30;
  expect(threadCpuMs(cell)).toBeNull();
});
