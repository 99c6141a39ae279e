/**
 * Conditions and expressions: from source to something that runs.
 *
 * Compiling costs tens of microseconds and evaluating one or two, so compiled programs are kept by
 * their source. All that can be found without data is found at compile time, types included, and an
 * evaluation then only meets errors of the data.
 */
import type { ParseResult } from "@marcbachmann/cel-js";
import { analyse, checkTypes } from "./analyse.ts";
import { asNode, childrenOf, isAccess } from "./ast.ts";
import type { Node } from "./ast.ts";
import { EvaluationError, ExpressionSyntaxError, toEvaluationError } from "./errors.ts";
import { NotJsonError, toJson } from "./json.ts";
import { runtime } from "./library.ts";
import { COMPILED_CACHE_MAX, RESULT_SIZE_MAX } from "./limits.ts";
import { LruCache } from "./lru.ts";
import type { Condition, Expression, ExpressionProblem, Json, Reference, Vars } from "./types.ts";
import { assertWorkLeft, startWork } from "./work.ts";

const conditions = new LruCache<string, Condition>(COMPILED_CACHE_MAX);
const expressions = new LruCache<string, Expression>(COMPILED_CACHE_MAX);

/** Compile a condition. Throws ExpressionSyntaxError, also if it can never be true or false. */
export function compileCondition(source: string): Condition {
  return conditions.getOrMake(source, () => buildCondition(source));
}

/** Compile an expression whose value becomes JSON. Throws ExpressionSyntaxError. */
export function compileExpression(source: string): Expression {
  return expressions.getOrMake(source, () => buildExpression(source));
}

/** The problem of a condition whose static type is not bool, or undefined. */
export function notBoolProblem(source: string, type: string): ExpressionProblem | undefined {
  if (type === "bool" || type.startsWith("dyn")) return undefined;
  return {
    kind: "type",
    message: `a condition must be true or false, and this is of type ${type}`,
    hint: "compare it with something, e.g. `output.count > 0`",
    start: 0,
    end: source.length,
  };
}

interface Program {
  references: readonly Reference[];
  type: string;
  root: Node;
  run: (vars: Vars) => unknown;
}

function build(source: string): Program {
  const { problems, references, program } = analyse(source, runtime);
  const [problem] = problems;
  if (problem) throw new ExpressionSyntaxError(source, problem);
  if (!program) throw new Error("a source without problems has a program");
  const checked = checkTypes(source, program);
  if ("problem" in checked) throw new ExpressionSyntaxError(source, checked.problem);
  const root = asNode(program.ast);
  return {
    references: references.map(({ path, start, end, guarded }) => ({ path, start, end, guarded })),
    type: checked.type,
    root,
    run: runner(source, program, root),
  };
}

function runner(source: string, program: ParseResult, root: Node): (vars: Vars) => unknown {
  const release = releaser(root);
  return (vars) => {
    // Without a prototype, so that a variable called `toString` is unknown and not a function.
    const frame = Object.assign(Object.create(null) as Vars, vars);
    startWork();
    try {
      const value: unknown = program(frame);
      assertWorkLeft();
      return value;
    } catch (error) {
      throw toEvaluationError(error, source);
    } finally {
      release();
    }
  };
}

interface MacroFrame {
  iterValue?: unknown;
  accuValue?: unknown;
  reuse(parent: object): unknown;
}

/**
 * Forget the data of the last evaluation: the library keeps one frame per macro for reuse, and with
 * it the whole run's data, for as long as the program is cached.
 */
function releaser(root: Node): () => void {
  const frames: MacroFrame[] = [];
  const collect = (node: Node): void => {
    const { iterCtx } = (node.meta.alternate?.args ?? {}) as { iterCtx?: MacroFrame };
    const { bindCtx } = (node.meta.macro ?? {}) as { bindCtx?: MacroFrame };
    if (iterCtx) frames.push(iterCtx);
    if (bindCtx) frames.push(bindCtx);
    childrenOf(node).forEach(collect);
  };
  collect(root);
  const nothing = Object.freeze({});
  return () => {
    for (const frame of frames) {
      frame.reuse(nothing);
      frame.iterValue = undefined;
      frame.accuValue = undefined;
    }
  };
}

function buildCondition(source: string): Condition {
  const { references, type, run } = build(source);
  const problem = notBoolProblem(source, type);
  if (problem) throw new ExpressionSyntaxError(source, problem);
  return {
    source,
    references,
    test: (vars) => {
      const value = run(vars);
      if (typeof value === "boolean") return value;
      throw new EvaluationError(
        `a condition must be true or false, and this one is ${kindOf(value)}`,
        source,
        { start: 0, end: source.length },
      );
    },
  };
}

function kindOf(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "string") return "a string";
  if (typeof value === "number" || typeof value === "bigint") return "a number";
  return "neither";
}

function buildExpression(source: string): Expression {
  const { references, run, root } = build(source);
  // A plain path gives a part of the data, which is JSON already and may be large.
  const isPath = isPlainPath(root);
  const evaluate = (vars: Vars): Json => {
    const value = run(vars);
    if (isPath) return value as Json;
    try {
      return toJson(value, { left: RESULT_SIZE_MAX });
    } catch (error) {
      if (!(error instanceof NotJsonError)) throw toEvaluationError(error, source);
      throw new EvaluationError(error.message, source, { start: 0, end: source.length });
    }
  };
  return { source, references, evaluate };
}

const ROOTS = new Set(["input", "data", "output", "ctx", "item", "run", "secrets", "error"]);

function isPlainPath(node: Node): boolean {
  if (node.op === "id") return ROOTS.has(node.args as string);
  if (!isAccess(node) || node.op.includes("?")) return false;
  const [target, key] = node.args as [Node, Node | string];
  return (typeof key === "string" || key.op === "value") && isPlainPath(target);
}
