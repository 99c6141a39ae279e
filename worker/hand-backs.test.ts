import { pino } from "pino";
import { beforeEach, expect, it } from "vitest";
import type { ScriptRunner } from "../sdk/internal.ts";
import { HandBacks } from "./hand-backs.ts";
import { leasesOf, tokenOf } from "./lane.fixture.ts";
import type { Held, Leases } from "./leases.ts";

const LEASE_MS = 1000;
const LEFT_MS = 5000;

let leases: Leases;
let handBacks: HandBacks;
/** Of each call: how many were held at that moment, and how the entries are handed back. */
let calls: { held: number; args: unknown[] }[];

beforeEach(() => {
  calls = [];
  leases = leasesOf();
  const call = (_name: string, _keys: string[], args: unknown[]): Promise<number> => {
    calls.push({ held: leases.size, args });
    return Promise.resolve(1);
  };
  handBacks = new HandBacks({
    scripts: { call } as unknown as ScriptRunner,
    ...{ leases, consumer: "w", leaseMs: LEASE_MS, logger: pino({ level: "silent" }) },
    unreadable: { idleOf: () => LEFT_MS },
  });
});

const hold = (runId: string): Held => leases.hold(tokenOf(runId));

it("holds nothing any more when Redis hears of it", async () => {
  const kept = hold("kept");
  await handBacks.giveBack([hold("1"), hold("2")]);
  handBacks.leave(tokenOf("3"), hold("3"));
  await handBacks.giveUp([tokenOf("not held")]);
  expect(calls.map(({ held }) => held)).toEqual([1, 1, 1]);
  expect(leases.has(kept)).toBe(true);
});

it.each([
  ["for no reason of its own", null],
  ["because its server is away", Object.assign(new Error("x"), { code: "ECONNRESET" })],
])("has looked for soon what was handed back %s", async (_, error) => {
  await handBacks.giveBack([hold("1")], error);
  expect(handBacks.isLookDue).toBe(true);
});

it("has looked for soon what is not to blame, whatever else is, and only that", async () => {
  await handBacks.giveBack([hold("1")], new Error("its own fault"));
  expect(handBacks.isLookDue).toBe(false);
  await handBacks.giveBack([hold("2")]);
  await handBacks.giveBack([hold("3")], new Error("its own fault"));
  expect(handBacks.isLookDue).toBe(true);
});

it("has looked for soon what was read under an epoch that is over", async () => {
  await handBacks.giveUp([tokenOf("1")]);
  expect(handBacks.isLookDue).toBe(true);
});

it("has nothing looked for where nothing was handed back, or it is for the other workers", async () => {
  await handBacks.giveBack([]);
  handBacks.leave(tokenOf("1"), hold("1"));
  expect(handBacks.isLookDue).toBe(false);
  expect(calls).toHaveLength(1);
  expect(calls[0]?.args).toContain(LEFT_MS); // so long, others think, nobody has touched it
});
