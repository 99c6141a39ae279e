/**
 * How long steps take: a constant, or a distribution from which each execution draws.
 *
 * Every distribution is drawn by its inverse: one uniform number gives one duration, and a larger
 * number a longer one. So the same draw is comparable across distributions.
 */

/** Milliseconds; see docs/simulation.md for each. */
export type Duration =
  | number
  | [from: number, to: number]
  | { constant: number }
  | { uniform: { min: number; max: number } }
  | { normal: { mean: number; sd: number } }
  | { lognormal: { mean: number; sd: number } }
  | { exponential: { mean: number } }
  | { percentiles: { [p: string]: number } };

/** The duration at `u`, from 0 to 1 (both not included), in milliseconds; never below 0. */
export function durationAt(duration: Duration, u: number): number {
  if (typeof duration === "number") return duration;
  if (Array.isArray(duration)) return between(duration[0], duration[1], u);
  if ("constant" in duration) return duration.constant;
  if ("uniform" in duration) return between(duration.uniform.min, duration.uniform.max, u);
  if ("normal" in duration) {
    // Nothing takes less than no time: the part below 0 is cut off, which lifts the mean a little.
    return Math.max(0, duration.normal.mean + duration.normal.sd * probit(u));
  }
  if ("lognormal" in duration) return lognormal(duration.lognormal, u);
  if ("exponential" in duration) return -duration.exponential.mean * Math.log(1 - u);
  return atPercentile(duration.percentiles, u);
}

/** What is wrong with a duration of the right shape, in words; undefined if nothing is. */
export function durationProblem(duration: Duration): string | undefined {
  if (typeof duration === "number") return undefined;
  if (Array.isArray(duration)) return isRising(duration) ? undefined : FALLING;
  if ("uniform" in duration) {
    return isRising([duration.uniform.min, duration.uniform.max]) ? undefined : FALLING;
  }
  if ("percentiles" in duration) {
    const points = pointsOf(duration.percentiles);
    const { min = 0, max = Number.POSITIVE_INFINITY } = duration.percentiles;
    if (points.length === 0) return "give at least one percentile, such as p50";
    const all = [min, ...points.map(({ ms }) => ms), max];
    return isRising(all) ? undefined : "a higher percentile is not shorter";
  }
  return undefined;
}

const FALLING = "the longest comes after the shortest";

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || (numbers[i - 1] ?? 0) <= number);
}

function between(from: number, to: number, u: number): number {
  return from + u * (to - from);
}

/** By the mean and deviation of the durations themselves, not of their logarithms. */
function lognormal({ mean, sd }: { mean: number; sd: number }, u: number): number {
  if (mean === 0) return 0;
  const variance = Math.log(1 + (sd / mean) ** 2);
  return Math.exp(Math.log(mean) - variance / 2 + Math.sqrt(variance) * probit(u));
}

interface Point {
  /** Normal deviate of the percentile. */
  z: number;
  ms: number;
}

function pointsOf(percentiles: { [p: string]: number }): Point[] {
  return Object.entries(percentiles)
    .filter(([name]) => name !== "min" && name !== "max")
    .map(([name, ms]) => ({ z: probit(Number(name.slice(1)) / 100), ms }))
    .sort((a, b) => a.z - b.z);
}

function atPercentile(percentiles: { [p: string]: number }, u: number): number {
  const { min = 0, max = Number.POSITIVE_INFINITY } = percentiles;
  return Math.min(max, Math.max(min, throughPoints(percentiles, u)));
}

/**
 * Exactly what is given at the given percentiles. Between two of them as in the lognormal
 * distribution through both; outside as in that through the nearest two. One alone is a constant.
 */
function throughPoints(percentiles: { [p: string]: number }, u: number): number {
  const points = pointsOf(percentiles);
  const [only] = points;
  if (only === undefined || points.length === 1) return only?.ms ?? 0;
  const z = probit(u);
  const above = points.findIndex((point) => z < point.z);
  const upper = Math.max(1, above < 0 ? points.length - 1 : above);
  const [a, b] = [points[upper - 1] ?? only, points[upper] ?? only];
  const share = (z - a.z) / (b.z - a.z);
  return Math.exp(Math.log(a.ms) + share * (Math.log(b.ms) - Math.log(a.ms)));
}

const NEAR = {
  a: [-39.69683028665376, 220.9460984245205, -275.9285104469687, 138.357751867269],
  a2: [-30.66479806614716, 2.506628277459239],
  b: [-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972],
  b2: [-13.28068155288572, 1],
};
const TAIL = {
  c: [-0.007784894002430293, -0.3223964580411365, -2.400758277161838, -2.549732539343734],
  c2: [4.374664141464968, 2.938163982698783],
  d: [0.007784695709041462, 0.3224671290700398, 2.445134137142996, 3.754408661907416, 1],
};
const TAIL_BEGINS = 0.02425;

/** The inverse of the normal distribution, by Acklam's approximation (relative error 1.2e-9). */
export function probit(u: number): number {
  if (u < TAIL_BEGINS) return tail(u);
  if (u > 1 - TAIL_BEGINS) return -tail(1 - u);
  const q = u - 0.5;
  const r = q * q;
  return (polynomial([...NEAR.a, ...NEAR.a2], r) * q) / polynomial([...NEAR.b, ...NEAR.b2], r);
}

function tail(u: number): number {
  const q = Math.sqrt(-2 * Math.log(u));
  return polynomial([...TAIL.c, ...TAIL.c2], q) / polynomial(TAIL.d, q);
}

function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((sum, coefficient) => sum * x + coefficient, 0);
}
