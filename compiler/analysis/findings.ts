/**
 * What the token game shows and an author did not mean: nodes that never run, edges that are never
 * taken, joins that never fire, and nodes that run only after a failure (which often is meant).
 * "Never" holds for every run; see explore.ts for why.
 */
import type { Ir, IrNode } from "../ir.ts";
import { exampleOf } from "./explore.ts";
import type { ExampleStep, Exploration, History } from "./explore.ts";

export interface Finding {
  kind:
    | "never_runs"
    | "join_never_fires"
    | "edge_never_taken"
    | "only_after_failure"
    | "never_succeeds";
  node: string;
  /** Target of the edge. */
  to?: string;
  /** Why, in words. */
  reason: string;
  /** The shortest execution that shows it best. */
  example?: ExampleStep[];
}

/** Findings in the order of the nodes; `unharmed` is the game without failures. */
export function findFindings(ir: Ir, all: Exploration, unharmed: Exploration): Finding[] {
  return ir.nodes.flatMap((node, index): Finding[] => {
    if (node.synthetic) return [];
    const facts = all.nodes[index];
    if (!facts) return [];
    if (facts.runs === null) return [neverRuns(ir, node, index, all)];
    const found: Finding[] = [];
    if (unharmed.nodes[index]?.runs === null) {
      const reason = "it runs only when a node before it has failed";
      found.push({ kind: "only_after_failure", node: node.id, reason, ...example(ir, facts.runs) });
    }
    const hasEnd = facts.outcomes.some(({ kind }) => kind === "success");
    if (!hasEnd) {
      const reason = "whatever it puts out, it fails or goes round: no way on from it is possible";
      found.push({ kind: "never_succeeds", node: node.id, reason });
    }
    return [...found, ...neverTaken(ir, node, all, hasEnd)];
  });
}

function neverRuns(ir: Ir, node: IrNode, index: number, all: Exploration): Finding {
  const facts = all.nodes[index];
  const { kind, need, arity } = node.join;
  const most = facts?.liveMax ?? 0;
  const shown = example(ir, facts?.skipped ?? facts?.failed ?? null);
  if (kind !== "all" && most > 0 && most < need) {
    const reason = `it waits for ${need} of its ${arity} in-edges, and at most ${most} can be live`;
    return { kind: "join_never_fires", node: node.id, reason, ...shown };
  }
  if (arity > 1 && most > 0) {
    const reason = "whenever some of its in-edges are live another one has failed, or has no value";
    return { kind: "join_never_fires", node: node.id, reason, ...shown };
  }
  const sources = [...new Set(node.in.map((edge) => ir.edges[edge]?.from ?? -1))];
  const idle = sources.filter((from) => all.nodes[from]?.runs === null);
  const names = (list: readonly number[]): string =>
    list.map((from) => `\`${ir.nodes[from]?.id ?? ""}\``).join(", ");
  const reason =
    idle.length === sources.length
      ? `it follows only ${names(idle)}, which never ${idle.length === 1 ? "runs" : "run"}`
      : `no edge from ${names(sources)} to it can be live`;
  return { kind: "never_runs", node: node.id, reason, ...shown };
}

function neverTaken(ir: Ir, node: IrNode, all: Exploration, hasEnd: boolean): Finding[] {
  return node.out.flatMap((index): Finding[] => {
    const edge = ir.edges[index];
    if (!edge || all.edges[index]?.live) return [];
    const target = ir.nodes[edge.to];
    const to = target?.id ?? "";
    const isAfterSuccess = edge.on === "success" || edge.on === "exhausted";
    if (isAfterSuccess && !hasEnd) return [];
    const what =
      edge.condition === null ? `on ${edge.on}` : `its condition, \`${edge.condition}\`,`;
    const reason =
      edge.condition === null
        ? `edges ${what} of \`${node.id}\` before it always win`
        : `${what} never decides for it`;
    return [{ kind: "edge_never_taken", node: node.id, to, reason }];
  });
}

function example(ir: Ir, history: History | null): { example?: ExampleStep[] } {
  return history ? { example: exampleOf(ir, history) } : {};
}
