/**
 * The document: a workflow file with one way to say each thing.
 *
 * Aliases are resolved, defaults filled in, older spellings replaced; every part keeps the pointer
 * to where the author wrote it. References between nodes are still ids: whether they exist is the
 * graph's question.
 */
import type {
  IrCompensation,
  IrCircuitBreaker,
  IrRateLimit,
  IrRetry,
  IrSettings,
  Json,
  NodeType,
  Routing,
} from "./ir.ts";

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

/** Nodes and edges that make a graph: the workflow itself, or the body of a map. */
export interface DocumentGraph {
  nodes: DocumentNode[];
  edges: DocumentEdge[];
  output: Json | undefined;
  /** Of the object that holds `nodes`, or of the one node that is a body by itself. */
  pointer: string;
  /** The map whose body it is; null: the workflow. */
  map: string | null;
  /** A body written as one node. */
  isSingle: boolean;
}

export interface WorkflowDocument extends DocumentGraph {
  name: string;
  workflowVersion: string;
  inputSchema: Json | null;
  settings: IrSettings;
  /** Every node of the file, those of bodies too, by its id. */
  homes: ReadonlyMap<string, NodeHome>;
}

/** Where a node of the file is. */
export interface NodeHome {
  pointer: string;
  /** The map in whose body it is, innermost; null: in none. */
  map: string | null;
}

export interface DocumentNode {
  id: string;
  pointer: string;
  /** Null: the type is unknown, which has been reported. */
  type: NodeType | null;
  config: NodeConfig;
  timeoutMs: number | null;
  retry: IrRetry;
  /** Where `retry` stands: a map hands its own on to its only node. */
  retryPointer: string;
  /** Its author says so: its function may be called more than once, and with what will not count. */
  isPure: boolean;
  expectedMs: number | null;
  queueTimeoutMs: number | null;
  setsStatus: string | null;
  rateLimit: { value: IrRateLimit; pointer: string } | null;
  circuitBreaker: { value: IrCircuitBreaker; pointer: string } | null;
  compensate: { value: IrCompensation; pointer: string } | null;
  queue: string | null;
  join: DocumentJoin;
  loop: DocumentLoop | null;
  branch: DocumentBranch | null;
  routing: Routing;
  onNoMatch: "error" | "skip";
  cache: { ttl_ms: number | null } | null;
  /** JSON Schemas of what the node takes and gives. */
  inputSchema: Json | null;
  outputSchema: Json | null;
  /** Of a map; null: of another node, or missing, which has been reported. */
  body: DocumentGraph | null;
}

export interface NodeConfig {
  value: JsonObject;
  /** Pointer in the document for a pointer into `value` (keys may have moved into `params`). */
  locate: (pointer: string) => string;
}

export type DocumentJoin = {
  pointer: string;
  /** What is still open of its branches when it fires is cancelled. */
  cancelsLosers?: true;
} & ({ kind: "all" | "any" | "settled" } | { kind: "count"; count: number });

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
