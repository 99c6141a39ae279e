/**
 * Fields of objects: reading them, asking for them, writing them in literals.
 *
 * The library tells kinds of values by `value.constructor`, and drops the keys `__proto__` and
 * `constructor` from map literals. Both keys may be data, so fields go by ownership here, and kinds
 * by the prototype.
 */
import { callOf, constantKey, isAccess, originalCheck } from "./ast.ts";
import type { Node } from "./ast.ts";
import { isPlainObject } from "./json.ts";

/** `a.b` and `a["b"]` read own keys, whatever the keys of the object are called. */
export function adaptAccess(node: Node): void {
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

/** Whether a value can be a key of a map. */
export function isKey(key: unknown): boolean {
  const kind = typeof key;
  return kind === "string" || kind === "number" || kind === "bigint" || kind === "boolean";
}

/** `{k: v}` keeps all keys, and refuses one that is given twice. */
export function adaptMapLiteral(node: Node): void {
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

/** `has(x.f)` takes any expression for `x`; a node that did not run has no fields. */
export function adaptHas(node: Node): void {
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
