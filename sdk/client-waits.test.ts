import { beforeEach, describe, expect, it } from "vitest";
import { patiently, type WaitClient } from "./client-waits.ts";

describe("an answer to a run", () => {
  let row: { id: string; status: string; asleepSinceMs: null } | null;
  let paused: number;
  let atMs: number;
  const client = {
    db: { query: () => Promise.resolve(row === null ? [] : [row]) },
    clock: { nowMs: () => atMs, monotonicMs: () => atMs },
    patienceMs: 200,
    pause: (ms: number) => {
      paused++;
      atMs += ms;
      return Promise.resolve();
    },
  } as unknown as WaitClient;
  const calls = (...outcomes: string[]): (() => Promise<string>) => {
    return () =>
      Promise.resolve(outcomes.length > 1 ? (outcomes.shift() as string) : (outcomes[0] ?? ""));
  };

  beforeEach(() => {
    [paused, atMs] = [0, 0];
    row = { id: "r", status: "RUNNING", asleepSinceMs: null };
  });

  it("that is there is given at once", async () => {
    expect(await patiently(client, "r", calls("done"))).toBe("done");
    expect(paused).toBe(0);
  });

  it("waits for one that is accepted and not in Redis yet, or in repair", async () => {
    expect(await patiently(client, "r", calls("gone", "busy", "done"))).toBe("done");
    expect(paused).toBe(2);
  });

  it("says of one that has ended, or that there is not, which of the two", async () => {
    row = { id: "r", status: "COMPLETED", asleepSinceMs: null };
    expect(await patiently(client, "r", calls("gone"))).toBe("ended");
    row = null;
    expect(await patiently(client, "r", calls("gone"))).toBe("unknown");
  });

  it("is given up in the end, with what the run is at", async () => {
    const late = (outcome: string): Promise<string> => patiently(client, "r", calls(outcome));
    await expect(late("gone")).rejects.toMatchObject({
      code: "GV_RUN_NOT_READY",
      message: expect.stringContaining("has not started yet") as string,
    });
    await expect(late("busy")).rejects.toThrow(/is being repaired/);
  });
});
