/** Whether the stores can be killed here: PGlite has one session, and lives in our own process. */
import { chmodSync, mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startLocalPostgres } from "../support/postgres-local.ts";

/** Tries it. */
export async function hasPostgres(): Promise<boolean> {
  const dir = mkdtempSync(join(tmpdir(), "gv-probe-"));
  chmodSync(dir, 0o755);
  const database = await startLocalPostgres(join(dir, "p"));
  await database?.stop();
  await rm(dir, { recursive: true, force: true });
  return database !== undefined;
}
