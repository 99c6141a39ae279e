/**
 * Changes to a parsed tree before it is checked or run: where the library's meaning is not ours.
 *
 *   x.matches(p)     runs on RE2 instead of the backtracking RegExp of JavaScript
 *   x.join(s)        pays for the text before building it
 *   a.b, a["b"]      read own keys, whatever the keys of the object are called
 *   []               is a list of anything, also in front of a macro
 *   {k: v}           keeps the keys `__proto__` and `constructor`, which the library drops
 *   ==, !=, in       deep, by number value, own keys only
 *   a + b, a - b     of moments and durations are exact (time.ts); and
 *   timestamp(s)     takes no text of a day that there is not
 *   a + b            joins lists of int and double literals too, and pays for what it copies
 *   c ? a : b        may have branches of different types, as JSON does
 *   has(x.f)         takes any expression for x; false for a field of a node that did not run
 *   macros           pay one unit of work for each element
 *   size(x), a < b   and others that look at all of a text or object pay for its size
 *
 * A node is changed by giving it its own `check` and `evaluate`. The library replaces a node's
 * `evaluate` at its first use (a prototype method caches the real one), hence the accessors.
 */
import { equalValues } from "./equality.ts";
import { callOf, childrenOf, hasArgument, macroOf, originalCheck } from "./ast.ts";
import type { Call, Evaluator, Node } from "./ast.ts";
import { REPLACED_METHODS } from "./errors.ts";
import { adaptAccess, adaptHas, adaptMapLiteral, isKey } from "./fields.ts";
import { isPlainObject } from "./json.ts";
import { CHARACTERS_PER_UNIT, ELEMENTS_PER_UNIT, KEYS_PER_UNIT } from "./limits.ts";
import { assertTimestamp, shifted } from "./time.ts";
import { assertWorkLeft, spendWork } from "./work.ts";

/** Apply the changes above to a freshly parsed tree, in place. */
export function adaptTree(root: Node): void {
  for (const child of childrenOf(root)) adaptTree(child);
  const macro = macroOf(root);
  const call = callOf(root);
  meterLooks(root, call);
  if (macro?.kind === "comprehension") meterMacro(root, macro.bodies[0]);
  else if (hasArgument(root)) adaptHas(root);
  else if (call?.receiver) adaptMethod(root, call.name);
  else if (call?.name === "timestamp") adaptTimestamp(call);
  else if (root.op === "." || root.op === "[]") adaptAccess(root);
  else adaptOperator(root);
}

function adaptOperator(node: Node): void {
  switch (node.op) {
    case "==":
    case "!=":
      return adaptEquality(node);
    case "in":
      return adaptMembership(node);
    case "+":
      return adaptAddition(node);
    case "-":
      return adaptSubtraction(node);
    case "?:":
      return adaptTernary(node);
    case "map":
      return adaptMapLiteral(node);
    case "list":
      return adaptListLiteral(node);
  }
}

type Evaluate = Node["evaluate"];

interface Wrapped {
  /** The library's evaluation; it replaces it at first use by a faster one. */
  base: Evaluate;
  /** `base` with everything around it. */
  outer: Evaluate;
}

const wrapped = new WeakMap<Node, Wrapped>();

/** Evaluate a node by `around(original)`; wrapping again goes around what is there. */
function wrapEvaluate(node: Node, around: (inner: Evaluate) => Evaluate): void {
  const before = wrapped.get(node);
  if (before) {
    before.outer = around(before.outer);
    return;
  }
  const state: Wrapped = { base: node.evaluate, outer: node.evaluate };
  let isCaching = false;
  state.outer = around((ev, self, frame) => state.base.call(node, ev, self, frame));
  wrapped.set(node, state);
  Object.defineProperty(node, "evaluate", {
    get: () => {
      // The caching method sets `evaluate` and calls it at once: that call is already inside.
      const current = isCaching ? state.base : state.outer;
      isCaching = false;
      return current;
    },
    set: (cached: Evaluate) => {
      state.base = cached;
      isCaching = true;
    },
  });
}

function operands(node: Node): [Node, Node] {
  return node.args as [Node, Node];
}

function adaptMethod(node: Node, name: string): void {
  const ours = REPLACED_METHODS.get(name);
  if (ours !== undefined) (node.args as unknown[])[0] = ours;
  if (name !== "split") return;
  wrapEvaluate(node, (inner) => (ev, self, frame) => {
    const result = inner(ev, self, frame);
    payForCopy(result);
    return result;
  });
}

function payForCopy(copy: unknown): void {
  if (typeof copy === "string") spendWork(Math.floor(copy.length / CHARACTERS_PER_UNIT));
  else if (Array.isArray(copy)) spendWork(Math.floor(copy.length / ELEMENTS_PER_UNIT));
}

/** What looks at each character of its operands, or at each key. */
const LOOKING: ReadonlySet<string> = new Set([
  ...["size", "contains", "indexOf", "lastIndexOf", "lowerAscii", "upperAscii", "trim"],
  ...["split", "replace", "json", "hex", "base64"],
  ...["bool", "bytes", "double", "int", "uint", "string", "timestamp", "duration"],
]);

/** What looks no further than its shorter operand goes: a literal bounds it. */
const COMPARING: ReadonlySet<string> = new Set([
  ...["<", "<=", ">", ">=", "startsWith", "endsWith"],
]);

function meterLooks(node: Node, call: Call | undefined): void {
  const name = call?.name ?? node.op;
  const isComparing = COMPARING.has(name);
  if (!isComparing && !(call && LOOKING.has(name))) return;
  const given = call ? [call.receiver, ...call.args] : operands(node);
  if (!isComparing || given.every((one) => one?.op !== "value")) payForOperands(given);
}

