/**
 * Which seeds a property test plays, and what it has played. GAVOTTE_SEED replays one case, with
 * GAVOTTE_CUTS a smaller one that was made of it; GAVOTTE_CASES sets how many there are; `npm run
 * torture` moves on through the seeds with GAVOTTE_FIRST and adds up what every file reports to
 * GAVOTTE_TALLY. Time to make cases that fail smaller is GAVOTTE_SHRINK_SECONDS, for a whole file.
 */
import { appendFileSync } from "node:fs";
import { basename, relative } from "node:path";
import { afterAll, expect } from "vitest";
import { isOnCluster } from "../cluster/contract.ts";
import type { JournalRecord } from "../../sdk/internal.ts";
import { Case } from "./case.ts";
import { shrink, type Bounds, type Shrunk } from "./shrink.ts";

const { GAVOTTE_SEED, GAVOTTE_FIRST, GAVOTTE_CASES, GAVOTTE_TALLY, GAVOTTE_CUTS } = process.env;
/** For all failures of a file together: a test has a time limit, and it must tell its seed. */
const BOUNDS: Bounds = {
  tries: 1000,
  seconds: Number(process.env["GAVOTTE_SHRINK_SECONDS"] ?? 60),
};
/** On a cluster they are played in a short form: each case empties every primary. */
const USUAL_MAX = isOnCluster ? 60 : Infinity;
const played = { cases: 0, transitions: 0, deaths: 0 };

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

/** Plays them one after the other; the results. A failure names its seed and the smallest case. */
export async function playAll<T>(
  seeds: readonly number[],
  play: (one: Case) => Promise<T>,
  bounds = BOUNDS,
): Promise<T[]> {
  const results: T[] = [];
  for (const seed of seeds) {
    const one = new Case(seed, GAVOTTE_SEED === undefined ? "" : GAVOTTE_CUTS);
    const result = await play(one).catch((error: unknown) => fail(one, error, play, bounds));
    results.push(result);
    played.cases += 1;
  }
  return results;
}

/** Throws, with the smallest case that can be found. */
async function fail(
  failed: Case,
  error: unknown,
  play: (one: Case) => Promise<unknown>,
  bounds: Bounds,
): Promise<never> {
  const { transitions, deaths } = played;
  const started = performance.now();
  const shrunk = await shrink(failed, error, play, bounds);
  bounds.seconds -= (performance.now() - started) / 1000;
  Object.assign(played, { transitions, deaths });
  throw new Error(report(failed, error, shrunk), { cause: shrunk.error });
}

function report(failed: Case, error: unknown, shrunk: Shrunk): string {
  const { documents } = shrunk.case;
  const first = `${failed.replay} fails: ${firstLine(error)}`;
  if (documents.length === 0) {
    return first;
  }
  const { testPath = "", currentTestName = "" } = expect.getState();
  // -t takes an expression and sees no more than spaces between a test and what it is in.
  const name = currentTestName.replaceAll(" > ", " ").replaceAll(/[^\w ,:-]/g, ".");
  const again = `npx vitest run ${relative("", testPath)} -t '${name}'`;
  return [
    first,
    `The smallest that still fails, of ${shrunk.tries} tried` +
      `${shrunk.isMinimal ? "" : " (there may be smaller ones)"}: ${firstLine(shrunk.error)}`,
    `${shrunk.case.replay} ${again}`,
    ...documents.map((document) => JSON.stringify(document)),
  ].join("\n");
}

function firstLine(error: unknown): string {
  return String(error).split("\n", 1)[0] ?? "";
}

/** Counts the transitions of a run that has been looked at. */
export function countTransitions(records: readonly JournalRecord[]): void {
  played.transitions += records.reduce((sum, { transitions }) => sum + transitions.length, 0);
}

/** Counts a worker that died with a token in its hands. */
export function countDeath(): void {
  played.deaths += 1;
}

/** To be called by a test file: its figures are reported at its end, if anybody asks for them. */
export function reportCases(file: string): void {
  afterAll(() => {
    if (GAVOTTE_TALLY !== undefined) {
      appendFileSync(GAVOTTE_TALLY, `${JSON.stringify({ file: basename(file), ...played })}\n`);
    }
  });
}
