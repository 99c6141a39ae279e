/**
 * One value for each region into which constants cut the values of a subject.
 *
 * In the order in which people would give examples: the constants' own types first, and of these
 * the constants themselves. A witness that says `score = 80` is worth more than `score = {}`.
 */
import type { Atom, Domain, Scalar, Subject } from "./predicate.ts";
import type { Json } from "./types.ts";

/** Numbers that are always whole and never missing. */
const COUNTED: Readonly<Record<string, number>> = { iteration: 1, index: 0, attempt: 1 };

/**
 * Values that stand for all that a subject can be; undefined stands for its absence. `isAround`:
 * parts of it are subjects too, so it may be an object. Never empty.
 */
export function representatives(
  atoms: readonly Atom[],
  subject: Subject,
  domain: Domain | undefined,
  isAround: boolean,
): (Json | undefined)[] {
  const constants = [...atoms.flatMap(constantsOf), ...(domain?.constants ?? [])];
  const least = subject.isSize
    ? 0
    : subject.path.length === 1
      ? COUNTED[subject.path[0] ?? ""]
      : undefined;
  const isWhole = least !== undefined || domain?.isInteger === true;
  const numbers = numbersFor(constants.filter(isNumber), isWhole);
  if (least !== undefined) {
    const possible = [...new Set([...numbers.filter((n) => n >= least), least])];
    const allowed = domain ? possible.filter((n) => domain.allows(n)) : possible;
    const counted = allowed.length > 0 ? allowed : possible;
    // Something without a size, or that is not there, is an error like any other.
    return subject.isSize ? [...counted, undefined] : counted;
  }
  const isOrdered = atoms.some((atom) => atom.kind === "compare" && /[<>]/.test(atom.operator));
  const strings = stringsFor(constants.filter(isString), isOrdered);
  const first = atoms[0]?.kind === "truth" ? "boolean" : typeof constants[0];
  const byType: { [type: string]: Json[] } = {
    number: numbers,
    string: strings,
    boolean: [true, false],
    object: [null],
  };
  const own = byType[first] ?? [];
  const others = Object.entries(byType).flatMap(([type, values]) => (type === first ? [] : values));
  // If parts of it are looked at it is mostly an object.
  const all: (Json | undefined)[] = isAround
    ? [{}, undefined, ...own, ...others]
    : [...own, ...others, {}, undefined];
  const allowed = domain ? all.filter((value) => domain.allows(value)) : all;
  return allowed.length > 0 ? allowed : all;
}

function constantsOf(atom: Atom): Scalar[] {
  if (atom.kind === "compare") return [atom.constant];
  return atom.kind === "in" ? atom.constants : [];
}

function isNumber(value: Scalar): value is number {
  return typeof value === "number";
}

function isString(value: Scalar): value is string {
  return typeof value === "string";
}

/** The constants, then what lies between, above and below them. */
function numbersFor(constants: readonly number[], isWhole: boolean): number[] {
  const sorted = [...new Set(constants)].sort((a, b) => a - b);
  const [least, most] = [sorted[0], sorted.at(-1)];
  if (least === undefined || most === undefined) return [0];
  const points = isWhole ? sorted.filter(Number.isInteger) : sorted;
  const between = sorted.slice(1).flatMap((high, i) => {
    const low = sorted[i] ?? high;
    const middle = isWhole ? Math.floor(low) + 1 : nicest(low, high);
    return middle > low && middle < high ? [middle] : [];
  });
  return [...points, ...between, Math.floor(most) + 1, Math.ceil(least) - 1];
}

/** A number strictly between two, whole if there is one. */
function nicest(low: number, high: number): number {
  const whole = Math.floor(low) + 1;
  return whole < high ? whole : low + (high - low) / 2;
}

/** The constants, and a string that is none; if their order matters, one in each gap. */
function stringsFor(constants: readonly string[], isOrdered: boolean): string[] {
  const sorted = [...new Set(constants)].sort();
  let other = "other";
  while (sorted.includes(other)) other += "-";
  if (!isOrdered) return [...sorted, other];
  // The smallest string above another is that string with one more character.
  const above = sorted.map((text) => `${text}\u0000`);
  const readable = sorted.map((text, i) => {
    const longer = `${text}a`;
    const next = sorted[i + 1];
    return next === undefined || longer < next ? longer : (above[i] ?? longer);
  });
  return [...new Set([...sorted, ...readable, ""])];
}
