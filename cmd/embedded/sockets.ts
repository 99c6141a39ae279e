/**
 * Unix sockets of the embedded stack: where they lie, and whether somebody listens.
 *
 * A socket says more about a process than a pid does: the kernel refuses a connection the moment
 * the listener is gone, and never mistakes another process for it. Every "is it still alive" of the
 * stack is therefore a connection attempt.
 */
import { createHash } from "node:crypto";
import { mkdirSync } from "node:fs";
import { createConnection, createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

/** The kernel's limit is 108 bytes on Linux and 104 on macOS, the closing zero included. */
const SOCKET_PATH_BYTES_MAX = 103;
/** The longest name put into the folder: `control-` and a UUID, or what Postgres clients expect. */
const NAME_BYTES_MAX = 52;

/**
 * The folder for the sockets of the stack in `dir`, made if missing and closed to other users.
 *
 * It is `<dir>/sockets`, or, where that is too long a path for a socket, a folder in the system's
 * temporary folder named after a hash of `dir`: the same for every process that asks.
 */
export function socketDir(dir: string): string {
  const near = join(resolve(dir), "sockets");
  const short = createHash("sha256").update(resolve(dir)).digest("hex").slice(0, 16);
  const far = join(tmpdir(), `gavotte-${process.getuid?.() ?? 0}-${short}`);
  const chosen = Buffer.byteLength(near) + NAME_BYTES_MAX <= SOCKET_PATH_BYTES_MAX ? near : far;
  mkdirSync(chosen, { recursive: true, mode: 0o700 });
  return chosen;
}

/** Whether somebody listens on the socket at `path`. */
export function isListening(path: string): Promise<boolean> {
  return new Promise((answer) => {
    const socket = createConnection({ path });
    socket.once("connect", () => {
      socket.destroy();
      answer(true);
    });
    // A full backlog (EAGAIN) also means a living listener; only these two mean nobody.
    socket.once("error", (error: NodeJS.ErrnoException) => {
      answer(error.code !== "ECONNREFUSED" && error.code !== "ENOENT");
    });
  });
}

/** Resolves true when nobody listens at `path` any more, or false after `limitMs`. */
export async function waitUntilSilent(path: string, limitMs: number): Promise<boolean> {
  const deadline = performance.now() + limitMs;
  while (await isListening(path)) {
    if (performance.now() > deadline) {
      return false;
    }
    await pause(25);
  }
  return true;
}

/** Resolves after `ms`. */
export function pause(ms: number): Promise<void> {
  return new Promise((done) => {
    setTimeout(done, ms);
  });
}

/** A TCP port of 127.0.0.1 that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((found, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo;
      server.close(() => found(port));
    });
  });
}
