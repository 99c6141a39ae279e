/** Outputs as the texts that are kept, of nodes, elements and runs: bounded, or they fail. */
import type { Json } from "../compiler/ir.ts";
import { ExecutionError } from "./kinds/kind.ts";

/** What a worker takes if it is not told otherwise. */
export const OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

/** The JSON text of an output; `what` it is. Throws ExecutionError TOO_LARGE. */
export function outputText(output: Json, bytesMax: number, what = "the output"): string {
  const text = JSON.stringify(output) ?? "null";
  if (
    text.length > bytesMax ||
    (text.length * 3 > bytesMax && Buffer.byteLength(text) > bytesMax)
  ) {
    const message = `${what} has ${text.length} characters; at most ${bytesMax} bytes are kept`;
    throw new ExecutionError("TOO_LARGE", message, { retryable: false });
  }
  return text;
}

/** Why an output template gave nothing to keep: the error of its run or element, as JSON text. */
export function outputFailure(thrown: unknown): string {
  const code = thrown instanceof ExecutionError ? thrown.code : "OUTPUT_FAILED";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return JSON.stringify({ error: { code, message } });
}
