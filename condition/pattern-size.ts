/**
 * How large a pattern is once its repeats are written out, as RE2 does it: `a{1000}` is a machine of a
 * thousand steps, some hundred bytes each, and a few kilobytes of such take seconds to make, and all
 * memory there is. Estimated from the text, before anything is made, within a factor of two.
 */

/** A repeat, up to so many times. */
const REPEAT = /\{(\d+)(?:,(\d*))?\}/y;
const CLASS_END = /(?:\[:[a-z^]*:\]|\\.|[^\]\\])*\]/sy;
const ESCAPE = /\\(?:[pPx]\{[^}]*\}|.)/sy;

/** Steps of a pattern, about. */
export function patternSteps(pattern: string): number {
  const open: number[] = [];
  let sum = 0;
  /** Of what a repeat would repeat. */
  let last = 0;
  const add = (steps: number): void => {
    last = steps;
    sum += steps;
  };
  for (let at = 0; at < pattern.length;) {
    const rest = endOf(pattern, at);
    const sign = pattern[at] as string;
    if (sign === "(") {
      open.push(sum);
    } else if (sign === ")") {
      last = sum - (open.pop() ?? 0) + 2;
      sum += 2;
    } else if (sign === "{" && rest > at + 1) {
      const [least = 0, most = 0] = pattern
        .slice(at + 1, rest - 1)
        .split(",")
        .map(Number);
      add(last * Math.max(least, most, 1));
    } else {
      add(1);
    }
    at = rest;
  }
  return sum;
}

/** Where what begins there ends: a class, an escape and a repeat are one. */
function endOf(pattern: string, at: number): number {
  const sign = pattern[at];
  const whole =
    sign === "[" ? CLASS_END : sign === "\\" ? ESCAPE : sign === "{" ? REPEAT : undefined;
  if (whole === undefined) return at + 1;
  // The first sign of a class may be the one that ends others.
  const opening = sign === "[" ? /^\[\^?\]?/.exec(pattern.slice(at, at + 3)) : null;
  whole.lastIndex = at + (opening?.[0].length ?? 0);
  return whole.test(pattern) ? whole.lastIndex : at + 1;
}
