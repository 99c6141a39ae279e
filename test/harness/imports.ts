/** What the driver uses of the engine, and claims without a lease. */
import { GROUP, parseEntry, type ReadyToken, type Redis } from "../../sdk/internal.ts";

export * from "../../sdk/internal.ts";

/** Claims every pending entry of the queues, however fresh; returns the tokens. */
export async function claimAll(
  redis: Redis,
  queueKeys: readonly string[],
  consumer: string,
): Promise<ReadyToken[]> {
  const tokens: ReadyToken[] = [];
  for (const key of queueKeys) {
    const pending = (await redis.xpending(key, GROUP, "-", "+", 100)) as [string][];
    for (const [id] of pending) {
      const claimed = (await redis.xclaim(key, GROUP, consumer, 0, id)) as [string, string[]][];
      const token = claimed[0] === undefined ? null : parseEntry(key, id, claimed[0][1]);
      if (token !== null) {
        tokens.push(token);
      }
    }
  }
  return tokens;
}
