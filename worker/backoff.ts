/** When a failed attempt is tried again. */
import { DURATION_MS_MAX, type IrRetry } from "../compiler/ir.ts";

/**
 * Delay in ms before the attempt after `attempt` (from 1): exponential, capped, plus or minus a
 * random share (`jitter`) so that what failed together does not come back together. `random` is in
 * [0, 1).
 */
export function backoffMs(retry: IrRetry, attempt: number, random: number): number {
  // Finite, or a backoff of 0 times it would be no number.
  const growth = Math.min(retry.backoff_multiplier ** (attempt - 1), Number.MAX_VALUE);
  const capped = Math.min(retry.backoff_ms * growth, retry.max_backoff_ms);
  return holdableMs(capped * (1 + retry.jitter * (2 * random - 1)));
}

/** A wait as it is kept: whole milliseconds from 0 to DURATION_MS_MAX, whatever is asked for. */
export function holdableMs(ms: number): number {
  return Math.round(Math.min(Math.max(ms, 0), DURATION_MS_MAX));
}
