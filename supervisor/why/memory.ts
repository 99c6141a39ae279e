/** That no run begins because Redis is almost full (memory-gauge.ts). */
import { connectionAt, partitionKeys } from "../../sdk/internal.ts";
import type { Redis } from "ioredis";
import type { Reason } from "../explain.ts";
import { memoryUse, TIGHT_SHARE } from "../memory-gauge.ts";

/** One reason, or none: there is room. */
export async function memoryReasons(redis: Redis, partition: number): Promise<Reason[]> {
  const server = connectionAt(redis, partitionKeys(partition).meta);
  const { used: usedBytes, limit: limitBytes, isTight } = await memoryUse(server);
  const text =
    `Redis holds ${megabytes(usedBytes)} of ${megabytes(limitBytes)} (maxmemory): above ` +
    `${TIGHT_SHARE * 100} % no run begins; accepted ones do when there is room`;
  return isTight ? [{ kind: "memory", usedBytes, limitBytes, text }] : [];
}

/** "12.3 MiB" */
export function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}
