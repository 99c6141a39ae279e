/** PGlite (real Postgres compiled to WASM) in a child process, reached by `pg` over a socket. */
import { mkdirSync } from "node:fs";
import { forkModule, within, type Child, type Watched } from "./child.ts";
import { pgliteUrl } from "./pglite-address.ts";

export interface PgliteChild extends Child {
  /** For connectPostgres, together with `singleSession: true`. */
  readonly url: string;
}

/** The first start makes a database, which takes seconds on a slow machine. */
const START_LIMIT_MS = 90_000;
const STOP_LIMIT_MS = 15_000;

/** Starts it on `dataDir` (a folder, or "memory://") with its sockets in `sockets`. */
export async function startPglite(dataDir: string, sockets: string): Promise<PgliteChild> {
  mkdirSync(sockets, { recursive: true, mode: 0o700 });
  const child = forkModule("pglite-host", import.meta.url, [dataDir, sockets]);
  const ready = new Promise<void>((done) => child.process.once("message", () => done()));
  const over = child.ended.then((reason) => {
    throw new Error(`PGlite did not start (${reason}): ${child.output() || "no output"}`);
  });
  over.catch(() => undefined);
  try {
    await within(Promise.race([ready, over]), START_LIMIT_MS, "PGlite does not start");
  } catch (error) {
    child.process.kill("SIGKILL");
    throw error;
  }
  return { url: pgliteUrl(sockets), ended: child.ended, stop: () => stop(child) };
}

async function stop(child: Watched): Promise<void> {
  if (child.process.connected) {
    child.process.send({ stop: true }, () => undefined);
  }
  await within(child.ended, STOP_LIMIT_MS, "PGlite does not stop").catch((error: unknown) => {
    child.process.kill("SIGKILL");
    throw error;
  });
}
