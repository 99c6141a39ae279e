/**
 * Templates: JSON values whose strings hold `${ CEL }`.
 *
 * A string that is exactly one expression takes the value with its type; otherwise values are put
 * into the text, strings as they are, everything else as JSON writes it. Object keys are plain.
 * Compiling turns the value into a tree of fillers once; constant parts are passed on uncopied.
 */
import { checkExpression } from "./check.ts";
import { compileExpression } from "./compile.ts";
import { EvaluationError, ExpressionSyntaxError, TemplateSyntaxError } from "./errors.ts";
import { setOwn } from "./json.ts";
import { scanTemplate } from "./scan.ts";
import type { ExpressionPart, TemplatePart, UnclosedPart } from "./scan.ts";
import type {
  CheckScope,
  Expression,
  ExpressionProblem,
  Json,
  Template,
  TemplateProblem,
  TemplateReference,
  Vars,
} from "./types.ts";

/** Values nested deeper than this are refused; the workflow file's own bound is lower. */
const NESTING_MAX = 200;

/** Compile a template. Throws TemplateSyntaxError with the problems of all strings. */
export function compileTemplate(value: Json): Template {
  const problems: TemplateProblem[] = [];
  const references: TemplateReference[] = [];
  let expressionCount = 0;
  const fill = buildFiller(value, "", 0, {
    string: (text, pointer) => {
      const { filler, expressions } = compileString(text, pointer, problems, references);
      expressionCount += expressions;
      return filler;
    },
    tooDeep: (pointer) => problems.push(tooDeep(pointer)),
  });
  if (problems.length > 0) throw new TemplateSyntaxError(problems);
  return { references, isConstant: expressionCount === 0, evaluate: fill.evaluate };
}

/** The problems of all expressions in a template; none if it is right. */
export function checkTemplate(value: Json, scope: CheckScope): TemplateProblem[] {
  const problems: TemplateProblem[] = [];
  buildFiller(value, "", 0, {
    string: (text, pointer) => {
      for (const part of scanTemplate(text)) {
        if (part.kind === "unclosed") problems.push(unclosed(part, pointer));
        if (part.kind !== "expression") continue;
        const found = checkExpression(part.source, scope);
        problems.push(...found.map((problem) => placed(problem, part, pointer)));
      }
      return constant(text);
    },
    tooDeep: (pointer) => problems.push(tooDeep(pointer)),
  });
  return problems;
}

interface Filler {
  /** The same value for all variables. */
  isConstant: boolean;
  evaluate: (vars: Vars) => Json;
}

function constant(value: Json): Filler {
  return { isConstant: true, evaluate: () => value };
}

interface Visitor {
  string(text: string, pointer: string): Filler;
  tooDeep(pointer: string): void;
}

function buildFiller(value: Json, pointer: string, depth: number, visitor: Visitor): Filler {
  if (typeof value === "string") return visitor.string(value, pointer);
  if (typeof value !== "object" || value === null) return constant(value);
  if (depth >= NESTING_MAX) {
    visitor.tooDeep(pointer);
    return constant(null);
  }
  if (Array.isArray(value)) {
    const items = value.map((item, i) => buildFiller(item, `${pointer}/${i}`, depth + 1, visitor));
    if (items.every((item) => item.isConstant)) {
      return constant(items.map((item) => item.evaluate({})));
    }
    return { isConstant: false, evaluate: (vars) => items.map((item) => item.evaluate(vars)) };
  }
  const entries = Object.entries(value).map(([key, item]): [string, Filler] => {
    const escaped = key.replaceAll("~", "~0").replaceAll("/", "~1");
    return [key, buildFiller(item, `${pointer}/${escaped}`, depth + 1, visitor)];
  });
  const evaluate = (vars: Vars): Json => {
    const result: { [key: string]: Json } = {};
    for (const [key, filler] of entries) setOwn(result, key, filler.evaluate(vars));
    return result;
  };
  if (entries.every(([, filler]) => filler.isConstant)) return constant(evaluate({}));
  return { isConstant: false, evaluate };
}

interface CompiledPart {
  part: ExpressionPart;
  expression: Expression;
}

function compileString(
  text: string,
  pointer: string,
  problems: TemplateProblem[],
  references: TemplateReference[],
): { filler: Filler; expressions: number } {
  const pieces: (string | CompiledPart)[] = [];
  let expressions = 0;
  for (const part of scanTemplate(text)) {
    if (part.kind === "expression") expressions++;
    const piece = compilePart(part, pointer, problems);
    if (piece === undefined) continue;
    pieces.push(piece);
    if (typeof piece === "string") continue;
    for (const ref of piece.expression.references) {
      const { start, end } = shifted(ref, piece.part);
      references.push({ ...ref, pointer, start, end });
    }
  }
  return { filler: stringFiller(pieces, text, pointer), expressions };
}

function compilePart(
  part: TemplatePart,
  pointer: string,
  problems: TemplateProblem[],
): string | CompiledPart | undefined {
  if (part.kind === "text") return part.text;
  if (part.kind === "unclosed") {
    problems.push(unclosed(part, pointer));
    return undefined;
  }
  try {
    return { part, expression: compileExpression(part.source) };
  } catch (error) {
    if (!(error instanceof ExpressionSyntaxError)) throw error;
    problems.push(placed(error.problem, part, pointer));
    return undefined;
  }
}

function stringFiller(
  pieces: readonly (string | CompiledPart)[],
  text: string,
  pointer: string,
): Filler {
  const [only] = pieces;
  if (only === undefined) return constant("");
  if (pieces.every((piece) => typeof piece === "string")) return constant(pieces.join(""));
  const valueOf = ({ part, expression }: CompiledPart, vars: Vars): Json => {
    try {
      return expression.evaluate(vars);
    } catch (error) {
      if (!(error instanceof EvaluationError)) throw error;
      const place = { start: error.start ?? 0, end: error.end ?? part.source.length };
      throw new EvaluationError(error.message, text, { ...shifted(place, part), pointer });
    }
  };
  if (pieces.length === 1 && typeof only !== "string") {
    return { isConstant: false, evaluate: (vars) => valueOf(only, vars) };
  }
  const evaluate = (vars: Vars): Json => {
    let filled = "";
    for (const piece of pieces) {
      filled += typeof piece === "string" ? piece : asText(valueOf(piece, vars));
    }
    return filled;
  };
  return { isConstant: false, evaluate };
}

function asText(value: Json): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

function shifted(
  place: { start: number; end: number },
  part: ExpressionPart,
): { start: number; end: number } {
  return { start: place.start + part.start, end: place.end + part.start };
}

function placed(
  problem: ExpressionProblem,
  part: ExpressionPart,
  pointer: string,
): TemplateProblem {
  return { ...problem, ...shifted(problem, part), pointer };
}

function unclosed(part: UnclosedPart, pointer: string): TemplateProblem {
  return {
    kind: "parse",
    message: "`${` is never closed",
    hint: "close it with `}`, or write `$${` for a literal `${`",
    start: part.start,
    end: part.end,
    pointer,
  };
}

function tooDeep(pointer: string): TemplateProblem {
  const message = `the template is nested more than ${NESTING_MAX} deep`;
  return { kind: "limit", message, start: 0, end: 0, pointer };
}
