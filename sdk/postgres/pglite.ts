/**
 * The database of an embedded stack, told by its URL.
 *
 * Whoever is given the address that `gavotte dev` prints does not know that PGlite is behind it, and
 * must not have to: several connections with named statements get each other's answers there.
 */
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";

/** Beside the socket of a PGlite host (cmd/embedded/pglite-host.ts), as long as its data is open. */
const MARK = "pglite.lock";

/** Whether a Postgres URL leads to the socket of a PGlite host on this machine. */
export function isPgliteUrl(url: string | undefined): boolean {
  const [, encoded = ""] = /[?&]host=([^&]*)/.exec(url ?? "") ?? [];
  try {
    const folder = decodeURIComponent(encoded);
    return isAbsolute(folder) && existsSync(join(folder, MARK));
  } catch {
    return false; // no encoding of anything: the driver says so
  }
}
