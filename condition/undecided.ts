/**
 * What is said of a node whose out-edges or loop cannot be decided, by the engine and by the reference
 * interpreter alike.
 *
 * The node has done its work, and its record will hold this error where it would have held the output:
 * nothing else keeps what was put out. So the error does, as far as that may stand where errors stand,
 * which is in the run's hash, its journal and what follows along error edges, and never beside the run
 * as large outputs do. Of a longer output it says how long it was.
 */
import type { Json } from "./types.ts";

/** Bytes of JSON of an output that its node's error keeps: what an output may have that is no blob. */
const OUTPUT_KEPT_BYTES_MAX = 16 * 1024;

/** The codes of such errors: a condition could not be evaluated, none held, one held for too long. */
const CODES: ReadonlySet<string> = new Set([
  ...(["CONDITION_FAILED", "NO_BRANCH_MATCHED", "MAX_ITERATIONS"] as const),
]);

export interface KeptOutput {
  details: { output: Json } | { output_bytes: number };
}

/** What a CONDITION_FAILED says. */
export interface Undecided extends KeptOutput {
  message: string;
}

/** The error when a condition has thrown that saw `output`: a node's output, or its error value. */
export function undecided(thrown: unknown, output: Json | undefined): Undecided {
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { message, ...keptOutput(output) };
}

/** What an error keeps of the output that conditions saw. */
export function keptOutput(output: Json | undefined): KeptOutput {
  const bytes = Buffer.byteLength(JSON.stringify(output ?? null));
  const isKept = bytes <= OUTPUT_KEPT_BYTES_MAX;
  const details = isKept ? { output: output ?? null } : { output_bytes: bytes };
  return { details };
}

/**
 * A node's error as a run's error tells of it that lists those of all nodes that have failed: outputs of
 * ten thousand nodes would be too much for one value, and each node's own error has its.
 */
export function withoutOutput<E extends { code: string; details?: unknown }>(error: E): E {
  if (!CODES.has(error.code)) return error;
  const { details: _, ...rest } = error;
  return rest as E;
}
