/**
 * The smallest case: from one that fails to a smaller one that fails too, until none of those that are
 * one cut smaller does, or the bounds are reached. Greedy, and the same way every time.
 */
import type { Case } from "./case.ts";

export interface Bounds {
  /** Cases played, at most. */
  tries: number;
  /** None is begun after that. */
  seconds: number;
}

export interface Shrunk {
  case: Case;
  /** Why it fails. */
  error: unknown;
  tries: number;
  /** None that is one cut smaller fails. */
  isMinimal: boolean;
}

/** From a case that was played and failed with `error`. Whatever makes a smaller case fail will do. */
export async function shrink(
  failed: Case,
  error: unknown,
  play: (one: Case) => Promise<unknown>,
  { tries: triesMax, seconds }: Bounds,
): Promise<Shrunk> {
  const endsAt = performance.now() + seconds * 1000;
  const found: Shrunk = { case: failed, error, tries: 0, isMinimal: false };
  let smaller = failed.smaller();
  // After a success it goes on where it is, not at the bold steps that have just been tried in vain.
  for (let at = 0, missed = 0; missed < smaller.length;) {
    if (found.tries >= triesMax || performance.now() >= endsAt) {
      return found;
    }
    const one = smaller[at % smaller.length] as Case;
    found.tries++;
    const failure = await play(one).then(
      () => null,
      (reason: unknown) => ({ reason }),
    );
    if (failure === null) {
      at++;
      missed++;
    } else {
      Object.assign(found, { case: one, error: failure.reason });
      smaller = one.smaller();
      missed = 0;
    }
  }
  return { ...found, isMinimal: true };
}
