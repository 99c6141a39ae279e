/**
 * Canonical JSON and the identity of a workflow.
 *
 * Keys are sorted by UTF-16 units and nothing is optional in the spelling (as RFC 8785 has it), so
 * equal values give equal bytes whatever the order in which they were built.
 */
import { createHash } from "node:crypto";
import type { Ir } from "./ir.ts";

/** Canonical JSON of a JSON value. Members that are undefined are left out. Throws on others. */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === "boolean" || typeof value === "string") {
    return JSON.stringify(value);
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new TypeError(`${value} has no form in JSON`);
    return JSON.stringify(value);
  }
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (typeof value !== "object") throw new TypeError(`a ${typeof value} has no form in JSON`);
  const object = value as { [key: string]: unknown };
  const members = Object.keys(object)
    .filter((key) => object[key] !== undefined)
    .sort()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(object[key])}`);
  return `{${members.join(",")}}`;
}

/** SHA-256 of the IR's canonical JSON, in hex: the identity of the compiled workflow. */
export function hashIr(ir: Ir): string {
  return sha256(canonicalJson(ir));
}

/** SHA-256 of a text, in hex. */
export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
