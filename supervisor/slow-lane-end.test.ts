/** The slow lane in the moment in which it ends: what is put off then is handled, too. */
import { setImmediate as nextTurn } from "node:timers/promises";
import { expect, it } from "vitest";
import { systemClock } from "../sdk/internal.ts";
import type { SupervisorContext } from "./context.ts";
import { SlowLane } from "./slow-lane.ts";

/** More microtasks than lie between the end of the last pass and that of the lane. */
const MICROTASKS = 30;

/** A stream that has every entry, at once. */
const context = {
  id: "test",
  clock: systemClock,
  redis: { xrange: (_stream: string, id: string) => Promise.resolve([[id, []]]) },
} as unknown as SupervisorContext;

interface Played {
  lane: SlowLane;
  handled: string[];
}

/** Adds an entry so many microtasks after the only one of the lane was handled. */
async function putOff(after: number, isAborted = false): Promise<Played> {
  const handled: string[] = [];
  const stop = new AbortController();
  const lane = new SlowLane(context, async (entries) => {
    handled.push(...entries.map(([id]) => id));
    if (entries[0]?.[0] === "1-0") {
      void addLater();
    }
    return Promise.resolve(new Set());
  });
  const addLater = async (): Promise<void> => {
    for (let i = 0; i < after; i++) {
      await Promise.resolve();
    }
    if (isAborted) {
      stop.abort();
    }
    lane.add([["2-0", ""]], stop.signal);
  };
  lane.add([["1-0", ""]], stop.signal);
  await nextTurn();
  return { lane, handled };
}

it("what is put off as it ends is handled, whichever moment that is", async () => {
  for (let after = 0; after <= MICROTASKS; after++) {
    const { lane, handled } = await putOff(after);
    expect(handled, `${after} microtasks after the last`).toEqual(["1-0", "2-0"]);
    expect(lane.has("2-0")).toBe(false);
  }
});

it("what is put off as it is stopped stays, and keeps nobody who waits for it", async () => {
  for (let after = 0; after <= MICROTASKS; after++) {
    const { lane, handled } = await putOff(after, true);
    await lane.whenIdle();
    expect(handled[0]).toBe("1-0");
    expect(lane.has("2-0")).toBe(!handled.includes("2-0"));
  }
});
