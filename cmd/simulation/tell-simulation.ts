/** A simulated run for people: its trace, its path, what it has covered and what not. */
import type { Ir } from "../../compiler/index.ts";
import type { TraceStep } from "../../compiler/reference/index.ts";
import type { Output } from "../output.ts";
import type { Coverage } from "./coverage.ts";
import type { Interleavings } from "./interleave.ts";
import { RUN_ID, syntheticIds, type Simulation } from "./simulate.ts";

/** Writes the trace and the sums. */
export function tellSimulation(output: Output, ir: Ir, simulation: Simulation): void {
  output.table(traceRows(ir, simulation));
  const inside = childRows(simulation);
  if (inside.length > 0) {
    output.line("\nin child runs");
    output.table(inside);
  }
  output.line("");
  output.line(`${simulation.status} after ${msText(simulation.ms)}`);
  output.line(`path      ${simulation.path.join(" > ")}`);
  coverageLines(simulation.coverage).forEach((line) => output.line(line));
  if (simulation.error !== undefined) {
    const { code, message, node } = simulation.error;
    output.line(`error     ${code}: ${message}${node === undefined ? "" : ` (${node})`}`);
  }
  output.line(`output    ${JSON.stringify(simulation.output)}`);
}

/** Rows of what child runs have executed: when, in which run, which node. */
export function childRows({ steps }: Pick<Simulation, "steps">): string[][] {
  return steps
    .filter(({ run }) => run !== RUN_ID)
    .map(({ run, node, attempt, from, to }) => [
      from === to ? msText(to) : `${plain(from)}..${msText(to)}`,
      run.slice(RUN_ID.length + 1),
      attempt === 1 ? node : `${node} attempt ${attempt}`,
    ]);
}

/** Rows of the trace: when, which node, what happened. */
export function traceRows(
  ir: Ir,
  { trace, steps }: Pick<Simulation, "trace" | "steps">,
): string[][] {
  const begun = new Map(
    steps
      .filter(({ run }) => run === RUN_ID)
      .map(({ node, home, scope, attempt, from }) => [
        JSON.stringify([node, home, scope, attempt]),
        from,
      ]),
  );
  const hidden = syntheticIds(ir);
  return trace.flatMap((step) => {
    const { event, node = "", home = "", scope = "", attempt = 1, at = 0 } = step;
    const what = whatOf(ir, step);
    if (what === "" || hidden.has(node)) return [];
    const isEnd = ["node.completed", "node.failed", "node.retrying"].includes(event);
    const from = isEnd ? begun.get(JSON.stringify([node, home, scope, attempt])) : undefined;
    const time = from === undefined || from === at ? msText(at) : `${plain(from)}..${msText(at)}`;
    return [[time, `${node}${placeText(ir, home, scope)}`, what]];
  });
}

function whatOf(ir: Ir, step: TraceStep): string {
  const { event, attempt = 1, error, count, outcome } = step;
  const why = error === undefined ? "" : `: ${error.code} ${error.message}`;
  switch (event) {
    case "node.completed":
      return `completed${attempt > 1 ? ` at attempt ${attempt}` : ""}${edgesText(ir, step)}`;
    case "node.failed":
      return `failed${why}${edgesText(ir, step)}`;
    case "node.retrying":
      return `failed${why}; attempt ${attempt + 1} follows`;
    case "node.parked":
      return "waits";
    case "node.skipped":
      return "skipped";
    case "node.voided":
      return "dropped, nobody needs it any more";
    case "join.decided":
      return `join ${outcome ?? ""} (${(step.arrivals ?? []).map((value) => value ?? "-").join(" ")})`;
    case "loop.round":
      return "another round begins";
    case "map.expanded":
      return `${count ?? 0} elements`;
    case "node.activated":
    case "node.resumed":
    case "loop.ended":
    case "run.completed":
    case "run.failed":
    case "run.cancelled":
    case "run.waiting":
      return "";
  }
}

/** The edges that were taken, with the conditions that held, and those that were not. */
function edgesText(ir: Ir, { node, home = "", edges = [] }: TraceStep): string {
  const graph = graphAt(ir, home);
  const from = graph?.nodes.find(({ id }) => id === node);
  const texts = (live: boolean): string[] =>
    edges.flatMap(({ to, value }, place) => {
      if ((value === "live") !== live) return [];
      const edge = graph?.edges[from?.out[place] ?? -1];
      const on = edge === undefined || edge.on === "success" ? "" : ` on ${edge.on}`;
      const condition = edge?.condition ?? null;
      return [`${to}${on}${live && condition !== null ? ` if ${condition}` : ""}`];
    });
  const [taken, left] = [texts(true), texts(false)];
  const not =
    left.length === 0 ? "" : `${taken.length === 0 ? " -> " : ", "}not ${left.join(", ")}`;
  return `${taken.length === 0 ? "" : ` -> ${taken.join(", ")}`}${not}`;
}

