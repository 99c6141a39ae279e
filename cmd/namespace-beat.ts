/** A `gavotte run` says that it lives, so that nobody ends its run for it (supervisor/namespaces.ts). */
import type { Logger } from "pino";
import type { Service } from "../sdk/internal.ts";
import { beatNamespace, keepNamespace, type Database } from "../sdk/postgres/index.ts";
import type { RunNamespace } from "../sdk/postgres/index.ts";

const BEAT_MS = 10_000;

/** Writes the namespace down when started, and beats until stopped; the entry stays. */
export function createNamespaceBeat(db: Database, one: RunNamespace, logger: Logger): Service {
  let timer: NodeJS.Timeout | null = null;
  let beating: Promise<void> = Promise.resolve();
  const beat = (): Promise<void> =>
    beatNamespace(db, one.namespace).catch((error: unknown) =>
      logger.warn({ err: error }, "the command could not report that it lives"),
    );
  return {
    name: "namespace",
    async start() {
      await keepNamespace(db, one);
      timer = setInterval(() => {
        // One at a time: while Postgres is slow, beats do not pile up.
        beating = beating.then(beat);
      }, BEAT_MS);
    },
    async stop() {
      if (timer !== null) {
        clearInterval(timer);
        timer = null;
        await beating;
      }
    },
  };
}
