/**
 * Child processes that end with their parent, however it ends.
 *
 * A parent killed with SIGKILL cannot stop its children, so each child watches a pipe whose other
 * end only the parent holds: the kernel closes it with the parent. Children get a session of their
 * own, so that Ctrl-C in a terminal reaches the parent alone and it can stop them last.
 */
import { fork, spawn, type ChildProcess } from "node:child_process";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/** A running child: how to stop it, and how it ended. */
export interface Child {
  /** Resolves when the process is gone, with what is known about the reason. */
  readonly ended: Promise<string>;
  /** Stops it in good order; resolves when it is gone. Safe to repeat. */
  stop(): Promise<void>;
}

/**
 * Runs a program; `cat` sees the end of the parent's pipe and then asks the program to stop.
 * It outlives the shell itself being killed.
 */
const WATCHDOG = `
exec 3<&0
signal=$1
shift
"$@" </dev/null 3<&- &
child=$!
( cat <&3 >/dev/null; kill -"$signal" "$child" 2>/dev/null ) &
wait "$child"
`;

const OUTPUT_CHARS_KEPT = 4000;

export interface Watched {
  process: ChildProcess;
  /** The last of what it wrote, for messages. */
  output(): string;
  ended: Promise<string>;
}

export interface WatchOptions {
  /** The signal that stops the program in good order; TERM unless told. */
  signal?: "TERM" | "INT";
  /** Run as another user. */
  uid?: number;
  gid?: number;
  /** Instead of this process's environment. */
  env?: NodeJS.ProcessEnv;
}

/** Starts a program that does not know about us. Closing `process.stdin` asks it to stop. */
export function spawnWatched(
  command: string,
  args: readonly string[],
  options: WatchOptions = {},
): Watched {
  const { signal = "TERM", ...as } = options;
  const child = spawn("sh", ["-c", WATCHDOG, "sh", signal, command, ...args], {
    ...as,
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  return watched(child);
}

/** Starts a module of ours, `name` without its extension, beside the module at `besideUrl`. */
export function forkModule(name: string, besideUrl: string, args: readonly string[]): Watched {
  const source = besideUrl.endsWith(".ts");
  const path = fileURLToPath(new URL(`${name}${source ? ".ts" : ".js"}`, besideUrl));
  const child = fork(path, args, {
    detached: true,
    execArgv: source ? ["--import", loaderUrl()] : [],
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  return watched(child);
}

/** Sources are run through tsx; a compiled installation does not have it and does not need it. */
function loaderUrl(): string {
  return pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
}

function watched(child: ChildProcess): Watched {
  let kept = "";
  const keep = (chunk: Buffer): void => {
    kept = (kept + chunk.toString("utf8")).slice(-OUTPUT_CHARS_KEPT);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const ended = new Promise<string>((done) => {
    child.once("error", (error) => done(error.message));
    child.once("exit", (code, signal) => done(`exit ${signal ?? String(code)}`));
  });
  return { process: child, output: () => kept.trim(), ended };
}

/** `promise`, or an error saying `what` after `limitMs`. */
export async function within<T>(promise: Promise<T>, limitMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} (waited ${limitMs} ms)`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
