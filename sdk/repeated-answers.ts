/**
 * Whether a signal or callback that is sent to a run that has ended is one that it took, and whether a
 * callback token was ever given.
 *
 * Redis tells repetitions apart as long as the run is there. If it was this very answer that the run
 * ended by, a sender who has not heard of its success sends it again and finds the run gone: the
 * journal knows it.
 */
import type { Transition } from "./journal.ts";
import { readBackwards, readCursor, readRun } from "./postgres/index.ts";
import { connectionAt } from "./redis/cluster-router.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { isTerminal } from "./status.ts";
import { unitOf } from "./unit.ts";
import type { WakeClient } from "./wake.ts";
import { waitToken, type WaitAddress } from "./waits.ts";

/** Transitions that are looked at, the newest first: a run may have any number of them. */
const LOOKED_AT_MAX = 10_000;
const RETRY_MS = 50;

/** Whether the run that has ended took a signal with this id. */
export async function tookSignal(client: WakeClient, runId: string, id: string): Promise<boolean> {
  return found(client, runId, ({ e, v }) => {
    const isAnswer = e === "signal.kept" || e === "node.resumed";
    return isAnswer && typeof v === "object" && "kind" in v && v.kind === "signal" && v.id === id;
  });
}

/** Whether this wait of the run that has ended was answered by a callback with this id. */
export async function tookCallback(
  client: WakeClient,
  at: WaitAddress,
  id: string,
): Promise<boolean> {
  const token = waitToken(at.unit, at.node, at.secret);
  const last = { isIt: false };
  const isKnown = await found(client, at.runId, ({ e, v, w, n, m }) => {
    if (n !== at.node || unitOf(at.runId, m ?? "") !== at.unit) return false;
    if (e === "node.resumed") {
      last.isIt = typeof v === "object" && "kind" in v && v.kind === "callback" && v.id === id;
    }
    return e === "node.parked" && typeof w === "object" && w.token === token;
  });
  return isKnown && last.isIt;
}

/**
 * Whether a wait of the run had this callback token. Null: not known, because the journal is not
 * archived as far as it was when that was asked, or longer than is looked at.
 */
export async function wasGiven(
  client: WakeClient,
  scripts: ScriptRunner,
  at: WaitAddress,
): Promise<boolean | null> {
  const { keys, partition } = scripts;
  const seq = Number(await connectionAt(scripts.redis, keys.meta).hget(keys.meta, "seq"));
  const untilMs = client.clock.monotonicMs() + client.patienceMs;
  while (((await readCursor(client.db, partition))?.seq ?? 0) < seq) {
    if (client.clock.monotonicMs() >= untilMs) return null;
    await client.pause(RETRY_MS);
  }
  const token = waitToken(at.unit, at.node, at.secret);
  const isIt = ({ e, w }: Transition): boolean =>
    e === "node.parked" && typeof w === "object" && w.token === token;
  return isInJournal(client, at.runId, isIt);
}

/** Whether what is asked for is in the journal of a run, once its end is. */
async function found(
  client: WakeClient,
  runId: string,
  isIt: (one: Transition) => boolean,
): Promise<boolean> {
  const untilMs = client.clock.monotonicMs() + client.patienceMs;
  for (;;) {
    const row = await readRun(client.db, runId);
    if (row === null || isTerminal(row.status)) break;
    if (client.clock.monotonicMs() >= untilMs) break;
    await client.pause(RETRY_MS);
  }
  return (await isInJournal(client, runId, isIt)) === true;
}

/** Whether one of the run's archived transitions is it; null: not one of the newest. */
async function isInJournal(
  client: WakeClient,
  runId: string,
  isIt: (one: Transition) => boolean,
): Promise<boolean | null> {
  let isFound = false;
  let left = LOOKED_AT_MAX;
  await readBackwards(client.db, new Map([[runId, Number.MAX_SAFE_INTEGER]]), (one) => {
    isFound ||= isIt(one);
    return isFound || --left <= 0;
  });
  return isFound ? true : left <= 0 ? null : false;
}
