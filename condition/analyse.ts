/**
 * Reading one source: parse it, adapt the tree, find what is wrong and what it refers to.
 *
 * Everything that compiling and checking have in common is here, so that a source that passes the
 * check also compiles.
 */
import { ParseError, TypeError as CelTypeError } from "@marcbachmann/cel-js";
import type { Environment, ParseResult } from "@marcbachmann/cel-js";
import { adaptTree } from "./adapt.ts";
import { asNode, callOf, childrenOf, macroOf } from "./ast.ts";
import type { Node } from "./ast.ts";
import { isLibraryError, OPERATOR, OPERATOR_HINT, readableTypes } from "./errors.ts";
import { MACRO_DEPTH_MAX, SOURCE_LENGTH_MAX } from "./limits.ts";
import { patternProblem } from "./pattern.ts";
import { findReferences } from "./references.ts";
import type { FoundReference } from "./references.ts";
import type { ExpressionProblem } from "./types.ts";
import { unknownFunction } from "./unknown-function.ts";

export interface Analysis {
  problems: ExpressionProblem[];
  references: FoundReference[];
  /** Absent if the source cannot be parsed. */
  program?: ParseResult;
}

/** Parse `source` and collect its problems, except those of types. Does not throw. */
export function analyse(source: string, env: Environment): Analysis {
  if (source.length > SOURCE_LENGTH_MAX) {
    return failed({
      kind: "limit",
      message: `the expression is longer than ${SOURCE_LENGTH_MAX} characters`,
      hint: "do this in a function node",
      start: SOURCE_LENGTH_MAX,
      end: source.length,
    });
  }
  try {
    const program = env.parse(source);
    const root = asNode(program.ast);
    const problems: ExpressionProblem[] = [];
    checkStructure(root, 0, problems);
    const references = findReferences(root, (name) => isConstant(env, name));
    adaptTree(root);
    return { problems, references, program };
  } catch (error) {
    return failed(toProblem(error, source));
  }
}

/** The problem of types in a parsed program, if there is one, and its static type otherwise. */
export function checkTypes(
  source: string,
  program: ParseResult,
): { type: string } | { problem: ExpressionProblem } {
  try {
    const result = program.check();
    if (result.valid) return { type: result.type ?? "dyn" };
    return { problem: toProblem(result.error, source) };
  } catch (error) {
    return { problem: toProblem(error, source) };
  }
}

/** A name that the language itself defines, such as `int`; variables of a scope are not. */
function isConstant(env: Environment, name: string): boolean {
  return env.hasVariable(name) && constantNames.has(name);
}

const constantNames = new Set([
  ...["int", "uint", "double", "string", "bool", "bytes", "list", "map", "null_type", "type"],
  ...["google", "optional", "cel"],
]);

function failed(problem: ExpressionProblem): Analysis {
  return { problems: [problem], references: [] };
}

function checkStructure(node: Node, macroDepth: number, problems: ExpressionProblem[]): void {
  checkPattern(node, problems);
  const macro = macroOf(node);
  if (macro?.kind !== "comprehension") {
    for (const child of childrenOf(node)) checkStructure(child, macroDepth, problems);
    return;
  }
  const depth = macroDepth + 1;
  if (depth > MACRO_DEPTH_MAX) {
    problems.push({
      kind: "limit",
      message: `macros are nested more than ${MACRO_DEPTH_MAX} deep`,
      hint: "split it over transform nodes, or do this in a function",
      start: node.start,
      end: node.end,
    });
    return;
  }
  for (const child of macro.outside) checkStructure(child, macroDepth, problems);
  for (const child of macro.bodies) checkStructure(child, depth, problems);
}

function checkPattern(node: Node, problems: ExpressionProblem[]): void {
  const call = callOf(node);
  if (call?.name !== "matches") return;
  const pattern = call.args[call.receiver ? 0 : 1];
  if (pattern?.op !== "value" || typeof pattern.args !== "string") return;
  const wrong = patternProblem(pattern.args);
  if (wrong === undefined) return;
  problems.push({
    kind: "parse",
    message: `matches() has a bad pattern: ${wrong}`,
    hint: "patterns are RE2: no look-around, no back-references",
    start: pattern.start,
    end: pattern.end,
  });
}

function toProblem(error: unknown, source: string): ExpressionProblem {
  const whole = { start: 0, end: source.length };
  if (error instanceof RangeError) {
    return { kind: "limit", message: "the expression is nested too deep", ...whole };
  }
  if (!isLibraryError(error)) throw error;
  const place = error.range ?? whole;
  if (error instanceof CelTypeError) return typeProblem(error.code, error.summary, place);
  if (error instanceof ParseError && error.code === "limit_exceeded") {
    const message = `the expression is too big: ${error.summary.toLowerCase()}`;
    return { kind: "limit", message, hint: "do this in a function node", ...place };
  }
  const hint = parseHint(source, place.start);
  const message = readableParse(error.summary);
  return { kind: "parse", message, ...(hint === undefined ? {} : { hint }), ...place };
}

function typeProblem(
  code: string,
  summary: string,
  place: { start: number; end: number },
): ExpressionProblem {
  const message = readableTypes(summary);
  if (code === "no_such_overload" && OPERATOR.test(message)) {
    return { kind: "type", message, hint: OPERATOR_HINT, ...place };
  }
  return { kind: "type", ...(unknownFunction(message) ?? { message }), ...place };
}

function readableParse(summary: string): string {
  return summary.replace(/\bEOF\b/, "the end");
}

/** Remedies for what people bring from other languages. */
function parseHint(source: string, at: number): string | undefined {
  const rest = source.slice(at);
  if (/^=/.test(rest)) return "compare with `==`";
  if (/^(and|or|not)\b/i.test(rest)) return "write `&&`, `||` and `!`";
  if (/^\$/.test(rest)) return "write `output.field` or `ctx.node.output.field`";
  if (/^\{\{/.test(rest)) return "write `ctx.node.output.field` without braces";
  if (/^`/.test(rest)) return 'write `ctx["a-b"]` for a name with a dash';
  if (/^['"]/.test(rest)) return "close the string with the same quote";
  if (/^(loop|if|for|function|package|namespace|return|var|while)\b/.test(rest)) {
    return "this word is reserved in CEL; after a dot it is fine";
  }
  return undefined;
}
