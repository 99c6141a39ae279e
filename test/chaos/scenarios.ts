/**
 * What generated workflows do not do and a run must outlive too: waits that somebody else ends,
 * people's decisions, children, limits, circuits, starts in the middle, outputs that are kept beside
 * the run, compensation, redrives. Their outcome is written down here.
 */
import type { Json } from "../../compiler/index.ts";

export interface Scenario {
  document: { metadata: { name: string }; [key: string]: unknown };
  /** What else its submissions say. */
  submission?: object;
  status: "COMPLETED" | "FAILED";
  /** Output of the run with this input; null if it fails. */
  output(input: { n: number }): Json;
  /** A signal that each run waits for. */
  signal?: string;
  /** It fails, is redriven with these inputs of nodes, and ends as said here in the end. */
  redriveInputs?: { [node: string]: Json };
  /** What it did is undone by a run of its own. */
  isUndone?: true;
  /** So many runs of CHILD belong to each run. */
  children?: number;
}

const BIG = 20_000;
const fn = (id: string, name: string, params: object, more: object = {}): object => ({
  ...{ id, type: "function", config: { function_name: `builtin.${name}`, params } },
  ...more,
});
const edges = (...ids: string[]): object[] => ids.slice(1).map((to, i) => ({ from: ids[i], to }));
const named = (name: string): { metadata: { name: string } } => ({ metadata: { name } });

const NEVER = { type: "wait", config: { signal: "never" } };

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
    children: 5,
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
  {
    document: {
      ...named("chaos-approval"),
      nodes: [
        {
          ...{ id: "ask", type: "human" },
          config: { title: "Go on?", assignees: ["ann", "bob", "eve"], required: 2 },
        },
        fn("b", "add", { a: "${input.n}", b: 20 }),
      ],
      edges: edges("ask", "b"),
      output: { agreed: "${size(ctx.ask.output.by)}", sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ agreed: 2, sum: n + 20 }),
  },
  {
    document: {
      ...named("chaos-redrive"),
      nodes: [
        fn("a", "add", { a: "${input.n}", b: 30 }),
        { id: "w", type: "wait", config: { signal: "bad" } },
        fn("look", "fail", { code: "BAD_WORD", when: "${data.word == 'bad'}" }),
        fn("b", "add", { a: "${ctx.a.output.sum}", b: 1 }),
      ],
      edges: edges("a", "w", "look", "b"),
      output: {
        was: "${ctx.w.output.word}",
        is: "${ctx.look.output.word}",
        sum: "${ctx.b.output.sum}",
      },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ was: "bad", is: "good", sum: n + 31 }),
    signal: "bad",
    redriveInputs: { look: { word: "good" } },
  },
  {
    document: {
      ...named("chaos-limits"),
      settings: { concurrency: { limit: 20 } },
      nodes: [
        fn("a", "echo", { n: "${input.n}" }, { rate_limit: { key: "chaos", per_second: 50 } }),
        fn("b", "add", { a: "${data.n}", b: 40 }, { rate_limit: { key: "chaos", per_second: 50 } }),
      ],
      edges: edges("a", "b"),
      output: { sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: n + 40 }),
  },
  {
    document: {
      ...named("chaos-detached"),
      nodes: [
        {
          ...{ id: "start", type: "subworkflow" },
          config: { workflow: "chaos-child", input: { n: "${input.n}" }, wait: false },
        },
        fn("b", "add", { a: "${input.n}", b: 50 }),
      ],
      edges: edges("start", "b"),
      output: { sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: n + 50 }),
    children: 1,
  },
  {
    document: {
      ...named("chaos-circuit"),
      nodes: [
        fn(
          "a",
          "fail",
          { attempts: 1, value: { n: "${input.n}" } },
          {
            retry: { max_attempts: 3, backoff_ms: 50 },
            circuit_breaker: { key: "chaos", failures: 5, within_ms: 2000, open_ms: 200 },
            rate_limit: { key: "chaos-circuit", per_second: 100 },
          },
        ),
        fn("b", "add", { a: "${data.n}", b: 60 }),
      ],
      edges: edges("a", "b"),
      output: { sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: n + 60 }),
  },
  {
    document: {
      ...named("chaos-middle"),
      nodes: [
        fn("a", "fail", { code: "NOT_ASKED" }),
        fn("b", "add", { a: "${ctx.a.output.n}", b: "${input.n}" }),
        fn("c", "add", { a: "${data.sum}", b: 1 }),
      ],
      edges: edges("a", "b", "c"),
      output: { sum: "${ctx.c.output.sum}" },
    },
    submission: { start_at: ["b"], outputs: { a: { n: 70 } } },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: n + 71 }),
  },
  {
    document: {
      ...named("chaos-race"),
      nodes: [
        fn("a", "add", { a: "${input.n}", b: 80 }),
        fn("fast", "echo", { sum: "${data.sum}" }),
        // None of these ever ends by itself.
        { id: "silent", ...NEVER },
        { id: "slow", type: "delay", config: { delay_ms: 86_400_000 } },
        { id: "each", type: "map", config: { items: "[1, 2, 3]", do: { id: "one", ...NEVER } } },
        fn("again", "fail", { code: "AGAIN" }, { retry: { max_attempts: 50, backoff_ms: 60_000 } }),
        { id: "won", type: "parallel", join: { mode: "any", cancel_losers: true } },
        fn("b", "add", { a: "${ctx.a.output.sum}", b: 1 }),
      ],
      edges: [
        ...["fast", "silent", "slow", "each", "again"].flatMap((id) => edges("a", id, "won")),
        ...edges("won", "b"),
      ],
      output: { sum: "${ctx.b.output.sum}" },
    },
    status: "COMPLETED",
    output: ({ n }) => ({ sum: n + 81 }),
  },
];

/** Workflows whose runs fail, and do not end with that. */
export const REDRIVEN: readonly string[] = SCENARIOS.flatMap(({ document, redriveInputs }) =>
  redriveInputs === undefined ? [] : [document.metadata.name],
);
