/** For the tests of the kinds: a node, and a context for it. */
import type { IrNode, Json, NodeType } from "../../compiler/ir.ts";
import { FunctionRegistry } from "../registry.ts";
import { HttpClient } from "./http-client.ts";
import type { KindContext } from "./kind.ts";

/** A node of this type and config, alone in its workflow. */
export function nodeOf(type: NodeType, config: { [key: string]: Json } = {}): IrNode {
  return {
    id: "step",
    type,
    queue: 0,
    config,
    pure: true,
    fusible: false,
    is_entry: true,
    is_terminal: true,
    join: { kind: "all", need: 0, arity: 0 },
    in: [],
    out: [],
    loop: null,
    latch_of: null,
    head_of: [],
    retry: {
      max_attempts: 1,
      backoff_ms: 1000,
      backoff_multiplier: 2,
      max_backoff_ms: 60_000,
      jitter: 0.2,
    },
    timeout_ms: null,
    routing: "each",
    on_no_match: "error",
    refs: [],
    edge_refs: [],
    uses_input: false,
  };
}

const SILENT = { debug: ignore, info: ignore, warn: ignore, error: ignore };

function ignore(): void {}

/** A context in which the node's input is `data`; `more` replaces parts of it. */
export function contextOf(data: Json, more: Partial<KindContext> = {}): KindContext {
  return {
    vars: { data, input: null, ctx: {} },
    data,
    runId: "run-1",
    scope: "",
    attempt: 1,
    signal: new AbortController().signal,
    registry: new FunctionRegistry(),
    http: new HttpClient({ allow: ["loopback"] }),
    secrets: () => ({}),
    log: SILENT,
    ...more,
  };
}
