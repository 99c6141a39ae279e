/**
 * From the checked graph to the IR. Everything here only writes down what is already decided; what
 * can be done better is the passes' business.
 */
import { analyse } from "./analysis/summary.ts";
import { losersOf } from "./branches.ts";
import type { DocumentGraph, WorkflowDocument } from "./document.ts";
import type { FlatNode } from "./expand.ts";
import type { Graph } from "./graph.ts";
import { IR_VERSION } from "./ir.ts";
import type { Ir, IrEdge, IrJoin, IrLoop, IrNode, IrSettings, Json } from "./ir.ts";
import type { LoopForest } from "./loops.ts";
import { isPureNode } from "./policies.ts";
import { RETRY_DEFAULTS } from "./read-policy.ts";
import type { ReferenceChecker } from "./references.ts";
import type { NodeReads } from "./visible-nodes.ts";
import type { Split, Splits } from "./tree.ts";

export interface LowerInput {
  document: WorkflowDocument;
  /** The workflow's own graph, or the body of a map. */
  part: DocumentGraph;
  /** IRs of the bodies by their maps. */
  bodies: ReadonlyMap<string, Ir>;
  graph: Graph;
  forest: LoopForest;
  /** What the nodes of `graph` read, as indexes into it. */
  reads: readonly NodeReads[];
  checker: ReferenceChecker;
  splits: Splits;
}

/** Write the IR of a graph in which nothing is wrong. */
export function lower(input: LowerInput): Ir {
  const { document, part, graph, forest } = input;
  const isBody = part.map !== null;
  const edges: IrEdge[] = graph.edges.map(({ from, to, on, condition }) => ({
    from,
    to,
    on,
    condition: condition ? input.checker.conditionOf(condition) : null,
  }));
  const queueNames = graph.nodes.map(queueOf);
  const queues = [...new Set(queueNames)].sort();
  const queueIndex = new Map(queues.map((name, index) => [name, index]));
  const roles = loopRoles(forest);
  const nodes = graph.nodes.map((node, index) =>
    lowerNode(input, node, index, queueIndex.get(queueNames[index] ?? "") ?? 0, roles),
  );
  return {
    version: IR_VERSION,
    name: document.name,
    workflow_version: document.workflowVersion,
    input_schema: isBody ? null : document.inputSchema,
    ...(part.output === undefined ? {} : { output: part.output }),
    settings: isBody ? bodySettings(document.settings) : document.settings,
    nodes,
    edges,
    loops: forest.loops.map((loop): IrLoop => lowerLoop(loop, input.checker)),
    queues,
    analysis: analyse(nodes, edges),
  };
}

/** An element has no time of its own, and fails with its first unhandled failure. */
function bodySettings({ priority, fusion }: IrSettings): IrSettings {
  const inherited = fusion === false ? { priority, fusion } : { priority };
  return { timeout_ms: null, failure: "fail_fast", ...inherited };
}

function lowerLoop(loop: LoopForest["loops"][number], checker: ReferenceChecker): IrLoop {
  const { condition } = loop.source;
  return {
    head: loop.head,
    latch: loop.latch,
    body: loop.body,
    parent: loop.parent,
    max_iterations: loop.source.maxIterations,
    condition: condition ? checker.conditionOf(condition) : "false",
    delay_ms: loop.source.delayMs,
  };
}

interface LoopRoles {
  latchOf: ReadonlyMap<number, number>;
  headOf: ReadonlyMap<number, number[]>;
}

function loopRoles(forest: LoopForest): LoopRoles {
  const headOf = new Map<number, number[]>();
  forest.loops.forEach((loop, at) => headOf.set(loop.head, [...(headOf.get(loop.head) ?? []), at]));
  return { latchOf: new Map(forest.loops.map((loop, at) => [loop.latch, at])), headOf };
}

