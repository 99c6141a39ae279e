/**
 * `transform`: data in, data out, by an expression, templates, or a named transformation.
 */
import { EXPRESSION_FORM } from "../../compiler/ir.ts";
import type { IrNode, Json } from "../../compiler/ir.ts";
import { compileExpression, compileTemplate } from "../../condition/index.ts";
import type { Vars } from "../../condition/index.ts";
import { canonicalText, compareJson, isObject, mapStrings } from "./json-data.ts";
import { badInput, fill, perNode } from "./kind.ts";

type Transformation = (data: Json, node: IrNode) => Json;

/** Deep ones go through lists and objects, and leave keys alone. */
const TRANSFORMATIONS: ReadonlyMap<string, Transformation> = new Map<string, Transformation>([
  ["identity", (data) => data],
  ["uppercase", (data) => mapStrings(data, (text) => text.toUpperCase())],
  ["lowercase", (data) => mapStrings(data, (text) => text.toLowerCase())],
  ["trim", (data) => mapStrings(data, (text) => text.trim())],
  ["normalize", normalize],
  ["flatten", (data, node) => flatten(listOf(data, node))],
  ["sort", (data, node) => [...listOf(data, node)].sort(compareJson)],
  ["unique", (data, node) => unique(listOf(data, node))],
  ["keys", (data, node) => Object.keys(objectOf(data, node))],
  ["values", (data, node) => Object.values(objectOf(data, node))],
]);

interface Compiled {
  what: string;
  evaluate(vars: Vars): Json;
}

/**
 * A string with `${` is what the compiler has found it to be, any other string CEL; objects and lists
 * are templates.
 */
const compiledOf = perNode<Compiled | Transformation>((node) => {
  const { expression, transformation, [EXPRESSION_FORM]: form = "template" } = node.config;
  if (expression !== undefined) {
    const compiled =
      typeof expression === "string" && (form === "cel" || !expression.includes("${"))
        ? compileExpression(expression)
        : compileTemplate(expression);
    return { what: "config.expression", evaluate: (vars) => compiled.evaluate(vars) };
  }
  const named = TRANSFORMATIONS.get(typeof transformation === "string" ? transformation : "");
  if (named !== undefined) return named;
  const names = [...TRANSFORMATIONS.keys()].join(", ");
  throw badInput(node, `needs config.expression, or config.transformation as one of ${names}`);
});

/** `data` is the node's input, and `vars.data` too. */
export function evaluateTransform(node: IrNode, vars: Vars, data: Json): Json {
  const compiled = compiledOf(node);
  if (typeof compiled === "function") return compiled(data, node);
  return fill(node, compiled.what, compiled, vars);
}

/** Trimmed strings, and no nulls in objects and lists. */
function normalize(data: Json): Json {
  if (typeof data === "string") return data.trim();
  if (Array.isArray(data)) return data.filter((item) => item !== null).map(normalize);
  if (!isObject(data)) return data;
  const kept = Object.entries(data).filter(([, value]) => value !== null);
  return Object.fromEntries(kept.map(([key, value]) => [key, normalize(value)]));
}

/** The elements of all lists inside the list, however deep, in order. */
function flatten(list: readonly Json[]): Json[] {
  const flat: Json[] = [];
  for (const item of list) {
    if (Array.isArray(item)) for (const inner of flatten(item)) flat.push(inner);
    else flat.push(item);
  }
  return flat;
}

/** Without repeats, the first of equals kept; lists and objects are compared by their contents. */
export function unique(list: readonly Json[]): Json[] {
  const seen = new Set<Json>();
  return list.filter((item) => {
    // A list as the key of text keeps it apart from a string that reads the same.
    const key = typeof item === "object" && item !== null ? `json:${canonicalText(item)}` : item;
    const mark = typeof item === "string" ? `text:${item}` : key;
    if (seen.has(mark)) return false;
    seen.add(mark);
    return true;
  });
}

function listOf(data: Json, node: IrNode): Json[] {
  if (Array.isArray(data)) return data;
  throw badInput(node, `${String(node.config["transformation"])} needs a list as its input`);
}

function objectOf(data: Json, node: IrNode): { [key: string]: Json } {
  if (isObject(data)) return data;
  throw badInput(node, `${String(node.config["transformation"])} needs an object as its input`);
}
