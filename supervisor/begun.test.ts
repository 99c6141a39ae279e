import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { putPause, queuedRuns, readCursor, readRun } from "../sdk/postgres/index.ts";
import type { RunChange } from "../sdk/postgres/index.ts";
import { partitionKeys, type Service } from "../sdk/internal.ts";
import { waitFor } from "../test/support/index.ts";
import { Begun, DUE_MAX, HOLD_MS } from "./begun.ts";
import { createPartition } from "./partition.ts";
import { chainIr, queueAgain, startContext, startRuns } from "./stack.fixture.ts";
import { work, type Supervised } from "./stack.fixture.ts";

const row = (id: string, more: Partial<RunChange> = {}): RunChange => ({
  ...{ id, status: "RUNNING", startedAtMs: 5, endedAtMs: null, output: null, error: null },
  ...{ atMs: 6, ...more },
});
const ended = (id: string): RunChange =>
  row(id, { status: "COMPLETED", startedAtMs: null, endedAtMs: 9 });
const load = (atMs: number, ...atOnce: string[]) => ({
  ...{ isLoad: true, atMs, atOnce: new Set(atOnce) },
});

describe("rows of runs that have begun", () => {
  it("are written with the block where there is no load", () => {
    const plan = new Begun().plan([row("a")], { ...load(0), isLoad: false });
    expect(plan).toMatchObject({ write: [row("a")], hold: [] });
  });

  it("wait under load; an end that comes meanwhile says both", () => {
    const begun = new Begun();
    const first = begun.plan([row("a"), row("b")], load(0));
    expect(first).toMatchObject({ write: [], hold: [row("a"), row("b")] });
    begun.settle(first);
    const next = begun.plan([ended("a")], load(10));
    expect(next.write).toEqual([{ ...ended("a"), startedAtMs: 5 }]);
    begun.settle(next);
    expect(begun.plan([], load(HOLD_MS)).write).toEqual([row("b")]);
  });

  it("wait no longer than their time, and not at all once there is no load", () => {
    const begun = new Begun();
    begun.settle(begun.plan([row("a")], load(0)));
    begun.settle(begun.plan([row("b")], load(1)));
    expect(begun.plan([], load(HOLD_MS)).write).toEqual([row("a")]);
    const rest = begun.plan([], { ...load(2), isLoad: false });
    expect(rest.write).toEqual([row("a"), row("b")]);
    begun.settle(rest);
    expect(begun.isEmpty).toBe(true);
  });

  it("are written by portions, oldest first, when load is over", () => {
    const begun = new Begun();
    const rows = Array.from({ length: DUE_MAX + 5 }, (_, i) => row(`r${i}`));
    begun.settle(begun.plan(rows, load(0)));
    for (const isLoad of [true, false]) {
      const plan = begun.plan([], { ...load(HOLD_MS), isLoad });
      expect(plan.write).toEqual(rows.slice(0, DUE_MAX));
    }
    begun.settle(begun.plan([], { ...load(0), isLoad: false }));
    expect(begun.plan([], { ...load(0), isLoad: false }).write).toEqual(rows.slice(DUE_MAX));
  });

  it("wait no longer for there being more of them, under load that goes on", () => {
    const begun = new Begun();
    const waiting = new Map<string, number>();
    const blockMs = HOLD_MS / 8;
    const oldestMs: number[] = [];
    const count: number[] = [];
    for (let block = 0; block < 24; block++) {
      const atMs = block * blockMs;
      const rows = Array.from({ length: DUE_MAX * 1.5 }, (_, i) => row(`${block}-${i}`));
      const plan = begun.plan(rows, load(atMs));
      begun.settle(plan);
      plan.hold.forEach(({ id }) => waiting.set(id, atMs));
      plan.write.forEach(({ id }) => waiting.delete(id));
      oldestMs.push(atMs - ([...waiting.values()][0] as number));
      count.push(waiting.size);
    }
    expect(Math.max(...oldestMs)).toBeLessThan(HOLD_MS);
    expect(Math.max(...count)).toBe(DUE_MAX * 1.5 * 8);
  });

  it("do not wait where the run is paused or falls asleep in the block", () => {
    const begun = new Begun();
    begun.settle(begun.plan([row("a")], load(0)));
    const paused = row("b", { status: "PAUSED" });
    expect(begun.plan([paused, row("c")], load(1, "a", "c")).write).toEqual([
      ...[paused, row("c")],
      row("a"),
    ]);
  });

  it("are planned again as they were when the commit failed", () => {
    const begun = new Begun();
    begun.settle(begun.plan([row("a")], load(0)));
    const plan = (): unknown => begun.plan([ended("a"), row("b")], load(HOLD_MS));
    expect(plan()).toEqual(plan());
  });
});

