/**
 * What a handler has thrown, as far as it is kept: in the node's error, and so in the run's hash, its
 * journal and what follows along error edges. Hence bounded: a step may fail a hundred times.
 *
 * An error whose code the handler chose was thrown on purpose, and its code says all; of any other the
 * first question is which line of which function it was.
 */
import { inspect } from "node:util";

const FRAMES_MAX = 3;
/** Characters of a frame; the end of a path says more than its beginning. */
const FRAME_LENGTH_MAX = 200;
/** Characters of a stack that are looked at, from its end: its beginning is the message. */
const STACK_LENGTH_MAX = 64 * 1024;

/** The function of ours that calls handlers; what called it is of no interest. */
const CALLER = /^(async )?executeFunction \(/;
const FRAME = /^ {4}at (.+:\d+:\d+\)?|.*<anonymous>\)?|.*\(native\)|.*\(index \d+\))$/;
const LINE = /:\d+:\d+\)?$/;
const OF_NODE = /^(async )?([^(]*\()?node:/;

/** Whether an error's code is its thrower's own, and not one of Node's (ENOENT, ERR_INVALID_URL). */
export function isChosen(error: { code?: unknown; syscall?: unknown } | null): boolean {
  const code = error?.code;
  if (typeof code !== "string" || code === "") return false;
  return error?.syscall === undefined && !code.startsWith("ERR_");
}

/**
 * Where an error was thrown: "charge (functions/bank.ts:12:9)", its first line and the first ones of
 * the user's own code, relative to the current directory. Empty where the error does not say.
 */
export function placesOf(error: { stack?: unknown } | null): string[] {
  const stack = error?.stack;
  if (typeof stack !== "string") return [];
  const frames: string[] = [];
  // From the end: lines of the message may look like frames.
  for (const line of stack.slice(-STACK_LENGTH_MAX).trimEnd().split("\n").reverse()) {
    const frame = FRAME.exec(line)?.[1];
    if (frame === undefined) break;
    frames.unshift(frame);
  }
  const called = frames.findIndex((frame) => CALLER.test(frame));
  const told = (called < 0 ? frames : frames.slice(0, called)).filter((frame) => {
    return LINE.test(frame) && !OF_NODE.test(frame);
  });
  const [first, ...rest] = told;
  if (first === undefined) return [];
  const own = rest.filter((frame) => !frame.includes("/node_modules/"));
  return [first, ...own].slice(0, FRAMES_MAX).map(shortened);
}

function shortened(frame: string): string {
  const text = frame.replace("file://", "").replace(`${process.cwd()}/`, "");
  return text.length > FRAME_LENGTH_MAX ? `…${text.slice(1 - FRAME_LENGTH_MAX)}` : text;
}

/** The message of a failure whose thrower threw no error. */
export function whatWasThrown(thrown: unknown): string {
  const shown = inspect(thrown, { depth: 1, breakLength: Infinity, customInspect: false });
  return `${shown} was thrown, which is no Error: it does not say where`;
}
