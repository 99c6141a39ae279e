/**
 * One registry of the codes that the API, the CLI and the SDK answer with, and the one class that
 * carries them. Match by `code`, not by `instanceof`: errors cross processes and JSON.
 *
 * Adding a code: add it here and describe it in docs/errors.md. Codes are never reused.
 */
export const ERRORS = {
  GV_BAD_CONFIG: { retryable: false, exit: 2 },
  GV_BAD_INPUT: { retryable: false, exit: 2 },
  GV_BAD_SUBMISSION: { retryable: false, exit: 1 },
  GV_SUBMISSION_POISON: { retryable: false, exit: 1 },
  GV_START_REFUSED: { retryable: false, exit: 1 },
  GV_CONCURRENCY_LIMIT: { retryable: true, exit: 1 },
  GV_IDEMPOTENCY_CONFLICT: { retryable: false, exit: 1 },
  GV_WORKFLOW_INVALID: { retryable: false, exit: 1 },
  GV_WORKFLOW_COSTLY: { retryable: false, exit: 1 },
  GV_WORKFLOW_NOT_FOUND: { retryable: false, exit: 1 },
  GV_RUN_NOT_FOUND: { retryable: false, exit: 1 },
  GV_STATUS_UNREACHABLE: { retryable: false, exit: 1 },
  GV_AWAIT_TIMED_OUT: { retryable: true, exit: 4 },
  GV_RUN_ENDED: { retryable: false, exit: 1 },
  GV_RUN_STATUS_REFUSED: { retryable: false, exit: 1 },
  GV_NODE_STATUS_REFUSED: { retryable: false, exit: 1 },
  GV_NOT_PAUSED: { retryable: false, exit: 1 },
  GV_RUN_NOT_READY: { retryable: true, exit: 3 },
  GV_SIGNAL_UNKNOWN: { retryable: false, exit: 1 },
  GV_SIGNALS_FULL: { retryable: true, exit: 1 },
  GV_SIGNAL_TOO_LARGE: { retryable: false, exit: 1 },
  GV_CALLBACK_UNKNOWN: { retryable: false, exit: 1 },
  GV_CALLBACK_USED: { retryable: false, exit: 1 },
  GV_APPROVAL_NOT_FOUND: { retryable: false, exit: 1 },
  GV_APPROVAL_CLOSED: { retryable: false, exit: 1 },
  GV_APPROVAL_FORBIDDEN: { retryable: false, exit: 1 },
  GV_APPROVAL_DECIDED: { retryable: false, exit: 1 },
  GV_DEAD_LETTER_NOT_FOUND: { retryable: false, exit: 1 },
  GV_REDIS_UNAVAILABLE: { retryable: true, exit: 3 },
  GV_DATABASE_UNAVAILABLE: { retryable: true, exit: 3 },
  GV_REDIS_FULL: { retryable: true, exit: 3 },
  GV_INTAKE_UNAVAILABLE: { retryable: true, exit: 3 },
  GV_CLIENT_CLOSED: { retryable: false, exit: 1 },
  GV_PARTITION_UNCERTIFIED: { retryable: true, exit: 3 },
  GV_PARTITION_MISMATCH: { retryable: false, exit: 2 },
  GV_SCHEMA_OUTDATED: { retryable: false, exit: 2 },
  GV_FUNCTIONS_INVALID: { retryable: false, exit: 2 },
  GV_HISTORY_BEHIND: { retryable: true, exit: 3 },
  GV_HISTORY_MOVING: { retryable: true, exit: 3 },
  GV_REQUEST_MALFORMED: { retryable: false, exit: 1 },
  GV_KEY_REFUSED: { retryable: false, exit: 1 },
  GV_KEYS_MISSING: { retryable: false, exit: 1 },
  GV_ROUTE_UNKNOWN: { retryable: false, exit: 1 },
  GV_METHOD_REFUSED: { retryable: false, exit: 1 },
  GV_BODY_TOO_LARGE: { retryable: false, exit: 1 },
  GV_MEDIA_TYPE_REFUSED: { retryable: false, exit: 1 },
  GV_GATEWAY_BUSY: { retryable: true, exit: 3 },
  GV_INTERNAL: { retryable: false, exit: 1 },
  GV_GATEWAY_UNAVAILABLE: { retryable: true, exit: 3 },
  GV_STACK_FAILED: { retryable: true, exit: 3 },
} as const satisfies { [code: string]: { retryable: boolean; exit: number } };

export type ErrorCode = keyof typeof ERRORS;

export class GavotteError extends Error {
  readonly code: ErrorCode;
  readonly details: unknown;

  constructor(
    code: ErrorCode,
    message: string,
    options: { details?: unknown; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "GavotteError";
    this.code = code;
    this.details = options.details;
  }
}

/** The registered code of an error from anywhere, or null. */
export function errorCode(error: unknown): ErrorCode | null {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" && code in ERRORS ? (code as ErrorCode) : null;
}
