/**
 * What who waits for a run is told while it waits: that nobody serves the run, or that it was stopped.
 * Else a typo in a function's name, or a worker that was not started, is silence without end.
 */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "../sdk/client.ts";
import type { Service } from "../sdk/internal.ts";
import type { Reason } from "../supervisor/index.ts";
import { explain, reasonText } from "./commands/why.ts";
import type { Config } from "./config.ts";
import type { Output } from "./output.ts";

/** Before the first look, and between two: each is some reads of Redis and Postgres. */
const LOOK_MS = 3000;
const LOOK_MS_MAX = 30_000;
const LOOK_GROWTH = 1.5;

/** What somebody has to do something about; all else passes by itself, or is what runs wait for. */
const TOLD: ReadonlySet<Reason["kind"]> = new Set([
  ...(["no_worker", "no_supervisor", "stopped", "paused", "queue_paused"] as const),
  ...(["uncertified", "suspect", "memory", "archive_behind"] as const),
]);

/** Looks at a run until it is stopped, and tells of each such reason once. */
export function standstillTeller(
  output: Output,
  config: Config,
  client: Client,
  runId: string,
): Service {
  const ends = new AbortController();
  const told = new Set<string>();
  const look = async (): Promise<void> => {
    const { reasons } = await explain(config, client, runId);
    for (const reason of reasons.filter(({ kind }) => TOLD.has(kind))) {
      const name = `${reason.kind} ${reason.node ?? ""}`;
      if (!told.has(name) && !ends.signal.aborted) {
        told.add(name);
        output.note(`run ${runId} stands still: ${reasonText(reason)}`);
      }
    }
  };
  const tell = async (): Promise<void> => {
    for (let ms = LOOK_MS; ; ms = Math.min(ms * LOOK_GROWTH, LOOK_MS_MAX)) {
      await delay(ms, undefined, { signal: ends.signal });
      // What cannot be looked at now is told by who waits, or can be later.
      await look().catch(() => undefined);
    }
  };
  let telling: Promise<void> = Promise.resolve();
  return {
    name: "standstill",
    start: () => {
      telling = tell().catch(() => undefined); // it was stopped
      return Promise.resolve();
    },
    stop: () => {
      ends.abort();
      return telling;
    },
  };
}
