import { pino } from "pino";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { IrNode } from "../compiler/ir.ts";
import { TIMER_MS_MAX } from "../sdk/internal.ts";
import { HttpClient } from "./kinds/http-client.ts";
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

/** What becomes of a node with this time limit whose handler never answers. */
function begun(timeout_ms: number): Outcome[] {
  const registry = new FunctionRegistry();
  registry.register("hang", () => new Promise(() => undefined));
  const logger = pino({ level: "silent" });
  const options = { registry, http: new HttpClient(), secrets: () => ({}), logger };
  const node = { id: "n", type: "function", config: { function_name: "hang" }, timeout_ms };
  const token = { runId: "r", unit: "r", scope: "", attempt: 1 };
  const prepared = { node: node as unknown as IrNode, token } as unknown as Prepared;
  const outcomes: Outcome[] = [];
  const later = (outcome: Outcome): void => void outcomes.push(outcome);
  expect(runKind(options, prepared, { data: null }, null, new LazyAbort(), later)).toBeNull();
  return outcomes;
}

it("lets a node run for a time limit that is longer than a timer of Node's takes", async () => {
  const outcomes = begun(2 * TIMER_MS_MAX + 5000);
  await vi.advanceTimersByTimeAsync(2 * TIMER_MS_MAX + 4999);
  expect(outcomes).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(outcomes).toMatchObject([{ error: { code: "TIMEOUT" } }]);
});
