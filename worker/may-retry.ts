/**
 * Is a failed attempt worth another one? What the handler says, then `retry.on`, `retry.not_on` and
 * `retry.condition`; all that are given must agree.
 *
 * A condition that cannot be evaluated never decides for another attempt: the failure is final, and
 * its message says why.
 */
import { compileCondition, EvaluationError, type Condition } from "../condition/index.ts";
import type { IrRetry } from "../compiler/ir.ts";
import { ExecutionError } from "./kinds/kind.ts";

const conditions = new WeakMap<IrRetry, Condition>();

/** The error with which the attempt failed for good; null: it is worth another. */
export function finalError(
  retry: IrRetry,
  error: ExecutionError,
  attempt: number,
): ExecutionError | null {
  const isWorth =
    error.retryable &&
    attempt < retry.max_attempts &&
    retry.on?.includes(error.code) !== false &&
    retry.not_on?.includes(error.code) !== true;
  if (!isWorth) {
    return error;
  }
  if (retry.condition === undefined) {
    return null;
  }
  const { code, message, details = {} } = error;
  try {
    const seen = { error: { code, message, details }, attempt };
    return conditionOf(retry, retry.condition).test(seen) ? null : error;
  } catch (cause) {
    if (!(cause instanceof EvaluationError)) {
      throw cause;
    }
    const why = `${message} (not retried: retry.condition: ${cause.message})`;
    const { failsRun } = error;
    return new ExecutionError(code, why, { retryable: false, details, failsRun, cause: error });
  }
}

function conditionOf(retry: IrRetry, source: string): Condition {
  let condition = conditions.get(retry);
  if (condition === undefined) {
    condition = compileCondition(source);
    conditions.set(retry, condition);
  }
  return condition;
}
