/** Turning problems of shape into diagnostics of the document. */
import type { Reporter } from "./diagnostics.ts";
import type { SchemaProblem } from "./schema-check.ts";

const CODES = { unknown: "GV1011", missing: "GV1012", wrong: "GV1013" } as const;

/** Report problems of shape found at `pointer`. */
export function reportShape(
  problems: readonly SchemaProblem[],
  pointer: string,
  reporter: Reporter,
): void {
  for (const problem of problems) {
    reporter.report({
      code: CODES[problem.kind],
      pointer: pointer + problem.pointer,
      atKey: problem.kind === "unknown",
      message: problem.message,
      ...(problem.meant && { meant: problem.meant }),
    });
  }
}
