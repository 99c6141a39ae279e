/** Where a function has thrown an error, as it is told in a line. */
import type { RunError } from "../sdk/internal.ts";

/** " (thrown at charge (functions.ts:12:9))"; "" of an error that does not say. */
export function thrownAt({ details }: Pick<RunError, "details">): string {
  const { stack } = (details ?? {}) as { stack?: unknown };
  const [first] = Array.isArray(stack) ? (stack as unknown[]) : [];
  return typeof first === "string" ? ` (thrown at ${first})` : "";
}
