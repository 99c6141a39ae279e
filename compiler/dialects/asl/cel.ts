/** Writing CEL: literals and selections. */
import type { Json } from "../../ir.ts";
import { asObject } from "../../document.ts";

/**
 * A string literal; JSON's escapes are CEL's too. Without `${`, by which a transform tells templates
 * from CEL.
 */
export function quote(text: string): string {
  return JSON.stringify(text).replaceAll("${", "\\u0024{");
}

/** `left.name`, or `left["name"]` if the name needs it. */
export function select(left: string, name: string): string {
  const isName = /^[A-Za-z_]\w*$/.test(name) && !/^(?:in|true|false|null)$/.test(name);
  return isName ? `${left}.${name}` : `${left}[${quote(name)}]`;
}

/** `left.?name`: absent instead of an error if there is no such field. */
export function selectOptional(left: string, name: string): string {
  const isName = /^[A-Za-z_]\w*$/.test(name) && !/^(?:in|true|false|null)$/.test(name);
  return isName ? `${left}.?${name}` : `${left}[?${quote(name)}]`;
}

/** The output of a node. */
export function outputOf(id: string): string {
  return `${select("ctx", id)}.output`;
}

/** Members of a literal, in an order of their own: that of the file means nothing. */
export function byKey<T>(members: readonly (readonly [string, T])[]): (readonly [string, T])[] {
  return members.toSorted(([a], [b]) => (a < b ? -1 : 1));
}

/** A JSON value as a literal. */
export function literal(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(", ")}]`;
  const object = asObject(value);
  if (!object) return typeof value === "string" ? quote(value) : JSON.stringify(value);
  const members = byKey(Object.entries(object)).map(
    ([key, item]) => `${quote(key)}: ${literal(item)}`,
  );
  return `{${members.join(", ")}}`;
}

/** A string of a template that means itself, whatever marks it holds. */
export function literalText(text: string): string {
  return /\$\{|\{\{|\$nodes/.test(text) ? `\${${quote(text)}}` : text;
}

/** The value of a CEL expression, with its type, where a template stands. */
export function template(cel: string): string {
  return `\${${cel}}`;
}
