import { pino } from "pino";
import { expect, it } from "vitest";
import type { ReadyToken, ScriptRunner } from "../sdk/internal.ts";
import { giveBack } from "./give-back.ts";

/** What was called, and a lane's options whose queue `lost` does not answer. */
function lane(): { calls: [string, number][]; options: Parameters<typeof giveBack>[0] } {
  const calls: [string, number][] = [];
  const call = (_: string, [key = ""]: string[], args: unknown[]): Promise<number> => {
    calls.push([key, args.length - 3]);
    return key === "lost" ? Promise.reject(new Error("away")) : Promise.resolve(1);
  };
  const scripts = { call } as unknown as ScriptRunner;
  const options = { scripts, consumer: "w", leaseMs: 1, logger: pino({ level: "silent" }) };
  return { calls, options };
}

const token = (queueKey: string, i: number): ReadyToken =>
  ({ queueKey, entryId: `${i}-0` }) as ReadyToken;

it("hands back whatever a worker holds by one call for each queue and thousand", async () => {
  const { calls, options } = lane();
  const tokens = Array.from({ length: 2500 }, (_, i) => token(`q${i % 2}`, i));
  expect(await giveBack(options, tokens)).toBe(false);
  expect(calls.sort()).toEqual([
    ["q0", 1000],
    ["q0", 250],
    ["q1", 1000],
    ["q1", 250],
  ]);
});

it("hands back the others if those of one queue cannot be", async () => {
  const { calls, options } = lane();
  await giveBack(options, [token("lost", 1), token("q", 2)]);
  expect(calls).toEqual([
    ["lost", 1],
    ["q", 1],
  ]);
});