describe("under load", () => {
  const ir = chainIr(["a", "b"]);
  const ids = Array.from({ length: 1000 }, (_, i) => `run-${i}`);
  let on: Supervised;
  let partition: Service;

  beforeAll(async () => {
    on = await startContext();
    partition = createPartition(on.context, 0);
    await partition.start();
  });
  afterAll(async () => {
    await partition.stop(5000);
    await on.close();
  });

  async function archived(): Promise<void> {
    await waitFor(async () => {
      const seq = await on.stack.redis.hget(partitionKeys(0).meta, "seq");
      return (await readCursor(on.stack.db, 0))?.seq === Number(seq ?? -1);
    });
  }

  /** Transactions that wrote the row as it is, and the first of its journal. */
  async function writers(id: string): Promise<{ row: string; journal: string }> {
    const text = `SELECT r.xmin::text AS row, j.xmin::text AS journal
      FROM runs r JOIN journal j ON j.run_id = r.id WHERE r.id = $1 ORDER BY j.seq_from LIMIT 1`;
    return (await on.stack.db.query<never>({ name: "test_writers", text }, [id]))[0] as never;
  }

  it("the archive says later that runs have begun, and with their end when", async () => {
    await archived();
    // They are one block for who comes later.
    await partition.stop(5000);
    await startRuns(on.context, ir, "h-load", ids);
    partition = createPartition(on.context, 0);
    await partition.start();
    const last = ids.at(-1) as string;
    const begun = await waitFor(async () => {
      const found = await readRun(on.stack.db, last);
      return found?.status === "RUNNING" ? found : null;
    });
    const { row, journal } = await writers(last);
    expect(row).not.toBe(journal);
    await work(on.stack, ir, "h-load");
    const end = await waitFor(async () => {
      const found = await readRun(on.stack.db, last);
      return found?.status === "COMPLETED" ? found : null;
    });
    expect(end.startedAtMs).toBe(begun.startedAtMs);
  });

  it("a row waits for nothing while a workflow is paused, whose runs are found by their rows", async () => {
    const order = { kind: "workflow" as const, name: "other", version: "*" };
    await putPause(on.stack.db, { ...order, who: "ann", reason: "", changedAtMs: 1 });
    await archived();
    await partition.stop(5000);
    const paused = ids.map((id) => `${id}-p`);
    await startRuns(on.context, ir, "h-load", paused);
    partition = createPartition(on.context, 0);
    await partition.start();
    const last = paused.at(-1) as string;
    await waitFor(async () => (await readRun(on.stack.db, last))?.status === "RUNNING");
    const { row, journal } = await writers(last);
    expect(row).toBe(journal);
  });

  it("what a process that died has left is corrected, and nobody starts it again", async () => {
    await startRuns(on.context, ir, "h-left", ["left"]);
    await waitFor(async () => (await readRun(on.stack.db, "left"))?.status === "RUNNING");
    await archived();
    const before = await readRun(on.stack.db, "left");
    await partition.stop(5000);
    await queueAgain(on.stack.db, "left");
    expect(await queuedRuns(on.stack.db, Number.MAX_SAFE_INTEGER, 9)).toEqual([]);
    partition = createPartition(on.context, 0);
    await partition.start();
    await waitFor(async () => (await readRun(on.stack.db, "left"))?.status === "RUNNING");
    expect(await readRun(on.stack.db, "left")).toEqual(before);
  });
});
