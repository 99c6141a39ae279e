/**
 * What is known of a diagnostic code. One record says it all: the compiler's messages, `gavotte
 * explain`, docs/diagnostics.md and the rules in SARIF are made from it.
 */
import type { Limits } from "../limits.ts";

export type Severity = "error" | "warning";

/** A workflow file; with `limits`, compiled under these instead of the default ones. */
export type Example = string | { text: string; limits: Partial<Limits> };

export interface CodeText {
  /** A few words, lower case, no full stop. */
  title: string;
  /** What to do about it: an imperative, shown where nothing better is known of the place. */
  remedy: string;
  /** What the compiler has found. Markdown. */
  meaning: string;
  /** What would happen if it were let through. Markdown. */
  why: string;
  /** Codes that never come without this one, or this one never without them. */
  also?: readonly string[];
  /** Compiling it gives this code and no other, apart from `also`. */
  wrong: Example;
  /** The same, put right: compiling it gives nothing. */
  right: Example;
}

export interface CodeSpec extends CodeText {
  severity: Severity;
}

/** A code that refuses the file. */
export function error(text: CodeText): CodeSpec {
  return { severity: "error", ...text };
}

/** A code that lets the file through. */
export function warning(text: CodeText): CodeSpec {
  return { severity: "warning", ...text };
}
