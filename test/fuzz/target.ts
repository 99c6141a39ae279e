/**
 * What must hold of any text that the compiler or the expression language is given. Throws if it
 * does not hold; what either of them throws goes through.
 */
import { compile, type CompileResult, type Diagnostic } from "../../compiler/index.ts";
import { renderDiagnostics, toSarif } from "../../compiler/report.ts";
import {
  checkCondition,
  checkTemplate,
  compileCondition,
  EvaluationError,
  rewriteLegacy,
} from "../../condition/index.ts";

const variables = new Set(["input", "output", "ctx", "run", "iteration", "data"]);
const data = { input: { x: 1 }, output: [1, "a"], ctx: { a: { output: null } }, iteration: 1 };

function must(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Error(what);
}

/** The compiler, from text to what is told of it. */
export function compileAny(text: string, file: string): CompileResult {
  const result = compile({ text, file });
  const { ir, hash, diagnostics } = result;
  const hasErrors = diagnostics.some((d) => d.severity === "error");
  must((ir === null) === hasErrors, "an IR although there are errors, or neither");
  must((hash === null) === (ir === null), "a hash without an IR");
  must(diagnostics.length <= 2000, "too many diagnostics");
  const lines = text.replace(/^\uFEFF/, "").split("\n");
  for (const d of diagnostics) checkRanges(d, lines);
  const shown = renderDiagnostics(diagnostics, text);
  must(!/[\p{Cc}\u202a-\u202e]/u.test(shown.replaceAll("\n", "")), "controls are shown");
  JSON.stringify(toSarif([{ file, diagnostics }], "1.0.0"));
  return result;
}

function checkRanges(d: Diagnostic, lines: readonly string[]): void {
  for (const range of [d, ...(d.related ?? []), ...(d.fix ? [d.fix] : [])]) {
    const { line, column, end_line, end_column } = range;
    const told = `${d.code} ${line}:${column}-${end_line}:${end_column}`;
    must(line >= 1 && line <= lines.length, `outside of the text: ${told}`);
    must(column >= 1 && column <= (lines[line - 1]?.length ?? 0) + 1, `no such column: ${told}`);
    must(end_line > line || end_column >= column, `ends before it begins: ${told}`);
  }
}

/** The expression language: a condition and a template. */
export function expressAny(text: string): void {
  const source = rewriteLegacy(text, "condition");
  const problems = [
    ...checkCondition(source, { variables }),
    ...checkTemplate(rewriteLegacy(text, "template"), { variables }),
  ];
  for (const { start, end } of problems) must(start >= 0 && start <= end, "a place before itself");
  if (checkCondition(source, { variables }).length > 0) return;
  try {
    compileCondition(source).test(data);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
  }
}
