/** The chaos suite's short form: every fault once (npm run chaos is the long one). */
import { describe, expect, it } from "vitest";
import { FAULTS } from "./faults.ts";
import { runChaos } from "./run.ts";
import { hasPostgres } from "./has-postgres.ts";

describe("a stack of which everything is killed, frozen, cut off and emptied", async () => {
  it.runIf(await hasPostgres())(
    "loses, doubles and spoils nothing, and leaves nothing behind",
    async () => {
      const report = await runChaos({
        ...{ seed: 7, runs: 900, workflows: 24, faults: FAULTS.length },
        ...{ workers: 2, supervisors: 2, maps: true, log: () => undefined },
      });
      const { lost, wrong, doubled, notUndone, leftovers, fallen, submitted } = report;
      expect({ lost, wrong, doubled, notUndone, leftovers, fallen }).toEqual({
        ...{ lost: [], wrong: [], doubled: [], notUndone: [], leftovers: [], fallen: [] },
      });
      expect(Object.values(report.ended).reduce((sum, n) => sum + n, 0)).toBe(submitted);
    },
    10 * 60_000,
  );
});
