/** Entries that no worker can make sense of: set aside with their place, so that nothing circulates. */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { GROUP, type ScriptRunner } from "../sdk/internal.ts";

const QUARANTINE_MAX = 1000;

/** Moves an entry out of its queue into the partition's quarantine. */
export async function quarantine(
  { redis, scripts, logger }: { redis: Redis; scripts: ScriptRunner; logger: Logger },
  queueKey: string,
  entryId: string,
  fields: readonly string[],
): Promise<void> {
  logger.error({ queue: queueKey, entry: entryId }, "entry is not a token: quarantined");
  const why = ["queue", queueKey, "entry", entryId, ...fields];
  await redis.xadd(scripts.keys.quarantine, "MAXLEN", "~", QUARANTINE_MAX, "*", ...why);
  await redis.xack(queueKey, GROUP, entryId);
  await redis.xdel(queueKey, entryId);
}
