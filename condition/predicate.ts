/**
 * A condition as a formula over atoms: comparisons of one value of the data with constants.
 *
 * `output.score >= 80 && !(output.tier in ["a", "b"])` is two atoms, on two subjects. What is no
 * such comparison (arithmetic, functions, two values of the data) is an opaque atom: it may be true
 * or false, and only its text says whether it is the same as another. What the atoms are then worth
 * is found in partition.ts.
 */
import { callOf, constantKey, hasArgument, isAccess } from "./ast.ts";
import type { Node } from "./ast.ts";
import type { Json } from "./types.ts";

export type Formula =
  | { op: "and" | "or"; left: Formula; right: Formula }
  | { op: "not"; of: Formula }
  | { op: "if"; when: Formula; yes: Formula; no: Formula }
  | { op: "atom"; atom: Atom };

export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=";
export type Scalar = null | boolean | number | string;

export type Atom =
  | { kind: "constant"; value: boolean }
  | { kind: "compare"; subject: Subject; operator: Comparison; constant: Scalar }
  | { kind: "in"; subject: Subject; constants: Scalar[] }
  | { kind: "has"; subject: Subject }
  | { kind: "truth"; subject: Subject }
  | { kind: "opaque"; text: string };

/** A value of the data, or the size of one. */
export interface Subject {
  /** As people write it; the same for the same value. */
  name: string;
  path: string[];
  isSize: boolean;
}

const FLIPPED: Readonly<Record<Comparison, Comparison>> = {
  ...{ "==": "==", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<=" },
};

/** The formula of a parsed condition; `source` is its text. */
export function formulaOf(node: Node, source: string): Formula {
  const below = (child: Node): Formula => formulaOf(child, source);
  switch (node.op) {
    case "&&":
    case "||": {
      const [left, right] = node.args as [Node, Node];
      return { op: node.op === "&&" ? "and" : "or", left: below(left), right: below(right) };
    }
    case "!_":
      return { op: "not", of: below(node.args as Node) };
    case "?:": {
      const [when, yes, no] = node.args as [Node, Node, Node];
      return { op: "if", when: below(when), yes: below(yes), no: below(no) };
    }
    default: {
      const text = source.slice(node.start, node.end).replace(/\s+/g, " ");
      return { op: "atom", atom: atomOf(node) ?? { kind: "opaque", text } };
    }
  }
}

/** The atoms of a formula, from left to right. */
export function atomsOf(formula: Formula): Atom[] {
  switch (formula.op) {
    case "and":
    case "or":
      return [...atomsOf(formula.left), ...atomsOf(formula.right)];
    case "not":
      return atomsOf(formula.of);
    case "if":
      return [formula.when, formula.yes, formula.no].flatMap(atomsOf);
    case "atom":
      return [formula.atom];
  }
}

function atomOf(node: Node): Atom | undefined {
  const asked = hasArgument(node);
  if (asked) {
    const subject = subjectOf(asked);
    return subject && { kind: "has", subject };
  }
  if (node.op === "value" && typeof node.args === "boolean") {
    return { kind: "constant", value: node.args };
  }
  if (node.op === "in") return membershipOf(node);
  if (Object.hasOwn(FLIPPED, node.op)) return comparisonOf(node, node.op as Comparison);
  const subject = subjectOf(node);
  return subject && !subject.isSize ? { kind: "truth", subject } : undefined;
}

function comparisonOf(node: Node, operator: Comparison): Atom | undefined {
  const [left, right] = node.args as [Node, Node];
  const [a, b] = [scalarOf(left), scalarOf(right)];
  if (a !== undefined && b !== undefined) return constantComparison(operator, a, b);
  const [subject, constant] = b === undefined ? [subjectOf(right), a] : [subjectOf(left), b];
  if (!subject || constant === undefined) return undefined;
  const turned = b === undefined ? FLIPPED[operator] : operator;
  return { kind: "compare", subject, operator: turned, constant };
}

/** Of two constants of one kind; others are left to the checker, which refuses most of them. */
function constantComparison(operator: Comparison, a: Scalar, b: Scalar): Atom | undefined {
  if (a === null || b === null || typeof a !== typeof b) return undefined;
  const truths: Record<Comparison, boolean> = {
    ...{ "==": a === b, "!=": a !== b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b },
  };
  return { kind: "constant", value: truths[operator] };
}

function membershipOf(node: Node): Atom | undefined {
  const [element, list] = node.args as [Node, Node];
  const subject = subjectOf(element);
  if (!subject || list.op !== "list") return undefined;
  const constants = (list.args as Node[]).map(scalarOf);
  const isConstant = constants.every((value) => value !== undefined);
  return isConstant ? { kind: "in", subject, constants } : undefined;
}

function scalarOf(node: Node): Scalar | undefined {
  if (node.op === "-_") {
    const value = scalarOf(node.args as Node);
    return typeof value === "number" ? -value : undefined;
  }
  if (node.op !== "value") return undefined;
  const value = node.args;
  if (typeof value === "bigint")
    return Number.isSafeInteger(Number(value)) ? Number(value) : undefined;
  const isScalar = value === null || ["boolean", "number", "string"].includes(typeof value);
  return isScalar ? (value as Scalar) : undefined;
}

const ROOTS: ReadonlySet<string> = new Set([
  ...(["input", "data", "output", "ctx", "item", "value", "index"] as const),
  ...(["iteration", "run", "error", "attempt"] as const),
]);

function subjectOf(node: Node): Subject | undefined {
  const call = callOf(node);
  if (call?.name === "size" && !call.receiver && call.args.length === 1) {
    const [of] = call.args;
    const path = of && pathOf(of);
    return path && { name: `size(${nameOf(path)})`, path, isSize: true };
  }
  const path = pathOf(node);
  if (!path) return undefined;
  // Whether a node has an entry in ctx is whether it has an output.
  const whole = path[0] === "ctx" && path.length === 2 ? [...path, "output"] : path;
  return { name: nameOf(whole), path: whole, isSize: false };
}

/** Of plain selections with names; elements of lists are left out, they have no place in objects. */
function pathOf(node: Node): string[] | undefined {
  if (node.op === "id") {
    const name = node.args as string;
    return ROOTS.has(name) ? [name] : undefined;
  }
  if (!isAccess(node) || node.op.includes("?")) return undefined;
  const [target, selector] = node.args as [Node, Node | string];
  if (typeof selector !== "string" && typeof selector.args !== "string") return undefined;
  const key = constantKey(node);
  const path = pathOf(target);
  return path && key !== undefined ? [...path, key] : undefined;
}

/** A path as CEL writes it. */
export function nameOf([root = "", ...names]: readonly string[]): string {
  const select = (name: string): string =>
    /^[A-Za-z_]\w*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
  return root + names.map(select).join("");
}

/** What a schema knows of the values that can stand at a path. */
export interface Domain {
  /** Values at which what is allowed may change. */
  constants: readonly Scalar[];
  /** Only whole numbers, if numbers. */
  isInteger: boolean;
  /** Whether this may stand there; undefined: nothing. */
  allows: (value: Json | undefined) => boolean;
}
