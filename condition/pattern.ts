/**
 * Patterns for `matches`, in time linear in the text.
 *
 * JavaScript's RegExp backtracks: `^(a+)+$` on forty characters stops a worker for hours. RE2 does
 * not, and it is what CEL specifies. Compiling costs more than matching, so patterns are kept.
 */
import { RE2JS } from "re2js";
import {
  PATTERN_CACHE_MAX,
  PATTERN_LENGTH_MAX,
  PATTERN_STEPS_MAX,
  SCHEMA_PATTERN_STEPS_MAX,
} from "./limits.ts";
import { LruCache } from "./lru.ts";
import { patternSteps } from "./pattern-size.ts";

const patterns = new LruCache<string, RE2JS>(PATTERN_CACHE_MAX);

/** Whether `pattern` is found anywhere in `text`. Throws if it is not a valid pattern. */
export function isMatch(text: string, pattern: string): boolean {
  return compilePattern(pattern).test(text);
}

/** What is wrong with a pattern, or undefined. */
export function patternProblem(pattern: string): string | undefined {
  try {
    compilePattern(pattern);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** What is wrong with all patterns of a JSON Schema together, or undefined. */
export function schemaPatternsProblem(patterns: readonly string[]): string | undefined {
  const steps = patterns.reduce((sum, pattern) => sum + patternSteps(pattern), 0);
  return steps > SCHEMA_PATTERN_STEPS_MAX
    ? `patterns of ${steps} steps together, repeats written out: more than ${SCHEMA_PATTERN_STEPS_MAX}`
    : undefined;
}

/** What is wrong with a pattern of a JSON Schema, which is spelt as JavaScript does it. */
export function schemaPatternProblem(pattern: string): string | undefined {
  try {
    RE2JS.compile(RE2JS.translateRegExp(pattern));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function compilePattern(pattern: string): RE2JS {
  if (pattern.length > PATTERN_LENGTH_MAX) {
    throw new Error(`the pattern is longer than ${PATTERN_LENGTH_MAX} characters`);
  }
  const steps = patternSteps(pattern);
  if (steps > PATTERN_STEPS_MAX) {
    const what = `the pattern has ${steps} steps, its repeats written out`;
    throw new Error(`${what}: more than ${PATTERN_STEPS_MAX}`);
  }
  return patterns.getOrMake(pattern, () => RE2JS.compile(pattern));
}
