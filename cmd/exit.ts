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

/** The exit code of an error: by its registered code; anything else is a failure. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) {
    return EXIT.interrupted;
  }
  const code = errorCode(error);
  return code === null ? EXIT.failed : ERRORS[code].exit;
}

/** Ends the process with `code`, once stdout is empty. */
export async function leave(code: number): Promise<void> {
  process.exitCode = code;
  await Promise.race([drained(process.stdout), pause(DRAIN_MS)]);
  setTimeout(() => process.exit(code), LINGER_MS).unref();
}

/**
 * Aborts `controller` on the first interrupt, ends the process at the second. Returns what takes
 * the listeners away again.
 */
export function onInterrupt(controller: AbortController): () => void {
  const listener = (): void => {
    if (controller.signal.aborted) {
      process.exit(EXIT.interrupted);
    }
    controller.abort(new Interrupted());
  };
  // A reader that went away (`gavotte runs | head -1`) is no error of ours.
  const broken = (error: NodeJS.ErrnoException): void => {
    process.exit(error.code === "EPIPE" ? EXIT.done : EXIT.failed);
  };
  process.on("SIGINT", listener);
  process.on("SIGTERM", listener);
  process.stdout.on("error", broken);
  return () => {
    process.off("SIGINT", listener);
    process.off("SIGTERM", listener);
  };
}

function drained(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.writableLength === 0) {
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
