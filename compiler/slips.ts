/**
 * What was probably meant where a value has the wrong shape, or a key stands one level too high or
 * too deep: the slips of who knows other tools, or is tired. Where nothing is sure nothing is said.
 */
import type { Json, NodeType } from "./ir.ts";
import { kindOf } from "./kinds/index.ts";
import { resolveType } from "./kinds/types.ts";
import { findMeant } from "./suggest.ts";

const UNIT_MS: Readonly<Record<string, number>> = {
  ...{ ms: 1, s: 1000, sec: 1000, m: 60_000, min: 60_000, h: 3_600_000, d: 86_400_000 },
};
const TIME = /^(\d{1,9}) ?(ms|s|sec|m|min|h|d)$/;
const ISO: Readonly<Record<string, string>> = { s: "S", m: "M", min: "M", h: "H" };

/** A hint for a value that is not what is expected, in the words of `x-expect`. */
export function valueHint(value: Json, expected: string, pointer: string): string | undefined {
  if (Array.isArray(value) && /^\/edges\/\d+\/(?:from|to)$/.test(pointer)) {
    return "write an edge for each of them";
  }
  if (typeof value !== "string") return undefined;
  if (expected.startsWith("a list of names")) return `write \`[${value}]\``;
  const isMs = pointer.endsWith("_ms");
  const time = TIME.exec(value);
  if (isMs && time) return `in milliseconds: ${Number(time[1]) * (UNIT_MS[time[2] ?? ""] ?? 1)}`;
  if (/^\d{1,15}$/.test(value) && /^(?:an integer|milliseconds|a number)/.test(expected)) {
    return `without quotes: ${value}`;
  }
  if (!time || !expected.includes("ISO 8601 duration")) return undefined;
  const [, count = "", unit = ""] = time;
  if (unit === "d") return `write P${count}D`;
  const letter = ISO[unit];
  return letter === undefined ? undefined : `write PT${count}${letter}`;
}

/** Properties of a node that are often written into its `config`. */
const NODE_KEYS = [
  ...["retry", "timeout_ms", "queue_timeout_ms", "compensate", "rate_limit", "circuit_breaker"],
  ...["queue", "join", "branch", "loop", "sets_status", "input_schema", "output_schema"],
] as const;
/** Those that are hardly ever parameters of a function. */
const NO_PARAMS: readonly string[] = NODE_KEYS.slice(0, 6);

/** For a key of a config that the kind does not read. */
export function configKeyHint(key: string): string | undefined {
  const meant = findMeant(key, NODE_KEYS);
  return meant === undefined ? undefined : `\`${meant}\` stands at the node, beside \`config\``;
}

/** Whether a config's key looks like the node's, though it would be a parameter of the function. */
export function isNodeKey(key: string): boolean {
  return NO_PARAMS.includes(key);
}

/** For a key of a node that is none: one that stands elsewhere. */
export function nodeKeyHint(key: string, typeName: Json | undefined): string | undefined {
  if (key === "depends_on") return "edges say what a node follows: { from: …, to: … }";
  const type: NodeType | undefined =
    typeof typeName === "string" ? resolveType(typeName) : undefined;
  if (!type) return undefined;
  const meant = findMeant(key, Object.keys(kindOf(type).schema.properties));
  return meant === undefined ? undefined : `\`${meant}\` stands in \`config\``;
}
