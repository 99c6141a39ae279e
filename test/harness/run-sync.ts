/** Executes a node whose handler answers at once, as the worker does. */
import { pino } from "pino";
import { Ahead } from "../../worker/ahead.ts";
import type { Vars } from "../../condition/index.ts";
import type { Json } from "../../compiler/ir.ts";
import type { Prepared } from "../../worker/prepared.ts";
import { createHttpClient } from "../../worker/kinds/http-client.ts";
import { executeKind } from "../../worker/kinds/index.ts";
import { FunctionRegistry } from "../../worker/registry.ts";

const registry = new FunctionRegistry();
const http = createHttpClient();
const logger = pino({ level: "silent" });

/** Calls pure functions in the step before them, whatever time that takes. */
export const ahead = new Ahead({
  ...{ registry, http, logger, secrets: () => ({}) },
  reader: { isOpen: () => true },
  nowMs: () => 0,
});

/** The node's output; throws what the kind throws. */
export function runSync(p: Prepared, vars: Vars, input: Json): Json {
  const { token, node } = p;
  const output = executeKind(node, {
    vars,
    data: input,
    runId: token.runId,
    scope: token.scope,
    attempt: token.attempt,
    signal: new AbortController().signal,
    registry,
    http,
    secrets: () => ({}),
    log: logger,
  });
  if (output instanceof Promise) {
    throw new Error(`node "${node.id}" does not answer at once`);
  }
  return output;
}
