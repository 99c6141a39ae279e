/**
 * What nodes and expressions see: a node's own input, and the outputs of other nodes.
 *
 * `ctx.x` for a reader is the output that x has in the reader's own rounds of the loops around
 * both, and in the last round of each loop that is around x only. A node that was skipped, failed or not
 * reached there has no entry.
 */
import type { Vars } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../ir.ts";
import type { Ended, Frame } from "./frame.ts";
import type { EdgeValue } from "./types.ts";

/** The loops around a node, outermost first. */
export function loopsAround(ir: Ir, node: IrNode): number[] {
  const chain: number[] = [];
  for (let loop = node.loop; loop !== null; loop = ir.loops[loop]?.parent ?? null) {
    chain.unshift(loop);
  }
  return chain;
}

/** What `node` put out as seen from `frame`; undefined if it has not completed there. */
function endSeen(ir: Ir, frame: Frame, node: number): Ended | undefined {
  const target = nodeAt(ir, node);
  const chain = loopsAround(ir, target);
  let seen: Frame | undefined = commonFrame(frame, chain);
  for (const loop of chain.slice(depthOf(seen))) {
    seen = seen?.rounds.get(loop);
  }
  const ended = seen?.ended.get(node);
  return ended?.status === "completed" ? ended : undefined;
}

/** The output of `node` as seen from `frame`; undefined if there is none. */
export function outputSeen(ir: Ir, frame: Frame, node: number): Json | undefined {
  return endSeen(ir, frame, node)?.value;
}

/** `ctx` with those of `nodes` that have an output, as seen from `frame`. */
export function contextSeen(
  ir: Ir,
  frame: Frame,
  nodes: Iterable<number>,
): NonNullable<Vars["ctx"]> {
  return contextOf(ir, nodes, (node) => endSeen(ir, frame, node));
}

/** `ctx` with those of `nodes` that have come to something. Without a prototype: ids are data. */
export function contextOf(
  ir: Ir,
  nodes: Iterable<number>,
  endOf: (node: number) => Pick<Ended, "value" | "errors"> | undefined,
): NonNullable<Vars["ctx"]> {
  const ctx = Object.create(null) as NonNullable<Vars["ctx"]>;
  for (const node of nodes) {
    const ended = endOf(node);
    if (!ended) continue;
    const { id, config } = nodeAt(ir, node);
    // A map that tolerates failures has the list also when it was settled by hand.
    const errors = ended.errors ?? (Number(config["tolerated_failures"]) > 0 ? [] : undefined);
    ctx[id] = errors === undefined ? { output: ended.value } : { output: ended.value, errors };
  }
  return ctx;
}

/**
 * What a node gets from its in-edges: the value of the one, or of several an object with the live
 * ones by the id of their source, in the order of the edges.
 */
export function inputFromEdges(
  ir: Ir,
  node: IrNode,
  frame: Frame,
  arrivals: readonly (EdgeValue | null)[],
): Json {
  const [only] = node.in;
  if (node.in.length === 1 && only !== undefined) return valueOn(ir, only, frame);
  const entries = node.in.flatMap((edge, place): [string, Json][] =>
    arrivals[place] === "live" ? namedSources(ir, edge, (from) => valueOn(ir, from, frame)) : [],
  );
  return Object.fromEntries(entries);
}

export function nodeAt(ir: Ir, index: number): IrNode {
  const node = ir.nodes[index];
  if (!node) throw new Error(`the IR is broken: there is no node ${index}`);
  return node;
}

/** The value that came over an edge, for a join that lives in `frame`. */
function valueOn(ir: Ir, edge: number, frame: Frame): Json {
  const from = ir.edges[edge]?.from ?? -1;
  const source = nodeAt(ir, from);
  // An edge out of a loop comes from its last round.
  let place: Frame | undefined = frame;
  if (source.latch_of !== null) place = frame.rounds.get(source.latch_of);
  const ended = place?.ended.get(from);
  if (!ended) throw new Error(`"${source.id}" sent a live value before it had ended`);
  return ended.value;
}

/**
 * What an edge brings, by the nodes that it comes from: sources that the compiler made are looked
 * through, they stand for those that the author drew. `valueOf` is asked for an edge.
 */
export function namedSources(
  ir: Ir,
  edge: number,
  valueOf: (edge: number) => Json,
): [string, Json][] {
  const from = nodeAt(ir, ir.edges[edge]?.from ?? -1);
  const value = valueOf(edge);
  if (from.synthetic !== true) return [[from.id, value]];
  if (from.in.length > 1) return Object.entries(value as { [key: string]: Json });
  const [before] = from.in;
  return before === undefined ? [] : namedSources(ir, before, valueOf);
}

/** The innermost frame around `frame` that belongs to one of these nested loops, or the top. */
function commonFrame(frame: Frame, chain: readonly number[]): Frame {
  for (let at: Frame = frame; ; at = at.parent) {
    if (at.parent === null || (at.loop !== null && chain.includes(at.loop))) return at;
  }
}

function depthOf(frame: Frame | undefined): number {
  return frame?.parent ? 1 + depthOf(frame.parent) : 0;
}
