/**
 * Joins that cancel their losers. Whether a join can is the compiler's to say: every one that is drawn
 * asks for it, and those that the compiler refuses are as if they had not.
 */
import { compile } from "../../compiler/index.ts";
import type { Json } from "../../compiler/ir.ts";
import type { JsonObject } from "./draft.ts";

/** The document with `cancel_losers` where it is possible, and nowhere else. */
export function withPossibleLosers(document: JsonObject): JsonObject {
  for (const { code, pointer } of compile({ document }).diagnostics) {
    if (code === "GV2026") {
      const parts = pointer.split("/").slice(1);
      const node = parts.slice(0, parts.indexOf("join"));
      const owner = node.reduce<Json>((at, part) => (at as JsonObject)[part] as Json, document);
      const { cancel_losers: _, mode, ...plain } = (owner as JsonObject)["join"] as JsonObject;
      (owner as JsonObject)["join"] = mode ?? plain;
    }
  }
  return document;
}