function lowerNode(
  input: LowerInput,
  node: FlatNode,
  index: number,
  queue: number,
  roles: LoopRoles,
): IrNode {
  const { graph, forest } = input;
  const source = node.source;
  const reads = input.reads[index];
  const incoming = graph.in[index] ?? [];
  const outgoing = graph.out[index] ?? [];
  const split = input.splits.get(node.id);
  const ascending = (set: ReadonlySet<number> | undefined): number[] =>
    [...(set ?? [])].sort((a, b) => a - b);
  return {
    id: node.id,
    type: source?.type ?? "parallel",
    queue,
    config: lowerConfig(node),
    pure: !source || isPureNode(source),
    fusible: false,
    is_entry: incoming.length === 0,
    is_terminal: outgoing.length === 0,
    join: lowerJoin(input, node, index),
    in: incoming,
    out: outgoing,
    loop: forest.innermost[index] ?? null,
    latch_of: roles.latchOf.get(index) ?? null,
    head_of: roles.headOf.get(index) ?? [],
    retry: source?.retry ?? RETRY_DEFAULTS,
    timeout_ms: source?.timeoutMs ?? null,
    routing: split?.routing ?? source?.routing ?? "each",
    on_no_match: split?.onNoMatch ?? source?.onNoMatch ?? "error",
    ...(source ? {} : { synthetic: true as const }),
    ...lowerPart(graph, split),
    ...(source?.cache ? { cache: source.cache } : {}),
    ...lowerPolicies(node),
    ...lowerBody(input, node, ascending(reads?.outerRefs)),
    refs: ascending(reads?.refs),
    edge_refs: ascending(reads?.edgeRefs),
    uses_input: reads?.usesInput ?? false,
    ...(reads?.usesAttempt === true ? { uses_attempt: true as const } : {}),
  };
}

/** Its owner is the node whose out-edges it has; see `decidedEdges` in ir.ts. */
function lowerPart(graph: Graph, split: Split | undefined): Partial<IrNode> {
  const owner = split?.isDecided ? graph.nodes.findIndex(({ id }) => id === split.of) : -1;
  return owner < 0 ? {} : { part_of: owner };
}

/** \`items\` is a template in the IR, however it was written. */
function lowerConfig(node: FlatNode): { [key: string]: Json } {
  const config = node.source?.config.value ?? {};
  const items = config["items"];
  if (node.source?.type !== "map" || typeof items !== "string") return config;
  return { ...config, items: `\${${items}}` };
}

function lowerPolicies({ source }: FlatNode): Partial<IrNode> {
  if (!source) return {};
  const { expectedMs, queueTimeoutMs, setsStatus, rateLimit, circuitBreaker, compensate } = source;
  const { inputSchema, outputSchema } = source;
  return {
    ...(inputSchema === null ? {} : { input_schema: inputSchema }),
    ...(outputSchema === null ? {} : { output_schema: outputSchema }),
    ...(source.isPure ? { pure_function: true as const } : {}),
    ...(expectedMs === null ? {} : { expected_ms: expectedMs }),
    ...(queueTimeoutMs === null ? {} : { queue_timeout_ms: queueTimeoutMs }),
    ...(setsStatus === null ? {} : { sets_status: setsStatus }),
    ...(rateLimit ? { rate_limit: rateLimit.value } : {}),
    ...(circuitBreaker ? { circuit_breaker: circuitBreaker.value } : {}),
    ...(compensate ? { compensate: compensate.value } : {}),
  };
}

function lowerBody(input: LowerInput, node: FlatNode, outerRefs: number[]): Partial<IrNode> {
  const body = input.bodies.get(node.id);
  return body ? { body, outer_refs: outerRefs } : {};
}

function queueOf(node: FlatNode): string {
  const source = node.source;
  if (!source?.type) return "kind:parallel";
  if (source.queue !== null) return source.queue;
  const name = source.config.value["function_name"];
  const isCall = source.type === "function" || source.type === "loop";
  return isCall && typeof name === "string" ? `fn:${name}` : `kind:${source.type}`;
}

/** A join of kind `settled` waits for all: its error edges are there by now. */
function lowerJoin({ graph, forest }: LowerInput, node: FlatNode, index: number): IrJoin {
  const join = node.source?.join;
  const arity = graph.in[index]?.length ?? 0;
  const losers = join?.cancelsLosers ? { losers: losersOf(graph, forest, index) } : {};
  if (join?.kind === "count") return { kind: "count", need: join.count, arity, ...losers };
  if (join?.kind === "any") return { kind: "any", need: 1, arity, ...losers };
  return { kind: "all", need: 0, arity };
}
