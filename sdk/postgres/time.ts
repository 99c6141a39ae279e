/** The database's clock: of it there is one, whichever process asks. */
import type { Queryable } from "./connect.ts";

const NOW = {
  name: "database_time",
  text: "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now",
};

/** Milliseconds since 1970. */
export async function databaseTimeMs(db: Queryable): Promise<number> {
  const [row] = await db.query<{ now: number }>(NOW, []);
  return row?.now ?? 0;
}
