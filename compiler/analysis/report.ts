/**
 * Everything that is known of a workflow before it runs, as one document: for its graph, and for
 * the body of each of its maps. By ids, so that it can be read without the IR.
 */
import type { Ir } from "../ir.ts";
import { findConditions } from "./condition-report.ts";
import type { ConditionFinding } from "./condition-report.ts";
import { findCriticalPath } from "./critical-path.ts";
import type { CriticalPath, Durations } from "./critical-path.ts";
import { explore } from "./explore.ts";
import { findFindings } from "./findings.ts";
import type { Finding } from "./findings.ts";
import { findParallel } from "./parallel.ts";
import { listPaths } from "./paths.ts";
import type { PathList } from "./paths.ts";
import { largestPayload } from "./payload.ts";
import type { PayloadEstimate } from "./payload.ts";
import { executionsMax, prove } from "./proofs.ts";
import type { Proof } from "./proofs.ts";
import { adjacencyOf, dominatorForest, loopForest, partsOf } from "./structure.ts";
import type { AdjacencyRow, DominatorTree, LoopTree } from "./structure.ts";

export interface AnalyseOptions {
  durations?: Durations;
  /** Paths that are listed. Default 100. */
  pathsMax?: number;
  /** Parallel groups that are listed. Default 100. */
  groupsMax?: number;
}

export interface GraphReport {
  /** Maps around, outermost first; empty for the workflow's own graph. */
  maps: string[];
  entries: string[];
  terminals: string[];
  branch_points: string[];
  /** Joins at which tokens of one run can really meet. */
  convergence_points: string[];
  paths: PathList;
  parallel: { groups: string[][]; is_complete: boolean; is_exact: boolean };
  critical_path: CriticalPath;
  /** Tokens in flight at one time in this graph, at most; of a body: in one element. */
  tokens_max: number;
  /** Executions of nodes in a run, attempts and rounds included, at most; decimal. */
  executions_max: string;
  largest_payload: PayloadEstimate;
  proofs: Proof[];
  findings: Finding[];
  /** Whether what is possible was found exactly; "never" holds either way. */
  is_exact: boolean;
  conditions: ConditionFinding[];
  adjacency: AdjacencyRow[];
  loops: LoopTree[];
  dominators: DominatorTree[];
}

export interface WorkflowReport {
  workflow: string;
  graphs: GraphReport[];
  /** Tokens in flight in the whole run, elements of maps included. */
  tokens_max: number;
}

/** Elements of a map that are in progress at one time, where the file sets no limit (20 §5). */
const WINDOW_MAX = 500;
const SHOWN_MAX = 100;

/** The report on a workflow. Takes bounded time whatever the graph. */
export function analyseWorkflow(ir: Ir, options: AnalyseOptions = {}): WorkflowReport {
  const graphs = partsOf(ir).map(({ ir: part, maps }) => analyseGraph(part, maps, options));
  return { workflow: ir.name, graphs, tokens_max: tokensInAll(ir) };
}

function analyseGraph(ir: Ir, maps: string[], options: AnalyseOptions): GraphReport {
  const { analysis } = ir;
  const idsOf = (indexes: readonly number[]): string[] =>
    indexes.map((index) => ir.nodes[index]?.id ?? "");
  const proofs = prove(ir);
  const all = explore(ir);
  const parallel = findParallel(ir, all, options.groupsMax ?? SHOWN_MAX);
  return {
    maps,
    entries: idsOf(analysis.roots),
    terminals: idsOf(analysis.leaves),
    branch_points: idsOf(analysis.branch_points),
    convergence_points: idsOf(analysis.convergence_points),
    paths: listPaths(ir, options.pathsMax ?? SHOWN_MAX),
    parallel: { ...parallel, groups: parallel.groups.map(idsOf) },
    critical_path: findCriticalPath(ir, options.durations),
    tokens_max: analysis.tokens_max,
    executions_max: executionsMax(ir),
    largest_payload: largestPayload(ir),
    proofs,
    findings: findFindings(ir, all, explore(ir, { failures: false })),
    is_exact: all.isExact,
    conditions: findConditions(ir),
    adjacency: adjacencyOf(ir),
    loops: loopForest(ir),
    dominators: dominatorForest(ir),
  };
}

/** A map in progress is a token with those of its elements, as many as run at one time. */
function tokensInAll(ir: Ir): number {
  const inElements = ir.nodes.reduce((sum, { body, config }) => {
    const width = config["max_concurrency"];
    const elements = Math.min(typeof width === "number" ? width : WINDOW_MAX, WINDOW_MAX);
    return body ? sum + elements * tokensInAll(body) : sum;
  }, 0);
  return ir.analysis.tokens_max + inElements;
}
