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
import { readable } from "./read-limit.ts";

/** Bytes that are asked for at a time, or one token's. */
const PORTION_BYTES = 16 * 1024 * 1024;

type Needy = Pick<Prepared, "token" | "data"> & { hashes: string[]; bytes: number };

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
 * missing, or too large together, fails the node that needs it, not the batch.
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
    const all = token.answer === null ? carried : [...carried, ...refsGiven(token.answer)];
    if (all.length === 0) {
      return [];
    }
    const { refs, bytes, failure } = readable(all);
    if (failure !== null) {
      data.refuse(failure);
      return [];
    }
    return [{ token, data, hashes: refs.map(({ sha256 }) => sha256), bytes }];
  });
  for (let from = 0; from < needy.length;) {
    let bytes = needy[from]?.bytes ?? 0;
    let to = from + 1;
    while (to < needy.length && bytes + (needy[to]?.bytes ?? 0) <= PORTION_BYTES) {
      bytes += needy[to]?.bytes ?? 0;
      to += 1;
    }
    await read(redis, keys, needy.slice(from, to));
    from = to;
  }
}

async function read(redis: Redis, keys: PartitionKeys, needy: readonly Needy[]): Promise<void> {
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
