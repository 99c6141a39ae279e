/** Turning problems of shape into diagnostics of the document. */
import type { Reporter } from "./diagnostics.ts";
import type { SchemaProblem } from "./schema-check.ts";

const CODES = { unknown: "GV1011", missing: "GV1012", wrong: "GV1013" } as const;

/** Report problems of shape found at `pointer`; `hintOf` has what a value does not say by itself. */
export function reportShape(
  problems: readonly SchemaProblem[],
  pointer: string,
  reporter: Reporter,
  hintOf?: (problem: SchemaProblem) => string | undefined,
): void {
  for (const problem of problems) {
    const hint = problem.hint ?? hintOf?.(problem);
    reporter.report({
      code: CODES[problem.kind],
      pointer: pointer + problem.pointer,
      atKey: problem.kind === "unknown",
      message: problem.message,
      ...(problem.meant && { meant: problem.meant }),
      ...(hint !== undefined && { hint }),
    });
  }
}
