/**
 * Which seeds a property test plays, and what it has played. GAVOTTE_SEED replays one case,
 * GAVOTTE_CASES sets how many there are; `npm run torture` moves on through the seeds with
 * GAVOTTE_FIRST and adds up what every file reports to GAVOTTE_TALLY.
 */
import { appendFileSync } from "node:fs";
import { basename } from "node:path";
import { afterAll } from "vitest";
import { isOnCluster } from "../cluster/contract.ts";
import type { JournalRecord } from "../../sdk/internal.ts";

const { GAVOTTE_SEED, GAVOTTE_FIRST, GAVOTTE_CASES, GAVOTTE_TALLY } = process.env;
/** On a cluster they are played in a short form: each case empties every primary. */
const USUAL_MAX = isOnCluster ? 60 : Infinity;
const played = { cases: 0, transitions: 0 };

/** Not the usual seeds: what is usual among them need not be there. */
export const isSpecial = GAVOTTE_SEED !== undefined || GAVOTTE_FIRST !== undefined;

/** The seeds to play: the usual number of them unless told, after those that once failed. */
export function seedsOf(usual: number, regressions: readonly number[] = []): number[] {
  if (GAVOTTE_SEED !== undefined) {
    return [Number(GAVOTTE_SEED)];
  }
  const first = Number(GAVOTTE_FIRST ?? 1);
  const count = Number(GAVOTTE_CASES ?? Math.min(usual, USUAL_MAX));
  const many = Array.from({ length: count }, (_, i) => first + i);
  return isSpecial ? many : [...regressions, ...many];
}

/** Plays them one after the other; the results. A failure names its seed. */
export async function playAll<T>(
  seeds: readonly number[],
  play: (seed: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  for (const seed of seeds) {
    const result = await play(seed).catch((error: unknown) => {
      throw new Error(`GAVOTTE_SEED=${seed} fails`, { cause: error });
    });
    results.push(result);
    played.cases += 1;
  }
  return results;
}

/** Counts the transitions of a run that has been looked at. */
export function countTransitions(records: readonly JournalRecord[]): void {
  played.transitions += records.reduce((sum, { transitions }) => sum + transitions.length, 0);
}

/** To be called by a test file: its figures are reported at its end, if anybody asks for them. */
export function reportCases(file: string): void {
  afterAll(() => {
    if (GAVOTTE_TALLY !== undefined) {
      appendFileSync(GAVOTTE_TALLY, `${JSON.stringify({ file: basename(file), ...played })}\n`);
    }
  });
}
