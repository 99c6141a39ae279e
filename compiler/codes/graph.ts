/** GV2001–GV2007 and GV2020–GV2029: nodes and edges. Loops are in loops.ts. */
import { MAP_DEPTH_MAX } from "../limits.ts";
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const CHAIN = `
name: greet
nodes:
  - { id: hello, type: noop }
  - { id: bye, type: noop }
edges:
  - { from: hello, to: bye }
`;

const tier = (edges: string): string => `
name: greet
nodes:
  - { id: tier, type: conditional }
  - { id: gold, type: noop }
  - { id: plain, type: noop }
edges:
${edges}`;

const TIER_RIGHT = tier(`  - { from: tier, to: gold, condition: output.points > 9 }
  - { from: tier, to: plain }
`);

const WIDE_NODES = Array.from({ length: 501 }, (_, i) => `  - { id: n${i}, type: noop }\n`).join(
  "",
);
const WIDE_EDGES = Array.from({ length: 501 }, (_, i) => `  - { from: n${i}, to: first }\n`).join(
  "",
);
const wide = (join: string): string =>
  `name: wide\nnodes:\n  - { id: first, type: noop, join: ${join} }\n${WIDE_NODES}edges:\n${WIDE_EDGES}`;

const RACE = `
name: race
nodes:
  - { id: fast, type: noop }
  - { id: slow, type: noop }
  - { id: other, type: noop }
  - { id: first, type: noop, join: { mode: any, cancel_losers: true } }
edges:
  - { from: fast, to: first }
  - { from: slow, to: first }
  - { from: first, to: other }
`;

/** Two ways of which one is taken, and a node that both lead to. */
const merged = (join: string): string => `
name: customer
nodes:
  - { id: tier, type: conditional }
  - { id: gold, type: noop }
  - { id: plain, type: noop }
  - { id: greet, type: noop, join: ${join} }
edges:
  - { from: tier, to: gold, condition: input.points > 9 }
  - { from: tier, to: plain }
  - { from: gold, to: greet }
  - { from: plain, to: greet }
`;

/** An approval whose answer is told apart at `from`. */
const asked = (from: string, edges: string): string => `
name: payment
nodes:
  - { id: ask, type: human, config: { title: "Pay?" } }
${edges === "" ? "" : "  - { id: answer, type: conditional }\n"}  - { id: pay, type: noop }
  - { id: refuse, type: noop }
edges:
${edges}  - { from: ${from}, to: pay, condition: output.approved }
  - { from: ${from}, to: refuse }
`;

/** Maps inside one another, each the only node of the body around it. */
function nestedMaps(depth: number): string {
  const open = "{ type: map, config: { do: ".repeat(depth - 1);
  const close = " } }".repeat(depth - 1);
  const inner = `${open}{ type: noop }${close}`;
  return `name: nested\nnodes:\n  - { id: m, type: map, config: { do: ${inner} } }\n`;
}

