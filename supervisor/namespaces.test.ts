import { hostname } from "node:os";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  connectRedis,
  GROUP,
  machineName,
  partitionKeys,
  removeNamespace,
} from "../sdk/internal.ts";
import {
  keepNamespace,
  listNamespaces,
  beatNamespace,
  readRun,
  type RunNamespace,
  type RunRow,
} from "../sdk/postgres/index.ts";
import { waitFor } from "../test/support/index.ts";
import { Apart } from "./apart.ts";
import type { SupervisorContext } from "./context.ts";
import { endRun } from "./end-run.ts";
import { NamespaceWatch } from "./namespaces.ts";
import { chainIr, contextOf, startPartition, startRuns } from "./stack.fixture.ts";
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
  const namespace = `ns:run-${id.slice(-12)}:`;
  await startRuns(context, chainIr(["a"]), "h-a", [id], namespace);
  await becomes(id, "RUNNING");
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

/** A minute and more has passed since the runs of its tree ended. */
async function longEnded({ runId }: RunNamespace): Promise<void> {
  const text =
    "UPDATE runs SET ended_at_ms = ended_at_ms - 61000 WHERE split_part(id, '~', 1) = $1";
  await stack.db.query({ name: "test_ended", text }, [runId]);
}

/** Whether the namespace is written down. */
const isKept = async (of: RunNamespace): Promise<boolean> =>
  (await listNamespaces(stack.db)).some(({ namespace }) => namespace === of.namespace);

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
    await watch.look();
    await watch.look();
    expect(await isKept(one)).toBe(true);
    nowMs += 30_000;
    await watch.look();
    expect(await isKept(one)).toBe(false);
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
    // It may still be stopping, whatever time this machine believes it is.
    clock.setAheadMs = 3_600_000;
    await watch.look();
    expect(await stack.redis.exists(stream)).toBe(1);
    clock.setAheadMs = -3_600_000;
    await longEnded(one);
    await watch.look();
    clock.setAheadMs = 0;
    expect(await stack.redis.exists(stream)).toBe(0);
    expect(await isKept(one)).toBe(false);
  });
});

describe("what came of a run whose command was killed", () => {
  const rowOf = async (id: string): Promise<RunRow> => (await readRun(stack.db, id)) as RunRow;
  const hashOf = (id: string): Promise<(string | null)[]> =>
    stack.redis.hmget(keys.run(id), "m", "s", "e");

  it("goes on with all workers, and the namespace stays written down until it has ended", async () => {
    const id = "01890000-0000-7000-8000-000000000010";
    const one = await commandOf(id, { pid: NOBODY });
    const [child, parent] = [`${id}~child`, `${id}~parent`];
    await startRuns(context, chainIr(["a"]), "h-a", [child, parent], one.namespace);
    await becomes(child, "RUNNING");
    await becomes(parent, "RUNNING");
    // The token that waits for the child goes on in a queue of the namespace.
    const up = (queue: string): string => `${parent}|0||1|${keys.queue(queue, "normal")}`;
    const set = "UPDATE runs SET parent_run_id = $2, parent_node = 'a', parent = $3 WHERE id = $1";
    await stack.db.query({ name: "test_parent", text: set }, [
      ...[child, parent],
      up(`${one.namespace}fn:work`),
    ]);
    await watch.look();
    await becomes(id, "CANCELLED");
    expect([await hashOf(child), (await rowOf(child)).namespace]).toEqual([
      [`${one.namespace}|normal`, "running", "1"],
      one.namespace,
    ]);
    await watch.look();
    for (const run of [child, parent]) {
      expect((await rowOf(run)).namespace).toBe("");
      await waitFor(async () => (await hashOf(run)).join() === "|normal,running,2", {
        describe: `run ${run} is not put back`,
      });
    }
    expect((await rowOf(child)).parent).toBe(up("fn:work"));
    expect(await stack.redis.hget(keys.run(child), "up")).toBe(up("fn:work"));
    // Their first tokens wait where all workers read.
    const [{ queues }] = [chainIr(["a"])];
    const lengths = queues.map((queue) => stack.redis.xlen(keys.queue(queue, "normal")));
    expect((await Promise.all(lengths)).reduce((sum, n) => sum + n, 0)).toBe(2);
    // Nothing is left to do, however often it looks; and it is kept for what a slow start might bring.
    await longEnded(one);
    await watch.look();
    expect((await hashOf(child)).join()).toBe("|normal,running,2");
    expect(await isKept(one)).toBe(true);
    for (const run of [child, parent]) {
      await endRun(context, await rowOf(run), "enough");
      await becomes(run, "CANCELLED");
    }
    await longEnded(one);
    await watch.look();
    expect(await isKept(one)).toBe(false);
  });

  it("goes on with all workers, though a thousand stand before it that have left, or sleep", async () => {
    const id = "01890000-0000-7000-8000-000000000013";
    const one = await commandOf(id, { pid: NOBODY });
    await watch.look();
    await becomes(id, "CANCELLED");
    const text = `INSERT INTO runs (id, workflow, version, ir_hash, partition, priority, status,
        input, created_at_ms, started_at_ms, updated_at_ms)
      SELECT $1 || '~c' || i, 'w', '1', 'h', 0, 'normal', 'RUNNING', '{}', 1, 1, 1
      FROM generate_series(1, 1000) AS i`;
    await stack.db.query({ name: "test_before", text }, [id]);
    const child = `${id}~last`;
    await startRuns(context, chainIr(["a"]), "h-a", [child], one.namespace);
    await becomes(child, "RUNNING");
    await watch.look();
    await watch.look();
    await waitFor(async () => (await hashOf(child)).join() === "|normal,running,2", {
      describe: "the last of them is not put back",
    });
    expect((await rowOf(child)).namespace).toBe("");
    expect(await isKept(one)).toBe(true);
    const end = "UPDATE runs SET status = 'CANCELLED', ended_at_ms = 1 WHERE id LIKE $1 || '~%'";
    await stack.db.query({ name: "test_before_end", text: end }, [id]);
    await longEnded(one);
    await watch.look();
    expect(await isKept(one)).toBe(false);
  });

  it("is left alone while its command serves it, and the namespace is not forgotten", async () => {
    const id = "01890000-0000-7000-8000-000000000011";
    const one = await commandOf(id);
    const child = `${id}~child`;
    await startRuns(context, chainIr(["a"]), "h-a", [child], one.namespace);
    await becomes(child, "RUNNING");
    await endRun(context, await rowOf(id), "enough");
    await becomes(id, "CANCELLED");
    await longEnded(one);
    await watch.look();
    expect([await hashOf(child), (await rowOf(child)).namespace]).toEqual([
      [`${one.namespace}|normal`, "running", "1"],
      one.namespace,
    ]);
    expect(await isKept(one)).toBe(true);
    expect(await removeNamespace(context, 1, one)).toBe(false);
    expect(await isKept(one)).toBe(true);
    await endRun(context, await rowOf(child), "enough");
    await becomes(child, "CANCELLED");
    expect(await removeNamespace(context, 1, one)).toBe(true);
    expect(await isKept(one)).toBe(false);
  });

  it("is not the command's run any more that somebody has redriven", async () => {
    const id = "01890000-0000-7000-8000-000000000012";
    const one = await commandOf(id, { pid: NOBODY });
    await stack.db.query(
      { name: "test_redriven", text: "UPDATE runs SET namespace = '' WHERE id = $1" },
      [id],
    );
    await stack.redis.hset(keys.run(id), "m", "|normal");
    await watch.look();
    await watch.look();
    expect(await statusOf(id)).toBe("RUNNING");
    expect((await hashOf(id)).join()).toBe("|normal,running,1");
    expect(await isKept(one)).toBe(true);
  });
});

