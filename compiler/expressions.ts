/**
 * Reading expressions: what is wrong with one, and what it refers to.
 *
 * Results are kept per text: in a large workflow the same condition stands on many edges. What a
 * name means at a certain place is judged by the caller; here every name of the language is known.
 */
import {
  checkCondition,
  checkExpression,
  checkTemplate,
  compileExpression,
  compileTemplate,
} from "../condition/index.ts";
import type { ExpressionProblem, Reference } from "../condition/index.ts";

export type ExpressionForm = "condition" | "expression" | "template";

export interface ReadExpression {
  problems: readonly ExpressionProblem[];
  /** Empty if there are problems. */
  references: readonly Reference[];
}

/** Every name that an expression can use somewhere. */
export const ALL_VARIABLES: ReadonlySet<string> = new Set([
  ...(["input", "data", "output", "ctx", "item", "value", "index", "iteration"] as const),
  ...(["run", "secrets", "error", "attempt"] as const),
]);

const NOTHING: ReadExpression = { problems: [], references: [] };
const scope = { variables: ALL_VARIABLES };

export class ExpressionReader {
  readonly #read = new Map<string, ReadExpression>();

  /** Problems and references of one text; templates are strings with `${…}`. */
  read(text: string, form: ExpressionForm): ReadExpression {
    if (form === "template" && !text.includes("${")) return NOTHING;
    const key = `${form} ${text}`;
    let found = this.#read.get(key);
    if (!found) {
      found = readText(text, form);
      this.#read.set(key, found);
    }
    return found;
  }
}

/** A problem as it is told where only `variables` are known: others are no help there. */
export function problemHere(
  text: string,
  form: ExpressionForm,
  variables: ReadonlySet<string>,
  problem: ExpressionProblem,
): ExpressionProblem {
  if (!problem.message.startsWith("unknown variable ")) return problem;
  const problems = problemsOf(text, form, { variables });
  return (
    problems.find(({ start, message }) => start === problem.start && message === problem.message) ??
    problem
  );
}

function problemsOf(
  text: string,
  form: ExpressionForm,
  known: { variables: ReadonlySet<string> },
): ExpressionProblem[] {
  if (form === "template") return checkTemplate(text, known);
  return form === "condition" ? checkCondition(text, known) : checkExpression(text, known);
}

function readText(text: string, form: ExpressionForm): ReadExpression {
  const problems = problemsOf(text, form, scope);
  if (problems.length > 0) return { problems, references: [] };
  const { references } = form === "template" ? compileTemplate(text) : compileExpression(text);
  return { problems, references };
}

/**
 * `ctx.<id>.output` as `output`, in conditions of the node itself: there its own output has that
 * name, and it is not among the outputs of other nodes.
 */
export function rewriteOwnOutput(
  source: string,
  id: string,
  references: readonly Reference[],
): string {
  let result = source;
  for (const ref of references.toSorted((a, b) => b.start - a.start)) {
    const [root, node, part, ...rest] = ref.path;
    if (root !== "ctx" || node !== id || part !== "output") continue;
    const path = rest.map((name) =>
      /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${indexText(name)}]`,
    );
    result = `${result.slice(0, ref.start)}output${path.join("")}${result.slice(ref.end)}`;
  }
  return result;
}

function indexText(name: string): string {
  return /^\d+$/.test(name) ? name : JSON.stringify(name);
}
