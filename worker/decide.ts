/**
 * Which out-edges of a node that has ended are live (30 §Edges, §Loops). Pure: the caller brings
 * what expressions may see. An expression that cannot be evaluated never picks a path: it makes
 * the node fail.
 */
import { compileCondition, decideEdges, type Condition, type Vars } from "../condition/index.ts";
import type { EdgeOn, Ir, IrLoop, IrNode } from "../compiler/ir.ts";
import { roundOf } from "../sdk/internal.ts";
import { ExecutionError } from "./kinds/kind.ts";

/** What a node's success leads to: another round, or out-edges with these values. */
export type Decision = { again: true } | { again: false; edges: string };

interface CompiledNode {
  conditions: (Condition | null)[];
  /** Values of the out-edges after every success; null: they have to be decided. */
  plain: string | null;
  loop: { ir: IrLoop; condition: Condition } | null;
}

const compiled = new WeakMap<IrNode, CompiledNode>();

function compile(ir: Ir, node: IrNode): CompiledNode {
  let entry = compiled.get(node);
  if (entry === undefined) {
    const conditions = node.out.map((edge) => {
      const source = ir.edges[edge]?.condition ?? null;
      return source === null ? null : compileCondition(source);
    });
    const loop = node.latch_of === null ? undefined : ir.loops[node.latch_of];
    const isPlain = loop === undefined && node.routing === "each" && !conditions.some(Boolean);
    entry = {
      conditions,
      plain: isPlain ? each(ir, node, ["success", "always"], conditions, {}) : null,
      loop: loop === undefined ? null : { ir: loop, condition: compileCondition(loop.condition) },
    };
    compiled.set(node, entry);
  }
  return entry;
}

/** The values of a node's out-edges after every success, if they depend on nothing; else null. */
export function plainEdges(ir: Ir, node: IrNode): string | null {
  return compile(ir, node).plain;
}

/**
 * After a success. `vars.output` is the node's output.
 * @throws ExecutionError CONDITION_FAILED, NO_BRANCH_MATCHED, MAX_ITERATIONS; none is retried.
 */
export function decideSuccess(ir: Ir, node: IrNode, scope: string, vars: Vars): Decision {
  const { conditions, loop } = compile(ir, node);
  if (loop !== null && evaluated(() => loop.condition.test(vars), vars)) {
    if ((roundOf(scope) ?? 1) < loop.ir.max_iterations) {
      return { again: true };
    }
    if (!node.out.some((edge) => ir.edges[edge]?.on === "exhausted")) {
      const rounds = loop.ir.max_iterations;
      const message = `the loop's condition still holds after ${rounds} rounds (max_iterations)`;
      throw new ExecutionError("MAX_ITERATIONS", message, { retryable: false });
    }
    return { again: false, edges: each(ir, node, ["exhausted", "always"], conditions, vars) };
  }
  return { again: false, edges: routed(ir, node, conditions, vars) };
}

/**
 * After a failure, retries used up; `vars.output` is the error value. Null: no edge handles it.
 */
export function decideFailure(ir: Ir, node: IrNode, timeout: boolean, vars: Vars): string | null {
  const { conditions } = compile(ir, node);
  const hasTimeout = node.out.some((edge) => ir.edges[edge]?.on === "timeout");
  const on: EdgeOn[] = timeout && hasTimeout ? ["timeout", "always"] : ["error", "always"];
  const edges = each(ir, node, on, conditions, vars);
  return edges.includes("L") ? edges : null;
}

function each(
  ir: Ir,
  node: IrNode,
  on: EdgeOn[],
  conditions: (Condition | null)[],
  vars: Vars,
): string {
  let values = "";
  node.out.forEach((edge, place) => {
    const condition = conditions[place] ?? null;
    const candidate = on.includes(ir.edges[edge]?.on ?? "success");
    const live = candidate && (condition === null || evaluated(() => condition.test(vars), vars));
    values += live ? "L" : "D";
  });
  return values;
}

/** Success edges by the node's routing; `always` edges decide for themselves. */
function routed(ir: Ir, node: IrNode, conditions: (Condition | null)[], vars: Vars): string {
  if (node.routing === "each") {
    return each(ir, node, ["success", "always"], conditions, vars);
  }
  const mode = node.routing;
  const places = node.out.map((edge, place) => [ir.edges[edge]?.on, place] as const);
  const success = places.filter(([on]) => on === "success").map(([, place]) => place);
  const candidates = success.map((place) => ({ condition: conditions[place] ?? null }));
  const live = evaluated(() => decideEdges(candidates, mode, vars), vars);
  if (success.length > 0 && !live.includes(true) && node.on_no_match === "error") {
    const message = "no branch's condition holds and there is no default";
    throw new ExecutionError("NO_BRANCH_MATCHED", message, { retryable: false });
  }
  const always = each(ir, node, ["always"], conditions, vars);
  return [...always].map((v, place) => (live[success.indexOf(place)] === true ? "L" : v)).join("");
}

/** Runs an evaluation; its error becomes CONDITION_FAILED, the node's output kept in it. */
function evaluated<T>(evaluate: () => T, vars: Vars): T {
  try {
    return evaluate();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new ExecutionError("CONDITION_FAILED", message, {
      retryable: false,
      details: { output: vars.output ?? null },
    });
  }
}
