/** For the tests of the kinds: a node, and a context for it. */
import type { IrNode, Json, NodeType } from "../../compiler/ir.ts";
import { miniIr } from "../../test/harness/mini-ir.ts";
import { FunctionRegistry } from "../registry.ts";
import { HttpClient } from "./http-client.ts";
import type { KindContext } from "./kind.ts";

/** A node of this type and config, alone in its workflow. */
export function nodeOf(type: NodeType, config: { [key: string]: Json } = {}): IrNode {
  return { ...(miniIr(["step"], []).nodes[0] as IrNode), type, config, pure: true };
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
