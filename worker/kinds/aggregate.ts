/**
 * `aggregate`: many values become one.
 *
 * The values are the elements of a list, or those of an object: a join's input is an object keyed by
 * the predecessors, in the order of the in-edges, so it needs no further word.
 */
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileTemplate } from "../../condition/index.ts";
import type { Template, Vars } from "../../condition/index.ts";
import { canonicalText, compareJson, fieldAt, isObject } from "./json-data.ts";
import { badInput, fill, perNode } from "./kind.ts";
import { unique } from "./transform.ts";

interface Aggregation {
  items: Template | null;
  field: string[];
  apply: (values: Json[], field: string[], node: IrNode) => Json;
}

const STRATEGIES: ReadonlyMap<string, Aggregation["apply"]> = new Map([
  ["merge", merge],
  ["union", (values: Json[]) => unique(values.flat() as Json[])],
  ["concat", (values: Json[]) => values.flat() as Json[]],
  ["collect", (values: Json[]) => values],
]);

const OPERATIONS: ReadonlyMap<string, Aggregation["apply"]> = new Map<string, Aggregation["apply"]>(
  [
    ["sum", (values, field, node) => sum(numbers(values, field, node), node)],
    ["avg", average],
    ["min", (values, field, node) => extreme(values, field, node, -1)],
    ["max", (values, field, node) => extreme(values, field, node, 1)],
    ["count", (values, field) => present(values, field).length],
    ["group_by", groupBy],
  ],
);

const aggregationOf = perNode<Aggregation>((node) => {
  const { strategy, operation, field, items } = node.config;
  if (field !== undefined && typeof field !== "string") {
    throw badInput(node, 'config.field must be a field name or path, e.g. "price" or "item.price"');
  }
  const [table, name, key] =
    operation === undefined
      ? [STRATEGIES, strategy ?? "collect", "strategy"]
      : [OPERATIONS, operation, "operation"];
  const apply = table.get(String(name));
  if (apply !== undefined) {
    return {
      items: items === undefined ? null : compileTemplate(items),
      field: field === undefined ? [] : field.split("."),
      apply,
    };
  }
  throw badInput(node, `config.${key} must be one of ${[...table.keys()].join(", ")}`);
});

/** `data` is the node's input, and the values unless `config.items` names others. */
export function evaluateAggregate(node: IrNode, vars: Vars, data: Json): Json {
  const { apply, field, items } = aggregationOf(node);
  const values = items === null ? data : fill(node, "config.items", items, vars);
  if (Array.isArray(values)) return apply(values, field, node);
  if (isObject(values)) return apply(Object.values(values), field, node);
  throw badInput(node, "its input must be a list, or an object such as that of a join");
}

function merge(values: Json[], _field: string[], node: IrNode): Json {
  const entries: [string, Json][] = [];
  for (const value of values) {
    if (!isObject(value)) throw badInput(node, "merge needs objects; see concat and collect");
    for (const entry of Object.entries(value)) entries.push(entry);
  }
  return Object.fromEntries(entries);
}

/** The fields, or values, that are there: as in SQL, null and missing do not count. */
function present(values: Json[], field: string[]): Json[] {
  const found = field.length === 0 ? values : values.map((value) => fieldAt(value, field) ?? null);
  return found.filter((value) => value !== null);
}

function numbers(values: Json[], field: string[], node: IrNode): number[] {
  return present(values, field).map((value) => {
    if (typeof value === "number") return value;
    const what = field.length === 0 ? "a value" : `field ${field.join(".")}`;
    throw badInput(node, `${String(node.config["operation"])}: ${what} is not a number`);
  });
}

/** Always finite: kept as JSON, an infinite one would be null to all but this node's own edges. */
function sum(list: readonly number[], node: IrNode): number {
  let total = 0;
  for (const item of list) total += item;
  if (Number.isFinite(total)) return total;
  const what = `${String(node.config["operation"])}: the sum is more than a number can hold`;
  throw badInput(node, `${what} (1.8e308)`);
}

/** null when there is nothing to take the average of. */
function average(values: Json[], field: string[], node: IrNode): Json {
  const list = numbers(values, field, node);
  return list.length === 0 ? null : sum(list, node) / list.length;
}

/** Smallest or largest of numbers, or of strings; null of nothing. */
function extreme(values: Json[], field: string[], node: IrNode, sign: 1 | -1): Json {
  const list = present(values, field);
  const kind = typeof list[0];
  if (list.some((value) => typeof value !== kind || (kind !== "number" && kind !== "string"))) {
    throw badInput(node, `${String(node.config["operation"])} needs numbers only, or texts only`);
  }
  let best: Json = list[0] ?? null;
  for (const value of list) if (compareJson(value, best) * sign > 0) best = value;
  return best;
}

/** An object from the field's value, as text, to the list of the values that have it. */
function groupBy(values: Json[], field: string[], node: IrNode): Json {
  if (field.length === 0) throw badInput(node, "group_by needs config.field");
  const groups = new Map<string, Json[]>();
  for (const value of values) {
    const key = fieldAt(value, field) ?? null;
    const name = typeof key === "string" ? key : canonicalText(key);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [value]);
    else group.push(value);
  }
  return Object.fromEntries(groups);
}
