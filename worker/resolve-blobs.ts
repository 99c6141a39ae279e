/** Reads the large values that a batch of tokens needs: one more round trip, only if there are any. */
import type { Redis } from "ioredis";
import type { Json } from "../compiler/ir.ts";
import {
  blobBytesIn,
  blobOfValue,
  mapGiven,
  type BlobRef,
  type PartitionKeys,
  type WaitAnswer,
} from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";
import type { Preparation } from "./prepare.ts";

type Needy = Pick<Prepared, "token" | "data"> & { hashes: string[] };

/** What an answer that a token goes on with refers to. */
function refsGiven(answer: string): BlobRef[] {
  const given: Json[] = [];
  if (blobBytesIn(answer) > 0) {
    mapGiven(JSON.parse(answer) as WaitAnswer, (value) => (given.push(value), value));
  }
  return given.map(blobOfValue).filter((ref) => ref !== null);
}

/**
 * Hands every prepared token the blobs that its input, its context and its answer refer to. What is
 * missing fails the node that needs it, not the batch.
 */
export async function resolveBlobs(
  redis: Redis,
  keys: PartitionKeys,
  preparations: readonly Preparation[],
): Promise<void> {
  const needy = preparations.flatMap((one): Needy[] => {
    if (one.kind !== "ready" && one.kind !== "late") {
      return [];
    }
    const { token, data } = one.prepared;
    const carried = data.blobRefs(token.payload);
    const refs = token.answer === null ? carried : [...carried, ...refsGiven(token.answer)];
    if (refs.length === 0) {
      return [];
    }
    return [{ token, data, hashes: [...new Set(refs.map((ref) => ref.sha256))] }];
  });
  if (needy.length === 0) {
    return;
  }
  const pipeline = redis.pipeline();
  for (const { token, hashes } of needy) {
    pipeline.hmget(keys.blobs(token.runId), ...hashes);
  }
  const replies = (await pipeline.exec()) ?? [];
  needy.forEach(({ data, hashes }, i) => {
    const [error, texts] = replies[i] as [Error | null, (string | null)[]];
    if (error !== null) {
      throw error;
    }
    data.resolve(new Map(hashes.map((hash, at) => [hash, texts[at] ?? null])));
  });
}
