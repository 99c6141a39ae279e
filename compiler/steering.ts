/**
 * Edges that decide: joins that can fire, defaults, conditions that are never asked.
 *
 * In a first-match node edges are tried in file order and an edge without a condition comes last
 * whatever its place; so one that always holds hides all behind it, and the default too.
 */
import { describeWitness, partition } from "../condition/index.ts";
import type { Reporter } from "./diagnostics.ts";
import type { FlatEdge, FlatNode } from "./expand.ts";
import type { Graph } from "./graph.ts";

/** What edges may follow; those of one end are read together. */
const ENDS: readonly FlatEdge["on"][] = ["success", "error", "timeout", "always"];

/** Check joins and first-match nodes of a graph. */
export function checkSteering(graph: Graph, fanMax: number, reporter: Reporter): void {
  graph.nodes.forEach((node, index) => {
    checkJoin(graph, index, fanMax, reporter);
    const routing = node.source?.routing ?? "each";
    const edges = (graph.out[index] ?? []).flatMap((edge) => graph.edges[edge] ?? []);
    for (const on of ENDS) {
      // Of its success edges a steering node chooses.
      if (on === "success" && routing !== "each") continue;
      const after = edges.filter((edge) => edge.on === on);
      warnOfNoDefault(graph, node, after, reporter);
    }
    if (routing === "each") return;
    // Only `success` edges compete; `always` edges decide for themselves, beside the choice.
    if (routing === "all" && edges.length > fanMax) {
      reportTooMany(node, edges.length, fanMax, reporter);
    }
    const candidates = edges.filter((edge) => edge.on === "success");
    const isDecided =
      routing === "first"
        ? checkFirstMatch(node.id, candidates, reporter)
        : candidates.some((edge) => !edge.condition || isAlways(edge));
    if (isDecided || node.source?.onNoMatch === "skip" || candidates.length === 0) return;
    const { isThere, example } = findGap(candidates);
    if (!isThere) return;
    reporter.report({
      code: "GV2023",
      pointer: node.pointer,
      message:
        `all conditions of \`${node.id}\` may be false` +
        (example === "" ? "" : `, as for ${example}`) +
        ": the node would fail with NO_BRANCH_MATCHED",
      hint: 'add an edge without a condition, or set config.on_no_match to "skip"',
    });
  });
}

function checkJoin(graph: Graph, index: number, fanMax: number, reporter: Reporter): void {
  const node = graph.nodes[index];
  const join = node?.source?.join;
  const degree = graph.in[index]?.length ?? 0;
  if (!node || !join || join.kind === "all" || join.kind === "settled") return;
  if (join.kind === "count" && join.count > Math.max(1, degree)) {
    reporter.report({
      code: "GV2020",
      pointer: join.pointer,
      message: `\`${node.id}\` waits for ${join.count} arrivals but has ${degree} in-edges`,
      hint: "it could never fire",
    });
  }
  if (degree > fanMax) {
    reporter.report({
      code: "GV2024",
      pointer: join.pointer,
      message: `\`${node.id}\` has ${degree} in-edges; join ${join.kind} takes ${fanMax}`,
    });
  }
}

/** Of the edges that hold each one is taken: parts of them cannot stand for the whole. */
function reportTooMany(node: FlatNode, count: number, max: number, reporter: Reporter): void {
  reporter.report({
    code: "GV2024",
    pointer: node.pointer,
    message: `\`${node.id}\` has ${count} out-edges; with mode all it can have ${max}`,
    hint: "use a parallel node, whose edges decide for themselves",
  });
}

/** Report what is wrong; whether some edge is certainly taken. */
function checkFirstMatch(id: string, candidates: readonly FlatEdge[], reporter: Reporter): boolean {
  const defaults = candidates.filter((edge) => !edge.condition);
  const [first, ...others] = defaults;
  for (const edge of others) {
    reporter.report({
      code: "GV2021",
      pointer: edge.pointer,
      message: `\`${id}\` has two edges without a condition: only one can be the default`,
      related: [{ message: "the other default", pointer: first?.pointer ?? "" }],
    });
  }
  const conditional = candidates.filter((edge) => edge.condition);
  const always = conditional.findIndex(isAlways);
  if (always < 0) return first !== undefined;
  const hiding = conditional[always];
  for (const edge of [...conditional.slice(always + 1), ...defaults]) {
    reporter.report({
      code: "GV2022",
      pointer: edge.condition?.pointer ?? edge.pointer,
      message: `this edge of \`${id}\` is never taken: an earlier condition always holds`,
      related: [{ message: "always holds", pointer: hiding?.condition?.pointer ?? "" }],
    });
  }
  return true;
}

/** Nodes behind an edge that are looked at; where there are more, nothing is said. */
const BEHIND_MAX = 1000;

/**
 * An edge without a condition beside one with: read as "else", it is "always". Of a `parallel` node
 * nobody thinks so, `condition: true` says that it is meant, and one that leads to where the others
 * come out is a way around steps that may be left out.
 */
function warnOfNoDefault(
  graph: Graph,
  node: FlatNode,
  edges: readonly FlatEdge[],
  reporter: Reporter,
): void {
  if (node.source === null || node.source.type === "parallel") return;
  const conditional = edges.filter((edge) => edge.condition && !isAlways(edge));
  const [asking] = conditional;
  if (!asking || edges.every((edge) => edge.condition)) return;
  const behind = nodesBehind(
    graph,
    conditional.map(({ to }) => to),
  );
  const plain = edges.find((edge) => !edge.condition && behind?.has(edge.to) === false);
  if (!plain) return;
  const isChoice = plain.on === "success";
  reporter.report({
    code: "GV2027",
    pointer: plain.pointer,
    message:
      `this edge of \`${node.id}\` is always taken, also where the condition of another holds: ` +
      (isChoice
        ? "only at a `conditional` node it would be the default"
        : `edges \`on: ${plain.on}\` have no default`),
    ...(!isChoice && { hint: "write the opposite of the other's condition, or `condition: true`" }),
    related: [{ message: "the condition", pointer: asking.condition?.pointer ?? asking.pointer }],
  });
}

/** The nodes that edges lead to from `starts`, and these; null if they are too many. */
function nodesBehind(graph: Graph, starts: readonly number[]): ReadonlySet<number> | null {
  const seen = new Set(starts);
  for (const at of seen) {
    if (seen.size > BEHIND_MAX) return null;
    for (const edge of graph.out[at] ?? []) {
      const to = graph.edges[edge]?.to;
      if (to !== undefined) seen.add(to);
    }
  }
  return seen;
}

/** Whether the condition is `true`, in parentheses or not. */
export function isAlways(edge: FlatEdge): boolean {
  return edge.condition !== null && /^[\s(]*true[\s)]*$/.test(edge.condition.source);
}

/** Combinations of values that are tried to find one for which nothing holds. */
const TRIES_MAX = 5_000;

/**
 * Whether one of the conditions always holds (or cannot be evaluated, which is a failure of its
 * own), and if not an example of values for which none does.
 */
function findGap(edges: readonly FlatEdge[]): { isThere: boolean; example: string } {
  const sources = edges.flatMap((edge) => (edge.condition ? [edge.condition.source] : []));
  const found = partition(sources, { triesMax: TRIES_MAX });
  if (!found) return { isThere: true, example: "" };
  const gap = found.cases.find(({ truths }) => truths.every((truth) => truth === "false"));
  const isShown = gap !== undefined && found.isExact;
  return { isThere: gap !== undefined, example: isShown ? describeWitness(gap.witness) : "" };
}
