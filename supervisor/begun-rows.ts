/**
 * Late rows of an archiver's session (begun.ts): when they may wait, and when they are written though
 * no block comes.
 *
 * No row waits while a workflow is paused, whose runs are found by their rows; and none is written
 * without the cursor standing where this archiver left it, in the same transaction: another archiver
 * may know better by now.
 */
import {
  advanceCursor,
  changeRuns,
  correctBegun,
  listPauses,
  type Cursor,
  type RunChange,
} from "../sdk/postgres/index.ts";
import { Begun, type BegunPlan } from "./begun.ts";
import { CursorMoved } from "./commit-block.ts";
import type { SupervisorContext } from "./context.ts";

/** Between two looks whether a workflow is paused, under load. */
const PAUSES_MS = 1000;
const NONE: ReadonlySet<string> = new Set();

export class BegunRows {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  #begun = new Begun();
  #isPausing = false;
  #pausesAtMs = 0;

  constructor(context: SupervisorContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
  }

  /** A session begins: what an earlier one left undone, whoever's it was, is put right. */
  async begin(): Promise<void> {
    this.#begun = new Begun();
    await correctBegun(this.#context.db, this.#partition);
  }

  /** What is to be written with a block that makes these changes; `settle` is for after it. */
  async plan(
    changes: readonly RunChange[],
    { isLoad, atOnce }: { isLoad: boolean; atOnce: ReadonlySet<string> },
  ): Promise<BegunPlan> {
    const mayWait = await this.#mayWait(isLoad);
    const atMs = this.#context.clock.monotonicMs();
    return this.#begun.plan(changes, { isLoad: mayWait, atMs, atOnce });
  }

  settle(plan: BegunPlan): void {
    this.#begun.settle(plan);
  }

  /** Nothing comes: all that wait are written. Throws CursorMoved. */
  async flush(cursor: Cursor): Promise<void> {
    const { db, clock } = this.#context;
    while (!this.#begun.isEmpty) {
      const when = { isLoad: false, atMs: clock.monotonicMs(), atOnce: NONE };
      const rows = this.#begun.plan([], when);
      await db.transaction(async (tx) => {
        // Where it stands: nobody else has archived what comes after.
        if (!(await advanceCursor(tx, cursor, cursor))) {
          throw new CursorMoved();
        }
        await changeRuns(tx, rows.write);
      });
      this.#begun.settle(rows);
    }
  }

  async #mayWait(isLoad: boolean): Promise<boolean> {
    const { clock, db } = this.#context;
    const now = clock.monotonicMs();
    if (isLoad && now >= this.#pausesAtMs) {
      const pauses = await listPauses(db);
      this.#isPausing = pauses.some(({ kind }) => kind === "workflow");
      this.#pausesAtMs = now + PAUSES_MS;
    }
    return isLoad && !this.#isPausing;
  }
}
