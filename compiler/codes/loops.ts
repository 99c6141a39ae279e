/** GV2010–GV2018: loops. */
import { LOOP_DEPTH_MAX } from "../limits.ts";
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const TWICE = "max_iterations: 2, condition: iteration < 2";

const poll = (config: string): string => `
name: poll
nodes:
  - { id: ask, type: noop }
  - { id: again, type: loop, config: { ${config} } }
edges:
  - { from: ask, to: again }
`;

const RIGHT = poll("loop_back_to: ask, max_iterations: 5, condition: iteration < 3");

const body = (edges: string): string => `
name: poll
nodes:
  - { id: start, type: noop }
  - { id: ask, type: noop }
  - { id: look, type: noop }
  - { id: again, type: loop, config: { loop_back_to: ask, max_iterations: 5, condition: iteration < 3 } }
  - { id: done, type: noop }
edges:
  - { from: start, to: ask }
  - { from: ask, to: look }
  - { from: look, to: again }
  - { from: again, to: done }
${edges}`;

/** Loops around one node, each of which goes back to the first. */
function nested(depth: number): string {
  const ids = Array.from({ length: depth }, (_, i) => `l${i}`);
  const config = "loop_back_to: a, max_iterations: 2, condition: iteration < 2";
  const nodes = ids.map((id) => `  - { id: ${id}, type: loop, config: { ${config} } }\n`);
  const edges = ids.map((id, i) => `  - { from: ${ids[i - 1] ?? "a"}, to: ${id} }\n`);
  return `name: nested\nnodes:\n  - { id: a, type: noop }\n${nodes.join("")}edges:\n${edges.join("")}`;
}

const twoLoops = (first: string, second: string): string => `
name: two
nodes:
  - { id: a, type: noop }
  - { id: b, type: noop }
  - { id: c, type: loop, config: { loop_back_to: ${first}, ${TWICE} } }
  - { id: d, type: loop, config: { loop_back_to: ${second}, ${TWICE} } }
edges:
  - { from: a, to: b }
  - { from: b, to: c }
  - { from: c, to: d }
`;

export const LOOP_CODES = {
  GV2010: error({
    title: "loop without a limit",
    remedy: "set max_iterations to an integer from 1",
    meaning: "`max_iterations` is missing, or no integer from 1.",
    why: "A condition that stays true would run for ever.",
    wrong: poll("loop_back_to: ask, condition: iteration < 3"),
    right: RIGHT,
  }),
  GV2011: error({
    title: "loop goes back to a wrong place",
    remedy: "name the node itself or an earlier node",
    meaning: "`loop_back_to` names a node that does not exist or does not lead to the loop node.",
    why: "A round goes from there to the loop node; without a path it would never arrive.",
    wrong: poll("loop_back_to: asc, max_iterations: 5, condition: iteration < 3"),
    right: RIGHT,
  }),
  GV2012: error({
    title: "loop body entered elsewhere",
    remedy: "enter the body through its head only",
    meaning: "An edge from outside leads into the middle of a loop's body.",
    why: "What comes in there would belong to no round.",
    wrong: body("  - { from: start, to: look }\n"),
    right: body(""),
  }),
  GV2013: error({
    title: "loop body left elsewhere",
    remedy: "leave the body from the loop node only",
    meaning:
      "An edge leads from inside a loop's body to a node that does not lead back to the loop node.",
    why: "It would be taken once per round; what comes after a loop comes once.",
    wrong: body("  - { from: look, to: out }\n").replace(
      "edges:",
      "  - { id: out, type: noop }\nedges:",
    ),
    right: body("  - { from: again, to: out }\n").replace(
      "edges:",
      "  - { id: out, type: noop }\nedges:",
    ),
  }),
  GV2014: error({
    title: "overlapping loops",
    remedy: "make the loops disjoint, or one part of the other",
    meaning: "Two loops share nodes, and neither contains the other.",
    why: "A shared node would be in a round of both, and none could end.",
    wrong: twoLoops("a", "b"),
    right: twoLoops("b", "a"),
  }),
  GV2015: error({
    title: "two loops end at one node",
    remedy: "give each loop a node of its own to end at",
    meaning: "A `loop` node has its keys in `config` and another loop in the property `loop`.",
    why: "One node decides on one loop.",
    wrong: `
name: poll
nodes:
  - id: ask
    type: loop
    config: { max_iterations: 5, condition: iteration < 3 }
    loop: { max_iterations: 2, condition: iteration < 2 }
`,
    right: `
name: poll
nodes:
  - id: ask
    type: loop
    config: { max_iterations: 5, condition: iteration < 3 }
`,
  }),
  GV2016: error({
    title: "loop without a condition",
    remedy: "say when another round is wanted",
    meaning: "The loop has no `condition`.",
    why: "It would always do `max_iterations` rounds and then fail with `MAX_ITERATIONS`.",
    wrong: poll("loop_back_to: ask, max_iterations: 5"),
    right: RIGHT,
  }),
  GV2017: error({
    title: "loops nested too deep",
    remedy: "move inner loops into a workflow of their own",
    meaning: `Loops stand inside each other, more than ${LOOP_DEPTH_MAX} deep.`,
    why: "Every token carries its round of every loop around it.",
    wrong: nested(LOOP_DEPTH_MAX + 1),
    right: nested(2),
  }),
  GV2018: warning({
    title: "condition of a drawn back edge",
    remedy: "put it into the loop's own condition",
    meaning: "The loop's way back is also drawn as an edge, and that edge has a condition.",
    why: "Another round is decided by the loop's `condition` alone; the edge's is ignored.",
    wrong: `${RIGHT}  - { from: again, to: ask, condition: output.ready == false }\n`,
    right: RIGHT,
  }),
} as const satisfies Record<string, CodeSpec>;
