/**
 * The verdicts on a workflow: what holds in every run of it, with the reason.
 *
 * The structure decides (verify.ts); the bounds are counted here. A verdict is `refuted` with the
 * way to the place where it breaks. What lies outside of the workflow - a handler that never
 * answers, a signal that nobody sends - is no part of a proof and named as an assumption.
 */
import type { Ir, IrNode } from "../ir.ts";
import { walkPaths } from "./paths.ts";
import { findDefects } from "./verify.ts";
import type { Claim, Defect } from "./verify.ts";

export interface Proof {
  claim: Claim;
  verdict: "proved" | "refuted";
  reasons: string[];
  /** What has to hold outside. */
  assumes?: string[];
  /** Nodes on the shortest way to the place where it breaks. */
  path?: string[];
}

/** Paths that are looked at for the shortest. */
const PATHS_MAX = 1_000;

/** A verdict for each claim. */
export function prove(ir: Ir): Proof[] {
  const defects = findDefects(ir);
  const on = (claim: Claim, reasons: string[], assumes: string[] = []): Proof => {
    // Whatever is wrong with the structure takes the ground from under the end of runs.
    const own = claim === "runs_end" ? defects : defects.filter((one) => one.claim === claim);
    if (own.length > 0) return refuted(ir, claim, own);
    return { claim, verdict: "proved", reasons, ...(assumes.length > 0 ? { assumes } : {}) };
  };
  const joins = ir.nodes.filter((node) => node.in.length > 1).length;
  const edges = ir.edges.length;
  return [
    on("no_deadlock", [`all ${edges} edges lead forward, and loops are left only by their latch`]),
    on("tokens_conserved", ["each edge gets one value per round from one node, counted once"]),
    on("joins_decided", [`the in-edges of all ${joins} joins get a value in every round`]),
    on("loops_bounded", loopReasons(ir)),
    on("runs_end", [`at most ${executionsMax(ir)} executions of nodes`], assumptions(ir)),
  ];
}

function refuted(ir: Ir, claim: Claim, defects: readonly Defect[]): Proof {
  const [first] = defects;
  const reasons = defects.map(({ node, message }) => `\`${ir.nodes[node]?.id ?? "?"}\` ${message}`);
  const path = first && shortestTo(ir, first.node);
  return { claim, verdict: "refuted", reasons, ...(path ? { path } : {}) };
}

function shortestTo(ir: Ir, node: number): string[] | undefined {
  // In a graph with a circle walking would not end.
  if (ir.edges.some(({ from, to }) => from >= to)) return undefined;
  let best: number[] | undefined;
  let looked = 0;
  for (const { nodes } of walkPaths(ir)) {
    const at = nodes.indexOf(node);
    if (at >= 0 && (!best || at + 1 < best.length)) best = nodes.slice(0, at + 1);
    if (++looked >= PATHS_MAX) break;
  }
  return best?.map((index) => ir.nodes[index]?.id ?? "");
}

function loopReasons(ir: Ir): string[] {
  if (ir.loops.length === 0) return ["there are no loops"];
  return ir.loops.map(({ latch, max_iterations: rounds }) => {
    return `\`${ir.nodes[latch]?.id ?? ""}\`: at most ${rounds} ${rounds === 1 ? "round" : "rounds"}`;
  });
}

/** Executions of nodes in one run, attempts included; the elements of a map count once. Decimal. */
export function executionsMax(ir: Ir): string {
  return countExecutions(ir).toString();
}

function countExecutions(ir: Ir): bigint {
  return ir.nodes.reduce((sum, node) => {
    const attempts = BigInt(Math.max(1, Math.floor(node.retry.max_attempts)));
    const inside = node.body ? countExecutions(node.body) : 0n;
    return sum + roundsOf(ir, node) * (attempts + inside);
  }, 0n);
}

/** How often a node is activated at most. */
function roundsOf(ir: Ir, node: IrNode): bigint {
  let rounds = 1n;
  for (let at = node.loop; at !== null; at = ir.loops[at]?.parent ?? null) {
    rounds *= BigInt(ir.loops[at]?.max_iterations ?? 1);
  }
  return rounds;
}

function assumptions(ir: Ir): string[] {
  if (ir.settings.timeout_ms !== null) return [];
  const idsOf = (holds: (node: IrNode) => boolean): string =>
    ir.nodes
      .filter((node) => node.timeout_ms === null && holds(node))
      .map(({ id }) => `\`${id}\``)
      .join(", ");
  const parked = idsOf(({ type }) => type === "wait" || type === "human");
  const working = idsOf(({ type, pure }) => {
    return !pure && !["wait", "human", "delay", "map"].includes(type);
  });
  const maps = ir.nodes.filter(({ body }) => body !== undefined).map(({ id }) => `\`${id}\``);
  return [
    ...(parked === "" ? [] : [`somebody answers ${parked}, which have no timeout_ms`]),
    ...(working === "" ? [] : [`the work of ${working} ends, or is ended by the worker`]),
    ...(maps.length === 0 ? [] : [`elements count once: times the items of ${maps.join(", ")}`]),
  ];
}
