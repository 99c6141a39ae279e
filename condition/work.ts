/**
 * The work an evaluation may do.
 *
 * The library has no cost limit, and `a.all(x, b.all(y, …))` over two lists of a run is a quadratic
 * loop that an author can write by accident and that would hold up a whole worker. Evaluation is
 * synchronous and calls no code of users, so one counter per process is enough.
 */
import { WorkLimitError } from "./errors.ts";
import { WORK_UNITS_MAX } from "./limits.ts";

let unitsLeft = 0;

/** Start counting for one evaluation. */
export function startWork(): void {
  unitsLeft = WORK_UNITS_MAX;
}

/** Pay for work about to be done, or just done. Throws WorkLimitError when nothing is left. */
export function spendWork(units: number): void {
  unitsLeft -= units;
  assertWorkLeft();
}

/**
 * Throws WorkLimitError if the work is used up. Called again at the end of an evaluation, because
 * `||`, `&&`, `exists` and `all` swallow errors of one side if the other decides.
 */
export function assertWorkLeft(): void {
  if (unitsLeft >= 0) return;
  throw new WorkLimitError(
    `the expression does more than ${WORK_UNITS_MAX} steps for these data; ` +
      "work on smaller lists, or do this in a function",
  );
}
