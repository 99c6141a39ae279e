/**
 * Workflows that a property test plays again and again, compiled once: many variations play the same
 * seeds, and compiling is a third of what a case costs. Nobody may change what several play with.
 */
import {
  compile,
  type CompileOptions,
  type CompileResult,
  type Json,
} from "../../compiler/index.ts";

type Result = Pick<CompileResult, "ir" | "hash" | "diagnostics">;

/** Results by document and limits. */
const known = new Map<string, Result>();

/** What `compile` gives for a document, frozen. */
export function compiled(document: Json, limits: CompileOptions["limits"] = {}): Result {
  const key = JSON.stringify([document, limits]);
  let result = known.get(key);
  if (result === undefined) {
    const { ir, hash, diagnostics } = compile({ document }, { limits });
    result = { ir: freeze(ir), hash, diagnostics };
    known.set(key, result);
  }
  return result;
}

function freeze<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    Object.values(value).forEach(freeze);
  }
  return value;
}
