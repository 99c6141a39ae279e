/** The chaos suite's short form: every fault once (npm run chaos is the long one). */
import { describe, expect, it } from "vitest";
import { FAULTS } from "./faults.ts";
import { runChaos } from "./run.ts";
import { startLocalPostgres } from "../support/postgres-local.ts";
import { chmodSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** PGlite has one session: what is killed here needs a real Postgres. */
async function hasPostgres(): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), "gv-probe-"));
  chmodSync(dir, 0o755);
  const database = await startLocalPostgres(join(dir, "p"));
  await database?.stop();
  await rm(dir, { recursive: true, force: true });
  return database !== undefined;
}

describe("a stack of which everything is killed, frozen, cut off and emptied", async () => {
  it.runIf(await hasPostgres())(
    "loses, doubles and spoils nothing, and leaves nothing behind",
    async () => {
      const report = await runChaos({
        ...{ seed: 7, runs: 900, workflows: 24, faults: FAULTS.length },
        ...{ workers: 2, supervisors: 2, maps: false, log: () => undefined },
      });
      const { lost, wrong, doubled, leftovers, fallen, submitted } = report;
      expect({ lost, wrong, doubled, leftovers, fallen }).toEqual({
        ...{ lost: [], wrong: [], doubled: [], leftovers: [], fallen: [] },
      });
      expect(Object.values(report.ended).reduce((sum, n) => sum + n, 0)).toBe(submitted);
    },
    10 * 60_000,
  );
});
