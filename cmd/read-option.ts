/** Options of single commands that are more than text. */
import { DURATION_MS_MAX } from "../compiler/ir.ts";
import { GavotteError } from "../sdk/errors.ts";
import { nearestName } from "../condition/suggest.ts";

const LIMIT_MAX = 10_000;

/** `--limit`. Throws GV_BAD_INPUT. */
export function readLimit(text: string | undefined): number {
  return readCount("--limit", text ?? "20");
}

/** How many of something. Throws GV_BAD_INPUT. */
export function readCount(flag: string, text: string, most: number = LIMIT_MAX): number {
  const count = Number(text);
  if (!Number.isInteger(count) || count < 1 || count > most) {
    const message = `${flag} must be a whole number from 1 to ${most}, not "${text}"`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return count;
}

const UNITS_MS: { [unit: string]: number } = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A time such as 30s, 5m, 2h or 7d, in ms, at most 100 years. Throws GV_BAD_INPUT. */
export function readAge(flag: string, text: string): number {
  const age = /^(\d+)([smhd])$/.exec(text);
  if (age === null) {
    const message = `${flag} takes a number and s, m, h or d, like 2h, not "${text}"`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  const ms = Number(age[1]) * (UNITS_MS[age[2] ?? "s"] ?? 0);
  if (ms > DURATION_MS_MAX) {
    throw new GavotteError("GV_BAD_INPUT", `${flag} is at most 100 years, not "${text}"`);
  }
  return ms;
}

/** One of some words. Throws GV_BAD_INPUT with the word that was probably meant. */
export function readChoice<T extends string>(flag: string, text: string, known: readonly T[]): T {
  const found = known.find((word) => word === text);
  if (found === undefined) {
    const near = nearestName(text, known);
    const hint = near === undefined ? "" : `; did you mean ${near}?`;
    const message = `${flag} must be one of ${known.join(", ")}, not "${text}"${hint}`;
    throw new GavotteError("GV_BAD_INPUT", message);
  }
  return found;
}
