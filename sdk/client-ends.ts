/** How a call of a client ends otherwise: no such run, its time is over, the client is closed. */
import { errorCode, GavotteError } from "./errors.ts";
import type { RunStatus } from "./status.ts";

/** Open until it is closed, once and for all. */
export class ClientGate {
  #isClosed = false;

  /** False: it was closed before. */
  close(): boolean {
    const isFirst = !this.#isClosed;
    this.#isClosed = true;
    return isFirst;
  }

  /** Throws GV_CLIENT_CLOSED. */
  assertOpen(runId?: string): void {
    if (this.#isClosed) {
      throw closed(runId);
    }
  }

  /** What `work` gives. What it fails with because the client is closed meanwhile is told as that. */
  async pass<T>(work: () => Promise<T>, runId?: string): Promise<T> {
    this.assertOpen(runId);
    try {
      return await work();
    } catch (error) {
      throw this.toldOf(error, runId);
    }
  }

  /** The same object, whose methods, which all answer later, pass this gate. */
  guarded<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name): unknown => {
        const member: unknown = Reflect.get(target, name, target);
        if (typeof member !== "function" || name === "constructor") {
          return member;
        }
        const method = member as (...args: unknown[]) => Promise<unknown>;
        return (...args: unknown[]) => this.pass(() => method.apply(target, args));
      },
    });
  }

  /** The error to tell of a call that failed with this one. */
  toldOf(error: unknown, runId?: string): unknown {
    if (errorCode(error) !== null) {
      return error;
    }
    return this.#isClosed ? closed(runId, error) : (readOnly(error) ?? error);
  }
}

/** What a replica answers: the address leads to one during a failover, or for good. */
function readOnly(error: unknown): GavotteError | null {
  if (!(error instanceof Error) || !error.message.startsWith("READONLY")) {
    return null;
  }
  const message =
    "the Redis at redis_url is a replica and takes no writes; nothing was done: try again when the " +
    "failover is over, or set redis_url to the primary";
  return new GavotteError("GV_REDIS_UNAVAILABLE", message, { cause: error });
}

/** That a run has not ended in the time that somebody has for it. */
export function notEnded(runId: string, status: RunStatus | null, ms: number): GavotteError {
  const now = status === null ? "" : `; it is ${status}`;
  const message = `run ${runId} has not ended within ${ms} ms${now}`;
  return new GavotteError("GV_AWAIT_TIMED_OUT", message, { details: { run_id: runId, status } });
}

export function notFound(runId: string): GavotteError {
  const message = `there is no run ${runId}; "gavotte runs" shows those there are`;
  return new GavotteError("GV_RUN_NOT_FOUND", message);
}

export function ended(runId: string, status: string): GavotteError {
  return new GavotteError("GV_RUN_ENDED", `run ${runId} has ended (${status}): nothing to cancel`);
}

function closed(runId?: string, cause?: unknown): GavotteError {
  const about = runId === undefined ? "" : ` (run ${runId})`;
  const message =
    cause === undefined
      ? `the client is closed${about}: ask with another one`
      : `the client was closed meanwhile${about}: whether that was done is not known`;
  const details = runId === undefined ? {} : { run_id: runId };
  return new GavotteError("GV_CLIENT_CLOSED", message, { details, cause });
}
