/**
 * How the process ends: the one place that calls `process.exit`.
 *
 * A command returns its exit code; the process sets it and ends by itself, so that what was written
 * to a pipe arrives whole. Only who interrupts twice, or a handle that nobody closed, ends it here.
 */
import { ERRORS, errorCode } from "../sdk/errors.ts";

export const EXIT = {
  done: 0,
  failed: 1,
  usage: 2,
  unreachable: 3,
  late: 4,
  interrupted: 130,
} as const;

/**
 * How long after a command's end, when all is stopped and written, something may keep the process:
 * the Redis driver leaves a timer of 2 s for each connection that was closed from both sides.
 */
const LINGER_MS = 100;
/** How long a reader of our stdout may take to read the rest. */
const DRAIN_MS = 30_000;

/** Thrown when the user interrupted: everything is stopped in order, the exit code is 130. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";

  constructor() {
    super("interrupted");
  }
}

/** Thrown when what goes to stdout is read, or kept, no longer: everything is stopped in order. */
export class Unread extends Error {
  override readonly name = "Unread";
}

/** Whether the process ends because we say so: what else ends it is none of ours. */
let isOurEnd = false;

/** Whether it is this module that ends the process, and not, say, a function of the user's. */
export function endsByUs(): boolean {
  return isOurEnd;
}

/** Why stdout took no more; null: it takes everything. */
let unwritten: NodeJS.ErrnoException | null = null;

/** The exit code of an error: by its registered code; anything else is a failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) {
    return EXIT.interrupted;
  }
  if (error instanceof Unread) {
    return EXIT.done; // Whether the result was lost, `leave` knows.
  }
  const code = errorCode(error);
  return code === null ? EXIT.failed : ERRORS[code].exit;
}

/**
 * Ends the process with `code`, once stdout is empty. A reader that has read enough (`gavotte runs |
 * head -1`) is no error of ours; a result that could not be written otherwise (a full disk) is one.
 */
export async function leave(code: number): Promise<void> {
  process.exitCode = code;
  await Promise.race([drained(process.stdout), pause(DRAIN_MS)]);
  // The error of a write is emitted after it.
  await new Promise((resolve) => setImmediate(resolve));
  if (isLost(unwritten)) {
    process.stderr.write(`error: the result could not be written: ${unwritten.message}\n`);
    process.exitCode = EXIT.failed;
  }
  const last = process.exitCode;
  isOurEnd = true;
  setTimeout(() => process.exit(last), LINGER_MS).unref();
}

function isLost(error: NodeJS.ErrnoException | null): error is NodeJS.ErrnoException {
  return error !== null && error.code !== "EPIPE";
}

/**
 * Without listeners an error of these streams ends the process wherever it is. Progress on stderr
 * that nobody reads changes nothing; where nobody reads stdout `controller` is aborted.
 */
export function watchStreams(controller: AbortController): void {
  process.stderr.on("error", () => undefined);
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    unwritten ??= error;
    controller.abort(new Unread("nobody reads the results any more", { cause: error }));
  });
}

/**
 * Aborts `controller` on the first interrupt, ends the process at the second. Returns what takes
 * the listeners away again.
 */
export function onInterrupt(controller: AbortController): () => void {
  const listener = (): void => {
    if (controller.signal.aborted) {
      isOurEnd = true;
      process.exit(EXIT.interrupted);
    }
    controller.abort(new Interrupted());
  };
  process.on("SIGINT", listener);
  process.on("SIGTERM", listener);
  return () => {
    process.off("SIGINT", listener);
    process.off("SIGTERM", listener);
  };
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0 || stream.destroyed) {
      resolve();
    } else {
      stream.write("", () => resolve());
    }
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms).unref();
  });
}
