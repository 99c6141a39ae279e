/**
 * The registry of diagnostic codes.
 *
 * A code is never reused and never changes its meaning: people search for it and machines match on
 * it. GV1xxx concern the document, GV2xxx the graph, GV3xxx expressions, GV4xxx node kinds, GV5xxx
 * other dialects, GV6xxx what the analysis finds suspicious.
 *
 * Adding a code:
 *   1. a record in the file of its thousand, with a wrong and a right example that compile so;
 *   2. a file in test_data/dialects/native/invalid/ that shows it, with its golden text
 *      (UPDATE_GOLDEN=1);
 *   3. `npm run gen`, which writes docs/diagnostics.md.
 * compiler/rules.test.ts and compiler/codes/codes.test.ts fail until all of it is there.
 */
import { ANALYSIS_CODES } from "./analysis.ts";
import type { CodeSpec } from "./code.ts";
import { DIALECT_CODES } from "./dialects.ts";
import { DOCUMENT_CODES } from "./document.ts";
import { EXPRESSION_CODES } from "./expressions.ts";
import { GRAPH_CODES } from "./graph.ts";
import { KIND_CODES } from "./kinds.ts";
import { LOOP_CODES } from "./loops.ts";

export const DIAGNOSTICS = {
  ...DOCUMENT_CODES,
  ...GRAPH_CODES,
  ...LOOP_CODES,
  ...EXPRESSION_CODES,
  ...KIND_CODES,
  ...DIALECT_CODES,
  ...ANALYSIS_CODES,
} as const satisfies Record<string, CodeSpec>;

export type DiagnosticCode = keyof typeof DIAGNOSTICS;