export const GRAPH_CODES = {
  GV2001: error({
    title: "edge to or from a node that does not exist",
    remedy: "name an existing node",
    meaning: "`from`, `to`, or a path of a loop or branch names an id that no node has.",
    why: "The run would have nowhere to go from there.",
    wrong: CHAIN.replace("to: bye", "to: buy"),
    right: CHAIN,
  }),
  GV2002: error({
    title: "self edge",
    remedy: "use a loop node to repeat a node",
    meaning: "An edge leads from a node to itself.",
    why: "The node would wait for its own output before its first start.",
    wrong: `${CHAIN}  - { from: bye, to: bye }\n`,
    right: `
name: greet
nodes:
  - { id: hello, type: noop }
  - id: bye
    type: loop
    config: { max_iterations: 3, condition: iteration < 3 }
edges:
  - { from: hello, to: bye }
`,
  }),
  GV2003: error({
    title: "duplicate edge",
    remedy: "remove one, or give it another condition or `on`",
    meaning: "Two edges join the same two nodes, with the same `on` and the same condition.",
    why: "A node takes one value from each edge: the second could not say anything else.",
    wrong: `${CHAIN}  - { from: hello, to: bye }\n`,
    right: CHAIN,
  }),
  GV2004: error({
    title: "no entry node",
    remedy: "a run starts at nodes without in-edges: leave one so",
    meaning: "Every node has an in-edge.",
    why: "A run starts at the nodes that wait for nobody. Here all of them wait.",
    also: ["GV2006"],
    wrong: `${CHAIN}  - { from: bye, to: hello }\n`,
    right: CHAIN,
  }),
  GV2005: error({
    title: "unreachable node",
    remedy: "draw an edge to it from a node that runs, or remove it",
    meaning: "No path from an entry node leads to this node.",
    why: "It would never run.",
    also: ["GV2006"],
    wrong: `
name: greet
nodes:
  - { id: hello, type: noop }
  - { id: bye, type: noop }
  - { id: lost, type: noop }
  - { id: again, type: noop }
edges:
  - { from: hello, to: bye }
  - { from: lost, to: again }
  - { from: again, to: lost }
`,
    right: `
name: greet
nodes:
  - { id: hello, type: noop }
  - { id: lost, type: noop }
  - { id: again, type: noop }
edges:
  - { from: hello, to: lost }
  - { from: lost, to: again }
`,
  }),
  GV2006: error({
    title: "cycle without a loop",
    remedy: "make the last node of the cycle a loop node",
    meaning: "Edges lead in a circle, and none of its nodes is a loop with a limit.",
    why: "Nothing would end it; and a join in a circle waits for itself.",
    wrong: `
name: greet
nodes:
  - { id: start, type: noop }
  - { id: hello, type: noop }
  - { id: bye, type: noop }
edges:
  - { from: start, to: hello }
  - { from: hello, to: bye }
  - { from: bye, to: hello }
`,
    right: `
name: greet
nodes:
  - { id: start, type: noop }
  - { id: hello, type: noop }
  - id: bye
    type: loop
    config: { loop_back_to: hello, max_iterations: 3, condition: iteration < 3 }
edges:
  - { from: start, to: hello }
  - { from: hello, to: bye }
`,
  }),
  GV2007: warning({
    title: "node without edges",
    remedy: "connect it; as it is, it starts with the run",
    meaning: "A node has neither in- nor out-edges, in a workflow that has edges.",
    why: "It is allowed, and starts at once; mostly an edge was forgotten.",
    wrong: CHAIN.replace("edges:", "  - { id: alone, type: noop }\nedges:"),
    right: CHAIN,
  }),
  GV2020: error({
    title: "join counts more than its in-edges",
    remedy: "lower the count, or add edges",
    meaning: "`join: {count: n}` waits for more arrivals than the node has in-edges.",
    why: "It could never fire.",
    wrong: CHAIN.replace("id: bye, type: noop", "id: bye, type: noop, join: { count: 2 }"),
    right: CHAIN.replace("id: bye, type: noop", "id: bye, type: noop, join: { count: 1 }"),
  }),
  GV2021: error({
    title: "two defaults",
    remedy: "give all but one of these edges a condition",
    meaning: "Two edges of a `conditional` node have no condition.",
    why: "The edge without a condition is taken when no other holds, and only one can be.",
    wrong: tier(`  - { from: tier, to: gold }
  - { from: tier, to: plain }
`),
    right: TIER_RIGHT,
  }),
  GV2022: error({
    title: "edge never taken",
    remedy: "put it before the condition that always holds",
    meaning: "An edge of a `conditional` node stands after a condition that always holds.",
    why: "The first edge that holds is taken, so this one never is.",
    wrong: tier(`  - { from: tier, to: gold, condition: "true" }
  - { from: tier, to: plain, condition: output.points > 9 }
`),
    right: TIER_RIGHT,
  }),
  GV2023: warning({
    title: "conditions may all be false",
    remedy: "add an edge without a condition",
    meaning:
      "A `conditional` node has no default edge, and its conditions do not visibly cover " +
      "every case.",
    why: "If none holds the node fails with `NO_BRANCH_MATCHED`.",
    wrong: tier(`  - { from: tier, to: gold, condition: output.points > 9 }
  - { from: tier, to: plain, condition: output.points < 5 }
`),
    right: TIER_RIGHT,
  }),
  GV2024: error({
    title: "too many edges for this node",
    remedy: "split them over several nodes",
    meaning:
      "More than 500 edges at one node are split into a tree, which is not possible for a " +
      "join of `any` or a count, for the choices of a `conditional` node with `mode: all`, nor " +
      "where a condition reads what may be another thing one step later: the `iteration` of a " +
      "loop that is being left, `run.attempt`, or a node that a race has left behind.",
    why: "One step of such a node would hold up all others of its partition.",
    wrong: wide("any"),
    right: wide("all"),
  }),
  GV2025: error({
    title: "maps nested too deep",
    remedy: "move inner maps into a workflow of their own",
    meaning: `More than ${MAP_DEPTH_MAX} maps are inside one another.`,
    why: "The place of a token has a part for each map around it, and travels with the token.",
    wrong: nestedMaps(MAP_DEPTH_MAX + 1),
    right: nestedMaps(MAP_DEPTH_MAX),
  }),
  GV2026: error({
    title: "losers that cannot be cancelled",
    remedy: "let each branch lead to the join and nowhere else",
    meaning:
      "`cancel_losers` stands on a join whose branches cannot be cancelled: one of them also leads " +
      "elsewhere, there are none, or the join waits for all of them.",
    why: "What is cancelled with a branch must be of no use to anything but the join.",
    wrong: `${RACE}  - { from: slow, to: other }\n`,
    right: RACE,
  }),
  GV2027: warning({
    title: "edge always taken beside one with a condition",
    remedy: "put a `conditional` node between, or write `condition: true` at the edge",
    meaning:
      "A node that is no `conditional` has an edge with a condition and another one without. Each " +
      "edge of such a node decides for itself, so the one without is no default: it is taken always. " +
      "So it is with the edges `on: error`, `timeout` and `always` of every node. Nothing is said of " +
      "a `parallel` node, nor where that edge leads to what the others lead to " +
      "in the end.",
    why: "If it was meant for the other case, both ways are gone.",
    wrong: asked("ask", ""),
    right: asked("answer", "  - { from: ask, to: answer }\n"),
  }),
  GV2028: warning({
    title: "join that never has its count",
    remedy: "wait for as many as can be taken in one run",
    meaning:
      "`join: {count: n}` stands where fewer than n of the in-edges can be taken in one run: the " +
      "others belong to ways of a `conditional` that was not chosen, or to the failure of a node " +
      "that has succeeded.",
    why: "The node is skipped in every run, with all that follows it, and the run completes.",
    wrong: merged("{ count: 2 }"),
    right: merged("any"),
  }),
} as const satisfies Record<string, CodeSpec>;
