/**
 * Following a run: its journal as it is archived, until it has ended.
 *
 * Each transition is told once and in order. The row is read before the journal, so when it has ended
 * the journal read after it is whole, and nothing comes later.
 */
import type { ClientGate } from "./client-ends.ts";
import { notEnded } from "./client-ends.ts";
import type { FollowOptions } from "./client-options.ts";
import { comparePositions } from "./journal.ts";
import { pause } from "./pause.ts";
import {
  readJournal,
  type ArchivedTransition,
  type Database,
  type RunRow,
} from "./postgres/index.ts";
import type { RunReader } from "./run-reader.ts";
import { isTerminal, type RunStatus } from "./status.ts";
import { timeLimit } from "./time-limit.ts";

const POLL_MS_MIN = 5;
const POLL_MS_MAX = 250;
const POLL_GROWTH = 1.5;

/** What is new of a run. */
export interface Followed {
  row: RunRow;
  transitions: ArchivedTransition[];
}

/** What is needed of a client. */
export interface FollowClient {
  db: Database;
  gate: ClientGate;
  runs: RunReader;
}

/** See Client.follow. */
export async function* followRun(
  client: FollowClient,
  runId: string,
  options: FollowOptions,
): AsyncGenerator<Followed> {
  const { signal, timeoutMs = Infinity, after = "0.-1" } = options;
  const limit = timeLimit(timeoutMs);
  const ends = signal === undefined ? limit.signal : AbortSignal.any([signal, limit.signal]);
  const seen: { status: RunStatus | null } = { status: null };
  try {
    yield* news(client, runId, after, ends, seen);
  } catch (error) {
    const isLate = limit.signal.aborted && error === limit.signal.reason;
    throw isLate ? notEnded(runId, seen.status, timeoutMs) : client.gate.toldOf(error, runId);
  } finally {
    limit.clear();
  }
}

async function* news(
  { db, runs }: FollowClient,
  runId: string,
  after: string,
  ends: AbortSignal,
  seen: { status: RunStatus | null },
): AsyncGenerator<Followed> {
  let pauseMs = POLL_MS_MIN;
  let nextSeq = Number.parseInt(after, 10);
  for (;;) {
    ends.throwIfAborted();
    const row = await runs.row(runId);
    seen.status = row.status;
    const transitions = (await readJournal(db, runId, nextSeq)).filter(
      ({ position }) => comparePositions(position, after) > 0,
    );
    const last = transitions.at(-1);
    if (last !== undefined) {
      nextSeq = Number.parseInt(last.position, 10) + 1;
      pauseMs = POLL_MS_MIN;
    }
    if (transitions.length > 0 || isTerminal(row.status)) {
      yield { row, transitions };
    }
    if (isTerminal(row.status)) {
      return;
    }
    await pause(pauseMs, ends);
    pauseMs = Math.min(pauseMs * POLL_GROWTH, POLL_MS_MAX);
  }
}
