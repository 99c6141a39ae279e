/**
 * Which process owns the stack in a folder: at most one, and never a dead one.
 *
 * Each owner listens on a control socket of its own and then makes `lock.<n>`, naming it, where n is
 * one more than the highest there is. The holder of the highest number owns the stack as long as
 * its socket answers. Why this is safe:
 *
 * - `link` makes a number for exactly one of those who try it, content included.
 * - A number is only tried after the one before has been seen dead, and death is final.
 * - The highest file is never removed, also not by an owner that ends in good order; lower ones are
 *   removed only while a higher one exists. So a process that was slow, and makes a number that
 *   was in use and removed since, sees the higher one when it looks again, and steps back.
 */
import { randomUUID } from "node:crypto";
import { linkSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { Server } from "node:net";
import { join } from "node:path";
import { isListening } from "./sockets.ts";

export interface Claim {
  /** Whether this process owns the stack now; closing its server gives it up. */
  owner: boolean;
  /** The owner's control socket. */
  socket: string;
}

/**
 * Becomes the owner of the stack in `dir`, or finds out who is. `sockets` holds its sockets;
 * `server` listens on one of them afterwards if this process is the owner, and is closed if not.
 */
export async function claim(dir: string, sockets: string, server: Server): Promise<Claim> {
  const socket = join(sockets, `control-${randomUUID()}`);
  await new Promise<void>((listening, reject) => {
    server.once("error", reject);
    server.listen(socket, listening);
  });
  const other = await tryUntilOwned(dir, socket);
  if (other === undefined) {
    return { owner: true, socket };
  }
  await new Promise<void>((closed) => {
    server.close(() => closed());
  });
  return { owner: false, socket: other };
}

/** The socket of the living owner, or undefined when this process has become it. */
async function tryUntilOwned(dir: string, socket: string): Promise<string | undefined> {
  const draft = join(dir, `lock-${randomUUID()}`);
  writeFileSync(draft, JSON.stringify({ pid: process.pid, socket }));
  try {
    for (;;) {
      const highest = numbers(dir).at(-1) ?? 0;
      const holder = readSocket(file(dir, highest));
      if (holder !== undefined && (await isListening(holder))) {
        return holder;
      }
      if (take(draft, file(dir, highest + 1)) && settle(dir, highest + 1)) {
        return undefined;
      }
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

function take(draft: string, path: string): boolean {
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") {
      return false;
    }
    throw error;
  }
}

/** Whether `mine` is the highest number; removes what it replaces, or itself. */
function settle(dir: string, mine: number): boolean {
  const all = numbers(dir);
  const isHighest = all.at(-1) === mine;
  const gone = isHighest ? all.filter((number) => number < mine) : [mine];
  for (const number of gone) {
    const socket = readSocket(file(dir, number));
    rmSync(file(dir, number), { force: true });
    if (isHighest && socket !== undefined) {
      rmSync(socket, { force: true });
    }
  }
  return isHighest;
}

function file(dir: string, number: number): string {
  return join(dir, `lock.${number}`);
}

function numbers(dir: string): number[] {
  const found = readdirSync(dir).map((name) => /^lock\.(\d+)$/.exec(name)?.[1]);
  return found
    .filter((digits) => digits !== undefined)
    .map(Number)
    .sort((a, b) => a - b);
}

function readSocket(path: string): string | undefined {
  try {
    const { socket } = JSON.parse(readFileSync(path, "utf8")) as { socket?: unknown };
    return typeof socket === "string" ? socket : undefined;
  } catch {
    // Removed meanwhile, or damaged: the same as a holder that is gone.
    return undefined;
  }
}
