/**
 * Having a sleeping run woken (docs/hibernate.md): the wish goes to Postgres, the supervisor that
 * holds the run's partition puts the run back into Redis, and whoever asked sees it in the row.
 */
import type { Clock } from "./clock.ts";
import { GavotteError } from "./errors.ts";
import { askToWake, readRun, type Database, type RunRow } from "./postgres/index.ts";

/** What the functions here need of a client. */
export interface WakeClient {
  db: Database;
  clock: Clock;
  /** How long to wait for a run that is to be woken. */
  patienceMs: number;
  pause(ms: number): Promise<void>;
}

const POLL_MS = 50;

/**
 * The run's row when it is not asleep: at once, or after it has been woken. Throws GV_RUN_NOT_READY
 * when nobody has woken it in time; the wish stands, so a later call finds it awake.
 */
export async function whileAwake(client: WakeClient, row: RunRow): Promise<RunRow> {
  const { db, clock } = client;
  const untilMs = clock.monotonicMs() + client.patienceMs;
  let now: RunRow | null = row;
  while (now?.asleepSinceMs !== null && now !== null) {
    if (clock.monotonicMs() >= untilMs) {
      throw new GavotteError(
        "GV_RUN_NOT_READY",
        `run ${row.id} is asleep and no supervisor has woken it yet; try again later`,
      );
    }
    await askToWake(db, [row.id]);
    await client.pause(POLL_MS);
    now = await readRun(db, row.id);
  }
  return now ?? row;
}
