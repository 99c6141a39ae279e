import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GROUP, machineName, partitionKeys } from "../sdk/internal.ts";
import {
  keepNamespace,
  listNamespaces,
  beatNamespace,
  readRun,
  type RunNamespace,
} from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { NamespaceWatch } from "./namespaces.ts";
import { chainIr, startPartition, startRuns } from "./stack.fixture.ts";
import { TestClock, type Stack, type Supervised } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const clock = new TestClock();
/** No process has this number. */
const NOBODY = 2 ** 30;
let stack: Stack;
let context: SupervisorContext;
let supervised: Supervised;
let watch: NamespaceWatch;
/** The watch's monotonic clock. */
let nowMs = 0;

beforeAll(async () => {
  supervised = await startPartition({ clock });
  ({ stack, context } = supervised);
  watch = new NamespaceWatch(context, () => nowMs);
});
afterAll(() => supervised.close());

/** A run under way, and its command as it has written itself down. */
async function commandOf(id: string, more: Partial<RunNamespace> = {}): Promise<RunNamespace> {
  await startRuns(context, chainIr(["a"]), "h-a", [id]);
  await becomes(id, "RUNNING");
  const namespace = `ns:run-${id}:`;
  const place = { host: hostname(), machine: await machineName(), pid: process.pid };
  const one = { namespace, runId: id, queues: [`${namespace}fn:work`], ...place, ...more };
  await keepNamespace(stack.db, one);
  return one;
}

/** Nothing has been heard of it for so long. */
async function silent({ namespace }: RunNamespace, ms: number): Promise<void> {
  const text = "UPDATE run_namespaces SET beat_at_ms = beat_at_ms - $2 WHERE namespace = $1";
  await stack.db.query({ name: "test_silent", text }, [namespace, ms]);
}

const statusOf = async (id: string): Promise<string | undefined> =>
  (await readRun(stack.db, id))?.status;

async function becomes(id: string, status: string): Promise<void> {
  const describe = `run ${id} is not ${status}`;
  await waitFor(async () => (await statusOf(id)) === status, { describe });
}

describe("a run whose command was killed", () => {
  it("is cancelled at once when its process is gone from this machine", async () => {
    const id = "01890000-0000-7000-8000-000000000001";
    await commandOf(id, { pid: NOBODY });
    await watch.look();
    await becomes(id, "CANCELLED");
    expect((await readRun(stack.db, id))?.error).toContain(`process ${NOBODY}) is gone`);
  });

  it("is cancelled after ten minutes of silence when the process was elsewhere", async () => {
    const id = "01890000-0000-7000-8000-000000000002";
    const one = await commandOf(id, { machine: "elsewhere", pid: NOBODY });
    await silent(one, 590_000);
    await watch.look();
    await watch.look();
    expect(await statusOf(id)).toBe("RUNNING");
    await silent(one, 11_000);
    await watch.look();
    nowMs += 30_000;
    await watch.look();
    await becomes(id, "CANCELLED");
  });

  it("is left alone when it beats before the second look: Postgres was away, not the process", async () => {
    const id = "01890000-0000-7000-8000-000000000003";
    const one = await commandOf(id, { machine: "elsewhere" });
    for (let i = 0; i < 3; i++) {
      await silent(one, 700_000);
      await watch.look();
      nowMs += 60_000;
      await beatNamespace(stack.db, one.namespace);
      await watch.look();
    }
    expect(await statusOf(id)).toBe("RUNNING");
  });

  it("is left alone when looks follow each other faster than it beats, as after a failed one", async () => {
    const id = "01890000-0000-7000-8000-000000000006";
    const one = await commandOf(id, { machine: "elsewhere" });
    await silent(one, 700_000);
    for (const ms of [0, 100, 200, 5000, 10_000, 14_000]) {
      nowMs += ms;
      await watch.look();
    }
    expect(await statusOf(id)).toBe("RUNNING");
    nowMs += 700;
    await watch.look();
    await becomes(id, "CANCELLED");
  });

  it("keeps its place while it is about to submit, when only looks were many", async () => {
    const one = {
      namespace: "ns:run-early:",
      runId: "01890000-0000-7000-8000-000000000007",
      queues: ["ns:run-early:fn:work"],
      ...{ host: "h", machine: "elsewhere", pid: NOBODY },
    };
    await keepNamespace(stack.db, one);
    await silent(one, 700_000);
    const isKept = async (): Promise<boolean> =>
      (await listNamespaces(stack.db)).some(({ namespace }) => namespace === one.namespace);
    await watch.look();
    await watch.look();
    expect(await isKept()).toBe(true);
    nowMs += 30_000;
    await watch.look();
    expect(await isKept()).toBe(false);
  });

  it("is left alone while its process lives", async () => {
    const id = "01890000-0000-7000-8000-000000000005";
    await commandOf(id);
    await watch.look();
    await watch.look();
    expect(await statusOf(id)).toBe("RUNNING");
  });

  it("leaves no queue behind: they go when the run has ended and the worker has stopped", async () => {
    const id = "01890000-0000-7000-8000-000000000004";
    const one = await commandOf(id, { pid: NOBODY });
    const stream = keys.queue(one.queues[0] as string, "high");
    await stack.redis.xgroup("CREATE", stream, GROUP, "0", "MKSTREAM");
    await watch.look();
    await becomes(id, "CANCELLED");
    await watch.look();
    expect(await stack.redis.exists(stream)).toBe(1);
    clock.offsetMs += 61_000;
    await watch.look();
    expect(await stack.redis.exists(stream)).toBe(0);
    const left = (await listNamespaces(stack.db)).map(({ namespace }) => namespace);
    expect(left).not.toContain(one.namespace);
  });
});
