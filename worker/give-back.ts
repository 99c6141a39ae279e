/**
 * How an entry leaves a worker's hands without a result: it is made stale and charged no delivery, so
 * that the next look for stale entries takes it, checked by the records of its run.
 */
import { handBack, type ReadyToken } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";

type Options = Pick<LaneOptions, "scripts" | "consumer" | "leaseMs" | "logger">;

/** Never fails: what cannot be said to Redis stays pending, and is taken over. */
export async function giveBack(options: Options, token: ReadyToken): Promise<void> {
  const { scripts, consumer, leaseMs, logger } = options;
  const { queueKey, entryId, runId: run } = token;
  await handBack(scripts, queueKey, consumer, leaseMs, [entryId]).catch((error: unknown) => {
    logger.warn({ err: error, run }, "entry not handed back: another worker takes it over");
  });
}
