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

/** An entry that is no token. */
export interface Garbage {
  queueKey: string;
  entryId: string;
  fields: readonly string[];
}

/**
 * Moves entries out of their queues into the partition's quarantine, in one step. Never fails: what
 * stays pending is delivered again.
 */
export async function quarantine(options: Options, all: readonly Garbage[]): Promise<void> {
  const { redis, scripts, logger } = options;
  const to = [scripts.keys.quarantine, "MAXLEN", "~", QUARANTINE_MAX, "*"] as const;
  const commands = all.flatMap(({ queueKey, entryId, fields }) => [
    ["XADD", ...to, "queue", queueKey, "entry", entryId, ...fields],
    ["XACK", queueKey, GROUP, entryId],
    ["XDEL", queueKey, entryId],
  ]);
  const about = { entries: all.map(({ queueKey, entryId }) => `${queueKey} ${entryId}`) };
  try {
    await writeAnyway(redis, commands);
    void (all.length > 0 && logger.error(about, "entries are not tokens: quarantined"));
  } catch (error) {
    logger.warn({ ...about, err: error }, "entries not quarantined: they are delivered again");
  }
}

/** A token whose workflow nobody has. */
export async function quarantineToken(options: Options, token: ReadyToken): Promise<void> {
  const { queueKey, entryId } = token;
  options.logger.error({ run: token.runId, ir: token.irHash }, "workflow of token not found");
  await quarantine(options, [{ queueKey, entryId, fields: ["t", JSON.stringify(token)] }]);
}
