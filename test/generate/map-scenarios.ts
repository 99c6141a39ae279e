/**
 * Workflows with maps, each with what must come out for any list: a table instead of a generator,
 * because the interesting thing about maps is not the shape of their bodies (those are graphs like
 * any other) but what happens around them. Lists are drawn by the test.
 */
import type { Json } from "../../compiler/ir.ts";

export interface MapScenario {
  name: string;
  nodes: object[];
  edges?: object[];
  output?: Json;
  /** The run's status and, if it completes, its output. */
  expected(list: number[]): { status: "COMPLETED" | "FAILED"; output?: Json };
}

const echo = { type: "function", config: { function_name: "builtin.echo" } };
const completed = (output: Json): { status: "COMPLETED"; output: Json } => ({
  status: "COMPLETED",
  output,
});
const double = { id: "double", type: "transform", config: { expression: "item * 2" } };

/** Fails for odd elements. */
const odd = {
  id: "odd",
  type: "function",
  config: {
    function_name: "builtin.fail",
    params: { when: "${item % 2 == 1}", code: "ODD", message: "odd", value: "${item}" },
  },
};
const isOdd = (n: number): boolean => n % 2 === 1;

function map(id: string, config: object, more: object = {}): object {
  return { id, type: "map", config: { items: "input.list", ...config }, ...more };
}

