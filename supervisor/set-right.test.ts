/** A run that is not what its journal says, and is moved on while the watch looks at it. */
import { afterAll, beforeAll, expect, it } from "vitest";
import { cancelRun, partitionKeys } from "../sdk/internal.ts";
import { readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { Backlog } from "./audit/backlog.ts";
import type { SupervisorContext } from "./context.ts";
import { setRight } from "./set-right.ts";
import { SleepStage } from "./sleep.fixture.ts";

const keys = partitionKeys(0);
const WORKFLOW = {
  name: "off",
  nodes: [{ id: "a", type: "wait", config: { signal: "go" } }],
  edges: [],
};

let stage: SleepStage;
const ids: string[] = [];

beforeAll(async () => {
  stage = await SleepStage.open(async (client) => {
    for (const _ of ["ends", "stays"]) {
      const id = await client.submit({ workflow: WORKFLOW });
      await waitFor(async () => (await client.status(id)).nodes["a"]?.status === "waiting");
      ids.push(id);
    }
  });
  await stage.holdArchive();
  await Promise.all(ids.map((id) => stage.engine.redis.hset(keys.run(id), "c", 7)));
});
afterAll(() => stage.close());

const statusOf = (id: string): Promise<string | null> => stage.engine.redis.hget(keys.run(id), "s");

/** Has `befall` happen when the run's state has been read for the second time, and judged by nobody. */
function amidSecondLook(befall: () => Promise<unknown>): SupervisorContext {
  const { context } = stage;
  let reads = 0;
  const irs = new Proxy(context.irs, {
    get: (target, name) =>
      name === "load"
        ? async (hashes: string[]) => {
            // Each look asks for the workflow before it reads the state, and once more behind that.
            await ((reads += 1) === 4 && befall());
            return target.load(hashes);
          }
        : (Reflect.get(target, name) as unknown),
  });
  return new Proxy(context, {
    get: (target, name) => (name === "irs" ? irs : (Reflect.get(target, name) as unknown)),
  });
}

async function lookAt(id: string, context: SupervisorContext): Promise<boolean> {
  const row = await readRun(stage.engine.db, id);
  return setRight(context, row as NonNullable<typeof row>, new Backlog(context.redis, 0));
}

it("that has ended since is not frozen: its end stands", async () => {
  const [id = ""] = ids;
  const context = amidSecondLook(async () => {
    expect(await cancelRun(stage.scripts, id, "enough")).toBe("cancelled");
  });
  expect(await lookAt(id, context)).toBe(false);
  expect(await statusOf(id)).toBe("cancelled");
});

it("that is still as it was is frozen", async () => {
  const [, id = ""] = ids;
  expect(await lookAt(id, stage.context)).toBe(true);
  expect(await statusOf(id)).toBe("suspect");
});
