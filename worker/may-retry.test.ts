import { describe, expect, it } from "vitest";
import type { IrRetry } from "../compiler/ir.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { finalError } from "./may-retry.ts";

const RETRY: IrRetry = {
  ...{ max_attempts: 3, backoff_ms: 1, backoff_multiplier: 1, max_backoff_ms: 1, jitter: 0 },
};
const error = (code: string, more: ConstructorParameters<typeof ExecutionError>[2] = {}) =>
  new ExecutionError(code, "went wrong", more);
const isRetried = (retry: Partial<IrRetry>, failure: ExecutionError, attempt = 1): boolean =>
  finalError({ ...RETRY, ...retry }, failure, attempt) === null;

describe("a failed attempt", () => {
  it("is tried again while attempts are left, unless the handler rules it out", () => {
    expect([1, 2, 3].map((attempt) => isRetried({}, error("E"), attempt))).toEqual([
      ...[true, true, false],
    ]);
    expect(isRetried({}, error("E", { retryable: false }))).toBe(false);
  });

  it("is tried again only for the codes of retry.on", () => {
    const retry = { on: ["HTTP_503", "TIMEOUT"] };
    expect(isRetried(retry, error("TIMEOUT"))).toBe(true);
    expect(isRetried(retry, error("CARD_DECLINED"))).toBe(false);
  });

  it("is not tried again for the codes of retry.not_on", () => {
    const retry = { not_on: ["CARD_DECLINED"] };
    expect(isRetried(retry, error("TIMEOUT"))).toBe(true);
    expect(isRetried(retry, error("CARD_DECLINED"))).toBe(false);
  });

  it("is tried again while retry.condition holds for its error and attempt", () => {
    const retry = { condition: 'error.details.status >= 500 && attempt < 2 && error.code != "X"' };
    expect(isRetried(retry, error("E", { details: { status: 503 } }))).toBe(true);
    expect(isRetried(retry, error("E", { details: { status: 503 } }), 2)).toBe(false);
    expect(isRetried(retry, error("E", { details: { status: 404 } }))).toBe(false);
  });

  it("is final with its own code when retry.condition cannot be evaluated", () => {
    const retry = { ...RETRY, condition: "error.details.status >= 500" };
    const final = finalError(retry, error("E"), 1);
    expect(final).toMatchObject({ code: "E", retryable: false });
    expect(final?.message).toMatch(/went wrong \(not retried: retry.condition: /);
  });
});
