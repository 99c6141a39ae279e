/**
 * What signals, callbacks and decisions of a client have in common: the limits of what is sent, and
 * patience with a run that is not there to answer yet.
 *
 * What can be checked with the workflow at hand is checked by the client, so that the sender is told:
 * does the run wait for this signal at all, does the payload fit what the node asks for. Whether
 * anything waits right now is decided by the scripts, atomically with timers and with others who
 * answer.
 */
import type { Ir, Json } from "../compiler/ir.ts";
import { DamagedRun } from "./damaged-run.ts";
import { GavotteError } from "./errors.ts";
import { assertKept } from "./given.ts";
import { readRun } from "./postgres/index.ts";
import type { ScriptRunner } from "./redis/script-runner.ts";
import { isTerminal } from "./status.ts";
import { SIGNAL_BYTES_MAX, SIGNAL_ID_LENGTH_MAX } from "./waits.ts";
import { whileAwake, type WakeClient } from "./wake.ts";

/** What is needed of a client. */
export interface WaitClient extends WakeClient {
  scriptsOf(runId: string): Promise<ScriptRunner>;
  irOf(hash: string): Promise<Ir>;
}

const RETRY_MS = 50;

/**
 * Calls until the run is there to answer: one that was accepted a moment ago is not in Redis yet, one
 * in repair soon will be, and one that is asleep is woken.
 */
export async function patiently<T extends string>(
  client: WaitClient,
  runId: string,
  call: () => Promise<T>,
): Promise<Exclude<T, "gone" | "busy"> | "ended" | "unknown"> {
  const untilMs = client.clock.monotonicMs() + client.patienceMs;
  const damaged = new DamagedRun(runId, () => client.scriptsOf(runId));
  for (;;) {
    const outcome = (await damaged.unless(call)) ?? "busy";
    if (outcome !== "gone" && outcome !== "busy") {
      return outcome as Exclude<T, "gone" | "busy">;
    }
    const row = await readRun(client.db, runId);
    if (row === null || isTerminal(row.status)) {
      return row === null ? "unknown" : "ended";
    }
    const isAsleep = row.asleepSinceMs !== null;
    if (client.clock.monotonicMs() >= untilMs) {
      const gone = isAsleep ? "is falling asleep" : "has not started yet";
      const why = outcome === "gone" ? gone : "is being repaired";
      throw damaged.notReady(why);
    }
    await (isAsleep ? whileAwake(client, row) : client.pause(RETRY_MS));
  }
}

export function assertText(what: string, text: string): void {
  if (text === "" || text.length > SIGNAL_ID_LENGTH_MAX) {
    throw badInput(`${what} must have 1 to ${SIGNAL_ID_LENGTH_MAX} characters`);
  }
}

export function assertSize(value: Json): void {
  const text = JSON.stringify(value);
  if (Buffer.byteLength(text) > SIGNAL_BYTES_MAX) {
    throw tooLarge();
  }
  assertKept(value, text);
}

export function badInput(message: string): GavotteError {
  return new GavotteError("GV_BAD_INPUT", message);
}

export function tooLarge(): GavotteError {
  const what = "the payload, with its id and name, has";
  const message = `${what} more than ${SIGNAL_BYTES_MAX} bytes as JSON; send a reference`;
  return new GavotteError("GV_SIGNAL_TOO_LARGE", message);
}

export function waitsForNothing(runId: string, status?: string): GavotteError {
  const how = status === undefined ? "" : ` (${status})`;
  return new GavotteError("GV_RUN_ENDED", `run ${runId} has ended${how}: it waits for nothing`);
}
