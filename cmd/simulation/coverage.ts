/**
 * What a simulated run has been through: nodes, edges, rules of branches, ways of loops, elements of
 * maps. Counts, so that those of several runs can be added up.
 *
 * Read off the trace. A rule (the condition of an edge) can hold and can fail to hold; an edge that
 * was dead because an earlier rule had held was not asked at all, and counts for neither.
 */
import type { EdgeOn, Ir, IrNode } from "../../compiler/index.ts";
import type { EdgeValue, InterpretResult, TraceStep } from "../../compiler/reference/index.ts";

export interface NodeCoverage {
  id: string;
  /** The maps around it, outermost first, joined by `/`; "" in none. */
  map: string;
  completed: number;
  failed: number;
  skipped: number;
}

export interface EdgeCoverage {
  from: string;
  to: string;
  map: string;
  on: EdgeOn;
  condition: string | null;
  taken: number;
}

export interface RuleCoverage {
  node: string;
  to: string;
  map: string;
  /** null: the default, taken when no other rule holds. */
  condition: string | null;
  held: number;
  /** How often it was asked and did not hold; of a default, how often another one held. */
  failed: number;
}

export interface LoopCoverage {
  latch: string;
  head: string;
  map: string;
  /** How often another round was begun. */
  again: number;
  /** How often the condition ended it. */
  left: number;
  /** How often the rounds were used up. */
  exhausted: number;
}

export interface MapCoverage {
  map: string;
  expanded: number;
  elements: number;
  /** Lists without elements. */
  empty: number;
}

export interface Coverage {
  nodes: NodeCoverage[];
  edges: EdgeCoverage[];
  rules: RuleCoverage[];
  loops: LoopCoverage[];
  maps: MapCoverage[];
}

/** Of the run whose trace it is; what happened in child runs is theirs. */
export function coverageOf(ir: Ir, { trace }: Pick<InterpretResult, "trace">): Coverage {
  const coverage = emptyOf(ir, "");
  const steps = new Map<string, TraceStep[]>();
  for (const step of trace) {
    if (step.node === undefined) continue;
    const known = steps.get(step.node);
    if (known === undefined) steps.set(step.node, [step]);
    else known.push(step);
  }
  for (const node of coverage.nodes) countNode(node, steps.get(node.id) ?? []);
  for (const { graph } of graphsOf(ir, "")) {
    countLoops(coverage, graph, steps);
    for (const node of graph.nodes) {
      for (const step of steps.get(node.id) ?? []) countEdges(coverage, graph, node, step);
    }
  }
  for (const map of coverage.maps) countMap(map, steps.get(map.map.split("/").at(-1) ?? "") ?? []);
  return coverage;
}

/** The sums of several runs of one workflow. */
export function addCoverage(all: readonly Coverage[]): Coverage {
  const [first] = all;
  if (first === undefined) return { nodes: [], edges: [], rules: [], loops: [], maps: [] };
  const sum = <T extends object>(of: (coverage: Coverage) => T[]): T[] =>
    of(first).map((entry, i) =>
      sumOf(
        all.flatMap((one) => of(one)[i] ?? []),
        entry,
      ),
    );
  return {
    nodes: sum(({ nodes }) => nodes),
    edges: sum(({ edges }) => edges),
    rules: sum(({ rules }) => rules),
    loops: sum(({ loops }) => loops),
    maps: sum(({ maps }) => maps),
  };
}

/** `first` with its counts as the sums of all. */
function sumOf<T extends object>(entries: readonly T[], first: T): T {
  const countIn = (entry: T, key: string): number => {
    const value: unknown = entry[key as keyof T];
    return typeof value === "number" ? value : 0;
  };
  const counts = Object.entries(first)
    .filter(([, value]) => typeof value === "number")
    .map(([key]) => [key, entries.reduce((total, entry) => total + countIn(entry, key), 0)]);
  return { ...first, ...(Object.fromEntries(counts) as Partial<T>) };
}

interface Placed {
  graph: Ir;
  map: string;
}

/** The workflow's graph and those of the bodies of its maps. */
function graphsOf(ir: Ir, map: string): Placed[] {
  const inside = ir.nodes.flatMap(({ id, body }) =>
    body === undefined ? [] : graphsOf(body, map === "" ? id : `${map}/${id}`),
  );
  return [{ graph: ir, map }, ...inside];
}

function emptyOf(ir: Ir, top: string): Coverage {
  const graphs = graphsOf(ir, top);
  const perNode = <T>(make: (node: IrNode, placed: Placed) => T[]): T[] =>
    graphs.flatMap((placed) =>
      placed.graph.nodes.flatMap((node) => (node.synthetic === true ? [] : make(node, placed))),
    );
  return {
    nodes: perNode(({ id }, { map }) => [{ id, map, completed: 0, failed: 0, skipped: 0 }]),
    edges: perNode((node, { graph, map }) =>
      outOf(graph, node).map(({ to, on, condition }) => ({
        ...{ from: node.id, to, map, on, condition, taken: 0 },
      })),
    ),
    rules: perNode((node, { graph, map }) =>
      outOf(graph, node)
        .filter((edge) => isRule(node, edge))
        .map(({ to, condition }) => ({ node: node.id, to, map, condition, held: 0, failed: 0 })),
    ),
    loops: graphs.flatMap(({ graph, map }) =>
      graph.loops.map(({ head, latch }) => ({
        latch: graph.nodes[latch]?.id ?? "",
        head: graph.nodes[head]?.id ?? "",
        ...{ map, again: 0, left: 0, exhausted: 0 },
      })),
    ),
    maps: graphs
      .filter(({ map }) => map !== top)
      .map(({ map }) => ({ map, expanded: 0, elements: 0, empty: 0 })),
  };
}

