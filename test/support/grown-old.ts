/** What a piece of work leaves in the old part of the heap, which is collected only now and then. */
import { getHeapSpaceStatistics, setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const OLD: ReadonlySet<string> = new Set(["old_space", "large_object_space"]);
/** Small arrays that fill the young part more than twice over: what lives then has grown old. */
const LITTER = 600_000;

/**
 * Bytes by which the old part grows while `work` goes on, which calls `age` now and then. What was
 * dead before the call does not count, unless something old that is dead itself still names it.
 */
export async function grownOld(work: (age: () => void) => Promise<void> | void): Promise<number> {
  setFlagsFromString("--expose-gc");
  (runInNewContext("gc") as () => void)();
  const before = oldBytes();
  await work(age);
  return oldBytes() - before;
}

let litter: number[] = [];

function age(): void {
  for (let i = 0; i < LITTER; i++) {
    litter = [i, litter.length];
  }
}

function oldBytes(): number {
  return getHeapSpaceStatistics()
    .filter(({ space_name }) => OLD.has(space_name))
    .reduce((sum, { space_used_size }) => sum + space_used_size, 0);
}
