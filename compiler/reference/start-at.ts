/**
 * Beginning a run at a node in the middle of its workflow.
 *
 * What is not reached from there does not run: its edges are dead, its outputs are missing. That is
 * honest only where a run that came there by itself could miss them too. So whatever is read or
 * waited for must be reached, be given, or stand on another branch than the start; a start for which
 * this does not hold is refused, with the reasons.
 */
import { compileTemplate } from "../../condition/index.ts";
import type { Ir, IrEdge, Json } from "../ir.ts";
import { nodeAt } from "./data.ts";
import type { Start } from "./types.ts";

export interface StartPlan {
  /** Index of the node. */
  start: number;
  value: Json;
  /** Outputs that count as there, by node. */
  given: Map<number, Json>;
  /** Nodes that may run in the first rounds of the loops around the start. */
  reached: Set<number>;
}

/** Why a run cannot begin there; none if it can. */
export function startProblems(ir: Ir, start: Start): string[] {
  const plan = planStart(ir, start);
  return "problems" in plan ? plan.problems : [];
}

/** Ids of the nodes that a run which begins at `node` does not come to; none if there is no such. */
export function nodesNotRun(ir: Ir, node: string): string[] {
  const start = ir.nodes.findIndex(({ id }) => id === node);
  if (start < 0) return [];
  const reached = reachedFrom(ir, start);
  const isLeft = (index: number): boolean => !reached.has(index);
  return ir.nodes.flatMap(({ id, synthetic }, index) =>
    isLeft(index) && synthetic !== true ? [id] : [],
  );
}

/** How a run begins there, or why it cannot. */
export function planStart(ir: Ir, { node, value, given = {} }: Start): StartPlan | Refused {
  const start = ir.nodes.findIndex(({ id }) => id === node);
  if (start < 0) return { problems: [notHere(ir, node)] };
  const reached = reachedFrom(ir, start);
  const outputs = new Map<number, Json>();
  const problems: string[] = [];
  for (const [id, output] of Object.entries(given)) {
    const index = ir.nodes.findIndex((other) => other.id === id);
    if (index < 0) problems.push(notHere(ir, id));
    else if (reached.has(index)) problems.push(`"${id}" runs itself: it cannot be given`);
    else outputs.set(index, output);
  }
  problems.push(...new Set(missing(ir, start, reached, outputs)));
  return problems.length > 0 ? { problems } : { start, value, given: outputs, reached };
}

export interface Refused {
  problems: string[];
}

function notHere(ir: Ir, id: string): string {
  const map = ir.nodes.find(({ body }) => body && hasNode(body, id));
  if (!map) return `there is no node "${id}"`;
  return `"${id}" is in the body of the map "${map.id}", and has no element; start at "${map.id}"`;
}

function hasNode(ir: Ir, id: string): boolean {
  return ir.nodes.some((node) => node.id === id || (node.body && hasNode(node.body, id)));
}

/** The node and all behind it, in this round. */
function reachedFrom(ir: Ir, start: number): Set<number> {
  const reached = new Set([start]);
  // Nodes are in topological order.
  for (let at = start; at < ir.nodes.length; at++) {
    if (!reached.has(at)) continue;
    for (const edge of nodeAt(ir, at).out) reached.add(ir.edges[edge]?.to ?? -1);
  }
  return reached;
}

/** What would not be there, in words. */
function* missing(
  ir: Ir,
  start: number,
  reached: ReadonlySet<number>,
  given: ReadonlyMap<number, Json>,
): Generator<string> {
  const branches = branchesBefore(ir);
  const isThere = (index: number, reader: number): boolean =>
    reached.has(index) || given.has(index) || areApart(ir, branches, index, [start, reader]);
  const idOf = (index: number): string => nodeAt(ir, index).id;
  const remedy = (index: number): string =>
    `which would not run; give its output, or start at it or before it (${idOf(index)})`;
  for (const reader of reached) {
    const { refs, edge_refs, id } = nodeAt(ir, reader);
    for (const index of [...refs, ...edge_refs]) {
      if (!isThere(index, reader))
        yield `"${id}" reads the output of "${idOf(index)}", ${remedy(index)}`;
    }
    if (reader === start) continue;
    for (const edge of nodeAt(ir, reader).in) {
      const from = ir.edges[edge]?.from ?? -1;
      if (!isThere(from, reader)) yield `"${id}" waits for "${idOf(from)}", ${remedy(from)}`;
    }
  }
  if (ir.output === undefined) return;
  for (const index of readByOutput(ir)) {
    if (!isThere(index, start)) yield `the run's output reads "${idOf(index)}", ${remedy(index)}`;
  }
}

/** Nodes that the template of the run's output reads. */
function readByOutput(ir: Ir): number[] {
  const ids = new Map(ir.nodes.map(({ id }, index) => [id, index]));
  const found = new Set<number>();
  const { references } = compileTemplate(ir.output ?? null);
  for (const { path } of references) {
    const index = path[0] === "ctx" ? ids.get(String(path[1])) : undefined;
    if (index !== undefined) found.add(index);
  }
  return [...found];
}

/** For each node the edges that were surely taken when it runs. */
function branchesBefore(ir: Ir): Set<number>[] {
  const before: Set<number>[] = [];
  for (const node of ir.nodes) {
    const ways = node.in.map(
      (edge) => new Set([...(before[ir.edges[edge]?.from ?? -1] ?? []), edge]),
    );
    const [first = new Set<number>(), ...others] = ways;
    before.push(new Set([...first].filter((edge) => others.every((way) => way.has(edge)))));
  }
  return before;
}

/** Whether no run comes to both `index` and one of these. */
function areApart(
  ir: Ir,
  before: readonly ReadonlySet<number>[],
  index: number,
  others: readonly number[],
): boolean {
  const edgesOf = (node: number): IrEdge[] =>
    [...(before[node] ?? [])].flatMap((edge) => ir.edges[edge] ?? []);
  const mine = edgesOf(index);
  return others.some((other) =>
    edgesOf(other).some((b) => mine.some((a) => a !== b && excludeEachOther(ir, a, b))),
  );
}

function excludeEachOther(ir: Ir, a: IrEdge, b: IrEdge): boolean {
  if (a.from !== b.from || a.on === "always" || b.on === "always") return false;
  if (a.on !== b.on) return a.on === "success" || b.on === "success";
  return a.on === "success" && nodeAt(ir, a.from).routing === "first";
}
