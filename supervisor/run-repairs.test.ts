import pino from "pino";
import { beforeEach, describe, expect, it } from "vitest";
import type { SupervisorContext } from "./context.ts";
import { RunRepairs } from "./run-repairs.ts";

describe("an archiver's repairs", () => {
  let atMs = 0;
  let asked = 0;
  const warned: unknown[] = [];
  const logger = pino({ level: "silent" });
  logger.warn = (facts: unknown) => void warned.push(facts);
  const db = {
    query: () => {
      asked++;
      return Promise.reject(new Error("away"));
    },
  };
  const clock = { nowMs: () => atMs, monotonicMs: () => atMs };
  const context = { db, clock, logger } as unknown as SupervisorContext;

  beforeEach(() => {
    [atMs, asked] = [0, 0];
    warned.length = 0;
  });

  it("are looked for now and then, not with every look", async () => {
    const repairs = new RunRepairs(context, 3);
    await repairs.sweep();
    await repairs.sweep();
    expect(asked).toBe(1);
    atMs = 30_000;
    await repairs.sweep();
    expect(asked).toBe(2);
  });

  it("that fail are told, and hold nothing up", async () => {
    await new RunRepairs(context, 3).repair(["run"]);
    expect(warned).toMatchObject([{ partition: 3, err: { message: "away" } }]);
  });

  it("of no run ask nobody", async () => {
    await new RunRepairs(context, 3).repair([]);
    expect(asked).toBe(0);
  });
});
