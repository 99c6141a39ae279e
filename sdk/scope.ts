/**
 * Scopes: which round of which loops a token belongs to, e.g. "12:1/15:3" is round 3 of the loop
 * latched by node 15 inside round 1 of the loop latched by node 12. Top level is "".
 */
import type { Ir } from "../compiler/ir.ts";

/** The first `depth` elements. */
export function scopePrefix(scope: string, depth: number): string {
  return depth === 0 ? "" : scope.split("/", depth).join("/");
}

/** Appends a scope to another; either may be "". */
export function scopeJoin(prefix: string, suffix: string): string {
  return suffix === "" ? prefix : prefix === "" ? suffix : `${prefix}/${suffix}`;
}

/** The innermost round, from 1; undefined at top level. */
export function roundOf(scope: string): number | undefined {
  return scope === "" ? undefined : Number(scope.slice(scope.lastIndexOf(":") + 1));
}

/** The rounds of a scope, outermost first, by the field of the run that names the one alive. */
export function roundsOf(scope: string): [field: string, round: string][] {
  const elements = scope === "" ? [] : scope.split("/");
  return elements.map((element, i) => [
    `l${element.slice(0, element.indexOf(":"))}`,
    elements.slice(0, i + 1).join("/"),
  ]);
}

/** The loops around a node, outermost first, as indexes into `ir.loops`. */
export function loopChain(ir: Ir, node: number): number[] {
  const chain: number[] = [];
  let loop = ir.nodes[node]?.loop ?? null;
  while (loop !== null) {
    chain.unshift(loop);
    loop = ir.loops[loop]?.parent ?? null;
  }
  return chain;
}

/** Scope elements that entering `node` from outside adds: the first round of each loop it heads. */
export function entrySuffix(ir: Ir, node: number): string {
  return (ir.nodes[node]?.head_of ?? []).map((l) => `${ir.loops[l]?.latch ?? -1}:1`).join("/");
}