/** The library's functions and operators do not pay; so what they are given does. */
function payForOperands(nodes: readonly (Node | undefined)[]): void {
  for (const node of nodes) {
    if (!node || node.op === "value") continue;
    wrapEvaluate(node, (inner) => (ev, self, frame) => {
      const value = inner(ev, self, frame);
      payForLook(value);
      return value;
    });
  }
}

function payForLook(value: unknown): void {
  if (typeof value === "string") spendWork(Math.floor(value.length / CHARACTERS_PER_UNIT));
  else if (value instanceof Uint8Array) spendWork(Math.floor(value.length / CHARACTERS_PER_UNIT));
  else if (isPlainObject(value)) {
    spendWork(Math.floor(Object.keys(value).length / KEYS_PER_UNIT));
  }
}

function meterMacro(node: Node, body: Node | undefined): void {
  if (body) {
    wrapEvaluate(body, (inner) => (ev, self, frame) => {
      spendWork(1);
      return inner(ev, self, frame);
    });
  }
  // A used-up inner loop is an error that an outer `exists` collects, to go on with its next
  // element; that one must stop before it starts.
  wrapEvaluate(node, (inner) => (ev, self, frame) => {
    assertWorkLeft();
    return inner(ev, self, frame);
  });
}

/** `[]` is a list of anything: the library's "list of T" fits int and double operators alike. */
function adaptListLiteral(node: Node): void {
  if ((node.args as Node[]).length > 0) return;
  node.check = (checker) => checker.listType;
}

function adaptEquality(node: Node): void {
  const check = originalCheck(node);
  const [left, right] = operands(node);
  node.check = (checker, self, frame) => {
    const a = checker.check(left, frame);
    const b = checker.check(right, frame);
    const isSameContainer = a.kind === b.kind && (a.kind === "list" || a.kind === "map");
    return isSameContainer ? checker.boolType : check(checker, self, frame);
  };
  const isNegated = node.op === "!=";
  node.evaluate = (ev, _self, frame) =>
    equalValues(ev.run(left, frame), ev.run(right, frame)) !== isNegated;
}

function adaptMembership(node: Node): void {
  const check = originalCheck(node);
  const [left, right] = operands(node);
  node.check = (checker, self, frame) => {
    checker.check(left, frame);
    const kind = checker.check(right, frame).kind;
    return kind === "list" || kind === "map" ? checker.boolType : check(checker, self, frame);
  };
  const handleAs = (ev: Evaluator, item: unknown, container: unknown): unknown => {
    if (Array.isArray(container)) {
      spendWork(Math.floor(container.length / ELEMENTS_PER_UNIT));
      return container.some((other) => equalValues(item, other));
    }
    if (isPlainObject(container)) return isKey(item) && Object.hasOwn(container, String(item));
    throw ev.createError("no_such_overload", "`in` needs a list or a map on its right", node);
  };
  node.evaluate = (ev, _self, frame) => handleAs(ev, ev.run(left, frame), ev.run(right, frame));
}

function adaptAddition(node: Node): void {
  const check = originalCheck(node);
  const [left, right] = operands(node);
  node.check = (checker, self, frame) => {
    const a = checker.check(left, frame);
    const b = checker.check(right, frame);
    try {
      // In every case, because it also prepares `node.handle`.
      const type = check(checker, self, frame);
      return b.name === "google.protobuf.Timestamp" ? b : type;
    } catch (error) {
      if (a.kind === "list" && b.kind === "list") return checker.listType;
      throw error;
    }
  };
  node.evaluate = (ev, _self, frame) => {
    const a = ev.run(left, frame);
    const b = ev.run(right, frame);
    if (Array.isArray(a) && Array.isArray(b)) {
      spendWork(Math.floor((a.length + b.length) / ELEMENTS_PER_UNIT));
      return [...(a as unknown[]), ...(b as unknown[])];
    }
    const time = typeof a === "object" ? shifted("+", a, b) : undefined;
    if (time !== undefined) return time;
    const result = node.handle(a, b, node, ev);
    payForCopy(result);
    return result;
  };
}

function adaptSubtraction(node: Node): void {
  const [left, right] = operands(node);
  node.evaluate = (ev, _self, frame) => {
    const a = ev.run(left, frame);
    const b = ev.run(right, frame);
    const time = typeof a === "object" ? shifted("-", a, b) : undefined;
    return time === undefined ? node.handle(a, b, node, ev) : time;
  };
}

/** Whoever reads texts more leniently would take a day that there is not for another one. */
function adaptTimestamp({ args }: Call): void {
  for (const arg of args) {
    wrapEvaluate(arg, (inner) => (ev, self, frame) => {
      const value = inner(ev, self, frame);
      assertTimestamp(value);
      return value;
    });
  }
}

function adaptTernary(node: Node): void {
  const [condition, yes, no] = node.args as [Node, Node, Node];
  const check = originalCheck(node);
  node.check = (checker, self, frame) => {
    try {
      return check(checker, self, frame);
    } catch (error) {
      const isOnlyMixed =
        error instanceof Error && "code" in error && error.code === "incompatible_ternary_branches";
      if (isOnlyMixed) return checker.dynType;
      throw error;
    }
  };
  node.evaluate = (ev, _self, frame) => {
    const decided = ev.run(condition, frame);
    if (decided === true) return ev.run(yes, frame);
    if (decided === false) return ev.run(no, frame);
    const type = ev.debugType(decided).name;
    const message = `Ternary condition must be bool, got '${type}'`;
    throw ev.createError("invalid_condition_type", message, condition);
  };
}
