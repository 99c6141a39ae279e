/** Numbers about many numbers. */

export interface Spread {
  mean: number;
  p50: number;
  p95: number;
  p99: number;
  max: number;
}

/** Mean and percentiles; all 0 of nothing. A percentile is the value of which so many are not above. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? 0;
  const mean = sumOf(sorted) / Math.max(1, sorted.length);
  return { mean, p50: at(0.5), p95: at(0.95), p99: at(0.99), max: sorted.at(-1) ?? 0 };
}

export function sumOf(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
