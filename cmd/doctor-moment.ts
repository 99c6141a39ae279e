/**
 * `gavotte doctor`: a supervisor that has just started needs a moment before it can be seen, and for
 * its partitions. All checks that wait for it share one: where none runs, people read that soon.
 */
const MOMENT_MS = 5000;
const POLL_MS = 100;

/** When the moment is over that begins now, by the monotonic clock. */
export const momentFromNow = (): number => performance.now() + MOMENT_MS;

/** Asks until the answer is right or the moment is over, once in any case; gives the last answer. */
export async function askedUntil<T>(
  untilMs: number,
  ask: () => Promise<T>,
  isRight: (answer: T) => boolean,
): Promise<T> {
  let answer = await ask();
  while (!isRight(answer) && performance.now() < untilMs) {
    await new Promise((done) => setTimeout(done, POLL_MS));
    answer = await ask();
  }
  return answer;
}
