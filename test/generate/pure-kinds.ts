/**
 * The pure kinds for the oracle, written from the description of the workflow format and not from
 * the worker's code. Slow and plain: values are compared by their canonical text.
 */
import { compileCondition, compileExpression, compileTemplate } from "../../condition/index.ts";
import type { IrNode, Json } from "../../compiler/ir.ts";
import type { HandlerContext } from "../../compiler/reference/index.ts";

/** Config or data that a kind cannot work with. */
export class BadInput extends Error {
  override readonly name = "BadInput";
}

/** The output of a pure node. Throws BadInput. */
export function pureOutput(node: IrNode, context: HandlerContext): Json {
  try {
    if (node.type === "transform") return transform(node, context);
    if (node.type === "filter") return filter(node, context);
    if (node.type === "aggregate") return aggregate(node, context.data);
  } catch (error) {
    throw new BadInput(error instanceof Error ? error.message : String(error));
  }
  if (["conditional", "parallel", "loop"].includes(node.type)) return context.data;
  throw new Error(`the oracle does not know nodes of type "${node.type}"`);
}

export function isRecord(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function transform(node: IrNode, { vars, data }: HandlerContext): Json {
  const { expression, transformation } = node.config;
  if (expression === undefined) return transformed(String(transformation), data);
  const isCel = typeof expression === "string" && !expression.includes("${");
  return (isCel ? compileExpression(expression) : compileTemplate(expression)).evaluate(vars);
}

function transformed(name: string, data: Json): Json {
  switch (name) {
    case "identity":
      return data;
    case "uppercase":
      return onStrings(data, (text) => text.toUpperCase());
    case "lowercase":
      return onStrings(data, (text) => text.toLowerCase());
    case "trim":
      return onStrings(data, (text) => text.trim());
    case "normalize":
      return withoutNulls(onStrings(data, (text) => text.trim()));
    case "flatten":
      return flat(listIn(data));
    case "sort":
      return sorted(listIn(data));
    case "unique":
      return distinct(listIn(data));
    case "keys":
      return Object.keys(recordIn(data));
    case "values":
      return Object.values(recordIn(data));
    default:
      throw new BadInput(`there is no transformation "${name}"`);
  }
}

function filter(node: IrNode, { vars, data }: HandlerContext): Json {
  const { filter_expression: source, items } = node.config;
  const list = listIn(items === undefined ? data : compileTemplate(items).evaluate(vars));
  const condition = compileCondition(String(source));
  return list.filter((value, index) => condition.test({ ...vars, value, index }));
}

function aggregate(node: IrNode, data: Json): Json {
  const values = Array.isArray(data) ? data : Object.values(recordIn(data));
  const { strategy, operation, field } = node.config;
  if (operation === undefined) return combined(String(strategy), values);
  const picked = values.flatMap((value): Json[] => {
    if (field === undefined) return [value];
    const found = isRecord(value) ? value[String(field)] : undefined;
    return found === undefined || found === null ? [] : [found];
  });
  const numbers = picked.filter((value) => typeof value === "number");
  if (operation === "count") return picked.length;
  if (operation === "group_by") {
    const names = distinct(values.map((value) => groupName(value, String(field))));
    const members = names.map((name): [string, Json] => [
      String(name),
      values.filter((value) => groupName(value, String(field)) === name),
    ]);
    return Object.fromEntries(members);
  }
  if (numbers.length !== picked.length) throw new BadInput(`${String(operation)} needs numbers`);
  if (operation === "sum") return numbers.reduce((sum, value) => sum + value, 0);
  if (numbers.length === 0) return null;
  if (operation === "min") return Math.min(...numbers);
  if (operation === "max") return Math.max(...numbers);
  if (operation === "avg") return numbers.reduce((sum, value) => sum + value, 0) / numbers.length;
  throw new BadInput(`there is no operation "${String(operation)}"`);
}

function combined(strategy: string, values: Json[]): Json {
  if (strategy === "collect") return values;
  if (strategy === "merge") return Object.assign({}, ...values.map(recordIn)) as Json;
  if (strategy === "concat") return values.flat() as Json[];
  if (strategy === "union") return distinct(values.flat() as Json[]);
  throw new BadInput(`there is no strategy "${strategy}"`);
}

function flat(list: readonly Json[]): Json[] {
  return list.flatMap((item) => (Array.isArray(item) ? flat(item) : [item]));
}

/** Lists of numbers or of strings: the order of other values is not described. */
function sorted(list: readonly Json[]): Json[] {
  return list.toSorted((a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
    throw new BadInput("sort needs numbers only, or texts only");
  });
}

function groupName(value: Json, field: string): string {
  const found = isRecord(value) ? (value[field] ?? null) : null;
  return typeof found === "string" ? found : canonical(found);
}

function distinct(values: readonly Json[]): Json[] {
  const texts = values.map(canonical);
  return values.filter((_, place) => texts.indexOf(texts[place] ?? "") === place);
}

function canonical(value: Json): string {
  return JSON.stringify(value, (_, part: unknown) =>
    isRecord(part as Json)
      ? Object.fromEntries(Object.entries(part as object).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function onStrings(value: Json, change: (text: string) => string): Json {
  if (typeof value === "string") return change(value);
  if (Array.isArray(value)) return value.map((item) => onStrings(item, change));
  if (!isRecord(value)) return value;
  const entries = Object.entries(value).map(([key, item]) => [key, onStrings(item, change)]);
  return Object.fromEntries(entries) as Json;
}

function withoutNulls(value: Json): Json {
  if (Array.isArray(value)) return value.filter((item) => item !== null).map(withoutNulls);
  if (!isRecord(value)) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutNulls(item)])) as Json;
}

function listIn(data: Json): Json[] {
  if (Array.isArray(data)) return data;
  throw new BadInput("this needs a list");
}

function recordIn(data: Json): { [key: string]: Json } {
  if (isRecord(data)) return data;
  throw new BadInput("this needs an object");
}
