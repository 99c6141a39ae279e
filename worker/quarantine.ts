/** Entries that no worker can make sense of: set aside with their place, so that nothing circulates. */
import type { Redis } from "ioredis";
import type { Logger } from "pino";
import { GROUP, writeAnyway, type ReadyToken, type ScriptRunner } from "../sdk/internal.ts";

const QUARANTINE_MAX = 1000;

interface Options {
  redis: Redis;
  scripts: ScriptRunner;
  logger: Logger;
}

/** Moves an entry out of its queue into the partition's quarantine. */
export async function quarantine(
  { redis, scripts, logger }: Options,
  queueKey: string,
  entryId: string,
  fields: readonly string[],
): Promise<void> {
  logger.error({ queue: queueKey, entry: entryId }, "entry is not a token: quarantined");
  const why = ["queue", queueKey, "entry", entryId, ...fields];
  const { quarantine: key } = scripts.keys;
  await writeAnyway(redis, [["XADD", key, "MAXLEN", "~", QUARANTINE_MAX, "*", ...why]]);
  await redis.xack(queueKey, GROUP, entryId);
  await redis.xdel(queueKey, entryId);
}

/** A token whose workflow nobody has: never fails, for what stays pending is delivered again. */
export function quarantineToken(options: Options, token: ReadyToken): void {
  const { logger } = options;
  logger.error({ run: token.runId, ir: token.irHash }, "workflow of token not found");
  const fields = ["t", JSON.stringify(token)];
  quarantine(options, token.queueKey, token.entryId, fields).catch((error: unknown) => {
    logger.warn({ err: error }, "entry not quarantined: it is delivered again");
  });
}
