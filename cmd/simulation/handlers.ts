/**
 * What steps do in a simulation: pure kinds and built-in functions are really evaluated, everything
 * that would reach outside answers by its mock.
 */
import { compileTemplate } from "../../condition/index.ts";
import type { Ir, IrNode, Json } from "../../compiler/index.ts";
import type {
  HandlerContext,
  HandlerResult,
  HandlerTable,
} from "../../compiler/reference/index.ts";
import {
  createHttpClient,
  executeKind,
  ExecutionError,
  FunctionRegistry,
} from "../../worker/index.ts";
import type { Mock, Mocks } from "./mocks.ts";

/** Nodes that reach outside and have no mock: their ids, with the function they call. */
export function unmocked(ir: Ir, mocks: Mocks): { id: string; calls: string }[] {
  return ir.nodes.flatMap((node) => {
    const inner = node.body === undefined ? [] : unmocked(node.body, mocks);
    const name = functionOf(node);
    const isOutside = node.type === "http" || (name !== null && !name.startsWith("builtin."));
    const isMissing = isOutside && mockOf(node, mocks) === undefined;
    return isMissing ? [{ id: node.id, calls: name ?? node.type }, ...inner] : inner;
  });
}

/** A mocks file to begin with. */
export function skeleton(missing: readonly { id: string; calls: string }[]): string {
  const lines = missing.map(({ id, calls }) => `  ${id}: { output: {} }   # ${calls}`);
  return ["nodes:", ...lines].join("\n");
}

export function functionOf(node: IrNode): string | null {
  const name = node.config["function_name"];
  return typeof name === "string" && ["function", "loop"].includes(node.type) ? name : null;
}

export function mockOf(node: IrNode, { nodes, functions }: Mocks): Mock | undefined {
  return nodes.get(node.id) ?? functions.get(functionOf(node) ?? "");
}

const registry = new FunctionRegistry();
const http = createHttpClient();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

/** The handlers of a simulation. */
export function simulatedHandlers(mocks: Mocks): HandlerTable {
  return {
    evaluate(node, context) {
      const mock = mockOf(node, mocks);
      if (mock !== undefined) return answer(mock, context);
      if (node.type === "delay") return { output: context.data };
      try {
        return { output: evaluate(node, context) };
      } catch (error) {
        const { code, message, retryable } =
          error instanceof ExecutionError
            ? error
            : { code: "HANDLER_ERROR", message: String(error), retryable: false };
        return { error: { code, message, retryable } };
      }
    },
  };
}

function answer(mock: Mock, { attempt, data }: HandlerContext): HandlerResult {
  const fails =
    (mock.error !== undefined || mock.timeout === true) &&
    attempt <= (mock.attempts ?? Number.POSITIVE_INFINITY);
  if (!fails) return { output: mock.output === undefined ? data : mock.output };
  if (mock.timeout === true) {
    return { error: { code: "TIMEOUT", message: "the step ran out of its time", timeout: true } };
  }
  const { code = "FAILED", message = "as the mock says", retryable = true } = mock.error ?? {};
  return { error: { code, message, retryable } };
}

function evaluate(node: IrNode, context: HandlerContext): Json {
  const { vars, data, attempt, scope, iteration } = context;
  // Its time is the clock's business (clock.ts), its answer that of a step that took none.
  if (functionOf(node) === "builtin.sleep") {
    const value = (node.config["params"] as { value?: Json } | undefined)?.value;
    return value === undefined ? data : compileTemplate(value).evaluate(vars);
  }
  const output = executeKind(node, {
    ...{ vars, data, runId: "simulated", scope, attempt },
    ...(iteration === undefined ? {} : { iteration }),
    ...{ signal: new AbortController().signal, registry, http, secrets: () => ({}), log: silent },
  });
  if (output instanceof Promise) throw new Error(`node "${node.id}" does not answer at once`);
  return output;
}
