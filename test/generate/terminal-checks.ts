/**
 * X13: how often it has to be looked whether a run has ended. A check after every node is the
 * comparison; one after terminal nodes is the claim; the engine looks where the counter changes, in
 * the call that changes it. Counted over the oracle's traces of generated workflows.
 */
import { compile, type Ir, type Json } from "../../compiler/index.ts";
import { interpret } from "../../compiler/reference/index.ts";
import { oracleHandlers } from "./builtins.ts";
import { generateWorkflow, type GenerateOptions } from "./workflow.ts";

export interface CheckCount {
  workflows: number;
  /** Nodes of the workflows, and how many of them nothing follows. */
  nodes: number;
  terminal_nodes: number;
  /** Ends of nodes: checks, if each were followed by one. */
  ends: number;
  /** Those of terminal nodes: checks, if only these were. */
  terminal_ends: number;
  /** Ends of other nodes that no live edge leaves: a check after terminal nodes alone misses them. */
  other_last_ends: number;
  /** Changes of the counter: how often the engine looks, without a command of its own. */
  counter_changes: number;
  /** Share of checks that are spared, in percent: by the claim, and by the engine. */
  spared_by_terminal: number;
  spared_by_counter: number;
}

/** The mix: as many workflows of each kind. */
export const MIX: { readonly [name: string]: GenerateOptions } = {
  plain: {},
  loops: { loops: true },
  failures: { loops: true, failures: true, continue: true },
  maps: { loops: true, maps: true },
};
const NODES_MAX = 40;
const INPUT: Json = { n: 3, name: "gavotte", list: [1, 2, 3] };

/** Counts over workflows of the seeds 1 to `seeds`. */
export function countChecks(options: GenerateOptions, seeds: number): CheckCount {
  const count = {
    ...{ workflows: 0, nodes: 0, terminal_nodes: 0 },
    ...{ ends: 0, terminal_ends: 0, other_last_ends: 0 },
  };
  let changes = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const document = generateWorkflow(seed, { ...options, maxNodes: NODES_MAX });
    const { ir } = compile({ document: document as Json });
    if (ir === null) {
      throw new Error(`the workflow of seed ${seed} has errors`);
    }
    count.workflows += 1;
    count.nodes += ir.nodes.length;
    count.terminal_nodes += ir.nodes.filter((node) => node.is_terminal).length;
    changes += addRun(ir, count);
  }
  const spared = (checks: number): number => Math.round(100 * (1 - checks / count.ends));
  return {
    ...{ ...count, counter_changes: changes },
    spared_by_terminal: spared(count.terminal_ends),
    spared_by_counter: spared(changes),
  };
}

/** Adds one run; returns how often its counter changed. */
function addRun(
  ir: Ir,
  count: Pick<CheckCount, "ends" | "terminal_ends" | "other_last_ends">,
): number {
  const terminal = new Set(ir.nodes.filter((node) => node.is_terminal).map(({ id }) => id));
  const { trace } = interpret(ir, INPUT, { handlers: oracleHandlers(), runId: "counted" });
  let changes = 0;
  for (const { event, home, node = "", edges = [], arrivals = [], outcome } of trace) {
    if ((home ?? "") !== "") {
      continue;
    }
    if (event === "node.completed" || event === "node.failed") {
      count.ends += 1;
      const live = edges.filter(({ value }) => value === "live").length;
      const isTerminal = terminal.has(node);
      count.terminal_ends += isTerminal ? 1 : 0;
      count.other_last_ends += !isTerminal && edges.length > 0 && live === 0 ? 1 : 0;
      changes += live === 1 ? 0 : 1;
    } else if (event === "join.decided") {
      const live = arrivals.filter((value) => value === "live").length;
      changes += live === (outcome === "fired" ? 1 : 0) ? 0 : 1;
    }
  }
  return changes;
}
