/**
 * Jobs of one loop that lie on different servers of a cluster. One whose server is away holds up no
 * other, and is not begun again before it has ended: commands wait for a server as long as it takes.
 */
import { inTime } from "../sdk/internal.ts";

export type Job = readonly [key: string | number, work: () => Promise<unknown>];

/** Ample for a server that is there; a loop comes back to what took longer. */
const JOBS_MS = 5000;

export class Apart {
  readonly #busy = new Set<string | number>();
  readonly #ms: number;

  /** `ms`: how long the others wait for the last. */
  constructor(ms = JOBS_MS) {
    this.#ms = ms;
  }

  /**
   * Does the jobs at one time, without those still under way from before; true if all have ended.
   * Throws what the first that fails throws; the others go on.
   */
  async run(jobs: readonly Job[]): Promise<boolean> {
    const free = jobs.filter(([key]) => !this.#busy.has(key));
    const all = Promise.all(free.map((job) => this.#do(job))).then(() => true);
    return (await inTime(all, this.#ms, false)) && free.length === jobs.length;
  }

  /** Whether a job is under way whose key begins so. */
  isBusy(prefix: string): boolean {
    return [...this.#busy].some((key) => String(key).startsWith(prefix));
  }

  async #do([key, work]: Job): Promise<void> {
    this.#busy.add(key);
    await work().finally(() => this.#busy.delete(key));
  }
}

/** What belongs to each partition. */
export function byPartition<T extends { partition: number }>(all: readonly T[]): [number, T[]][] {
  const groups = new Map<number, T[]>();
  for (const one of all) {
    const group = groups.get(one.partition);
    if (group === undefined) {
      groups.set(one.partition, [one]);
    } else {
      group.push(one);
    }
  }
  return [...groups];
}

/** `work` for one after the other. */
export async function inTurn<T>(
  all: readonly T[],
  work: (one: T) => Promise<unknown>,
): Promise<void> {
  for (const one of all) {
    await work(one);
  }
}
