/**
 * How long things took, counted into buckets: what a histogram of Prometheus is made of. On the hot
 * path, so one observation is the increment of one number, and its bucket is found without a search.
 */

/** The first bucket's upper bound; each further one's is twice that of the one before. */
const FIRST_MS = 0.25;
/** Up to 262 s; what takes longer is in a last bucket without a bound. */
const BUCKETS = 21;
/** Is in that last one. */
const BEYOND_MS = FIRST_MS * 2 ** BUCKETS;

/** Upper bounds of the buckets, in seconds. */
export const BUCKET_SECONDS: readonly number[] = Array.from(
  { length: BUCKETS },
  (_, i) => (FIRST_MS * 2 ** i) / 1000,
);

export class Durations {
  /** Observations by bucket; the last one has those beyond all bounds. */
  readonly counts = new Float64Array(BUCKETS + 1);
  sumMs = 0;

  /** Counts one. What a clock that was set makes negative is none at all. */
  observe(ms: number): void {
    // Beyond all bounds is beyond all bounds: only numbers of 32 binary digits have theirs counted.
    const units = Math.ceil(Math.min(Math.max(ms, FIRST_MS), BEYOND_MS) / FIRST_MS);
    // 1 unit: 0, 2: 1, 3 and 4: 2, 5 to 8: 3: how many binary digits the number before has.
    const bucket = 32 - Math.clz32(units - 1);
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
    this.sumMs += Math.max(0, ms);
  }

  /** How many were counted. */
  get count(): number {
    return this.counts.reduce((sum, n) => sum + n, 0);
  }
}