describe("a namespace that cannot be tidied up", () => {
  const of = (one: number): string => `01890000-0000-7000-8000-0000000000${one}`;
  /** Two commands that were killed; the first is looked at first. */
  async function twoKilled(first: string, other: string): Promise<void> {
    const commands = [
      await commandOf(first, { pid: NOBODY }),
      await commandOf(other, { pid: NOBODY }),
    ];
    const listed = (await listNamespaces(stack.db)).map(({ namespace }) => namespace);
    const places = commands.map(({ namespace }) => listed.indexOf(namespace));
    expect(places).toEqual([...places].sort((a, b) => a - b));
  }

  it("with a run whose key is damaged is cancelled when that is put back, and keeps none behind it", async () => {
    const [first, other] = [of(20), of(21)];
    await twoKilled(first, other);
    await stack.redis.del(keys.run(first));
    await stack.redis.set(keys.run(first), "damaged");
    await watch.look();
    await becomes(other, "CANCELLED");
    // To be repaired, which its archiver does; then it is cancelled like any other.
    await waitFor(async () => (await watch.look(), (await statusOf(first)) === "CANCELLED"));
    await waitFor(async () => (await stack.redis.exists(keys.run(first))) === 0);
  });

  it("because its server does not answer keeps none behind it, and is not begun twice", async () => {
    const [first, other] = [of(22), of(23)];
    await twoKilled(first, other);
    const redis = connectRedis({ url: stack.redisUrl }, "stuck");
    const stuck = await contextOf(stack, { redis });
    const evalsha = redis.evalsha.bind(redis) as (...args: unknown[]) => Promise<unknown>;
    let asked = 0;
    let answer = (): void => undefined;
    const answered = new Promise<void>((done) => (answer = done));
    redis.evalsha = (async (...args: unknown[]) => {
      if (args.includes(keys.run(first))) {
        asked++;
        await answered;
      }
      return evalsha(...args);
    }) as typeof redis.evalsha;
    const apart = new Apart(100);
    const looks = new NamespaceWatch(stuck, () => nowMs, apart);
    await looks.look();
    await becomes(other, "CANCELLED");
    await looks.look();
    expect([asked, apart.isBusy(`ns:run-${first.slice(-12)}:`)]).toEqual([1, true]);
    answer();
    await becomes(first, "CANCELLED");
    stuck.close();
    redis.disconnect();
  });

  it("because one run of it is damaged gives the others to all workers", async () => {
    const id = of(24);
    const one = await commandOf(id, { pid: NOBODY });
    const [damaged, child] = [`${id}~a`, `${id}~b`];
    await startRuns(context, chainIr(["a"]), "h-a", [damaged, child], one.namespace);
    await becomes(damaged, "RUNNING");
    await becomes(child, "RUNNING");
    await watch.look();
    await becomes(id, "CANCELLED");
    await stack.redis.del(keys.run(damaged));
    await stack.redis.set(keys.run(damaged), "damaged");
    await watch.look();
    await waitFor(async () => (await stack.redis.hget(keys.run(child), "m")) === "|normal", {
      describe: "the child behind the damaged one is not put back",
    });
    await waitFor(async () => (await stack.redis.type(keys.run(damaged))) === "hash", {
      describe: "the damaged one is not put back",
    });
    expect(await stack.redis.hget(keys.run(damaged), "m")).toBe("|normal");
  });
});
