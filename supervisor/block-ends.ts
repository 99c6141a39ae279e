/**
 * What the ends in a block leave beside the journal: rows of runs, what undoes them, and pauses of
 * runs that fail again and again. Worked out before the commit, and anew if that is repeated.
 *
 * Reads only, but for the pauses, each of which is decided once (`decided`). What cannot be worked out
 * is thrown; `isSparing`, it is left out and logged, so that no run stops its partition.
 */
import { isValueFault } from "../sdk/postgres/index.ts";
import { planCompensations, toCompensate, type Compensation } from "./compensation.ts";
import type { SupervisorContext } from "./context.ts";
import { pauseAfterErrors } from "./error-pauses.ts";
import { Finaliser, type Finalised } from "./finalise.ts";
import type { BlockFold, RunFold } from "./block-fold.ts";

export interface Ends extends Finalised {
  compensations: readonly Compensation[];
}

export class BlockEnds {
  readonly #context: SupervisorContext;
  readonly #partition: number;
  readonly #finaliser: Finaliser;

  constructor(context: SupervisorContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
    this.#finaliser = new Finaliser(context, partition);
  }

  async workOut(
    fold: BlockFold,
    { decided, isSparing }: { decided: Set<string>; isSparing: boolean },
  ): Promise<Ends> {
    const finalised = await this.#finalise(fold, isSparing);
    const { irs } = finalised;
    const compensations = await this.#compensations(fold, irs, isSparing);
    const pauses = pauseAfterErrors(this.#context, this.#partition, fold, irs, decided);
    await (isSparing ? this.#spared(pauses, () => [], [...fold.runs.values()]) : pauses);
    return { ...finalised, compensations };
  }

  /** Their ends are committed. */
  forget(ended: Finalised["ended"]): void {
    this.#finaliser.forget(ended);
  }

  /** What ends leave in rows; `isSparing`: of one, its status if that is all there is. */
  async #finalise(fold: BlockFold, isSparing: boolean): Promise<Finalised> {
    if (!isSparing) {
      return this.#finaliser.finalise(fold);
    }
    const each = this.#finaliser.finalise(fold, (run, error) => this.#leaveOut(error, [run]));
    return this.#spared(each, () => this.#finaliser.bare(fold), fold.ended);
  }

  /** What undoes the block's ended runs; `isSparing`: without those that cannot be worked out. */
  async #compensations(
    fold: BlockFold,
    irs: Finalised["irs"],
    isSparing: boolean,
  ): Promise<Compensation[]> {
    const plan = async (runs: RunFold[]): Promise<Compensation[]> => {
      const history = await this.#finaliser.history(runs);
      return planCompensations(this.#context, this.#partition, runs, irs, history);
    };
    const runs = toCompensate(fold.ended, irs);
    if (!isSparing) {
      return plan(runs);
    }
    const planned: Compensation[] = [];
    for (const run of runs) {
      planned.push(...(await this.#spared(plan([run]), () => [], [run])));
    }
    return planned;
  }

  /** What `work` gives; `instead`, if what these runs hold makes it fail. */
  async #spared<T>(work: Promise<T>, instead: () => T, runs: readonly RunFold[]): Promise<T> {
    try {
      return await work;
    } catch (error) {
      if (!isValueFault(error)) {
        throw error;
      }
      this.#leaveOut(error, runs);
      return instead();
    }
  }

  #leaveOut(error: unknown, runs: readonly RunFold[]): void {
    const facts = { err: error, partition: this.#partition, runs: runs.map(({ runId }) => runId) };
    this.#context.logger.error(facts, "what the end of a run leaves cannot be worked out");
  }
}
