/** What a form asks for, in a few words; all of it is in `--json`. */
import type { Json } from "../compiler/index.ts";

const SHOWN_MAX = 120;

/**
 * "{amount: number, note?: string}" of a form for an object, else the form as it is, cut at some length;
 * "-" where anything will do.
 */
export function formText(form: Json): string {
  if (form === null || form === true || isEmpty(form)) {
    return "-";
  }
  const text = objectText(form) ?? JSON.stringify(form);
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)} …` : text;
}

function objectText(form: Json): string | null {
  if (!isObject(form) || !isObject(form["properties"] ?? null)) {
    return null;
  }
  const required = form["required"];
  const needed = new Set(Array.isArray(required) ? required : []);
  const members = Object.entries(form["properties"] as { [name: string]: Json });
  const texts = members.map(([name, schema]) => {
    return `${name}${needed.has(name) ? "" : "?"}: ${typeText(schema)}`;
  });
  return `{${texts.join(", ")}}`;
}

function typeText(schema: Json): string {
  if (!isObject(schema)) {
    return "anything";
  }
  const { type, enum: values, const: only } = schema;
  if (Array.isArray(values)) {
    return values.map((value) => JSON.stringify(value)).join(" | ");
  }
  if (only !== undefined) {
    return JSON.stringify(only);
  }
  return Array.isArray(type) ? type.join(" | ") : typeof type === "string" ? type : "anything";
}

function isObject(value: Json): value is { [name: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isEmpty(form: Json): boolean {
  return isObject(form) && Object.keys(form).length === 0;
}
