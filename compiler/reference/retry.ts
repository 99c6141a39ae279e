/** Whether a failed attempt is followed by another, and when. */
import { compileCondition, EvaluationError } from "../../condition/index.ts";
import { DURATION_MS_MAX, type IrNode } from "../ir.ts";
import type { HandlerError } from "./types.ts";

/**
 * All that the node says about it must agree: how many, which codes, the condition. One that cannot
 * be evaluated is no reason for another attempt.
 */
export function isRetried(node: IrNode, error: HandlerError, attempt: number): boolean {
  const { max_attempts, on, not_on, condition } = node.retry;
  if (error.retryable === false || attempt >= max_attempts) return false;
  if (on !== undefined && !on.includes(error.code)) return false;
  if (not_on !== undefined && not_on.includes(error.code)) return false;
  if (condition === undefined) return true;
  const { code, message, details = {} } = error;
  try {
    return compileCondition(condition).test({ error: { code, message, details }, attempt });
  } catch (thrown) {
    if (thrown instanceof EvaluationError) return false;
    throw thrown;
  }
}

/** Milliseconds from the end of `attempt` to the next one, without jitter. */
export function backOff({ retry }: IrNode, attempt: number): number {
  const growth = Math.min(retry.backoff_multiplier ** (attempt - 1), Number.MAX_VALUE);
  return Math.min(retry.backoff_ms * growth, retry.max_backoff_ms, DURATION_MS_MAX);
}
