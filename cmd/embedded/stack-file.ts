/** `stack.json`: for people and for processes that only want to know, what runs in a folder. */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isListening } from "./sockets.ts";

export interface StackFile {
  pid: number;
  version: string;
  redisUrl: string;
  databaseUrl: string;
  /** The owner's control socket; the stack lives as long as it answers. */
  control: string;
  /** Address of the gateway, once it listens. */
  gateway?: string;
}

/** What runs in `dir`, or undefined when nothing does (a file left by a killed owner included). */
export async function readStackFile(dir: string): Promise<StackFile | undefined> {
  let stack: StackFile;
  try {
    stack = JSON.parse(readFileSync(path(dir), "utf8")) as StackFile;
  } catch {
    return undefined;
  }
  return (await isListening(stack.control)) ? stack : undefined;
}

/** Written beside and renamed, so that no reader sees half a file. */
export function writeStackFile(dir: string, stack: StackFile): void {
  const draft = `${path(dir)}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(stack, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path(dir));
}

export function removeStackFile(dir: string): void {
  rmSync(path(dir), { force: true });
}

function path(dir: string): string {
  return join(dir, "stack.json");
}
