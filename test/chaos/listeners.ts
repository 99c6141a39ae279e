/**
 * Those who watch runs over the gateway while everything is killed, each with its place in the feed
 * and a new connection whenever it loses one. In the end each must have heard what the archive has:
 * a snapshot of some moment, and all that followed it, once and in order.
 */
import { setMaxListeners } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { followFeed, type FeedMessage } from "../../sdk/feed-client.ts";
import type { Ir } from "../../compiler/index.ts";
import { advance, snapshotText } from "../../gateway/messages.ts";
import { comparePositions, RunView } from "../../sdk/internal.ts";
import { readJournals, type ArchivedTransition } from "../../sdk/postgres/index.ts";
import type { ChaosStack } from "./stack.ts";
import type { Submitted } from "./verdict.ts";

/** So many runs to one that is watched. */
const EVERY = 10;
const AGAIN_MS = 200;

/** What one subscriber has heard, from its subscription to the run's end. */
interface Hearing {
  run: Submitted;
  heard: FeedMessage[];
}

export class Listeners {
  readonly #stack: ChaosStack;
  readonly #url: string;
  readonly #stop = new AbortController();
  readonly #whole: Hearing[] = [];
  readonly #listening: Promise<Hearing | null>[] = [];
  /** How often somebody lost the gateway and went on where it was. */
  lost = 0;

  /** `url`: where the gateway is, each time one is. */
  constructor(stack: ChaosStack, url: string) {
    this.#stack = stack;
    this.#url = url;
    setMaxListeners(0, this.#stop.signal); // one for each run that is watched
  }

  /** How often somebody has heard a run up to an end. */
  get whole(): number {
    return this.#whole.length;
  }

  /** Watches some of these runs from now on. */
  watch(runs: readonly Submitted[]): void {
    const some = runs.filter(({ n }) => n % EVERY === 0);
    this.#listening.push(...some.map((run) => this.#listen(run)));
  }

  /** To be called when all runs have ended: what somebody heard that is not so, or did not hear. */
  async judge(): Promise<string[]> {
    const limit = setTimeout(() => this.#stop.abort(), 60_000);
    const ends = await Promise.all(this.#listening);
    clearTimeout(limit);
    const ids = this.#whole.map(({ run }) => run.runId);
    const journals = await readJournals(this.#stack.db, [...new Set(ids)]);
    const missing = ends.filter((hearing) => hearing !== null);
    return [
      ...missing.map(({ run, heard }) => {
        const last = `${heard.length} messages, the last ${JSON.stringify(heard.at(-1))}`;
        return `${run.runId} (${run.workload.ir.name}): no end, but ${last}`;
      }),
      ...this.#whole.flatMap(({ run, heard }) => {
        const why = misheard(run.workload.ir, run.runId, journals.get(run.runId) ?? [], heard);
        return why === null ? [] : [`${run.runId} (${run.workload.ir.name}): ${why}`];
      }),
    ];
  }

  /**
   * Again after an error of the feed: there is no such run yet, or a store is away. What it has heard
   * if it did not hear the run's end before it was stopped.
   */
  async #listen(run: Submitted): Promise<Hearing | null> {
    const { signal } = this.#stop;
    let hearing: Hearing = { run, heard: [] };
    while (!signal.aborted) {
      hearing = { run, heard: [] };
      const { runId } = run;
      try {
        await followFeed({
          ...{ url: this.#url, runId, signal },
          onMessage: (message) => void hearing.heard.push(message),
          onRetry: () => void this.lost++,
        });
        this.#whole.push(hearing);
        if (!isToBeRedriven(hearing)) {
          return null;
        }
      } catch {
        // The next one tries again.
      }
      await pause(AGAIN_MS, undefined, { signal }).catch(() => undefined);
    }
    return hearing;
  }
}

/** The run has ended, and will go on. */
function isToBeRedriven({ run, heard }: Hearing): boolean {
  const last = heard.at(-1);
  const isFailed = last?.type === "end" && last.status === "FAILED";
  return isFailed && run.workload.scenario?.redriveInputs !== undefined;
}

/** What is wrong with what somebody heard of a run that has this journal; null: nothing. */
export function misheard(
  ir: Ir,
  runId: string,
  journal: readonly ArchivedTransition[],
  heard: readonly FeedMessage[],
): string | null {
  // Where the journal was read anew there is a new snapshot; what was told before it may be void.
  const begin = heard.findLastIndex(({ type }) => type === "snapshot");
  const [snapshot, ...rest] = heard.slice(Math.max(0, begin)) as Exclude<
    FeedMessage,
    { type: "error" }
  >[];
  if (snapshot?.type !== "snapshot") {
    return "there was no snapshot";
  }
  const view = new RunView(ir);
  let expected = snapshotText(runId, view, "0.-1");
  let after: string[] = [];
  for (const { transition, t, position } of journal) {
    const messages = advance(runId, view, transition, t, position);
    if (comparePositions(position, snapshot.position) > 0) {
      after.push(...messages.map(({ text }) => text));
    } else {
      expected = snapshotText(runId, view, position);
      after = messages.flatMap(({ isEnd, text }) => (isEnd ? [text] : []));
    }
  }
  const texts = rest.map((message) => JSON.stringify(message));
  const at = texts.findIndex((text, i) => text !== after[i]);
  if (JSON.stringify(snapshot) !== expected) {
    return `the snapshot ${JSON.stringify(snapshot)} should be ${expected}`;
  }
  if (at >= 0) {
    return `message ${at} after the snapshot is ${texts[at]}, not ${after[at] ?? "nothing"}`;
  }
  return rest.at(-1)?.type === "end" ? null : "the end was not heard";
}
