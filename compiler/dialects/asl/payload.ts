/**
 * Payload templates (Parameters, ResultSelector, ItemSelector) to native templates or to CEL.
 *
 * A key that ends in `.$` has a path or an intrinsic function, everything else means itself. Native
 * templates are for people to read; CEL is what can be put into another expression.
 */
import { asObject } from "../../document.ts";
import type { JsonObject } from "../../document.ts";
import type { Json } from "../../ir.ts";
import { joinPointer } from "../../source-map.ts";
import { byKey, literal, literalText, quote, template } from "./cel.ts";
import { expressionToCel } from "./intrinsics.ts";
import { PathProblem } from "./paths.ts";
import type { Scope } from "./paths.ts";

/** Told of each expression that cannot be translated. */
export type Complain = (pointer: string, message: string) => void;

/** The CEL of a path or intrinsic function; `null` and a complaint if it has none. */
export function readExpression(
  text: string,
  scope: Scope,
  pointer: string,
  complain: Complain,
): string {
  try {
    return expressionToCel(text, scope);
  } catch (error) {
    if (!(error instanceof PathProblem)) throw error;
    complain(pointer, error.message);
    return "null";
  }
}

/** A payload template as a native template. */
export function toTemplate(value: Json, scope: Scope, pointer: string, complain: Complain): Json {
  if (typeof value === "string") return literalText(value);
  if (Array.isArray(value)) {
    return value.map((item, i) => toTemplate(item, scope, joinPointer(pointer, i), complain));
  }
  const object = asObject(value);
  if (!object) return value;
  return readMembers(object, scope, pointer, complain, {
    expression: template,
    part: (part, at) => toTemplate(part, scope, at, complain),
  });
}

/** A payload template as CEL. */
export function toCel(value: Json, scope: Scope, pointer: string, complain: Complain): string {
  if (Array.isArray(value)) {
    const items = value.map((item, i) => toCel(item, scope, joinPointer(pointer, i), complain));
    return `[${items.join(", ")}]`;
  }
  const object = asObject(value);
  if (!object) return literal(value);
  const members = readMembers(object, scope, pointer, complain, {
    expression: (cel) => cel,
    part: (part, at) => toCel(part, scope, at, complain),
  });
  const written = byKey(Object.entries(members)).map(
    ([key, cel]) => `${quote(key)}: ${String(cel)}`,
  );
  return `{${written.join(", ")}}`;
}

interface Writer {
  expression: (cel: string) => Json;
  part: (value: Json, pointer: string) => Json;
}

function readMembers(
  object: JsonObject,
  scope: Scope,
  pointer: string,
  complain: Complain,
  write: Writer,
): JsonObject {
  const members = Object.entries(object).map(([key, item]): [string, Json] => {
    const at = joinPointer(pointer, key);
    if (!key.endsWith(".$")) return [key, write.part(item, at)];
    if (typeof item === "string") {
      return [key.slice(0, -2), write.expression(readExpression(item, scope, at, complain))];
    }
    complain(at, "a key that ends in `.$` takes a path or an intrinsic function");
    return [key.slice(0, -2), null];
  });
  return Object.fromEntries(members);
}
