/**
 * The document: a workflow file with one way to say each thing.
 *
 * Aliases are resolved, defaults filled in, older spellings replaced; every part keeps the pointer
 * to where the author wrote it. References between nodes are still ids: whether they exist is the
 * graph's question.
 */
import type { IrRetry, IrSettings, Json, NodeType, Routing } from "./ir.ts";

export type JsonObject = { [key: string]: Json };

/** A node id that stands somewhere in the document. */
export interface IdRef {
  id: string;
  pointer: string;
}

/** CEL that stands somewhere in the document, after older spellings were rewritten. */
export interface ExpressionSource {
  source: string;
  pointer: string;
  /** The text is as written, so offsets into it are offsets into the file. */
  isAsWritten: boolean;
}

export interface WorkflowDocument {
  name: string;
  workflowVersion: string;
  inputSchema: Json | null;
  nodes: DocumentNode[];
  edges: DocumentEdge[];
  output: Json | undefined;
  settings: IrSettings;
}

export interface DocumentNode {
  id: string;
  pointer: string;
  /** Null: the type is unknown, which has been reported. */
  type: NodeType | null;
  config: NodeConfig;
  timeoutMs: number | null;
  retry: IrRetry;
  queue: string | null;
  join: DocumentJoin;
  loop: DocumentLoop | null;
  branch: DocumentBranch | null;
  routing: Routing;
  onNoMatch: "error" | "skip";
  cache: { ttl_ms: number | null } | null;
}

export interface NodeConfig {
  value: JsonObject;
  /** Pointer in the document for a pointer into `value` (keys may have moved into `params`). */
  locate: (pointer: string) => string;
}

export type DocumentJoin =
  { kind: "all" | "any"; pointer: string } | { kind: "count"; count: number; pointer: string };

export interface DocumentLoop {
  pointer: string;
  head: IdRef;
  /** Null: missing, which has been reported. */
  condition: ExpressionSource | null;
  maxIterations: number;
  breakPath: IdRef[];
  timeoutPath: IdRef[];
  delayMs: number;
}

export interface DocumentBranch {
  rules: { condition: ExpressionSource; targets: IdRef[] }[];
  default: IdRef[];
}

export interface DocumentEdge {
  from: IdRef;
  to: IdRef;
  on: "success" | "error" | "timeout" | "always";
  condition: ExpressionSource | null;
  pointer: string;
}

/** `value` as an object, or undefined if it is none. */
export function asObject(value: Json | undefined): JsonObject | undefined {
  const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
  return isObject ? value : undefined;
}

/** An own property; never what an object inherits. */
export function own(object: JsonObject, key: string): Json | undefined {
  return Object.hasOwn(object, key) ? object[key] : undefined;
}
