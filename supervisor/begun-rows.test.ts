import { beforeEach, describe, expect, it } from "vitest";
import type { Cursor, RunChange } from "../sdk/postgres/index.ts";
import { BegunRows } from "./begun-rows.ts";
import { CursorMoved } from "./commit-block.ts";
import type { SupervisorContext } from "./context.ts";

const row: RunChange = {
  ...{ id: "a", status: "RUNNING", startedAtMs: 5, endedAtMs: null, output: null, error: null },
  atMs: 6,
};
const cursor: Cursor = { partition: 0, epoch: 1, seq: 9, nonce: "n", streamId: "9-0" };
const load = { isLoad: true, atOnce: new Set<string>() };

describe("late rows of a session", () => {
  let atMs: number;
  let isPaused: boolean;
  let isOurs: boolean;
  let asked: string[];
  const query = ({ name }: { name: string }): Promise<unknown[]> => {
    asked.push(name);
    const found = name.startsWith("pauses") ? isPaused : name.startsWith("cursor") && isOurs;
    return Promise.resolve(found ? [{ kind: "workflow" }] : []);
  };
  const db = { query, transaction: (work: (tx: unknown) => unknown) => work({ query }) };
  const clock = { nowMs: () => atMs, monotonicMs: () => atMs };
  const context = { db, clock } as unknown as SupervisorContext;

  beforeEach(() => {
    [atMs, isPaused, isOurs, asked] = [0, false, true, []];
  });

  it("wait under load, and while a workflow is paused none does", async () => {
    const rows = new BegunRows(context, 0);
    expect(await rows.plan([row], load)).toMatchObject({ write: [], hold: [row] });
    isPaused = true;
    atMs = 1000;
    expect(await rows.plan([row], load)).toMatchObject({ write: [row], hold: [] });
  });

  it("ask for pauses now and then, and without load not at all", async () => {
    const rows = new BegunRows(context, 0);
    await rows.plan([row], { ...load, isLoad: false });
    expect(asked).toEqual([]);
    await rows.plan([row], load);
    await rows.plan([row], load);
    expect(asked).toHaveLength(1);
  });

  it("are written when nothing comes, where the cursor stands as it was left", async () => {
    const rows = new BegunRows(context, 0);
    rows.settle(await rows.plan([row], load));
    asked = [];
    await rows.flush(cursor);
    expect(asked).toHaveLength(2);
    await rows.flush(cursor);
    expect(asked).toHaveLength(2);
  });

  it("are not written where somebody else has moved the cursor", async () => {
    const rows = new BegunRows(context, 0);
    rows.settle(await rows.plan([row], load));
    isOurs = false;
    await expect(rows.flush(cursor)).rejects.toThrow(CursorMoved);
  });

  it("of an earlier session are corrected in the rows, and held no more", async () => {
    const rows = new BegunRows(context, 0);
    rows.settle(await rows.plan([row], load));
    await rows.begin();
    asked = [];
    await rows.flush(cursor);
    expect(asked).toEqual([]);
  });
});
