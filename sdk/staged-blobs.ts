/**
 * Large values of a run that is to be put into Redis. They are written before it, one by one: a call
 * that held all of them could be longer than a string can be. And under a name of the caller's own,
 * which a script gives to the run if it lets it live: several may be at it, and who comes late must not
 * have what a living run refers to expire. Whoever never comes to use them leaves them to expire.
 */
import type { NewBlob } from "./blobs.ts";
import { blobsOfRun, readBlobs, type Queryable } from "./postgres/index.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { writeAnyway } from "./redis/write-anyway.ts";

const KEPT_MS = 120_000;

/** The key under which the run's large values are now, and these with them; null: it has none. */
export async function stageBlobs(
  db: Queryable,
  scripts: ScriptRunner,
  runId: string,
  more: readonly NewBlob[] = [],
): Promise<string | null> {
  const key = scripts.keys.staged(runId, scripts.nonce());
  let isEmpty = true;
  const put = async ({ sha256, text }: NewBlob): Promise<void> => {
    isEmpty = false;
    await writeAnyway(scripts.redis, [
      ["HSET", key, sha256, text],
      ["PEXPIRE", key, KEPT_MS],
    ]);
  };
  for (const sha256 of await blobsOfRun(db, runId)) {
    const text = (await readBlobs(db, [sha256])).get(sha256);
    await (text === undefined ? undefined : put({ sha256, text }));
  }
  for (const blob of more) {
    await put(blob);
  }
  return isEmpty ? null : key;
}