/** The graph of an element's home, by the maps in it. */
function graphAt(ir: Ir, home: string): Ir | undefined {
  let graph: Ir | undefined = ir;
  for (const part of home.split("/")) {
    const [, map] = /^(\d+)#/.exec(part) ?? [];
    if (map !== undefined) graph = graph?.nodes[Number(map)]?.body;
  }
  return graph;
}

/** ` [price 2, next round 3]`: element 2 of the map, round 3 of the loop. */
export function placeText(ir: Ir, home: string, scope: string): string {
  let graph: Ir | undefined = ir;
  const parts = [...home.split("/"), ...scope.split("/")].flatMap((part) => {
    const [, index = "", kind = "", count = ""] = /^(\d+)([#:])(\d+)$/.exec(part) ?? [];
    const node = graph?.nodes[Number(index)];
    if (kind === "") return [];
    if (kind === ":") return [`${node?.id ?? index} round ${count}`];
    graph = node?.body;
    return [`${node?.id ?? index} ${count}`];
  });
  return parts.length === 0 ? "" : ` [${parts.join(", ")}]`;
}

/** What was covered, in a line, and what was not, in one each. */
export function coverageLines({ nodes, edges, rules, loops, maps }: Coverage): string[] {
  const ran = nodes.filter(({ completed, failed }) => completed + failed > 0);
  const taken = edges.filter((edge) => edge.taken > 0);
  const sides = rules.flatMap(({ held, failed }) => [held > 0, failed > 0]);
  const ways = loops.flatMap(({ again, left, exhausted }) => [again > 0, left + exhausted > 0]);
  const parts = [
    share(ran.length, nodes.length, "nodes"),
    share(taken.length, edges.length, "edges"),
    share(sides.filter(Boolean).length, sides.length, "sides of rules"),
    share(ways.filter(Boolean).length, ways.length, "ways of loops"),
    share(maps.filter(({ elements }) => elements > 0).length, maps.length, "bodies of maps"),
  ].filter((part) => part !== "");
  return [`covered   ${parts.join(", ")}`, ...gaps({ nodes, edges, rules, loops, maps })];
}

function gaps({ nodes, edges, rules, loops, maps }: Coverage): string[] {
  const if_ = (condition: string | null): string => (condition === null ? "" : ` if ${condition}`);
  return [
    ...nodes
      .filter(({ completed, failed }) => completed + failed === 0)
      .map(({ id }) => `  not run: ${id}`),
    ...edges
      .filter(({ taken }) => taken === 0)
      .map(({ from, to, on, condition }) => {
        const how = on === "success" ? "" : ` on ${on}`;
        return `  not taken: ${from} -> ${to}${how}${if_(condition)}`;
      }),
    ...rules
      .filter(({ held, failed }) => held > 0 && failed === 0)
      .map(({ node, to, condition }) => `  always held: ${node} -> ${to}${if_(condition)}`),
    ...loops.flatMap(({ latch, again, left, exhausted }) => [
      ...(again === 0 ? [`  no second round: ${latch}`] : []),
      ...(left === 0 ? [`  not left by its condition: ${latch}`] : []),
      ...(exhausted === 0 ? [`  rounds not used up: ${latch}`] : []),
    ]),
    ...maps.filter(({ elements }) => elements === 0).map(({ map }) => `  no element: ${map}`),
  ];
}

function share(covered: number, all: number, what: string): string {
  return all === 0 ? "" : `${covered} of ${all} ${what}`;
}

/** Whether the order matters, and how two orders that end differently part. */
export function tellInterleavings(output: Output, found: Interleavings): void {
  const { outcomes, tried, isComplete, parting } = found;
  const extent = isComplete ? `all ${tried} orders` : `${tried} orders, not all there are,`;
  if (outcomes.length === 1) return output.line(`order     ${extent} end the same`);
  output.line(`order     ${extent} end in ${outcomes.length} different ways:`);
  for (const { status, output: value, error, count } of outcomes) {
    output.line(`  ${count} x ${status} ${error ?? JSON.stringify(value)}`);
  }
  outcomes.slice(0, 2).forEach(({ status, order }, i) => {
    output.line(`  one that ends as the ${i === 0 ? "first" : "second"} (${status}):`);
    const at = parting ?? 0;
    const begin = order.slice(0, at).join(" > ");
    output.line(`    ${begin}${begin === "" ? "" : " > "}| ${order.slice(at).join(" > ")}`);
  });
  output.line("    (the bar is where the two part)");
}

function msText(ms: number): string {
  return `${plain(ms)} ms`;
}

function plain(ms: number): string {
  return String(Math.round(ms));
}
