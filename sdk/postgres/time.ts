/** The database's clock: of it there is one, whichever process asks. */
import type { Queryable } from "./connect.ts";

/** For statements: milliseconds since 1970, as they run and not as their transaction began. */
export const DATABASE_TIME_MS = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
const NOW = { name: "database_time", text: `SELECT ${DATABASE_TIME_MS} AS now` };

/** Milliseconds since 1970. */
export async function databaseTimeMs(db: Queryable): Promise<number> {
  const [row] = await db.query<{ now: number }>(NOW, []);
  return row?.now ?? 0;
}
