/** Where a PGlite host listens; apart from the host, so that clients need not load PGlite. */
import { join } from "node:path";

/** Postgres clients expect this name, built from the port, inside the folder they are given. */
export function pgliteSocket(sockets: string): string {
  return join(sockets, ".s.PGSQL.5432");
}

/** The URL `pg` takes for the database behind the sockets in `sockets`. */
export function pgliteUrl(sockets: string): string {
  return `postgres://postgres:postgres@/postgres?host=${encodeURIComponent(sockets)}`;
}
