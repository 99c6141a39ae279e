/**
 * How large outputs can become, where their schemas say it.
 *
 * The length of the longest JSON text that a schema allows. A schema with strings, lists or fields
 * without a limit allows any; that is said, and which nodes have no schema.
 */
import type { Ir, Json } from "../ir.ts";

export interface PayloadEstimate {
  /** Largest bound among nodes whose schema sets one, in bytes; null: none does. */
  bytes: number | null;
  node: string | null;
  /** Nodes with a schema that sets no limit. */
  unbounded: string[];
  /** Nodes of which nothing is known. */
  unknown: string[];
}

type JsonObject = { [key: string]: Json };

/** A character of a string takes up to 6 bytes in JSON (`\u0000`). */
const CHARACTER_BYTES = 6;
/** `-1.7976931348623157e+308`. */
const NUMBER_BYTES = 24;
const DEPTH_MAX = 32;

/** The largest output of a graph's nodes. */
export function largestPayload(ir: Ir): PayloadEstimate {
  const estimate: PayloadEstimate = { bytes: null, node: null, unbounded: [], unknown: [] };
  for (const { id, output_schema: schema } of ir.nodes) {
    if (schema === undefined) {
      estimate.unknown.push(id);
      continue;
    }
    const bytes = bytesOf(schema, 0);
    if (!Number.isFinite(bytes)) estimate.unbounded.push(id);
    else if (estimate.bytes === null || bytes > estimate.bytes) {
      estimate.bytes = bytes;
      estimate.node = id;
    }
  }
  return estimate;
}

/** Bytes of the longest JSON text that a schema allows; Infinity if it sets no limit. */
export function bytesOf(schema: Json, depth = 0): number {
  if (schema === false) return 0;
  if (!isObject(schema) || depth > DEPTH_MAX) return Infinity;
  if (Object.hasOwn(schema, "const")) return textBytes(schema["const"] ?? null);
  const listed = schema["enum"];
  if (Array.isArray(listed)) return Math.max(0, ...listed.map(textBytes));
  const type = schema["type"];
  const types = Array.isArray(type) ? type : [type ?? null];
  return Math.max(...types.map((one) => typeBytes(schema, one, depth)));
}

function typeBytes(schema: JsonObject, type: Json, depth: number): number {
  switch (type) {
    case "null":
      return 4;
    case "boolean":
      return 5;
    case "number":
    case "integer":
      return NUMBER_BYTES;
    case "string":
      return limitOf(schema, "maxLength") * CHARACTER_BYTES + 2;
    case "array": {
      const items = limitOf(schema, "maxItems");
      return items === 0 ? 2 : 2 + items * (1 + bytesOf(schema["items"] ?? true, depth + 1));
    }
    case "object":
      return objectBytes(schema, depth);
    default:
      return Infinity;
  }
}

function objectBytes(schema: JsonObject, depth: number): number {
  if (schema["additionalProperties"] !== false || schema["patternProperties"] !== undefined) {
    return Infinity;
  }
  const fields = isObject(schema["properties"]) ? Object.entries(schema["properties"]) : [];
  return fields.reduce(
    (sum, [name, field]) => sum + textBytes(name) + 2 + bytesOf(field, depth + 1),
    2,
  );
}

function limitOf(schema: JsonObject, name: string): number {
  const limit = schema[name];
  return typeof limit === "number" ? limit : Infinity;
}

function textBytes(value: Json): number {
  return Buffer.byteLength(JSON.stringify(value));
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