interface Out {
  to: string;
  on: EdgeOn;
  condition: string | null;
  place: number;
}

/** Out-edges in their order; where the compiler split a fan, they lead to what it put there. */
function outOf(graph: Ir, node: IrNode): Out[] {
  return node.out.map((index, place) => {
    const edge = graph.edges[index];
    const to = graph.nodes[edge?.to ?? -1]?.id ?? "";
    return { to, on: edge?.on ?? "success", condition: edge?.condition ?? null, place };
  });
}

/** An edge that says when it is taken, or the default of those that do. */
function isRule(node: IrNode, { on, condition }: Out): boolean {
  return condition !== null || (node.routing !== "each" && on === "success");
}

function countNode(node: NodeCoverage, steps: readonly TraceStep[]): void {
  for (const { event } of steps) {
    if (event === "node.completed") node.completed += 1;
    if (event === "node.failed") node.failed += 1;
    if (event === "node.skipped") node.skipped += 1;
  }
}

function countEdges(coverage: Coverage, graph: Ir, node: IrNode, step: TraceStep): void {
  const values = step.edges?.map(({ value }) => value) ?? [];
  if (values.length === 0) return;
  const out = outOf(graph, node);
  const edges = coverage.edges.filter(({ from }) => from === node.id);
  const rules = coverage.rules.filter((rule) => rule.node === node.id);
  const ruled = out.filter((edge) => isRule(node, edge));
  for (const { place } of out) {
    const edge = edges[place];
    if (edge !== undefined && values[place] === "live") edge.taken += 1;
  }
  ruled.forEach((edge, i) => {
    const rule = rules[i];
    if (rule === undefined || !wasAsked(node, step, out, edge, values)) return;
    if (values[edge.place] === "live") rule.held += 1;
    else rule.failed += 1;
  });
}

/** Whether the rule had a say in how the node was left. */
function wasAsked(
  node: IrNode,
  { event }: TraceStep,
  out: readonly Out[],
  edge: Out,
  values: readonly EdgeValue[],
): boolean {
  if (values[edge.place] === "live") return true;
  const isSuccess = event === "node.completed";
  const fits = isSuccess ? edge.on === "success" : edge.on === "error" || edge.on === "timeout";
  if (!fits && edge.on !== "always") return false;
  if (node.routing !== "first" || edge.on !== "success") return true;
  // The first that holds is taken: those after it were not looked at. A default comes last.
  if (edge.condition === null) return true;
  return !out.some(
    ({ place, on, condition }) =>
      place < edge.place && on === "success" && condition !== null && values[place] === "live",
  );
}

function countLoops(coverage: Coverage, graph: Ir, steps: ReadonlyMap<string, TraceStep[]>): void {
  for (const { latch } of graph.loops) {
    const id = graph.nodes[latch]?.id ?? "";
    const loop = coverage.loops.find((one) => one.latch === id);
    if (loop === undefined) continue;
    const rounds = (steps.get(loop.head) ?? []).filter(({ event }) => event === "loop.round");
    loop.again = rounds.filter(({ scope = "" }) => latchOfRound(scope) === latch).length;
    countEnds(loop, graph, latch, steps.get(id) ?? []);
  }
}

/** Index of the latch that has begun this round: the innermost whose round is not its first. */
function latchOfRound(scope: string): number {
  const rounds = scope.split("/").map((part) => part.split(":").map(Number));
  const [latch = -1] = rounds.findLast(([, round = 0]) => round > 1) ?? [];
  return latch;
}

function countEnds(
  loop: LoopCoverage,
  graph: Ir,
  latch: number,
  steps: readonly TraceStep[],
): void {
  const usedUp = graph.nodes[latch]?.out.findIndex((edge) => graph.edges[edge]?.on === "exhausted");
  let before: TraceStep | undefined;
  for (const step of steps) {
    const { event, error } = step;
    if (event === "node.failed" && error?.code === "MAX_ITERATIONS") loop.exhausted += 1;
    if (event === "loop.ended" && before?.event === "node.completed") {
      if (before.edges?.[usedUp ?? -1]?.value === "live") loop.exhausted += 1;
      else loop.left += 1;
    }
    before = step;
  }
}

function countMap(map: MapCoverage, steps: readonly TraceStep[]): void {
  for (const { event, count = 0 } of steps) {
    if (event !== "map.expanded") continue;
    map.expanded += 1;
    map.elements += count;
    if (count === 0) map.empty += 1;
  }
}
