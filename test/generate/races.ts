/**
 * Races: branches of every sort, of which a join takes the first one or two and cancels the rest.
 * Generated workflows rarely have a loser that waits at the very moment; these are made of nothing
 * else. The seed draws who runs, how many win, and whether the race is held once, in every round, or
 * per element.
 */
import { seeded } from "../harness/random.ts";
import { SIGNALS } from "./waits.ts";
import type { JsonObject } from "./workflow.ts";

interface Part {
  nodes: object[];
  edges: [string, string][];
  /** Its first nodes and its last. */
  first: string[];
  last: string;
}

const LIMIT = { timeout_ms: 20 };
const echo = (id: string): object => ({
  ...{ id, type: "function", config: { function_name: "builtin.echo" } },
});
const one = (id: string, more: object): Part => {
  return { nodes: [{ id, ...more }], edges: [], first: [id], last: id };
};
const wait = (at: number): object => {
  return { type: "wait", config: { signal: SIGNALS[at % SIGNALS.length] }, ...LIMIT };
};

/** A branch by its number: one that is fast, and all that can be cancelled half-way. */
const BRANCHES: readonly ((id: string) => Part)[] = [
  (id) => ({ ...one(id, {}), nodes: [echo(id)] }),
  (id) => one(id, { ...wait(0) }),
  (id) => one(id, { ...wait(1) }),
  (id) => one(id, { type: "human", config: {}, ...LIMIT }),
  (id) => one(id, { type: "delay", config: { delay_ms: 15 } }),
  (id) => one(id, { type: "subworkflow", config: { workflow: "leaf", input: "${input}" } }),
  (id) => {
    const params = { attempts: 1, code: "AGAIN", message: "again", value: { count: 1 } };
    const config = { function_name: "builtin.fail", params };
    return one(id, { type: "function", config, retry: { max_attempts: 2, backoff_ms: 20 } });
  },
  (id) => {
    const inside = { id: `${id}i`, ...wait(0) };
    return one(id, { type: "map", config: { items: "input.list", do: inside } });
  },
  (id) => one(id, { type: "map", config: { items: "input.list", do: echo(`${id}i`) } }),
  // Two of its own meet, one of them late.
  (id) => ({
    nodes: [echo(`${id}a`), { id: `${id}b`, ...wait(1) }, echo(id)],
    edges: [
      [`${id}a`, id],
      [`${id}b`, id],
    ],
    first: [`${id}a`, `${id}b`],
    last: id,
  }),
  // A whole loop with a wait in each round.
  (id) => ({
    nodes: [
      { id: `${id}a`, ...wait(0) },
      {
        ...{ id, type: "loop" },
        config: { loop_back_to: `${id}a`, condition: "iteration < 3", max_iterations: 3 },
      },
    ],
    edges: [[`${id}a`, id]],
    first: [`${id}a`],
    last: id,
  }),
];

/** A race between three to five of them: begins at `head`, ends at `won`. */
function race(random: () => number): { nodes: object[]; edges: [string, string][] } {
  const count = 3 + Math.floor(random() * 3);
  const winners = random() < 0.7 ? { mode: "any" } : { count: 2 };
  const drawn = Array.from({ length: count }, (_, i) => {
    // The first is usually fast, so that there is somebody to lose to.
    const at = i === 0 && random() < 0.8 ? 0 : Math.floor(random() * BRANCHES.length);
    return (BRANCHES[at] as (id: string) => Part)(`b${i}`);
  });
  return {
    nodes: [
      echo("head"),
      ...drawn.flatMap(({ nodes }) => nodes),
      { id: "won", type: "parallel", join: { ...winners, cancel_losers: true } },
    ],
    edges: drawn.flatMap(({ edges, first, last }): [string, string][] => [
      ...first.map((to): [string, string] => ["head", to]),
      ...edges,
      [last, "won"],
    ]),
  };
}

/** The workflow of a seed; its `subworkflow` nodes run `leaf`. */
export function raceDocument(seed: number): JsonObject {
  const random = seeded(seed);
  const { nodes, edges } = race(random);
  const drawn = edges.map(([from, to]) => ({ from, to }));
  const place = ["once", "rounds", "elements"][seed % 3];
  const name = "top";
  if (place === "elements") {
    const config = { items: "input.list", do: { nodes, edges: drawn }, max_concurrency: 2 };
    return { name, nodes: [{ id: "all", type: "map", config }], edges: [] } as JsonObject;
  } else if (place === "rounds") {
    const config = { loop_back_to: "head", condition: "iteration < 2", max_iterations: 2 };
    const again = { id: "again", type: "loop", config };
    const back = [...drawn, { from: "won", to: "again" }];
    return { name, nodes: [...nodes, again], edges: back } as JsonObject;
  }
  const all = [...drawn, { from: "won", to: "end" }];
  return { name, nodes: [...nodes, echo("end")], edges: all } as JsonObject;
}
