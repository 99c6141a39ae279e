/**
 * The order of test files: those that take longest first, so that none of them is left when the
 * others are done. Files that share processes come last and together: a worker passes from one to
 * the next only if they follow one another, and as they are short, all workers end at one time.
 *
 * A new file needs no place here. Who finds one at the end of a run's output that took long adds it.
 */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** In this order. What waits for processes stands beside what only computes. */
export const LONGEST: readonly string[] = [
  "test/cluster/cluster.test.ts",
  "test/property/engine.test.ts",
  "test/recovery/faults.test.ts",
  "test/property/waits.test.ts",
  "test/cluster/primary-away.test.ts",
  "test/property/circuits.test.ts",
  "cmd/run.test.ts",
  "test/chaos/chaos.test.ts",
  "test/operations/stop.test.ts",
  "test/audit/damage.test.ts",
  "cmd/stop.test.ts",
  "worker/redelivery.test.ts",
  "cmd/waits.test.ts",
  "test/property/redrive.test.ts",
  "cmd/shared-stack.test.ts",
  "test/property/script-errors.test.ts",
  "test/e2e/kill.test.ts",
  "test/property/children.test.ts",
  "cmd/run-rest.test.ts",
  "test/circuits.test.ts",
];

/** The projects whose files share processes, in this order. */
const SHARED: readonly string[] = ["cluster", "served", "pure"];

export class LongestFirst extends BaseSequencer {
  override async sort(specs: TestSpecification[]): Promise<TestSpecification[]> {
    const root = this.ctx.config.root;
    const rank = (spec: TestSpecification): number => {
      const shared = SHARED.indexOf(spec.project.name);
      if (shared !== -1 && !spec.project.config.isolate) {
        return LONGEST.length + 1 + shared;
      }
      const place = LONGEST.indexOf(spec.moduleId.slice(root.length + 1));
      return place === -1 ? LONGEST.length : place;
    };
    const usual = await super.sort(specs);
    return usual
      .map((spec) => ({ spec, rank: rank(spec) }))
      .sort((a, b) => a.rank - b.rank)
      .map(({ spec }) => spec);
  }
}
