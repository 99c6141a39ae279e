/** How much of the large values that stand beside a run one step may ask for. */
import type { BlobRef } from "../sdk/internal.ts";
import { ExecutionError } from "./kinds/kind.ts";

/**
 * Bytes that the input, the context and the answer of one step, or the output of a run or element, may
 * refer to. What is over it would end as a worker that dies, with all it holds, five times over.
 */
export const READ_BYTES_MAX = 64 * 1024 * 1024;

/** Each of these once; or why they are not read: references tell how large they are. */
export function readable(refs: readonly BlobRef[]): {
  refs: readonly BlobRef[];
  bytes: number;
  failure: ExecutionError | null;
} {
  const once = [...new Map(refs.map((ref) => [ref.sha256, ref])).values()];
  const bytes = once.reduce((sum, ref) => sum + ref.bytes, 0);
  if (bytes <= READ_BYTES_MAX) {
    return { refs: once, bytes, failure: null };
  }
  const message = `what it reads has ${bytes} bytes together; at most ${READ_BYTES_MAX} are read`;
  return {
    refs: [],
    bytes: 0,
    failure: new ExecutionError("TOO_LARGE", message, { retryable: false }),
  };
}
