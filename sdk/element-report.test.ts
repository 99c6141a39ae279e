import { expect, it } from "vitest";
import { compile } from "../compiler/index.ts";
import type { Ir } from "../compiler/ir.ts";
import { foldWithElements } from "./element-report.ts";
import type { Transition } from "./journal.ts";
import type { ArchivedTransition } from "./postgres/index.ts";

const wait = { id: "go", type: "wait", config: { signal: "go" } };
const each = { items: "${input.list}", do: { nodes: [wait], edges: [] } };
const document = { name: "t", nodes: [{ id: "each", type: "map", config: each }], edges: [] };

const transitions: Omit<Transition, "r">[] = [
  { e: "run.started" },
  { e: "map.expanded", n: 0, s: "", c: 3, win: 2, tol: 0, from: 0, items: ["a", "b", "c"] },
  { e: "map.started", n: 0, s: "", to: 2 },
  ...["0#0", "0#1"].map((m) => {
    return { e: "node.parked", m, n: 0, s: "", a: 1, w: { kind: "signal", signal: "go" } } as const;
  }),
];

/** A journal that can be read once: like a cursor, it is empty for whoever comes again. */
function* journal(): Generator<ArchivedTransition[]> {
  for (const [i, transition] of transitions.entries()) {
    yield [{ position: `${i}.0`, t: i, transition: { r: "r", ...transition } }];
  }
}

it("nodes and what stands still in elements are told by one pass over the journal", async () => {
  const { view, elements } = await foldWithElements(compile({ document }).ir as Ir, journal());
  expect(view.nodes["each"]).toMatchObject({ status: "running", elements: { total: 3, done: 0 } });
  const signal = { for: "signal", until: null, signal: "go" };
  const about = { node: "go", scope: "", status: "waiting", attempts: 1, wait: signal };
  expect(elements).toEqual([
    { element: "0#0", ...about },
    { element: "0#1", ...about },
  ]);
});