export const MAP_SCENARIOS: readonly MapScenario[] = [
  {
    name: "one node",
    nodes: [map("m", { do: double })],
    expected: (list) => completed(list.map((n) => n * 2)),
  },
  {
    name: "a chain, one element at a time, with names from outside",
    nodes: [
      { id: "a", type: "transform", config: { expression: "{'base': 100}" } },
      map("m", {
        max_concurrency: 1,
        do: {
          nodes: [
            { id: "p", ...echo },
            {
              id: "q",
              type: "transform",
              config: { expression: "[data, item, index, ctx.a.output.base + input.n]" },
            },
          ],
          edges: [{ from: "p", to: "q" }],
        },
      }),
    ],
    edges: [{ from: "a", to: "m" }],
    expected: (list) => completed(list.map((n, i) => [n, n, i, 103])),
  },
  {
    name: "branches that meet in a join, and an output template",
    nodes: [
      map("m", {
        max_concurrency: 3,
        do: {
          nodes: [
            { id: "in", type: "conditional" },
            { id: "even", type: "transform", config: { expression: "'even'" } },
            { id: "uneven", ...echo, config: { function_name: "builtin.echo", params: "odd" } },
            { id: "join", ...echo },
          ],
          edges: [
            { from: "in", to: "even", condition: "item % 2 == 0" },
            { from: "in", to: "uneven" },
            { from: "even", to: "join" },
            { from: "uneven", to: "join" },
          ],
          output: { n: "${item}", kind: "${ctx.join.output}" },
        },
      }),
    ],
    expected: (list) =>
      completed(list.map((n) => ({ n, kind: isOdd(n) ? { uneven: "odd" } : { even: "even" } }))),
  },
  {
    name: "several terminal nodes, and an any join with a loser",
    nodes: [
      map("m", {
        max_concurrency: 2,
        do: {
          nodes: [
            { id: "in", ...echo },
            { id: "x", ...echo },
            { id: "y", ...echo },
            {
              id: "first",
              ...echo,
              join: "any",
              config: { function_name: "builtin.echo", params: 1 },
            },
            { id: "side", type: "transform", config: { expression: "item" } },
          ],
          edges: [
            { from: "in", to: "x" },
            { from: "in", to: "y" },
            { from: "x", to: "first" },
            { from: "y", to: "first" },
            { from: "in", to: "side" },
          ],
        },
      }),
    ],
    expected: (list) => completed(list.map((n) => ({ first: 1, side: n }))),
  },
  {
    name: "a loop in the body, with a pause",
    nodes: [
      map("m", {
        max_concurrency: 2,
        do: {
          nodes: [
            { id: "count", type: "function", config: { function_name: "builtin.counter" } },
            {
              id: "again",
              type: "loop",
              config: {
                loop_back_to: "count",
                condition: "output.count < item",
                max_iterations: 9,
                delay_ms: 50,
              },
            },
            { id: "last", type: "transform", config: { expression: "data.count" } },
          ],
          edges: [
            { from: "count", to: "again" },
            { from: "again", to: "last" },
          ],
        },
      }),
    ],
    expected: (list) => completed(list.map((n) => Math.max(n, 1))),
  },
  {
    name: "retries and delays of elements",
    nodes: [
      map("m", {
        max_concurrency: 3,
        do: {
          nodes: [
            {
              id: "flaky",
              type: "function",
              config: {
                function_name: "builtin.fail",
                params: { when: "${item % 2 == 1}", attempts: 1, value: "${item}" },
              },
              retry: { max_attempts: 3, backoff_ms: 20 },
            },
            { id: "wait", type: "delay", config: { delay_ms: "${item * 10}" } },
          ],
          edges: [{ from: "flaky", to: "wait" }],
        },
      }),
    ],
    expected: (list) => completed(list),
  },
  {
    name: "a map in a map",
    nodes: [
      map("m", {
        max_concurrency: 2,
        do: {
          nodes: [
            { id: "p", type: "transform", config: { expression: "{'k': item}" } },
            {
              id: "inner",
              type: "map",
              config: {
                items: "[1, 2, 3]",
                max_concurrency: 2,
                do: {
                  id: "sum",
                  type: "transform",
                  config: { expression: "ctx.p.output.k * 10 + item + input.n" },
                },
              },
            },
          ],
          edges: [{ from: "p", to: "inner" }],
        },
      }),
    ],
    expected: (list) => completed(list.map((n) => [1, 2, 3].map((i) => n * 10 + i + 3))),
  },
  {
    name: "tolerated failures",
    nodes: [
      map("m", { max_concurrency: 3, tolerated_failures: 100, do: odd }),
      { id: "z", type: "transform", config: { expression: "[data, ctx.m.errors]" } },
    ],
    edges: [{ from: "m", to: "z" }],
    expected: (list) =>
      completed([
        list.map((n) => (isOdd(n) ? null : n)),
        list.flatMap((n, index) =>
          isOdd(n) ? [{ index, code: "ODD", message: "odd", node: "odd" }] : [],
        ),
      ]),
  },
  {
    name: "one failure too many, handled by an edge",
    nodes: [
      map("m", {
        max_concurrency: 2,
        do: { nodes: [{ id: "p", ...echo }, odd], edges: [{ from: "p", to: "odd" }] },
      }),
      { id: "ok", type: "transform", config: { expression: "'ok'" } },
      { id: "bad", type: "transform", config: { expression: "data.error.code" } },
    ],
    edges: [
      { from: "m", to: "ok" },
      { from: "m", to: "bad", on: "error" },
    ],
    expected: (list) => completed(list.some(isOdd) ? "ODD" : "ok"),
  },
  {
    name: "an element that fails by timeout, handled by the map's edge for that",
    nodes: [
      map("m", {
        max_concurrency: 2,
        do: {
          type: "function",
          config: {
            function_name: "builtin.fail",
            params: { when: "${item == 3}", code: "TIMEOUT", message: "slow", value: "${item}" },
          },
        },
      }),
      { id: "ok", type: "transform", config: { expression: "'ok'" } },
      { id: "bad", type: "transform", config: { expression: "'bad'" } },
      { id: "late", type: "transform", config: { expression: "data.error.code" } },
    ],
    edges: [
      { from: "m", to: "ok" },
      { from: "m", to: "bad", on: "error" },
      { from: "m", to: "late", on: "timeout" },
    ],
    expected: (list) => completed(list.includes(3) ? "TIMEOUT" : "ok"),
  },
  {
    name: "one failure too many, in a map of a map",
    nodes: [
      map("m", {
        max_concurrency: 2,
        tolerated_failures: 1,
        do: { id: "inner", type: "map", config: { items: "[item, 2, item, 4]", do: odd } },
      }),
    ],
    expected: (list) =>
      list.filter(isOdd).length > 1
        ? { status: "FAILED" }
        : completed(list.map((n) => (isOdd(n) ? null : [n, 2, n, 4]))),
  },
  {
    name: "rounds of a loop, each with a map, and a loser of an any join that is void",
    nodes: [
      { id: "head", type: "function", config: { function_name: "builtin.counter" } },
      map("m", {
        max_concurrency: 2,
        do: {
          nodes: [
            { id: "p", ...echo },
            { id: "q", ...echo },
          ],
          edges: [{ from: "p", to: "q" }],
        },
      }),
      { id: "short", ...echo },
      {
        id: "first",
        ...echo,
        join: "any",
        config: { function_name: "builtin.echo", params: { count: "${ctx.head.output.count}" } },
      },
      {
        id: "again",
        type: "loop",
        config: { loop_back_to: "head", condition: "output.count < 3", max_iterations: 5 },
      },
      { id: "out", type: "transform", config: { expression: "data.count" } },
    ],
    edges: [
      { from: "head", to: "m" },
      { from: "head", to: "short" },
      { from: "m", to: "first" },
      { from: "short", to: "first" },
      { from: "first", to: "again" },
      { from: "again", to: "out" },
    ],
    expected: () => completed(3),
  },
];

/** The scenario as a workflow file. */
export function documentOf(scenario: MapScenario): object {
  const { name, nodes, edges = [], output } = scenario;
  return { name, nodes, edges, ...(output === undefined ? {} : { output }) };
}
