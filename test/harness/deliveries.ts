/** Tokens out of the queues: those that nobody has had, and those that somebody has. */
import { GROUP, parseEntry, type ReadyToken, type Redis } from "../../sdk/internal.ts";
import { pagesOfStale, type StaleEntry } from "../../worker/stale.ts";

/** Delivers what is ready to `consumer`, at most `count` of each queue. */
export async function readAll(
  redis: Pick<Redis, "call">,
  queueKeys: readonly string[],
  consumer: string,
  count: number,
): Promise<ReadyToken[]> {
  const reply = (await redis.call(
    "XREADGROUP",
    ...["GROUP", GROUP, consumer, "COUNT", String(count), "STREAMS", ...queueKeys],
    ...queueKeys.map(() => ">"),
  )) as [string, [string, string[]][]][] | null;
  return (reply ?? []).flatMap(([key, entries]) =>
    entries.map(([id, fields]) => parseEntry(key, id, fields) as ReadyToken),
  );
}

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

/** What is pending in these queues, however fresh: as a worker finds it that looks for stale entries. */
export async function staleIn(redis: Redis, queueKeys: readonly string[]): Promise<StaleEntry[]> {
  const page = await pagesOfStale(redis, queueKeys, 0).next();
  return page.done === true ? [] : page.value;
}
