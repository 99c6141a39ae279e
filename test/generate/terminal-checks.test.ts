import { describe, expect, it } from "vitest";
import { countChecks, MIX } from "./terminal-checks.ts";

/** The published counts (docs/evidence/terminal-checks.json) are over twenty times as many. */
const SEEDS = 10;

describe("X13: looking whether a run has ended", () => {
  it.each(Object.entries(MIX))(
    "of %s workflows terminal nodes are less than a fifth, and most ends move no counter",
    (_, options) => {
      const count = countChecks(options, SEEDS);
      expect(count.workflows).toBe(SEEDS);
      expect(count.spared_by_terminal).toBeGreaterThanOrEqual(80);
      expect(count.spared_by_counter).toBeGreaterThanOrEqual(50);
      // What a check after terminal nodes alone would not see.
      expect(count.counter_changes).toBeGreaterThan(count.terminal_ends);
    },
  );
});
