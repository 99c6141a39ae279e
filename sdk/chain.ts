/**
 * Straight chains as everybody must see them: several tokens that share the stream entry of the
 * first (21 A11; the worker's side is worker/chain.ts).
 *
 * Where a chain stands is told by its records alone: from its first node over those that are settled to
 * the one that is active. Only so is a chain found however long it is and however many ways its
 * nodes have; who looks no further than so many nodes takes a token for lost that is out there.
 */
import type { Ir } from "../compiler/ir.ts";
import { parseRecord } from "./entry.ts";

/** Records that are asked for at one time. */
const AHEAD_MAX = 256;

export interface ChainPlace {
  /** The node whose token is active under the chain's entry; null: none is. */
  active: number | null;
  /** Settled nodes behind the first that it has come over. */
  passed: number[];
}

/** Next nodes that a chain that began at `start` may come to: as many as are asked for at one time. */
export function chainAhead(ir: Ir, start: number): number[] {
  return withBehind(ir, start, nextNodes(ir, start, start), AHEAD_MAX);
}

/**
 * Follows the chain of a token whose own record is not active any more. Yields the nodes whose records
 * it must know, and wants these, in that order. What is asked for at one time must be read at one
 * time, and later than what was asked for before: then a chain that goes on meanwhile is not missed.
 */
export function* followChain(
  ir: Ir,
  { node: start, scope }: { node: number; scope: string },
): Generator<number[], ChainPlace, readonly (string | null | undefined)[]> {
  const queue = ir.nodes[start]?.queue;
  const passed: number[] = [];
  let front = nextNodes(ir, start, start);
  while (front.length > 0) {
    const asked = withBehind(ir, start, front, AHEAD_MAX);
    const texts = yield asked;
    const records = new Map(asked.map((node, i) => [node, texts[i]]));
    const unknown: number[] = [];
    for (const node of front) {
      const record = parseRecord(records.get(node));
      if (!records.has(node)) {
        unknown.push(node);
      } else if (record?.scope === scope) {
        // A later attempt has an entry of its own: the timer's, or of who settled it by hand.
        const isFirst = record.state === "a" && record.attempt === 1;
        if (isFirst && ir.nodes[node]?.queue === queue) {
          return { active: node, passed };
        }
        if (record.state === "c" || record.state === "f") {
          passed.push(node);
          front.push(...nextNodes(ir, start, node)); // looked at in this very loop
        }
      }
    }
    front = unknown;
  }
  return { active: null, passed };
}

/** The same for who has all records at hand. */
export function chainPlace(
  ir: Ir,
  first: { node: number; scope: string },
  hash: { readonly [field: string]: string | undefined },
): ChainPlace {
  const walk = followChain(ir, first);
  let step = walk.next();
  while (step.done !== true) {
    step = walk.next(step.value.map((node) => hash[`n${node}`]));
  }
  return step.value;
}

/** These nodes and what may come behind them, nearest first. */
function withBehind(ir: Ir, start: number, nodes: readonly number[], max: number): number[] {
  const found = nodes.slice(0, max);
  for (let i = 0; i < found.length && found.length < max; i++) {
    found.push(...nextNodes(ir, start, found[i] as number).slice(0, max - found.length));
  }
  return found;
}

/** Where a chain that began at `start` may go on from a node: every node has one such way in. */
function nextNodes(ir: Ir, start: number, node: number): number[] {
  return (ir.nodes[node]?.out ?? [])
    .map((edge) => ir.edges[edge]?.to ?? -1)
    .filter((to) => {
      const next = ir.nodes[to];
      // A map has an entry of its own: it is acknowledged when its elements run.
      const isOther = next?.type === "map" || next?.loop !== ir.nodes[start]?.loop;
      return next?.in.length === 1 && !isOther && next.head_of.length === 0;
    });
}
