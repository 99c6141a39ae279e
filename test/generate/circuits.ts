/**
 * Puts circuit breakers and rate limits on steps of a generated workflow, in loops and in bodies of
 * maps too: few keys, so that steps of several nodes, runs and elements meet; each node with a policy
 * of its own. Some plain steps fail before they succeed, so that circuits open and close.
 */
import { call, retry } from "./tasks.ts";
import type { JsonObject } from "./workflow.ts";

const KEYS = ["api", "item", "${input.name}"];
/** Circuits that these keys name, in a run whose name is "gavotte". */
export const CIRCUITS = ["api", "item", "gavotte"];

export interface CircuitOptions {
  random: () => number;
  /** What a step does that may not begin: a node with `fail` fails with CIRCUIT_OPEN. */
  onOpen: readonly ("wait" | "fail")[];
}

/** Changes the document, and the bodies of its maps. */
export function withCircuits(document: JsonObject, options: CircuitOptions): JsonObject {
  const { random } = options;
  // A body may be one node.
  for (const node of (document["nodes"] ?? [document]) as JsonObject[]) {
    const config = node["config"] as JsonObject | undefined;
    const body = config?.["do"] as JsonObject | undefined;
    if (body !== undefined) {
      withCircuits(body, options);
    }
    if (node["type"] !== "function" || node["loop"] !== undefined) {
      continue;
    }
    if (config?.["function_name"] === "builtin.echo" && random() < 0.5) {
      Object.assign(node, flaky(random));
    }
    const isFailing = (node["config"] as JsonObject)["function_name"] === "builtin.fail";
    if (random() < (isFailing ? 0.9 : 0.4)) {
      Object.assign(node, { circuit_breaker: breaker(options) });
      Object.assign(node, random() < 0.3 ? { rate_limit: limit(random) } : {});
    }
  }
  return document;
}

/** Fails some times, and does not at its last attempt: held back or not, it comes to the same. */
function flaky(random: () => number): JsonObject {
  const attempts = pick(random, [1, 2, 3]);
  const params = { code: "FLAKY", attempts, value: { count: attempts } };
  return { config: call("builtin.fail", params), retry: retry(attempts + 1) };
}

function breaker({ random, onOpen }: CircuitOptions): JsonObject {
  return {
    key: pick(random, KEYS),
    failures: pick(random, [1, 2, 3]),
    within_ms: pick(random, [1, 5, 1000]),
    open_ms: pick(random, [100, 400]),
    on_open: pick(random, onOpen),
  };
}

function limit(random: () => number): JsonObject {
  return { key: pick(random, KEYS), limit: pick(random, [1, 3]), per_ms: pick(random, [2, 10]) };
}

function pick<T>(random: () => number, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)] as T;
}
