import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { IrNode } from "../compiler/ir.ts";
import { TIMER_MS_MAX, type FunctionHandler } from "../sdk/internal.ts";
import { HttpClient } from "./kinds/http-client.ts";
import { ExecutionError } from "./kinds/kind.ts";
import { LazyAbort } from "./lazy-abort.ts";
import type { Prepared } from "./prepared.ts";
import { FunctionRegistry } from "./registry.ts";
import { runKind, type Outcome } from "./run-kind.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

/** What becomes of a node with this time limit whose handler never answers, or as this one does. */
function begun(
  timeout_ms: number | null,
  answer: FunctionHandler = () => new Promise(() => undefined),
  abort = new LazyAbort(),
): Outcome[] {
  const registry = new FunctionRegistry();
  registry.register("hang", answer);
  const logger = pino({ level: "silent" });
  const options = { registry, http: new HttpClient(), secrets: () => ({}), logger };
  const node = { id: "n", type: "function", config: { function_name: "hang" }, timeout_ms };
  const token = { runId: "r", unit: "r", scope: "", attempt: 1 };
  const prepared = { node: node as unknown as IrNode, token } as unknown as Prepared;
  const outcomes: Outcome[] = [];
  const later = (outcome: Outcome): void => void outcomes.push(outcome);
  expect(runKind(options, prepared, { data: null }, null, abort, later)).toBeNull();
  return outcomes;
}

it("lets a node run for a time limit that is longer than a timer of Node's takes", async () => {
  const outcomes = begun(2 * TIMER_MS_MAX + 5000);
  await vi.advanceTimersByTimeAsync(2 * TIMER_MS_MAX + 4999);
  expect(outcomes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(outcomes).toMatchObject([{ error: { code: "TIMEOUT" } }]);
});

it("makes no signal for a handler that answers later and does not ask for one", async () => {
  const made = vi.spyOn(globalThis, "AbortController");
  const outcomes = begun(5000, async () => Promise.resolve("done"));
  await vi.advanceTimersByTimeAsync(1);
  expect(outcomes).toEqual([{ output: "done" }]);
  expect(made).toHaveBeenCalledTimes(0);
  made.mockRestore();
});

it("ends with the first reason for which it is told to stop, whether it asked for a signal", () => {
  const hang = (): Promise<never> => new Promise(() => undefined);
  const told: string[] = [];
  const asks: FunctionHandler = ({ signal }) => {
    signal.addEventListener("abort", () => told.push(String(signal.reason)));
    return hang();
  };
  const reasons = [asks, hang].map((handler) => {
    const abort = new LazyAbort();
    const outcomes = begun(null, handler, abort);
    abort.abort(new ExecutionError("CANCELLED", "first"));
    abort.abort(new ExecutionError("CANCELLED", "second"));
    return outcomes.map((outcome) => ("error" in outcome ? outcome.error.message : "none"));
  });
  expect(reasons[0]).toEqual(reasons[1]);
  expect(reasons[0]).toEqual([expect.stringContaining("first")]);
  expect(told).toEqual([expect.stringContaining("first")]);
});
