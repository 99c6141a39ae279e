/** Which dialect a file is written in, told by its shape. */
import { asObject, own } from "../document.ts";
import type { JsonObject } from "../document.ts";
import type { Json } from "../ir.ts";

export const DIALECT_NAMES = ["native", "steps", "states", "graph", "asl"] as const;

export type Dialect = (typeof DIALECT_NAMES)[number];

/** The dialect that has this shape; `native` if none of the others has. */
export function detectDialect(value: Json): Dialect {
  const root = asObject(value);
  if (!root) return "native";
  if (asObject(own(root, "States")) || typeof own(root, "StartAt") === "string") return "asl";
  const nodes = own(root, "nodes");
  if (nodes === undefined && own(root, "steps") !== undefined) return "steps";
  if (nodes === undefined && own(root, "states") !== undefined) return "states";
  const isOlder = Array.isArray(nodes) && nodes.some((node) => isGraphNode(asObject(node) ?? {}));
  return isOlder ? "graph" : "native";
}

const GRAPH_KEYS = ["dependencies", "dependents", "config_ref"] as const;

function isGraphNode(node: JsonObject): boolean {
  if (GRAPH_KEYS.some((key) => own(node, key) !== undefined)) return true;
  return ["loop", "branch"].some((key) => {
    const part = asObject(own(node, key)) ?? {};
    return own(part, "enabled") !== undefined || asObject(own(part, "condition")) !== undefined;
  });
}
