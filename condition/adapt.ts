/**
 * Changes to a parsed tree before it is checked or run: where the library's meaning is not ours.
 *
 *   x.matches(p)     runs on RE2 instead of the backtracking RegExp of JavaScript
 *   a.b, a["b"]      read own keys, whatever the keys of the object are called
 *   []               is a list of anything, also in front of a macro
 *   {k: v}           keeps the keys `__proto__` and `constructor`, which the library drops
 *   ==, !=, in       deep, by number value, own keys only
 *   a + b            joins lists of int and double literals too, and pays for what it copies
 *   c ? a : b        may have branches of different types, as JSON does
 *   has(x.f)         takes any expression for x; false for a field of a node that did not run
 *   macros           pay one unit of work for each element
 *
 * A node is changed by giving it its own `check` and `evaluate`. The library replaces a node's
 * `evaluate` at its first use (a prototype method caches the real one), hence the accessors.
 */
import { equalValues } from "./equality.ts";
import { callOf, childrenOf, constantKey, hasArgument, isAccess, macroOf } from "./ast.ts";
import type { Evaluator, Node } from "./ast.ts";
import { INTERNAL_MATCHES } from "./errors.ts";
import { isPlainObject } from "./json.ts";
import { CHARACTERS_PER_UNIT, ELEMENTS_PER_UNIT } from "./limits.ts";
import { assertWorkLeft, spendWork } from "./work.ts";

/** Apply the changes above to a freshly parsed tree, in place. */
export function adaptTree(root: Node): void {
  for (const child of childrenOf(root)) adaptTree(child);
  const macro = macroOf(root);
  const call = callOf(root);
  if (macro?.kind === "comprehension") meterMacro(root, macro.bodies[0]);
  else if (hasArgument(root)) adaptHas(root);
  else if (call?.receiver) adaptMethod(root, call.name);
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

/** The library's own check of this node. */
function originalCheck(node: Node): Node["check"] {
  const prototype = Object.getPrototypeOf(node) as Node;
  return prototype.check.bind(node);
}

function operands(node: Node): [Node, Node] {
  return node.args as [Node, Node];
}

function adaptMethod(node: Node, name: string): void {
  if (name === "matches") (node.args as unknown[])[0] = INTERNAL_MATCHES;
  if (name !== "split" && name !== "join" && name !== "replace") return;
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

function adaptAccess(node: Node): void {
  node.evaluate = (ev, _self, frame) => {
    const [left, right] = node.args as [Node, Node | string];
    const container = ev.run(left, frame);
    const key: unknown = typeof right === "string" ? right : ev.run(right, frame);
    if (isPlainObject(container) && isKey(key)) {
      const name = String(key);
      const value = Object.hasOwn(container, name) ? container[name] : undefined;
      if (value !== undefined) return value;
      throw ev.createError("no_such_key", "No such key", node);
    }
    if (Array.isArray(container) && (typeof key === "number" || typeof key === "bigint")) {
      const value: unknown = container[Number(key)];
      if (value !== undefined) return value;
    }
    return node.handle(container, key, node, ev);
  };
}

function isKey(key: unknown): boolean {
  const kind = typeof key;
  return kind === "string" || kind === "number" || kind === "bigint" || kind === "boolean";
}

function adaptMapLiteral(node: Node): void {
  const entries = node.args as [Node, Node][];
  // The library knows the kind of a typed map by its `constructor`, which may be one of our keys.
  const isOrdinary = entries.every(
    ([key]) => key.op === "value" && key.args !== "constructor" && key.args !== "__proto__",
  );
  const check = originalCheck(node);
  node.check = (checker, self, frame) => {
    const type = check(checker, self, frame);
    return isOrdinary ? type : checker.dynType;
  };
  node.evaluate = (ev, _self, frame) => {
    // Without a prototype, `__proto__` is a key like any other.
    const result = Object.create(null) as { [key: string]: unknown };
    for (const [keyNode, valueNode] of entries) {
      const key = ev.run(keyNode, frame);
      const name = String(key);
      if (!isKey(key) && ev.debugType(key).name !== "uint") {
        throw ev.createError("unsupported_key_type", "Unsupported key type", keyNode);
      }
      if (Object.hasOwn(result, name)) {
        throw ev.createError("repeated_map_key", "Repeated map key", keyNode);
      }
      result[name] = ev.run(valueNode, frame);
    }
    return result;
  };
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
      return check(checker, self, frame);
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
    const result = node.handle(a, b, node, ev);
    payForCopy(result);
    return result;
  };
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

function adaptHas(node: Node): void {
  const [selection] = callOf(node)?.args ?? [];
  if (!selection) return;
  node.setMeta("async", false);
  node.setMeta("macro", undefined);
  node.check = (checker, _self, frame) => {
    if (selection.op !== "." && selection.op !== ".?") {
      const message = "has() needs a field selection such as has(output.name)";
      throw checker.createError("invalid_macro_argument", message, selection);
    }
    checker.check((selection.args as [Node, string])[0], frame);
    return checker.boolType;
  };
  const nodeEntry = upstreamEntry(selection);
  node.evaluate = (ev, _self, frame) => {
    const [target, field] = selection.args as [Node, string];
    if (nodeEntry && !hasField(ev.run(nodeEntry.container, frame), nodeEntry.name)) return false;
    return hasField(ev.run(target, frame), field);
  };
}

/** For `ctx.<node>.….field`: the `ctx` node and the name of the node in it. */
function upstreamEntry(selection: Node): { container: Node; name: string } | undefined {
  for (let at = selection; isAccess(at);) {
    const [target] = at.args as [Node];
    if (target.op === "id" && target.args === "ctx") {
      const name = constantKey(at);
      return name === undefined ? undefined : { container: target, name };
    }
    at = target;
  }
  return undefined;
}

function hasField(container: unknown, field: string): boolean {
  if (isPlainObject(container)) {
    return Object.hasOwn(container, field) && container[field] !== undefined;
  }
  if (typeof container !== "object" || container === null) return false;
  if (container instanceof Map) return container.has(field);
  // An optional: absent has no field, a present one is asked for its value.
  if ("hasValue" in container && "value" in container) {
    const optional = container as { hasValue(): boolean; value(): unknown };
    return optional.hasValue() && hasField(optional.value(), field);
  }
  return false;
}
