/**
 * How an entry leaves a worker's hands without a result: it is made stale, so that the next look for
 * stale entries takes it, checked by the records of its run.
 *
 * It is charged no delivery, unless an error is why that may well be its own: one that can never be
 * moved on would go round for ever, and so ends as poison.
 */
import { handBack, isServerTrouble, type ReadyToken } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";

type Options = Pick<LaneOptions, "scripts" | "consumer" | "leaseMs" | "logger">;

/**
 * Whether the entry is charged a delivery. Never fails: what cannot be said to Redis stays pending,
 * and is taken over.
 */
export async function giveBack(
  options: Options,
  token: ReadyToken,
  error: unknown = null,
): Promise<boolean> {
  const { scripts, consumer, leaseMs, logger } = options;
  const { queueKey, entryId, runId: run } = token;
  const charged = error !== null && !isServerTrouble(error);
  const back = handBack(scripts, queueKey, { consumer, leaseMs, charged }, [entryId]);
  await back.catch((failed: unknown) => {
    logger.warn({ err: failed, run }, "entry not handed back: another worker takes it over");
  });
  return charged;
}
