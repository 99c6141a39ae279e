/**
 * The library's syntax tree as we see it, with the internals we lean on.
 *
 * The library publishes `op`, `args`, `start` and `end`. We also replace how some nodes are checked
 * and evaluated; that part is internal there, hence the exact version pin and the tests.
 */
import type { ASTNode } from "@marcbachmann/cel-js";

/** A type as the checker knows it. */
export interface CelType {
  readonly kind: string;
  readonly name: string;
}

/** The evaluator that the library hands to nodes and function handlers. */
export interface Evaluator {
  run(node: Node, frame: unknown): unknown;
  createError(code: string, message: string, node?: Node): Error;
  debugType(value: unknown): CelType;
  readonly mapType: CelType;
}

/** The checker that the library hands to nodes. */
export interface Checker {
  check(node: Node, frame: unknown): CelType;
  createError(code: string, message: string, node?: Node): Error;
  readonly dynType: CelType;
  readonly boolType: CelType;
  readonly listType: CelType;
}

type Evaluate = (ev: Evaluator, node: Node, frame: unknown) => unknown;
type Check = (checker: Checker, node: Node, frame: unknown) => CelType;
/** How a node combines the values of its operands; set by the checker. */
type Handle = (left: unknown, right: unknown, node: Node, ev: Evaluator) => unknown;

export interface Node {
  readonly op: string;
  args: unknown;
  readonly start: number;
  readonly end: number;
  check: Check;
  evaluate: Evaluate;
  handle: Handle;
  readonly meta: { alternate?: Node; macro?: unknown };
  setMeta(key: string, value: unknown): Node;
}

export function asNode(ast: ASTNode): Node {
  return ast as unknown as Node;
}

export function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}

/** The nodes directly below, in source order; macro arguments included, macro expansions not. */
export function childrenOf(node: Node): Node[] {
  const found: Node[] = [];
  // A list literal's `args` are nodes, a map literal's are pairs, a call's hold a list of nodes.
  const collect = (part: unknown): void => {
    if (isNode(part)) found.push(part);
    else if (Array.isArray(part)) part.forEach(collect);
  };
  if (node.op !== "value") collect(node.args);
  return found;
}

export interface Call {
  name: string;
  receiver: Node | undefined;
  args: Node[];
}

/** The parts of a call, of both forms, `f(x)` and `x.f(y)`. */
export function callOf(node: Node): Call | undefined {
  const parts = node.args as unknown[];
  if (node.op === "call") {
    return { name: parts[0] as string, receiver: undefined, args: parts[1] as Node[] };
  }
  if (node.op !== "rcall") return undefined;
  return { name: parts[0] as string, receiver: parts[1] as Node, args: parts[2] as Node[] };
}

const COMPREHENSIONS = new Set(["all", "exists", "exists_one", "map", "filter"]);

/** A call that binds a variable in some of its arguments. */
export interface Macro {
  kind: "comprehension" | "bind";
  variable: string;
  /** Evaluated outside the binding: the list, or the bound value. */
  outside: Node[];
  /** Evaluated with the variable bound; of a comprehension, the first once for each element. */
  bodies: Node[];
}

export function macroOf(node: Node): Macro | undefined {
  const call = callOf(node);
  if (!call?.receiver) return undefined;
  const [variable, ...rest] = call.args;
  if (variable?.op !== "id" || rest.length === 0) return undefined;
  const name = variable.args as string;
  if (COMPREHENSIONS.has(call.name) && node.meta.alternate) {
    return { kind: "comprehension", variable: name, outside: [call.receiver], bodies: rest };
  }
  if (call.name === "bind" && node.meta.macro !== undefined && rest.length === 2) {
    return { kind: "bind", variable: name, outside: rest.slice(0, 1), bodies: rest.slice(1) };
  }
  return undefined;
}

/** The argument of `has(…)`, or undefined if the node is something else. */
export function hasArgument(node: Node): Node | undefined {
  const call = callOf(node);
  if (call?.name !== "has" || call.receiver || call.args.length !== 1) return undefined;
  return call.args[0];
}

/** The selected field if it stands in the source: of `a.b`, `a.?b`, `a["b"]`, `a[0]`. */
export function constantKey(node: Node): string | undefined {
  const parts = node.args as unknown[];
  switch (node.op) {
    case ".":
    case ".?":
      return parts[1] as string;
    case "[]":
    case "[?]": {
      const key = parts[1] as Node;
      if (key.op !== "value") return undefined;
      return typeof key.args === "string" || typeof key.args === "bigint"
        ? String(key.args)
        : undefined;
    }
    default:
      return undefined;
  }
}

/** Whether a node selects a field or element. */
export function isAccess(node: Node): boolean {
  return node.op === "." || node.op === ".?" || node.op === "[]" || node.op === "[?]";
}

/** The library's own check of a node, also after it was given another one. */
export function originalCheck(node: Node): Node["check"] {
  const prototype = Object.getPrototypeOf(node) as Node;
  return prototype.check.bind(node);
}
