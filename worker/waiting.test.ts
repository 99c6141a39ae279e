import { expect, it } from "vitest";
import { leasesOf, preparedOf, runOf, tokenOf } from "./lane.fixture.ts";
import type { Held } from "./leases.ts";
import { STALE_MS, Waiting } from "./waiting.ts";

/** What waits in a lane with so many slots, and what becomes of it. */
function waitingOf(free: number) {
  const clock = { ms: 0 };
  const slots = { free };
  const reader = { isStopped: false };
  const leases = leasesOf(clock);
  const told = { begun: [] as string[], looked: [] as string[], back: [] as string[], changed: 0 };
  const waiting = new Waiting(
    { nowMs: () => clock.ms, slots, leases, reader },
    {
      room: { changed: () => (told.changed += 1) },
      handBacks: {
        giveBack: (all) => Promise.resolve(void told.back.push(...all.map(runOf))),
      },
      begin: (p) => {
        slots.free -= 1;
        told.begun.push(runOf(p));
      },
      lookUp: (token) => told.looked.push(token.runId),
    },
  );
  const hold = (runId: string): [ReturnType<typeof preparedOf>, Held] => {
    const token = tokenOf(runId);
    return [preparedOf(token), leases.hold(token)];
  };
  return { clock, slots, reader, leases, told, waiting, hold };
}

it("begins who came first, a chain's next step before all, and no more than there are slots", () => {
  const { slots, told, waiting, hold } = waitingOf(2);
  waiting.add(...hold("1"));
  waiting.add(...hold("2"));
  waiting.addFirst(...hold("chain"));
  waiting.pump();
  expect(told).toMatchObject({ begun: ["chain", "1"], changed: 1 });
  expect(waiting.size).toBe(1);
  slots.free = 1;
  waiting.pump();
  expect(told).toMatchObject({ begun: ["chain", "1", "2"], looked: [], back: [], changed: 2 });
});

it("has looked up again what has waited for too long", () => {
  const { clock, told, waiting, hold } = waitingOf(9);
  waiting.add(...hold("old"));
  clock.ms = 1;
  waiting.add(...hold("young"));
  clock.ms = STALE_MS + 1;
  waiting.pump();
  expect(told).toMatchObject({ begun: ["young"], looked: ["old"] });
});

it("begins nothing that is held no more", () => {
  const { leases, told, waiting, hold } = waitingOf(9);
  const [prepared, held] = hold("lost");
  waiting.add(prepared, held);
  waiting.add(...hold("own"));
  leases.drop(held);
  waiting.pump();
  expect(told).toMatchObject({ begun: ["own"], looked: [], back: [] });
});

it("begins nothing in a lane that is stopped: what waits is handed back", () => {
  const { reader, told, waiting, hold } = waitingOf(9);
  waiting.add(...hold("1"));
  reader.isStopped = true;
  waiting.pump();
  expect(told).toMatchObject({ begun: [], back: ["1"] });
  expect(waiting.size).toBe(0);
});
