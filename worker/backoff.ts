/** When a failed attempt is tried again. */
import type { IrRetry } from "../compiler/ir.ts";

/**
 * Delay in ms before the attempt after `attempt` (from 1): exponential, capped, plus or minus a
 * random share (`jitter`) so that what failed together does not come back together. `random` is in
 * [0, 1).
 */
export function backoffMs(retry: IrRetry, attempt: number, random: number): number {
  const raw = retry.backoff_ms * retry.backoff_multiplier ** (attempt - 1);
  const capped = Math.min(raw, retry.max_backoff_ms);
  return Math.max(0, Math.round(capped * (1 + retry.jitter * (2 * random - 1))));
}
