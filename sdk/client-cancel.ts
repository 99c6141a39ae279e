/**
 * A client's cancel, wherever the run is: in Redis, asleep in Postgres, in repair, or on its way from
 * one to the other.
 *
 * It ends where it is, by one atomic step there; what is between two places is asked again. Never by
 * the row alone while Redis has the run: its tokens would go on.
 */
import { ended, type ClientGate } from "./client-ends.ts";
import type { WaitClient } from "./client-waits.ts";
import { GavotteError } from "./errors.ts";
import { cancelRunRow } from "./postgres/index.ts";
import { cancelRun } from "./redis/run-scripts.ts";
import type { RunReader } from "./run-reader.ts";
import { isTerminal } from "./status.ts";
import { whileAwake } from "./wake.ts";

const RETRY_MS = 250;

/** What is needed of a client. */
export interface CancelClient extends WaitClient {
  gate: ClientGate;
  runs: RunReader;
}

/** See Client.cancel. */
export async function cancelWhereItIs(
  client: CancelClient,
  runId: string,
  reason: string,
): Promise<void> {
  const { clock, db, gate, runs } = client;
  const untilMs = clock.monotonicMs() + client.patienceMs;
  for (;;) {
    gate.assertOpen(runId);
    const scripts = await client.scriptsOf(runId);
    const known = await runs.row(runId);
    const row = await whileAwake(client, known).catch(async (error: unknown) => {
      if ((await cancelRun(scripts, runId, reason)) === "cancelled") {
        return { ...known, status: "CANCELLED" as const };
      }
      throw error;
    });
    if (row.status === "CANCELLED") {
      return;
    }
    if (isTerminal(row.status)) {
      throw ended(runId, row.status);
    }
    const answer = await cancelRun(scripts, runId, reason);
    if (answer === "completed" || answer === "failed") {
      throw ended(runId, answer.toUpperCase());
    }
    const error = JSON.stringify({ code: "CANCELLED", message: reason });
    const nowMs = clock.nowMs();
    const isDone = answer === "cancelled" || answer === "was_cancelled";
    if (isDone || (answer === "gone" && (await cancelRunRow(db, row, error, nowMs)))) {
      return;
    }
    // It is falling asleep, is to be repaired, was woken or has ended meanwhile.
    if (clock.monotonicMs() >= untilMs) {
      const message = `run ${runId} is falling asleep or in repair and stays so; try again later`;
      throw new GavotteError("GV_RUN_NOT_READY", message);
    }
    await client.pause(RETRY_MS);
  }
}
