/**
 * What a token must read from its run before it can be executed, worked out once per node.
 *
 * A token carries its predecessor's output when that is small, and then most nodes need nothing.
 * Otherwise one HMGET fetches, for the node and for the pure nodes that may be evaluated right
 * after it: other nodes' outputs that expressions name, the rounds that tell which of them count,
 * the run's input, and the outputs that make up the node's own input.
 */
import { decidedEdges, isFedByRun } from "../compiler/ir.ts";
import type { Ir, IrNode } from "../compiler/ir.ts";
import { chainAhead } from "./chain.ts";
import { loopChain } from "./scope.ts";

export interface Needs {
  /** Fields for `ctx` and `input`. Empty: nothing but the token itself. */
  context: readonly string[];
  /** Fields for the node's own input, when it does not travel with the token. */
  own: readonly string[];
  /** Pure nodes that may be evaluated in the same step: `context` covers these, and no others. */
  fused: ReadonlySet<number>;
  /** A round around the node may end while it is in progress: a join in it need not wait for all. */
  isRaced: boolean;
}

/** Which attempt of the run it is; absent in the first. */
export const ATTEMPT_FIELD = "at";

/** Pure nodes of one step, 21 A10; a getter, so that tests come to its end with small workflows. */
export const FUSION = {
  get nodesMax(): number {
    return 64;
  },
};

const cache = new WeakMap<IrNode, Needs>();

/** Fields that the execution of this node may need. */
export function needsOf(ir: Ir, index: number): Needs {
  const node = ir.nodes[index] as IrNode;
  let needs = cache.get(node);
  if (needs === undefined) {
    const fused = fusedAfter(ir, index);
    needs = {
      context: contextFields(ir, [index, ...fused]),
      own: ownFields(ir, index),
      fused: new Set(fused),
      isRaced: isRaced(ir, index),
    };
    cache.set(node, needs);
  }
  return needs;
}

const laterReads = new WeakMap<IrNode, boolean>();

/**
 * Whether this node, or one of the next that a chain may come to, reads anything of its run. What is not
 * kept for one further on, that one reads again.
 */
export function readsLater(ir: Ir, index: number): boolean {
  const node = ir.nodes[index] as IrNode;
  let reads = laterReads.get(node);
  if (reads === undefined) {
    const chain = [index, ...chainAhead(ir, index)];
    reads = chain.some((at) => needsOf(ir, at).context.length > 0);
    laterReads.set(node, reads);
  }
  return reads;
}

/** Fields with the outputs of `nodes` and with the rounds of the loops around them. */
export function outputFields(ir: Ir, nodes: Iterable<number>): Set<string> {
  const fields = new Set<string>();
  for (const node of nodes) {
    fields.add(`n${node}`);
    if (ir.nodes[node]?.type === "map") {
      fields.add(`e${node}`);
    }
    for (const loop of loopChain(ir, node)) {
      fields.add(`l${ir.loops[loop]?.latch ?? -1}`);
    }
  }
  return fields;
}

/** What these nodes and their edges may ask for. */
function contextFields(ir: Ir, chain: readonly number[]): string[] {
  const refs = chain.flatMap((n) => {
    const node = ir.nodes[n] as IrNode;
    return [...node.refs, ...node.edge_refs, ...(node.outer_refs ?? [])];
  });
  const fields = outputFields(ir, refs);
  if (chain.some((n) => ir.nodes[n]?.uses_input === true || readsInput(ir.nodes[n]?.body))) {
    fields.add("in");
  }
  if (chain.some((n) => mayReadAttempt(ir, n))) {
    fields.add(ATTEMPT_FIELD);
  }
  return [...fields];
}

// In JSON a line break ends with a letter, which would count to the word.
const ATTEMPT_NAMED = /(?:\b|\\[nrt])attempt\b|\$\{\s*run\s*[}[]/;
const RUN_WHOLE = /(?:\b|\\[nrt])run\b(?!\s*\.)/;

/**
 * Whether the node, what it holds or its edges may read `run.attempt`. Workflows that were compiled
 * before `uses_attempt` are judged by their texts.
 */
function mayReadAttempt(ir: Ir, index: number): boolean {
  const node = ir.nodes[index] as IrNode;
  const conditions = decidedEdges(ir, node).map(({ edge }) => ir.edges[edge]?.condition);
  return (
    node.uses_attempt === true ||
    ATTEMPT_NAMED.test(JSON.stringify([node, conditions])) ||
    RUN_WHOLE.test(JSON.stringify([node.pure ? node.config : null, conditions]))
  );
}

const inputReaders = new WeakMap<Ir, boolean>();

/** Whether any expression in the body of a map, or in a body inside it, reads the run's input. */
export function readsInput(ir: Ir | undefined): boolean {
  if (ir === undefined) {
    return false;
  }
  let reads = inputReaders.get(ir);
  if (reads === undefined) {
    // An output template is not taken apart: it may.
    reads =
      ir.output !== undefined || ir.nodes.some((node) => node.uses_input || readsInput(node.body));
    inputReaders.set(ir, reads);
  }
  return reads;
}

function isRaced(ir: Ir, index: number): boolean {
  const bodies = loopChain(ir, index).flatMap((loop) => ir.loops[loop]?.body ?? []);
  return bodies.some((node) => (ir.nodes[node]?.join.kind ?? "all") !== "all");
}

/** Nodes that may be evaluated in the same step as a node, nearest first; of the last one's ways all. */
function fusedAfter(ir: Ir, index: number): number[] {
  const found: number[] = [];
  const max = FUSION.nodesMax;
  for (let i = -1; i < found.length && found.length < max; i++) {
    for (const edge of ir.nodes[found[i] ?? index]?.out ?? []) {
      const to = ir.edges[edge]?.to ?? -1;
      const next = ir.nodes[to];
      if (next?.fusible === true || next?.ahead === true) {
        found.push(to);
      }
    }
  }
  return found;
}

function ownFields(ir: Ir, index: number): string[] {
  const node = ir.nodes[index] as IrNode;
  const fields = node.in.map((edge) => `n${ir.edges[edge]?.from ?? -1}`);
  fields.push(`o${index}`);
  if (isFedByRun(ir, node)) {
    fields.push("in");
  }
  // From its second round on, the head of a loop gets the latch's output.
  for (const loop of node.head_of) {
    fields.push(`i${ir.loops[loop]?.latch ?? -1}`);
  }
  return [...new Set(fields)];
}
