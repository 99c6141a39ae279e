/** Every fault of the chaos suite by itself, at a known moment: some runs have ended, most have not. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FAULTS } from "../chaos/faults.ts";
import { hasPostgres } from "../chaos/has-postgres.ts";
import { seeded } from "../harness/random.ts";
import { waitFor } from "../support/index.ts";
import { Scene, steps, sums } from "./scene.ts";

const RUNS = 60;
const NAMES = new Map(FAULTS.map((fault) => [fault.name, fault]));

describe("one fault", async () => {
  if (!(await hasPostgres())) {
    it.skip("needs stores that can be killed", () => undefined);
    return;
  }
  let scene: Scene;
  beforeAll(async () => {
    scene = await Scene.start(2, { concurrency: 8 });
    await scene.stack.spawn("supervisor");
    await scene.stack.spawn("gateway");
  }, 60_000);
  afterAll(() => scene.stack.stop());

  it.for([...NAMES.keys()])(
    "%s: every run ends once, with its own output",
    { timeout: 3 * 60_000 },
    async (name, { skip }) => {
      const fault = NAMES.get(name);
      const reason = fault?.missing?.(scene.stack) ?? null;
      skip(reason !== null, reason ?? "");
      const ids = await scene.submit(steps, RUNS);
      await waitFor(async () => (await scene.endedOf(ids)).length > 0);
      await fault?.run(scene.stack, seeded(1));
      expect(await scene.outputs(ids)).toEqual(sums(RUNS));
      expect(await scene.doubled(ids)).toEqual([]);
      expect(scene.stack.fallen).toEqual([]);
    },
  );
});
