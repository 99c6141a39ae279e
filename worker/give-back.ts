/**
 * How entries leave a worker's hands without a result: they are made stale, so that the next look for
 * stale entries takes them, checked by the records of their runs.
 *
 * It is charged no delivery, unless an error is why that may well be its own: one that can never be
 * moved on would go round for ever, and so ends as poison.
 */
import { handBack, isServerTrouble, type ReadyToken } from "../sdk/internal.ts";
import type { LaneOptions } from "./lane-options.ts";

type Options = Pick<LaneOptions, "scripts" | "consumer" | "leaseMs" | "logger">;

/**
 * Whether the entries are charged a delivery; `error` is of the one there is, if it is why; `idleMs`:
 * for how long they are to look as if nobody had touched them. A call for
 * each queue: a worker that stops may hold thousands. Never fails: what cannot be said to Redis stays
 * pending, and is taken over.
 */
export async function giveBack(
  options: Options,
  tokens: readonly ReadyToken[],
  error: unknown = null,
  idleMs = options.leaseMs,
): Promise<boolean> {
  const { scripts, consumer, logger } = options;
  const charged = error !== null && !isServerTrouble(error);
  const calls = [...idsByQueue(tokens)].map(([queueKey, ids]) =>
    handBack(scripts, queueKey, { consumer, leaseMs: idleMs, charged }, ids).catch(
      (failed: unknown) => {
        const about = { err: failed, queue: queueKey, entries: ids.length };
        logger.warn(about, "entries not handed back: another worker takes them over");
      },
    ),
  );
  await Promise.all(calls);
  return charged;
}

/** Entry ids by stream. */
export function idsByQueue(
  entries: readonly Pick<ReadyToken, "queueKey" | "entryId">[],
): Map<string, string[]> {
  const ids = new Map<string, string[]>();
  for (const { queueKey, entryId } of entries) {
    const own = ids.get(queueKey) ?? [];
    ids.set(queueKey, own);
    own.push(entryId);
  }
  return ids;
}
