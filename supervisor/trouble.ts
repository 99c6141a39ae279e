/**
 * What the services of a supervisor say of trouble with the world, together: when Postgres is away, all
 * of them fail, many times each, and a log has one line for that and one for its end.
 */
import type { Logger } from "pino";
import { systemClock, Trouble } from "../sdk/internal.ts";
import { databaseError } from "../sdk/postgres/index.ts";

const SAYS = {
  fails: "work of the supervisor fails; it is tried again until it succeeds",
  goesOn: "work of the supervisor that failed goes on",
};

/** One for each process: its services share a logger. */
const TROUBLES = new WeakMap<Logger, Trouble>();

/** `who`, a service of whoever has this logger, failed; it is told, unless it was lately. */
export function meetTrouble(logger: Logger, who: string, error: unknown): void {
  troubleOf(logger).meet(databaseError(error, who), who);
}

/** It succeeded, or gives up. */
export function endTrouble(logger: Logger, who: string, how: "over" | "giveUp"): void {
  TROUBLES.get(logger)?.[how](who);
}

function troubleOf(logger: Logger): Trouble {
  const nowMs = (): number => systemClock.monotonicMs();
  const trouble = TROUBLES.get(logger) ?? new Trouble({ logger, nowMs, says: SAYS });
  TROUBLES.set(logger, trouble);
  return trouble;
}
