/**
 * What steps do in a simulation: pure kinds and built-in functions are really evaluated, everything
 * that would reach outside answers by its mock.
 */
import { compileTemplate, EvaluationError } from "../../condition/index.ts";
import type { IrNode, Json } from "../../compiler/index.ts";
import type {
  HandlerContext,
  HandlerResult,
  HandlerTable,
  Work,
} from "../../compiler/reference/index.ts";
import {
  createHttpClient,
  delayOf,
  executeKind,
  ExecutionError,
  FunctionRegistry,
} from "../../worker/index.ts";
import { misfit } from "../../sdk/internal.ts";
import { draw } from "./draws.ts";
import { durationAt } from "./durations.ts";
import { functionOf, type MockBook } from "./mock-book.ts";
import type { Mock } from "./mocks.ts";

/** Kinds whose tokens wait without a worker, or are parked by it at once. */
const UNQUEUED: ReadonlySet<string> = new Set([
  ...(["delay", "wait", "human", "subworkflow", "map"] as const),
]);

/** Whether a node needs a worker for as long as it takes. */
export function isQueued(node: IrNode): boolean {
  return !node.pure && !UNQUEUED.has(node.type);
}

const registry = new FunctionRegistry();
const http = createHttpClient();
const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };

export interface HandlerOptions {
  seed: number;
  /** Epoch ms at which the run begins. */
  nowMs: number;
}

/** The handlers of a simulation. */
export function simulatedHandlers(book: MockBook, options: HandlerOptions): HandlerTable {
  return {
    misfit,
    standsFor: (node) => book.answerOf(node) !== undefined,
    evaluate(node, context) {
      const mock = book.answerOf(node);
      try {
        if (mock !== undefined) return answer(mock, node, context, options.seed);
        return { output: evaluate(node, context, options.nowMs) };
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

/** Virtual ms that an execution takes: what its mock says, else what a delay or a sleep says. */
export function durationOf(work: Work, book: MockBook, options: HandlerOptions): number {
  const { node, run, token } = work;
  const given = book.of(node)?.duration;
  if (given !== undefined) {
    const { home, scope, attempt } = token;
    return durationAt(given, draw(options.seed, `${placeOf(run, home, scope, node, attempt)} ms`));
  }
  if (book.answerOf(node) !== undefined) return 0;
  try {
    if (node.type === "delay") return delayOf(node, work.context().vars, options.nowMs);
    if (functionOf(node) !== "builtin.sleep") return 0;
    const { ms } = sleepParams(node, work.context());
    return typeof ms === "number" && ms > 0 ? ms : 0;
  } catch (error) {
    // It will fail by this when it is evaluated, and that takes no time.
    if (error instanceof ExecutionError || error instanceof EvaluationError) return 0;
    throw error;
  }
}

function answer(
  mock: Mock,
  node: IrNode,
  { attempt, data, vars, home, scope }: HandlerContext,
  seed: number,
): HandlerResult {
  const run = String((vars.run as { id?: unknown } | undefined)?.id);
  const luck = (): number => draw(seed, `${placeOf(run, home, scope, node, attempt)} fails`);
  const fails =
    (mock.error !== undefined || mock.timeout === true) &&
    attempt <= (mock.attempts ?? Number.POSITIVE_INFINITY) &&
    (mock.probability === undefined || luck() < mock.probability);
  const odd = misfit(node.input_schema, data);
  if (odd !== null) {
    const message = `its input does not fit input_schema: ${odd}`;
    return { error: { code: "BAD_INPUT", message, retryable: false } };
  }
  if (!fails) {
    const output = mock.output === undefined ? data : filled(mock.output, vars, node);
    const wrong = misfit(node.output_schema, output);
    if (wrong === null) return { output };
    const message = `the mock's output does not fit output_schema: ${wrong}`;
    return { error: { code: "BAD_OUTPUT", message } };
  }
  if (mock.timeout === true) {
    return { error: { code: "TIMEOUT", message: "the step ran out of its time" } };
  }
  const { code = "FAILED", message = "as the mock says", ...more } = mock.error ?? {};
  return { error: { code, message, retryable: true, ...more } };
}

function filled(output: Json, vars: HandlerContext["vars"], node: IrNode): Json {
  try {
    return compileTemplate(output).evaluate(vars);
  } catch (error) {
    if (!(error instanceof EvaluationError)) throw error;
    const where = `the mock of "${node.id}": output${error.pointer ?? ""}`;
    throw new ExecutionError("BAD_MOCK", `${where}: ${error.message}`, { retryable: false });
  }
}

/** Names one execution, for what it draws. */
function placeOf(run: string, home: string, scope: string, node: IrNode, attempt: number): string {
  return `${run} ${home} ${scope} ${node.id} ${attempt}`;
}

function sleepParams(node: IrNode, { vars }: HandlerContext): { [key: string]: Json } {
  const params = compileTemplate(node.config["params"] ?? {}).evaluate(vars);
  return typeof params === "object" && params !== null && !Array.isArray(params) ? params : {};
}

function evaluate(node: IrNode, context: HandlerContext, nowMs: number): Json {
  const { vars, data, attempt, scope, iteration } = context;
  if (node.type === "delay") {
    // Its time is the stage's business; asked here for what it says when it is wrong.
    delayOf(node, vars, nowMs);
    return data;
  }
  if (functionOf(node) === "builtin.sleep") {
    const { value } = sleepParams(node, context);
    return value === undefined ? data : value;
  }
  const output = executeKind(node, {
    ...{ vars, data, runId: "simulated", scope, attempt },
    ...(iteration === undefined ? {} : { iteration }),
    ...{ signal: new AbortController().signal, registry, http, secrets: () => ({}), log: silent },
  });
  if (output instanceof Promise) throw new Error(`node "${node.id}" does not answer at once`);
  return output;
}
