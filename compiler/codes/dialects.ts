/** GV5xxx: what a file of another dialect says that has no equal here. */
import type { CodeSpec } from "./code.ts";

export const DIALECT_CODES = {} as const satisfies Record<string, CodeSpec>;
