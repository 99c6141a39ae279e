/** The audit and runs that have left Redis to sleep: to nobody are they missing. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hibernateRuns, partitionKeys } from "../../sdk/internal.ts";
import { listRuns, readRun } from "../../sdk/postgres/index.ts";
import { publish } from "../harness/publish.ts";
import { waitFor } from "../support/index.ts";
import { Audited, line, waits } from "./audited.fixture.ts";

const keys = partitionKeys(0);
const PARENT = line("parent", [{ id: "s", type: "subworkflow", config: { workflow: "child" } }]);

let on: Audited;
beforeAll(async () => {
  on = await Audited.start();
});
afterAll(() => on.stop());

/** Puts a run to sleep that waits, and waits until it has left Redis. */
async function asleep(runId: string): Promise<void> {
  expect(await hibernateRuns(on.scripts, [runId], 1000)).toEqual(["asleep"]);
  await waitFor(
    async () => {
      const row = await readRun(on.engine.db, runId);
      const isThere = await on.engine.redis.exists(keys.run(runId));
      return typeof row?.asleepSinceMs === "number" && isThere === 0;
    },
    { describe: "it does not leave Redis" },
  );
}

describe("a run that is asleep", () => {
  it("is no run that is missing", async () => {
    const id = await on.standing(waits, "w", "waiting");
    await asleep(id);
    expect(await on.kindsOf(id)).toEqual([]);
    await on.client.signal(id, "go", {});
    await on.engine.ended(id);
  });

  it("is no child that is missing to its parent", async () => {
    await publish(on.engine.db, { ...waits, name: "child" });
    const parent = await on.standing(PARENT, "s", "waiting");
    const child = await waitFor(async () => {
      const [row] = await listRuns(on.engine.db, { parent, limit: 1 });
      const view = row === undefined ? null : await on.client.status(row.id);
      return view?.nodes["w"]?.status === "waiting" ? row?.id : undefined;
    });
    await asleep(child);
    expect(await on.kindsOf(parent)).toEqual([]);
    await on.client.signal(child, "go", {});
    await on.engine.ended(parent);
  });
});
