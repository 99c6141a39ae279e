/**
 * Which out-edges of a node that has ended are live.
 *
 * Edges are candidates by how the node ended, and of the candidates those whose condition holds are
 * live. `first` and `all` nodes choose among their `success` edges and must find one; their
 * `always` edges are no branches and decide for themselves, as those of every other node do.
 */
import { decideEdges, keptOutput, namedCondition, undecided } from "../../condition/index.ts";
import type { EdgeMode, Vars } from "../../condition/index.ts";
import { decidedEdges, edgeName, LOOP_NAME } from "../ir.ts";
import type { EdgeOn, Ir, IrNode } from "../ir.ts";
import type { EdgeValue, HandlerError } from "./types.ts";

/** What follows a success. */
export type AfterSuccess =
  { kind: "again" } | { kind: "leave"; edges: EdgeValue[] } | { kind: "fail"; error: HandlerError };

/** What follows a failure: `edges` null means that nothing handles it. */
export interface AfterFailure {
  edges: EdgeValue[] | null;
  /** In the place of the node's error: a condition for it could not be evaluated. */
  error?: HandlerError;
}

/** A success of a node in round `round` of its innermost loop; `vars.output` is its output. */
export function decideSuccess(ir: Ir, node: IrNode, round: number, vars: Vars): AfterSuccess {
  try {
    const loop = node.latch_of === null ? undefined : ir.loops[node.latch_of];
    if (!loop || !namedCondition(loop.condition, LOOP_NAME).test(vars)) {
      return branch(ir, node, vars);
    }
    if (round < loop.max_iterations) return { kind: "again" };
    if (node.out.some((edge) => ir.edges[edge]?.on === "exhausted")) {
      return { kind: "leave", edges: each(ir, node, ["exhausted", "always"], vars) };
    }
    const rounds = loop.max_iterations;
    const message = `the loop's condition still holds after ${rounds} rounds (max_iterations)`;
    return { kind: "fail", error: { code: "MAX_ITERATIONS", message, ...keptOutput(vars.output) } };
  } catch (error) {
    return { kind: "fail", error: conditionFailed(error, vars) };
  }
}

/**
 * A failure with retries used up; `vars.output` is the error value. By its code alone it is one by
 * timeout: that of a map is its element's, of a `subworkflow` its child's, or what a handler threw.
 */
export function decideFailure(ir: Ir, node: IrNode, code: string, vars: Vars): AfterFailure {
  const hasTimeoutEdge = node.out.some((edge) => ir.edges[edge]?.on === "timeout");
  const on = code === "TIMEOUT" && hasTimeoutEdge ? "timeout" : "error";
  try {
    const edges = each(ir, node, [on, "always"], vars);
    return { edges: edges.includes("live") ? edges : null };
  } catch (error) {
    return { edges: null, error: conditionFailed(error, vars) };
  }
}

function branch(ir: Ir, node: IrNode, vars: Vars): AfterSuccess {
  if (node.routing === "each") {
    return { kind: "leave", edges: each(ir, node, ["success", "always"], vars) };
  }
  const branches = choose(ir, node, ["success"], node.routing, vars);
  const hasBranches = node.out.some((edge) => ir.edges[edge]?.on === "success");
  if (hasBranches && !branches.includes("live") && node.on_no_match === "error") {
    const message = "no branch's condition holds and there is no default";
    return {
      kind: "fail",
      error: { code: "NO_BRANCH_MATCHED", message, ...keptOutput(vars.output) },
    };
  }
  const always = each(ir, node, ["always"], vars);
  const edges = branches.map((value, place) =>
    value === "live" ? value : (always[place] ?? "dead"),
  );
  return { kind: "leave", edges };
}

function each(ir: Ir, node: IrNode, on: readonly EdgeOn[], vars: Vars): EdgeValue[] {
  return choose(ir, node, on, "each", vars);
}

/** Values of all out-edges, in their order: what is no candidate is dead. */
function choose(
  ir: Ir,
  node: IrNode,
  on: readonly EdgeOn[],
  mode: EdgeMode,
  vars: Vars,
): EdgeValue[] {
  const decided = decidedEdges(ir, node).filter((one) => on.includes(one.on));
  const candidates = decided.map(({ edge }) => {
    const source = ir.edges[edge]?.condition ?? null;
    return { condition: source === null ? null : namedCondition(source, edgeName(ir, edge)) };
  });
  const live = decideEdges(candidates, mode, vars);
  const values = node.out.map((): EdgeValue => "dead");
  decided.forEach(({ place }, i) => {
    if (live[i] === true) values[place] = "live";
  });
  return values;
}

function conditionFailed(error: unknown, { output }: Vars): HandlerError {
  return { code: "CONDITION_FAILED", ...undecided(error, output) };
}
