/**
 * The process PGlite lives in: node pglite-host.ts <data folder, or "memory://"> <socket folder>.
 *
 * It has a process of its own because PGlite computes on the event loop it is on: a query would
 * stop everything else there. It tells its parent `{ ready: true }`, closes the database when told
 * `{ stop: true }`, and does the same when its parent is gone (the IPC channel closes).
 *
 * What PGLiteSocketServer is, as read in its source: one Postgres session shared by all
 * connections. Single protocol messages are queued; while a transaction is open only the connection
 * that opened it is served, and one that closes inside a transaction is rolled back. So statements
 * of two connections outside a transaction may mix (the unnamed statement is the session's), SET
 * and named statements are everybody's, and advisory locks exclude nobody. Callers open one
 * connection per process and run every statement in a transaction (`singleSession`).
 */
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { vector } from "@electric-sql/pglite-pgvector";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { pgliteSocket } from "./pglite-address.ts";
import { startupWithUser } from "./startup-packet.ts";
import { waitUntilSilent } from "./sockets.ts";

const CONNECTIONS_MAX = 200;
/** By this name sdk/postgres/pglite.ts tells whose socket stands beside it. */
const GUARD = "pglite.lock";
const PREDECESSOR_LIMIT_MS = 15_000;

/** Ends what has been started, newest first. */
const undo: (() => Promise<unknown>)[] = [];
let ending: Promise<void> | undefined;

/**
 * Held from before the data is opened until the process is gone: whoever connects to it knows that
 * the data is in use. The predecessor of a killed owner ends within moments.
 */
async function guard(path: string): Promise<void> {
  if (!(await waitUntilSilent(path, PREDECESSOR_LIMIT_MS))) {
    throw new Error(`another process still has the database open (${path})`);
  }
  rmSync(path, { force: true });
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((listening, reject) => {
    server.once("error", reject);
    server.listen(path, listening);
  });
  undo.push(async () => server.close());
}

async function openDatabase(dataDir: string): Promise<PGlite> {
  if (!dataDir.includes("://")) {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  }
  const db = await PGlite.create({ dataDir, extensions: { vector } });
  undo.push(() => db.close());
  // The socket server would answer nobody any more after an error here (a WASM trap). Ending the
  // process lets the parent start it again on the same data.
  const execute = db.execProtocolRawStream.bind(db);
  db.execProtocolRawStream = (message, options) =>
    execute(startupWithUser(message), options).catch((error: unknown) => {
      setImmediate(() => {
        throw error;
      });
      throw error;
    });
  return db;
}

async function serve(dataDir: string, sockets: string): Promise<void> {
  await guard(join(sockets, GUARD));
  const db = await openDatabase(dataDir);
  const path = pgliteSocket(sockets);
  if (existsSync(path)) {
    rmSync(path);
  }
  const server = new PGLiteSocketServer({ db, path, maxConnections: CONNECTIONS_MAX });
  await server.start();
  undo.push(() => server.stop());
}

function end(): void {
  ending ??= (async () => {
    for (const step of undo.reverse()) {
      await step();
    }
    if (process.connected) {
      process.disconnect();
    }
  })();
}

const [dataDir, sockets] = process.argv.slice(2);
if (dataDir === undefined || sockets === undefined) {
  throw new Error("usage: pglite-host <data folder> <socket folder>");
}
const started = serve(dataDir, sockets);
// A stop while starting waits for the start: a half-made database is the worst of all ends.
const endAfterStart = (): void => void started.then(end, end);
process.on("disconnect", endAfterStart);
process.on("message", endAfterStart);
process.on("SIGTERM", endAfterStart);
process.on("SIGINT", () => undefined);
await started;
process.send?.({ ready: true });
