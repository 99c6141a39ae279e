/**
 * When a run is undone: after all that stands below it. A compensation waits, as a QUEUED row, until
 * no run below the one that it undoes is open, nor any compensation of these; so what was done last
 * is undone first, through the whole tree. Runs without a parent of their own are not waited for.
 *
 * The archiver looks with the block that plans a compensation, and with those that end a child or a
 * compensation while some wait. What a dead process knew of, the sweep over queued runs finds by the
 * same rule in the rows (`queuedRuns`).
 */
import { whichMayUndo, type NewRun } from "../sdk/postgres/index.ts";
import type { SupervisorContext } from "./context.ts";
import type { Starter } from "./starter.ts";

/** Beyond this many the sweep finds them. */
const WAITING_MAX = 1000;

export class Undoing {
  readonly #context: SupervisorContext;
  readonly #starter: Starter;
  /** Planned and not yet started, by id. */
  readonly #waiting = new Map<string, NewRun>();

  constructor(context: SupervisorContext, starter: Starter) {
    this.#context = context;
    this.#starter = starter;
  }

  /** After a block is committed: what it has planned, and the ids of runs that ended in it. */
  async look(planned: readonly NewRun[], ended: readonly string[]): Promise<void> {
    for (const run of planned) {
      if (this.#waiting.size < WAITING_MAX) {
        this.#waiting.set(run.id, { ...run, blobs: [] }); // they are where its row is
      }
    }
    const isNews = planned.length > 0 || ended.some((runId) => runId.includes("~"));
    if (this.#waiting.size > 0 && isNews) {
      await this.#start().catch((error: unknown) =>
        this.#context.logger.warn({ err: error }, "compensation not started"),
      );
    }
  }

  async #start(): Promise<void> {
    const deadlines = await this.#starter.deadlines();
    const asked = [...this.#waiting.values()];
    const queued = await whichMayUndo(
      this.#context.db,
      asked.map(({ id }) => id),
    );
    const keep = new Set(queued.filter(({ isFree }) => !isFree).map(({ id }) => id));
    const free = new Set(queued.filter(({ isFree }) => isFree).map(({ id }) => id));
    asked.filter(({ id }) => !keep.has(id)).forEach(({ id }) => this.#waiting.delete(id));
    const runs = asked.filter(({ id }) => free.has(id));
    await (runs.length === 0 ? undefined : this.#starter.start(runs, deadlines));
  }
}
