/**
 * What generated workflows do not do and a run must outlive too: waits that somebody else ends,
 * children, outputs that are kept beside the run, compensation. Their outcome is written down here.
 */
import type { Json } from "../../compiler/index.ts";

export interface Scenario {
  document: { metadata: { name: string }; [key: string]: unknown };
  status: "COMPLETED" | "FAILED";
  /** Output of the run with this input; null if it fails. */
  output(input: { n: number }): Json;
  /** A signal that each run waits for. */
  signal?: string;
  /** What it did is undone by a run of its own. */
  isUndone?: true;
}

const BIG = 20_000;
const fn = (id: string, name: string, params: object, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: `builtin.${name}`, params } },
  ...more,
});
const edges = (...ids: string[]): object[] => ids.slice(1).map((to, i) => ({ from: ids[i], to }));
const named = (name: string): { metadata: { name: string } } => ({ metadata: { name } });

/** Run by a scenario; published under its name. */
export const CHILD = {
  ...named("chaos-child"),
  nodes: [fn("add", "add", { a: "${input.n}", b: 1 }), fn("echo", "echo", { sum: "${data.sum}" })],
  edges: edges("add", "echo"),
  output: { sum: "${ctx.echo.output.sum}" },
};

export const SCENARIOS: readonly Scenario[] = [
  {
    document: {
      ...named("chaos-signal"),
      nodes: [
        fn("a", "echo", { n: "${input.n}" }),
        { id: "w", type: "wait", config: { signal: "go" } },
        fn("b", "add", { a: "${input.n}", b: 10 }),
      ],
      edges: edges("a", "w", "b"),
      output: { got: "${ctx.w.output.word}", sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ got: "go", sum: n + 10 }),
    signal: "go",
  },
  {
    document: {
      ...named("chaos-parent"),
      nodes: [
        ...["s", "t"].map((id) => ({
          ...{ id, type: "subworkflow" },
          config: { workflow: "chaos-child", input: { n: "${input.n}" } },
        })),
        {
          ...{ id: "m", type: "map" },
          config: {
            items: "[1, 2, 3]",
            do: {
              ...{ id: "c", type: "subworkflow" },
              config: { workflow: "chaos-child", input: { n: "${item}" } },
            },
          },
        },
        fn("end", "add", { a: "${ctx.s.output.sum}", b: "${ctx.t.output.sum}" }),
      ],
      edges: [...edges("s", "end"), ...edges("t", "end"), ...edges("m", "end")],
      output: { sum: "${ctx.end.output.sum}", each: "${ctx.m.output}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: 2 * n + 2, each: [{ sum: 2 }, { sum: 3 }, { sum: 4 }] }),
  },
  {
    document: {
      ...named("chaos-blob"),
      nodes: [
        fn("big", "echo", { text: "x".repeat(BIG), n: "${input.n}" }),
        fn("same", "echo", { text: "${data.text}", n: "${data.n}" }),
        fn("small", "echo", { size: "${size(data.text)}", n: "${data.n}" }),
      ],
      edges: edges("big", "same", "small"),
      output: { size: "${ctx.small.output.size}", n: "${ctx.small.output.n}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ size: BIG, n }),
  },
  {
    document: {
      ...named("chaos-undo"),
      nodes: [
        ...["one", "two"].map((id) =>
          fn(id, "echo", { id }, { compensate: { function_name: "builtin.echo" } }),
        ),
        fn("boom", "fail", { code: "BOOM" }),
      ],
      edges: edges("one", "two", "boom"),
    },
    status: "FAILED",
    output: () => null,
    isUndone: true,
  },
];
