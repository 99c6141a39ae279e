import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  globalKeys,
  GROUP,
  keepNamespace,
  partitionKeys,
  type RunNamespace,
  type Service,
} from "../sdk/internal.ts";
import { readRun } from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import type { SupervisorContext } from "./context.ts";
import { reapNamespaces } from "./namespaces.ts";
import { createPartition } from "./partition.ts";
import { chainIr, contextOf, startRuns, startStack } from "./stack.fixture.ts";
import { TestClock, type Stack } from "./stack.fixture.ts";

const keys = partitionKeys(0);
const clock = new TestClock();
/** No process has this number. */
const NOBODY = 2 ** 30;
let stack: Stack;
let context: SupervisorContext & { close(): void };
let partition: Service;

beforeAll(async () => {
  stack = await startStack();
  context = await contextOf(stack, { clock });
  partition = createPartition(context, 0);
  await partition.start();
});
afterAll(async () => {
  await partition.stop(2000);
  context.close();
  await stack.close();
});

/** A run under way, and its command as it has written itself down. */
async function commandOf(id: string, more: Partial<RunNamespace> = {}): Promise<RunNamespace> {
  await startRuns(context, chainIr(["a"]), "h-a", [id]);
  const namespace = `ns:run-${id}:`;
  const own = { namespace, runId: id, queues: [`${namespace}fn:work`], host: hostname() };
  const one = { ...own, pid: process.pid, atMs: clock.nowMs(), ...more };
  await keepNamespace(stack.redis, one);
  return one;
}

const statusOf = async (id: string): Promise<string | undefined> =>
  (await readRun(stack.db, id))?.status;

async function becomes(id: string, status: string): Promise<void> {
  const describe = `run ${id} is not ${status}`;
  await waitFor(async () => (await statusOf(id)) === status, { describe });
}

describe("a run whose command was killed", () => {
  it("is cancelled soon when its process is gone from this machine", async () => {
    const id = "01890000-0000-7000-8000-000000000001";
    await commandOf(id, { pid: NOBODY });
    await becomes(id, "RUNNING");
    await reapNamespaces(context);
    expect(await statusOf(id)).toBe("RUNNING");
    clock.offsetMs += 31_000;
    await reapNamespaces(context);
    await becomes(id, "CANCELLED");
    expect((await readRun(stack.db, id))?.error).toContain("is gone");
  });

  it("is cancelled after ten minutes when the process was elsewhere", async () => {
    const id = "01890000-0000-7000-8000-000000000002";
    await commandOf(id, { host: "elsewhere" });
    await becomes(id, "RUNNING");
    clock.offsetMs += 590_000;
    await reapNamespaces(context);
    expect(await statusOf(id)).toBe("RUNNING");
    clock.offsetMs += 11_000;
    await reapNamespaces(context);
    await becomes(id, "CANCELLED");
  });

  it("is left alone while somebody reads its queues", async () => {
    const id = "01890000-0000-7000-8000-000000000003";
    const { queues } = await commandOf(id, { pid: NOBODY });
    await becomes(id, "RUNNING");
    const stream = keys.queue(queues[0] as string, "normal");
    await stack.redis.xgroup("CREATE", stream, GROUP, "0", "MKSTREAM");
    await stack.redis.xreadgroup("GROUP", GROUP, "w", "COUNT", 1, "STREAMS", stream, ">");
    clock.offsetMs += 700_000;
    await reapNamespaces(context);
    expect(await statusOf(id)).toBe("RUNNING");
  });

  it("leaves no queue behind: they go when the run has ended and the worker has stopped", async () => {
    const id = "01890000-0000-7000-8000-000000000004";
    const one = await commandOf(id, { pid: NOBODY });
    await becomes(id, "RUNNING");
    const stream = keys.queue(one.queues[0] as string, "high");
    await stack.redis.xgroup("CREATE", stream, GROUP, "0", "MKSTREAM");
    clock.offsetMs += 31_000;
    await reapNamespaces(context);
    await becomes(id, "CANCELLED");
    expect(await stack.redis.exists(stream)).toBe(1);
    clock.offsetMs += 61_000;
    await reapNamespaces(context);
    expect(await stack.redis.exists(stream)).toBe(0);
    expect(await stack.redis.hexists(globalKeys.namespaces, one.namespace)).toBe(0);
  });
});
