/** Facts that workers read from Redis, as Postgres has them: it is the truth for both. */
import type { Queryable } from "./connect.ts";
import { definitionsByHash } from "./definitions.ts";
import { listPauses, pausedQueues } from "./pauses.ts";

/** For a worker: compiled workflows and paused queues. */
export function storedFacts(db: Queryable): {
  ir(hash: string): Promise<string | null>;
  pausedQueues(): Promise<string[]>;
} {
  return {
    async ir(hash) {
      const [definition] = await definitionsByHash(db, [hash]);
      return definition?.ir ?? null;
    },
    async pausedQueues() {
      return pausedQueues(await listPauses(db));
    },
  };
}
