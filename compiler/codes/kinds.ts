/** GV4xxx: node types and their configs. */
import { error, warning } from "./code.ts";
import type { CodeSpec } from "./code.ts";

const node = (type: string, config: string, more = ""): string => `
name: one
nodes:
  - { id: step, type: ${type}, config: { ${config} }${more === "" ? "" : `, ${more}`} }
`;

const asked = (limit: string): string => `
name: two
nodes:
  - { id: ask, type: wait, config: { signal: go }${limit} }
  - { id: late, type: noop }
edges:
  - { from: ask, to: late, on: timeout }
`;

export const KIND_CODES = {
  GV4001: error({
    title: "unknown node type",
    remedy: "use one of the node types",
    meaning: "`type` names nothing that this version knows.",
    why: "Nobody could execute the node.",
    wrong: node("functoin", "function_name: f"),
    right: node("function", "function_name: f"),
  }),
  GV4002: error({
    title: "node type not supported yet",
    remedy: "use another node type for now",
    meaning: "The type belongs to the format, but this version does not execute it.",
    why: "The run would stop at this node.",
    wrong: node("emit", ""),
    right: node("function", "function_name: f"),
  }),
  GV4003: error({
    title: "config does not fit the node type",
    remedy: "correct the value in config",
    meaning: "A key of `config` is missing or has a wrong value, by the schema of the node's type.",
    why: "The node would fail in every run.",
    wrong: node("delay", "delay_ms: -5"),
    right: node("delay", "delay_ms: 5"),
  }),
  GV4004: warning({
    title: "unknown key in config",
    remedy: "remove it, or correct its spelling",
    meaning: "`config` has a key that the node's type does not read.",
    why:
      "Files of other origin carry such keys, so it is no error; a misspelt key would " +
      "have no effect.",
    wrong: node("http", 'url: "https://example.com", metod: POST'),
    right: node("http", 'url: "https://example.com", method: POST'),
  }),
  GV4005: error({
    title: "property without effect on this node",
    remedy: "remove it, or put it where work is done",
    meaning:
      "`retry`, `compensate`, `rate_limit`, `circuit_breaker`, `timeout_ms` and `queue_timeout_ms` " +
      "are for nodes that do work. Nodes of pure kinds are evaluated on the way, with the same end " +
      "each time, and a delay takes as long as it says; a map's work is done by the nodes of its " +
      "body, a subworkflow's by the nodes of the other workflow. `pure` is said of functions: other " +
      "kinds are so, or are not.",
    why: "The file would promise something that never happens.",
    wrong: node("transform", "transformation: trim", "compensate: undo"),
    right: node("function", "function_name: f", "compensate: undo"),
  }),
  GV4006: error({
    title: "retry of a whole map",
    remedy: "put retry on the nodes of the body",
    meaning:
      "A map has `retry`, and its body is not one node that could take it over. Elements are " +
      "tried again, not the list.",
    why: "A second attempt of the whole map would repeat the elements that have succeeded.",
    wrong: node("map", "do: { nodes: [{ id: a, type: noop }] }", "retry: { max_attempts: 3 }"),
    right: node(
      "map",
      "do: { type: function, config: { function_name: f } }",
      "retry: { max_attempts: 3 }",
    ),
  }),
  GV4007: warning({
    title: "property not supported yet",
    remedy: "remove it for now; let the function itself keep what it need not do again",
    meaning: "`cache` belongs to the format, but this version keeps no outputs for later runs.",
    why: "The node is executed each time, also with an input that it has had before.",
    wrong: node("function", "function_name: f", "cache: true"),
    right: node("function", "function_name: f"),
  }),
  GV4008: warning({
    title: "edge for a timeout that never is",
    remedy: "give the node a time limit, or remove the edge",
    meaning:
      "An edge `on: timeout` starts at a node that no time can run out for: one of a pure kind, a " +
      "delay without `queue_timeout_ms`, or a `wait` or `human` without `timeout_ms`.",
    why:
      "What is behind it never happens, unless somebody fails the node by hand with the code " +
      "`TIMEOUT`.",
    wrong: asked(""),
    right: asked(", timeout_ms: 60000"),
  }),
  GV4009: warning({
    title: "retry that never is",
    remedy: "say how many executions there may be in all, e.g. `max_attempts: 3`",
    meaning:
      "`retry` says when or how fast, but not `max_attempts`, or that there is one; or the node is " +
      "a `wait` or `human` that has neither `timeout_ms` nor `output_schema`, so no end of it is " +
      "one that is tried again; or `on` or `not_on` of an `http` node names a code that it never has.",
    why: "The first failure is final, which is hardly what the file means.",
    wrong: node("function", "function_name: f", "retry: { backoff_ms: 500 }"),
    right: node("function", "function_name: f", "retry: { max_attempts: 3, backoff_ms: 500 }"),
  }),
  GV4010: warning({
    title: "property of a node among a function's parameters",
    remedy: "write it at the node, beside `config`; a parameter of that name stands in `params`",
    meaning:
      "A function's config has no `params`, so its keys are the parameters, and one of them is " +
      "called like a property of the node: `retry`, `timeout_ms`, `queue_timeout_ms`, " +
      "`compensate`, `rate_limit` or `circuit_breaker`.",
    why: "The function gets it, and the node has neither: no retries, no limit of time.",
    wrong: node("function", "function_name: f, retry: { max_attempts: 3 }"),
    right: node("function", "function_name: f", "retry: { max_attempts: 3 }"),
  }),
} as const satisfies Record<string, CodeSpec>;
