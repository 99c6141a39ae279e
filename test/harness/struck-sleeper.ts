/**
 * One run's sleep through scripts of which one is struck: it is frozen, its keys leave, it is put back
 * from its journal. What Postgres would know of it - that it sleeps, and since which record - is read
 * from the journal; whatever was struck is done again, as the supervisor does.
 */
import {
  beginWake,
  evictRuns,
  hibernateRuns,
  redisTimeMs,
  wakeRun,
  type HotState,
  type JournalRecord,
  type RunProfile,
  type ScriptRunner,
} from "../../sdk/internal.ts";
import type { RunRow } from "../../sdk/postgres/index.ts";
import { writeRun } from "../../supervisor/write-run.ts";
import { CommandList } from "../../supervisor/writer.ts";

/** The run as its journal has it, and its row under its next epoch. */
export interface Sleeping {
  profile: RunProfile;
  state: HotState;
  row: RunRow;
}

/** From which step on it is frozen, leaves, is put back. */
export const SLEEPS = { frozen: 3, gone: 4, back: 5 } as const;

export class StruckSleeper {
  readonly #scripts: ScriptRunner;
  readonly #runId: string;
  /** The record of the last sleep that is over. */
  #over = -1;
  #tickets = 0;

  constructor(scripts: ScriptRunner, runId: string) {
    this.#scripts = scripts;
    this.#runId = runId;
  }

  /** What is done at this step; throws what a struck script throws. */
  async act(step: number, records: readonly JournalRecord[], fold: () => Sleeping): Promise<void> {
    const seq = this.#asleepSince(records);
    if (step === SLEEPS.frozen && seq === null) {
      await hibernateRuns(this.#scripts, [this.#runId], 0);
    } else if (step === SLEEPS.gone && seq !== null) {
      await evictRuns(this.#scripts, [{ runId: this.#runId, seq }]);
    } else if (step >= SLEEPS.back && seq !== null) {
      await this.#wake(seq, fold);
    }
  }

  /** The record of the sleep that it sleeps; null: it is awake, for a repair as well. */
  #asleepSince(records: readonly JournalRecord[]): number | null {
    let since: number | null = null;
    for (const { seq, transitions } of records) {
      for (const { r, e } of transitions) {
        if (r === this.#runId && (e === "run.hibernated" || e === "run.suspect")) {
          since = e === "run.hibernated" ? seq : null;
        }
      }
    }
    return since !== null && since > this.#over ? since : null;
  }

  async #wake(seq: number, fold: () => Sleeping): Promise<void> {
    this.#tickets += 1;
    const ticket = `ticket ${this.#tickets}`;
    const runId = this.#runId;
    const [turn] = await beginWake(this.#scripts, ticket, [{ runId, seq }]);
    if (turn?.kind === "awake") {
      this.#over = seq;
    } else if (turn?.kind === "yours") {
      const { profile, row, state } = fold();
      const list = new CommandList();
      list.del(this.#scripts.keys.run(runId), this.#scripts.keys.blobs(runId));
      writeRun(list, profile, row, state, await redisTimeMs(this.#scripts));
      if (await wakeRun(this.#scripts, { runId, ticket, commands: list.commands })) {
        this.#over = seq;
      }
    }
  }
}
