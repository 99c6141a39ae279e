/**
 * Deliberate breaks of the code: for every invariant of the token protocol and every promise that
 * is made, changes after which it does not hold, and the one test that says so. A test that nobody
 * has seen fail proves little. scripts/dev/breaks.ts applies them one by one to a copy of the tree.
 *
 * When a change no longer fits its file, because the file has moved on, break-list.test.ts says so:
 * find the place where the same rule stands now.
 */
import { INVARIANT_BREAKS } from "./invariant-breaks.ts";
import { PROMISE_BREAKS } from "./promise-breaks.ts";

export interface Break {
  /** Which invariant or promise, in words. */
  holds: string;
  /** What is wrong with the code afterwards. */
  broken: string;
  file: string;
  find: string;
  replace: string;
  /** Test file, and a part of the test's name. */
  test: string;
  name: string;
}

/** All of them, in the order of the report. */
export const BREAKS: readonly Break[] = [...INVARIANT_BREAKS, ...PROMISE_BREAKS];
