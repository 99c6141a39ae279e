/**
 * Names of node types in the dialects, besides those that a native file may use too.
 *
 * `named` types are functions: the type is the name of the handler that does the work.
 */
import type { NodeType } from "../ir.ts";

interface TypeMeaning {
  type: NodeType;
  /** The function that it calls if the config names none. */
  function_name?: string;
}

/** Every name with its meaning; docs/dialects.md shows the same table. */
export const DIALECT_TYPES: Readonly<Record<string, TypeMeaning>> = {
  http_request: { type: "http" },
  http_call: { type: "http" },
  api_call: { type: "http" },
  llm_process: { type: "llm" },
  llm_call: { type: "llm" },
  function_call: { type: "function" },
  store_result: { type: "function", function_name: "store_result" },
  branch: { type: "conditional" },
  sleep: { type: "delay" },
};

/** What a dialect's type means, or undefined if it is none of these names. */
export function meaningOf(name: unknown): TypeMeaning | undefined {
  return typeof name === "string" && Object.hasOwn(DIALECT_TYPES, name)
    ? DIALECT_TYPES[name]
    : undefined;
}
