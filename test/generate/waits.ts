/**
 * Makes somebody else necessary: some plain steps of a generated workflow, in loops and in bodies of
 * maps too, wait for a signal, for people or for a time, run a child, or put out more than is kept
 * inline. What follows them reads their output with `has` only, so the workflow stays valid.
 */
import type { JsonObject } from "./workflow.ts";

/** Signals that the workflow may wait for; several nodes share a name. */
export const SIGNALS = ["go", "stop"];
/** More than OUTPUT_INLINE_BYTES_MAX of sdk/blobs.ts. */
export const BIG_TEXT = "x".repeat(17_000);
/** Longer than anything that goes on by itself, shorter than the engine's own graces. */
const WAIT_MS = 20;

export interface WaitOptions {
  /** Workflows that a step may run instead. */
  children: readonly string[];
  random: () => number;
}

/** Changes the document, and the bodies of its maps. */
export function withWaits(document: JsonObject, options: WaitOptions): JsonObject {
  // A body may be one node.
  for (const node of (document["nodes"] ?? [document]) as JsonObject[]) {
    const config = node["config"] as JsonObject | undefined;
    const body = config?.["do"] as JsonObject | undefined;
    if (body !== undefined) {
      withWaits(body, options);
    }
    const isPlain = config?.["function_name"] === "builtin.echo" && node["type"] === "function";
    if (isPlain && node["loop"] === undefined && options.random() < 0.7) {
      Object.assign(node, stepOf(options));
      if (node["type"] !== "function") {
        delete node["pure"];
      }
    }
  }
  return document;
}

function stepOf({ children, random }: WaitOptions): JsonObject {
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const limit = random() < 0.4 ? { timeout_ms: WAIT_MS } : {};
  const dice = random();
  if (dice < 0.35) {
    return { type: "wait", config: { signal: pick(SIGNALS) }, ...limit };
  } else if (dice < 0.55) {
    return { type: "human", config: { required: pick([1, 2]) }, ...limit };
  } else if (dice < 0.65) {
    return { type: "delay", config: { delay_ms: pick([0, 1, WAIT_MS]) } };
  } else if (dice < 0.8 && children.length > 0) {
    const input = { n: "${input.n}", name: "${input.name}", list: "${input.list}" };
    return { type: "subworkflow", config: { workflow: pick(children), input }, ...limit };
  }
  const params = { count: pick([1, 2, 3]), text: BIG_TEXT };
  return { type: "function", config: { function_name: "builtin.echo", params } };
}
