/**
 * The one shape in which the gateway says over HTTP that it did not do what was asked, whoever noticed:
 * the engine, the check of a request by its schema, the router, the parser of HTTP itself.
 *
 * A code of the registry has one status, here. So a client needs to know the codes only, and whoever
 * registers a code is told by the compiler to give it a status.
 */
import { errorCode, ERRORS, FEED_PATH, GavotteError, type ErrorCode } from "../sdk/internal.ts";
import { isDatabaseAway } from "../sdk/postgres/index.ts";

/** One of several things that are wrong with a request. */
export interface Problem {
  code: string;
  message: string;
  /** Where in the body, or which parameter. */
  path?: string;
  /** Of a workflow that came as a file's text: where in it, both from 1. */
  line?: number;
  column?: number;
}

export interface ErrorBody {
  error: {
    code: string;
    message: string;
    problems?: readonly Problem[];
    details?: { readonly [name: string]: unknown };
  };
}

/** An answer that is not from a route's own schema. */
export interface Answer {
  code: number;
  body: object;
  headers?: { [name: string]: string };
}

const STATUS: { readonly [code in ErrorCode]: number } = {
  GV_BAD_CONFIG: 500,
  GV_BAD_INPUT: 400,
  GV_BAD_SUBMISSION: 400,
  GV_REQUEST_MALFORMED: 400,
  GV_KEY_REFUSED: 401,
  GV_KEYS_MISSING: 403,
  GV_APPROVAL_FORBIDDEN: 403,
  GV_ROUTE_UNKNOWN: 404,
  GV_WORKFLOW_NOT_FOUND: 404,
  GV_RUN_NOT_FOUND: 404,
  GV_SIGNAL_UNKNOWN: 404,
  GV_CALLBACK_UNKNOWN: 404,
  GV_APPROVAL_NOT_FOUND: 404,
  GV_DEAD_LETTER_NOT_FOUND: 404,
  GV_METHOD_REFUSED: 405,
  GV_CONCURRENCY_LIMIT: 409,
  GV_IDEMPOTENCY_CONFLICT: 409,
  GV_STATUS_UNREACHABLE: 409,
  GV_RUN_ENDED: 409,
  GV_RUN_STATUS_REFUSED: 409,
  GV_NODE_STATUS_REFUSED: 409,
  GV_NOT_PAUSED: 409,
  GV_CALLBACK_USED: 409,
  GV_APPROVAL_CLOSED: 409,
  GV_APPROVAL_DECIDED: 409,
  GV_BODY_TOO_LARGE: 413,
  GV_SIGNAL_TOO_LARGE: 413,
  GV_MEDIA_TYPE_REFUSED: 415,
  GV_SUBMISSION_POISON: 422,
  GV_START_REFUSED: 422,
  GV_WORKFLOW_INVALID: 422,
  GV_WORKFLOW_COSTLY: 422,
  GV_SIGNALS_FULL: 429,
  GV_GATEWAY_BUSY: 429,
  GV_INTERNAL: 500,
  GV_PARTITION_MISMATCH: 500,
  GV_SCHEMA_OUTDATED: 500,
  GV_FUNCTIONS_INVALID: 500,
  GV_RUN_NOT_READY: 503,
  GV_REDIS_UNAVAILABLE: 503,
  GV_DATABASE_UNAVAILABLE: 503,
  GV_REDIS_FULL: 503,
  GV_INTAKE_UNAVAILABLE: 503,
  GV_CLIENT_CLOSED: 503,
  GV_PARTITION_UNCERTIFIED: 503,
  GV_HISTORY_BEHIND: 503,
  GV_HISTORY_MOVING: 503,
  GV_GATEWAY_UNAVAILABLE: 503,
  GV_STACK_FAILED: 503,
  GV_AWAIT_TIMED_OUT: 504,
};

/** What a client that is told "not now" waits before it asks again. */
const RETRY_AFTER_S = "1";
/** How the driver of Redis says that the server is away, or not ready; these have no code of ours. */
const REDIS_AWAY = new RegExp(
  "^(Command timed out|Connection is closed|Reached the max retries" +
    "|LOADING|READONLY|MASTERDOWN|CLUSTERDOWN)|ECONNREFUSED|ECONNRESET",
);

/** What is answered for an error; null: it is none that anybody has foreseen, and is to be logged. */
export function refusalOf(error: unknown): Answer | null {
  const known = errorCode(error);
  if (known !== null) {
    return refusal(known, messageOf(error), (error as { details?: unknown }).details);
  }
  if (isDatabaseAway(error)) {
    return refusal("GV_DATABASE_UNAVAILABLE", "Postgres does not answer; try again later");
  }
  if (REDIS_AWAY.test(messageOf(error))) {
    const message = "Redis does not answer, so whether this was done is not known; try again later";
    return refusal("GV_REDIS_UNAVAILABLE", message);
  }
  return null;
}

/** For what nobody has foreseen: what it was is for the log, not for strangers. */
export function internalError(): Answer {
  const message = "the gateway has failed at this; what happened is in its log";
  return refusal("GV_INTERNAL", message);
}

/** An answer with the one body. `details`: of a GavotteError; its `errors` are told as `problems`. */
export function refusal(code: ErrorCode, message: string, details?: unknown): Answer {
  const { errors, ...others } = (details ?? {}) as { errors?: readonly Problem[] };
  const body: ErrorBody = {
    error: {
      code,
      message,
      ...(errors === undefined || errors.length === 0 ? {} : { problems: errors }),
      ...(Object.keys(others).length === 0 ? {} : { details: others }),
    },
  };
  const status = STATUS[code];
  const mayPass = ERRORS[code].retryable && (status === 503 || status === 429);
  return { code: status, body, headers: mayPass ? { "retry-after": RETRY_AFTER_S } : {} };
}

/** A request whose path has this route, and not this method. */
export function methodRefused(path: string, allowed: readonly string[]): Answer {
  const allow = allowed.join(", ");
  const answer = refusal("GV_METHOD_REFUSED", `${path} takes ${allow}`);
  return { ...answer, headers: { allow } };
}

/** A request for the feed that is no handshake of a WebSocket; `error` says what is wrong with it. */
export function handshakeRefused(
  error: Error,
  { method }: { method?: string | undefined },
): Answer {
  if (method !== "GET") {
    return methodRefused(FEED_PATH, ["GET"]);
  }
  const message = `this is no handshake of a WebSocket (${error.message}); see RFC 6455, 4.1`;
  const versions = { "sec-websocket-version": "13, 8" };
  return { ...refusal("GV_REQUEST_MALFORMED", message), headers: versions };
}

/** What a gateway that stops answers to who comes for the feed. */
export function goingAway(): Answer {
  return refusal("GV_GATEWAY_UNAVAILABLE", "this gateway stops; connect again, to another one");
}

/** A path that no route has. */
export function routeUnknown(path: string): GavotteError {
  const message = `there is nothing at ${path}; /api/v1/openapi.json lists what there is`;
  return new GavotteError("GV_ROUTE_UNKNOWN", message);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
