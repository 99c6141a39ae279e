/**
 * Writing as long as nobody else has begun the same.
 *
 * Who puts runs back may have lost its role long ago: it stood still, or what it has sent arrives
 * late. By then another one may be at it, or have done it, and the runs have gone on. So each who
 * begins leaves a mark of its own in Redis - of a partition in its `meta`, of a run in its hash - and
 * each of its writes is carried out only while the mark is there (scripts/write_anyway.lua).
 */
import {
  writeAnyway,
  writeGuarded,
  type Command,
  type Guard,
  type Redis,
} from "../sdk/internal.ts";

/** Carries commands out in one step. Throws Superseded. */
export type Write = (commands: readonly Command[]) => Promise<void>;

/** Somebody else is at it now: the state that was to be written is one of before. */
export class Superseded extends Error {
  constructor({ key, field }: Guard) {
    super(`${key} has another ${field}: somebody else is at it, and nothing more is written here`);
  }
}

/** Writes for as long as the mark is there; without one, in any case. */
export function writeWhile(redis: Redis, guard?: Guard): Write {
  return async (commands) => {
    if (guard === undefined) {
      await writeAnyway(redis, commands);
    } else if (!(await writeGuarded(redis, commands, guard))) {
      throw new Superseded(guard);
    }
  };
}
