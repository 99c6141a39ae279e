/**
 * Whether what Postgres says of a run is old: its partition's archive stands, or is far behind. Then a
 * run that has ended looks as if it had not begun, and who reads that looks in the wrong place.
 */
import { partitionKeys, type Redis } from "../sdk/internal.ts";
import type { Database, RunRow } from "../sdk/postgres/index.ts";
import { lagOf, LATE_MS, type Lag } from "./doctor-archive.ts";
import { formatMs } from "./output.ts";
import { whereServed } from "./where-served.ts";

export interface Behind extends Lag {
  /** What Redis has of the run; null: nothing, e.g. because it sleeps or was released. */
  status_in_redis: string | null;
}

/** Null: it is not, or its partition has no primary that could say so. */
export async function behindOf(
  redis: Redis,
  db: Database,
  { id: runId, partition }: Pick<RunRow, "id" | "partition">,
): Promise<Behind | null> {
  return whereServed(redis, partition, async () => {
    const lag = await lagOf(redis, db, partition);
    if (lag === null || lag.ms <= LATE_MS) {
      return null;
    }
    const status = await redis.hget(partitionKeys(partition).run(runId), "s");
    return { ...lag, status_in_redis: status };
  });
}

/** In one line. */
export function behindText({ partition, records, ms, status_in_redis: status }: Behind): string {
  const now = status === null ? "" : `; in Redis the run is ${status}`;
  return (
    `this is old: ${records} records of partition ${partition} are not archived, for ` +
    `${formatMs(ms)}${now}; "gavotte doctor" says more`
  );
}
