/** Reads the large outputs that a batch of tokens needs: one more round trip, only if there are any. */
import type { Redis } from "ioredis";
import type { PartitionKeys } from "../sdk/internal.ts";
import type { Prepared } from "./prepared.ts";
import type { Preparation } from "./prepare.ts";

type Needy = Pick<Prepared, "token" | "data"> & { hashes: string[] };

/**
 * Hands every prepared token the blobs that its input and its context refer to. What is missing
 * fails the node that needs it, not the batch.
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
    const refs = data.blobRefs(token.payload);
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
