/**
 * What the conditions of a node's out-edges leave open: values for which none holds (gap), values
 * for which several hold (overlap), conditions that never or always hold. Each with an example.
 *
 * Decided by condition/partition.ts, exactly for comparisons of values with constants. An example
 * in which a condition cannot be evaluated at all counts for nothing here: that is a failure, with a
 * code of its own, and no path is taken.
 */
import { describeWitness, partition } from "../../condition/index.ts";
import type { Case, Partition, PartitionOptions, Witness } from "../../condition/index.ts";
import type { Ir, IrNode } from "../ir.ts";

export interface ConditionFinding {
  kind: "gap" | "overlap" | "never" | "always" | "undecided";
  node: string;
  /** The conditions it is about, in the order of the edges. */
  conditions: string[];
  /** In words, with the example. */
  text: string;
  witness: Witness[];
}

/** Findings of all nodes with conditions on their `success` edges, and of loops. */
export function findConditions(ir: Ir): ConditionFinding[] {
  return ir.nodes.flatMap((node) => [...ofBranches(ir, node), ...ofLoop(ir, node)]);
}

function ofBranches(ir: Ir, node: IrNode): ConditionFinding[] {
  const edges = node.out.flatMap((edge) => ir.edges[edge] ?? []);
  const own = edges.filter(({ on }) => on === "success");
  const conditions = [...new Set(own.flatMap(({ condition }) => condition ?? []))];
  if (conditions.length === 0) return [];
  const found = partition(conditions);
  const about = { node: node.id, conditions, witness: [] };
  if (!found) {
    const text = "too many values to look at, or a condition that cannot be read";
    return [{ ...about, kind: "undecided", text }];
  }
  const hasDefault = own.some(({ condition }) => condition === null);
  const isChoice = node.routing !== "each";
  const constants = conditions.flatMap((_, i) => constantAt(found, conditions, node.id, i));
  const gap = isChoice && !hasDefault ? findGap(found) : undefined;
  const overlap = node.routing === "first" ? findOverlap(found) : undefined;
  return [
    ...constants,
    ...(gap ? [{ ...about, kind: "gap" as const, ...describeGap(found, gap) }] : []),
    ...(overlap ? [describeOverlap(found, overlap, conditions, node.id)] : []),
  ];
}

function ofLoop(ir: Ir, node: IrNode): ConditionFinding[] {
  const loop = node.latch_of === null ? undefined : ir.loops[node.latch_of];
  if (!loop) return [];
  const rounds = loop.max_iterations;
  const domain: PartitionOptions["domain"] = (path) =>
    path.length === 1 && path[0] === "iteration"
      ? {
          constants: [1, rounds],
          isInteger: true,
          allows: (value) => typeof value === "number" && value >= 1 && value <= rounds,
        }
      : undefined;
  const found = partition([loop.condition], { domain });
  return found ? constantAt(found, [loop.condition], node.id, 0) : [];
}

/** Values for which no condition holds although all can be evaluated. */
export function findGap({ cases }: Partition): Case | undefined {
  return cases.find(({ truths }) => truths.every((truth) => truth === "false"));
}

function findOverlap({ cases }: Partition): Case | undefined {
  return cases.find(({ truths }) => truths.filter((truth) => truth === "true").length > 1);
}

function describeGap(found: Partition, gap: Case): { text: string; witness: Witness[] } {
  const at = describeWitness(gap.witness);
  const may = found.isExact ? "none holds" : "none may hold";
  return { text: at === "" ? `${may} for some values` : `${may} for ${at}`, witness: gap.witness };
}

function describeOverlap(
  found: Partition,
  { truths, witness }: Case,
  conditions: readonly string[],
  node: string,
): ConditionFinding {
  const both = conditions.filter((_, i) => truths[i] === "true");
  const at = describeWitness(witness);
  const verb = found.isExact ? "hold" : "may hold";
  const where = at === "" ? "" : ` for ${at}`;
  const names = both.map((text) => `\`${text}\``).join(" and ");
  const text = `${names} ${verb} together${where}; the first in the file is taken`;
  return { kind: "overlap", node, conditions: both, text, witness };
}

function constantAt(
  { cases }: Partition,
  conditions: readonly string[],
  node: string,
  i: number,
): ConditionFinding[] {
  const condition = conditions[i] ?? "";
  const truths = new Set(cases.map((one) => one.truths[i]));
  const about = { node, conditions: [condition], witness: [] };
  if (!truths.has("true")) {
    return [{ ...about, kind: "never", text: `\`${condition}\` never holds` }];
  }
  if (!truths.has("false")) {
    const unless = truths.has("error") ? " where it can be evaluated" : "";
    return [{ ...about, kind: "always", text: `\`${condition}\` always holds${unless}` }];
  }
  return [];
}
