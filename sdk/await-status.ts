/**
 * Waiting for a run to reach a status (X21): over the gateway's live feed.
 *
 * The feed tells every transition, so a status that lasts for a millisecond is not missed, as it would
 * be by whoever asks for the row now and then; and one gateway hears each partition's journal once for
 * all who wait, where a blocking read of the journal would bring every run's traffic to each of them.
 * Nothing is asked repeatedly. Postgres is asked for the row at first, which may have ended long ago.
 */
import { GavotteError } from "./errors.ts";
import type { FeedMessage } from "./feed-client.ts";
import { readRun, type Database } from "./postgres/index.ts";
import { isTerminal, type RunStatus } from "./status.ts";
import { timeLimit } from "./time-limit.ts";

export interface AwaitStatusOptions {
  /** Any of these; the one that the run has counts. */
  status: RunStatus | readonly RunStatus[];
  /** Where the gateway is. */
  gatewayUrl: string;
  /** One of its keys, if it has any. */
  apiKey?: string;
  /** Gives up with GV_AWAIT_TIMED_OUT; without it, never. */
  timeoutMs?: number;
  /** Gives up with the signal's reason. */
  signal?: AbortSignal;
  /** Told when the connection is lost and will be tried again. */
  onRetry?: (reason: string, waitMs: number) => void;
}

/**
 * The status of those asked for that the run has, or comes to. Throws GV_STATUS_UNREACHABLE as soon as
 * the run has ended in another, GV_AWAIT_TIMED_OUT, GV_RUN_NOT_FOUND, GV_GATEWAY_UNAVAILABLE.
 */
export async function awaitStatus(
  db: Database,
  runId: string,
  options: AwaitStatusOptions,
): Promise<RunStatus> {
  const limit = timeLimit(options.timeoutMs ?? Infinity);
  return await statusWithin(db, runId, options, limit.signal).finally(() => limit.clear());
}

async function statusWithin(
  db: Database,
  runId: string,
  options: AwaitStatusOptions,
  limit: AbortSignal,
): Promise<RunStatus> {
  const {
    status,
    timeoutMs = 0,
    signal,
    apiKey,
    gatewayUrl: url,
    onRetry = () => undefined,
  } = options;
  const wanted = new Set([status].flat());
  const before = await statusOf(db, runId);
  if (isTerminal(before)) {
    return ended(runId, before, wanted);
  }
  const reached = new AbortController();
  const ends = [reached.signal, limit, signal].filter((one) => one !== undefined);
  let last = before;
  const onMessage = (message: Exclude<FeedMessage, { type: "error" }>): void => {
    const isOfRun = message.type !== "status_update" || message.node === null;
    if (isOfRun && !reached.signal.aborted) {
      last = message.status as RunStatus;
      void (wanted.has(last) && reached.abort());
    }
  };
  const { followFeed } = await import("./feed-client.ts");
  try {
    const key = apiKey === undefined ? {} : { apiKey };
    await followFeed({ url, runId, signal: AbortSignal.any(ends), onMessage, onRetry, ...key });
  } catch (error) {
    if (reached.signal.aborted) {
      return last;
    }
    if (!limit.aborted) {
      throw error;
    }
    throw timedOut(runId, last, wanted, timeoutMs);
  }
  return ended(runId, last, wanted);
}

async function statusOf(db: Database, runId: string): Promise<RunStatus> {
  const row = await readRun(db, runId);
  if (row === null) {
    const message = `there is no run ${runId}; "gavotte runs" shows those there are`;
    throw new GavotteError("GV_RUN_NOT_FOUND", message);
  }
  return row.status;
}

/** The status of a run that has ended, if that was asked for. Throws GV_STATUS_UNREACHABLE. */
function ended(runId: string, status: RunStatus, wanted: ReadonlySet<RunStatus>): RunStatus {
  if (wanted.has(status)) {
    return status;
  }
  const message = `run ${runId} has ended (${status}): it does not become ${anyOf(wanted)} any more`;
  throw new GavotteError("GV_STATUS_UNREACHABLE", message, { details: { status } });
}

function timedOut(
  runId: string,
  status: RunStatus,
  wanted: ReadonlySet<RunStatus>,
  ms: number,
): GavotteError {
  const message = `run ${runId} is ${status}, and was not ${anyOf(wanted)} within ${ms} ms`;
  return new GavotteError("GV_AWAIT_TIMED_OUT", message, { details: { run_id: runId, status } });
}

function anyOf(wanted: ReadonlySet<RunStatus>): string {
  return [...wanted].join(" or ");
}
