/** The chaos suite's short form: some faults on mixed work. All of them, one by one, are in test/recovery;
 * `npm run chaos` is the long form. */
import { describe, expect, it } from "vitest";
import { badOf, runChaos } from "./run.ts";
import { hasPostgres } from "./has-postgres.ts";

describe("a stack of which everything is killed, frozen, cut off and emptied", async () => {
  it.runIf(await hasPostgres())(
    "loses, doubles and spoils nothing, and leaves nothing behind",
    async () => {
      const report = await runChaos({
        ...{ seed: 7, runs: 400, workflows: 33, faults: 8 },
        ...{ workers: 2, supervisors: 2, maps: true, log: () => undefined },
      });
      const bad = Object.entries(badOf(report)).filter(([, list]) => list.length > 0);
      expect(bad).toEqual([]);
      expect(Object.values(report.ended).reduce((sum, n) => sum + n, 0)).toBe(report.submitted);
    },
    10 * 60_000,
  );

  it.runIf(await hasPostgres())(
    "W01: ends every run once though no worker lives for longer than a moment",
    async () => {
      const report = await runChaos({
        ...{ seed: 3, runs: 0, workflows: 33, faults: 0, kills: 20 },
        ...{ workers: 4, supervisors: 1, maps: true, log: () => undefined },
      });
      const bad = Object.entries(badOf(report)).filter(([, list]) => list.length > 0);
      expect(bad).toEqual([]);
      expect(report.kills?.count).toBe(20);
    },
    10 * 60_000,
  );
});
