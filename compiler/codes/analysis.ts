/** GV6xxx: what is allowed, but probably not meant. */
import type { CodeSpec } from "./code.ts";

export const ANALYSIS_CODES = {} as const satisfies Record<string, CodeSpec>;
