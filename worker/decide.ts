/**
 * Which out-edges of a node that has ended are live (30 §Edges, §Loops). Pure: the caller brings
 * what expressions may see. An expression that cannot be evaluated never picks a path: it makes
 * the node fail.
 */
import { decideEdges, keptOutput, namedCondition, undecided } from "../condition/index.ts";
import type { Test, Vars } from "../condition/index.ts";
import { decidedEdges, edgeName, LOOP_NAME } from "../compiler/ir.ts";
import type { DecidedEdge, EdgeOn, Ir, IrLoop, IrNode } from "../compiler/ir.ts";
import { roundOf } from "../sdk/internal.ts";
import { ExecutionError } from "./kinds/kind.ts";

/** What a node's success leads to: another round, or out-edges with these values. */
export type Decision = { again: true } | { again: false; edges: string };

interface CompiledNode {
  /** What the node decides: its out-edges, or more than they are where it has parts. */
  decided: readonly DecidedEdge[];
  conditions: (Test | null)[];
  hasParts: boolean;
  /** Values of the out-edges after every success; null: they have to be decided. */
  plain: string | null;
  loop: { ir: IrLoop; condition: Test } | null;
}

const compiled = new WeakMap<IrNode, CompiledNode>();

function compile(ir: Ir, node: IrNode): CompiledNode {
  let entry = compiled.get(node);
  if (entry === undefined) {
    const decided = decidedEdges(ir, node);
    const conditions = decided.map(({ edge }) => {
      const source = ir.edges[edge]?.condition ?? null;
      return source === null ? null : namedCondition(source, edgeName(ir, edge));
    });
    const loop = node.latch_of === null ? undefined : ir.loops[node.latch_of];
    const isPlain = loop === undefined && node.routing === "each" && !conditions.some(Boolean);
    entry = {
      decided,
      conditions,
      hasParts: decided.some(({ edge, place }) => edge !== node.out[place]),
      plain: null,
      loop:
        loop === undefined
          ? null
          : { ir: loop, condition: namedCondition(loop.condition, LOOP_NAME) },
    };
    entry.plain = isPlain ? each(node, ["success", "always"], entry, {}) : null;
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
  const known = compile(ir, node);
  const { loop } = known;
  if (loop !== null && evaluated(() => loop.condition.test(vars), vars)) {
    if ((roundOf(scope) ?? 1) < loop.ir.max_iterations) {
      return { again: true };
    }
    if (!node.out.some((edge) => ir.edges[edge]?.on === "exhausted")) {
      const rounds = loop.ir.max_iterations;
      const message = `the loop's condition still holds after ${rounds} rounds (max_iterations)`;
      throw undecidable("MAX_ITERATIONS", message, vars);
    }
    return { again: false, edges: each(node, ["exhausted", "always"], known, vars) };
  }
  return { again: false, edges: routed(node, known, vars) };
}

/**
 * After a failure, retries used up; `vars.output` is the error value. Null: no edge handles it.
 */
export function decideFailure(ir: Ir, node: IrNode, timeout: boolean, vars: Vars): string | null {
  const known = compile(ir, node);
  const hasTimeout = node.out.some((edge) => ir.edges[edge]?.on === "timeout");
  const on: EdgeOn[] = timeout && hasTimeout ? ["timeout", "always"] : ["error", "always"];
  const edges = each(node, on, known, vars);
  return edges.includes("L") ? edges : null;
}

/** The values of the out-edges, of which those with these `on` decide for themselves. */
function each(node: IrNode, on: EdgeOn[], known: CompiledNode, vars: Vars): string {
  return gathered(node, known, decidedEach(on, known, vars));
}

function decidedEach(on: EdgeOn[], { decided, conditions }: CompiledNode, vars: Vars): string {
  let values = "";
  decided.forEach((edge, at) => {
    const condition = conditions[at] ?? null;
    const candidate = on.includes(edge.on);
    const live = candidate && (condition === null || evaluated(() => condition.test(vars), vars));
    values += live ? "L" : "D";
  });
  return values;
}

/** Success edges by the node's routing; `always` edges decide for themselves. */
function routed(node: IrNode, known: CompiledNode, vars: Vars): string {
  const mode = node.routing;
  if (mode === "each") {
    return each(node, ["success", "always"], known, vars);
  }
  const { decided, conditions } = known;
  const success = decided.flatMap(({ on }, at) => (on === "success" ? [at] : []));
  const candidates = success.map((at) => ({ condition: conditions[at] ?? null }));
  const live = evaluated(() => decideEdges(candidates, mode, vars), vars);
  if (success.length > 0 && !live.includes(true) && node.on_no_match === "error") {
    const message = "no branch's condition holds and there is no default";
    throw undecidable("NO_BRANCH_MATCHED", message, vars);
  }
  const chosen = new Set(success.filter((_, i) => live[i]));
  const always = decidedEach(["always"], known, vars);
  const values = [...always].map((value, at) => (chosen.has(at) ? "L" : value)).join("");
  return gathered(node, known, values);
}

/** Values of what was decided as those of the out-edges: one to a part is live if any there is. */
function gathered(node: IrNode, { decided, hasParts }: CompiledNode, values: string): string {
  if (!hasParts) {
    return values;
  }
  const out = node.out.map(() => "D");
  decided.forEach(({ place }, at) => {
    if (values[at] === "L") {
      out[place] = "L";
    }
  });
  return out.join("");
}

/** A failure of the decision itself, with the output that it was made on. */
function undecidable(code: string, message: string, { output }: Vars): ExecutionError {
  return new ExecutionError(code, message, { retryable: false, ...keptOutput(output) });
}

/** Runs an evaluation; its error becomes CONDITION_FAILED, with what the condition saw as output. */
function evaluated<T>(evaluate: () => T, vars: Vars): T {
  try {
    return evaluate();
  } catch (error) {
    const { message, details } = undecided(error, vars.output);
    throw new ExecutionError("CONDITION_FAILED", message, { retryable: false, details });
  }
}
