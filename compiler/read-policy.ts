/**
 * How often, how fast and how many: `retry`, `cache`, `rate_limit`, `circuit_breaker`, `concurrency`,
 * `compensate`.
 *
 * What the schema has reported is replaced by its default here, silently.
 */
import { rewriteLegacy } from "../condition/index.ts";
import { rewriteTemplates } from "./config.ts";
import { asObject, own } from "./document.ts";
import type { JsonObject } from "./document.ts";
import type {
  IrCircuitBreaker,
  IrCompensation,
  IrConcurrency,
  IrRateLimit,
  IrRetry,
  Json,
} from "./ir.ts";

/** What a node without `retry` has: no retry. */
export const RETRY_DEFAULTS: IrRetry = {
  max_attempts: 1,
  backoff_ms: 1000,
  backoff_multiplier: 2,
  max_backoff_ms: 60_000,
  jitter: 0.2,
};

/** The `retry` of a node, with defaults for what it does not say; RETRY_DEFAULTS without one. */
export function readRetry(value: Json | undefined): IrRetry {
  const given = asObject(value);
  if (!given) return RETRY_DEFAULTS;
  const retry = { ...RETRY_DEFAULTS };
  const keys = [
    "max_attempts",
    "backoff_ms",
    "backoff_multiplier",
    "max_backoff_ms",
    "jitter",
  ] as const;
  for (const key of keys) {
    const part = own(given, key);
    if (typeof part === "number") retry[key] = part;
  }
  if (own(given, "jitter") === false) retry.jitter = 0;
  for (const key of ["on", "not_on"] as const) {
    const codes = readCodes(own(given, key));
    if (codes) retry[key] = codes;
  }
  const condition = own(given, "condition");
  if (typeof condition === "boolean") retry.condition = `${condition}`;
  if (typeof condition === "string") retry.condition = rewriteLegacy(condition, "condition");
  return retry;
}

/** Sorted: their order means nothing, so it does not change the workflow's identity. */
function readCodes(value: Json | undefined): string[] | undefined {
  if (typeof value === "string") return [value];
  if (!Array.isArray(value)) return undefined;
  const codes = value.filter((code) => typeof code === "string");
  return [...new Set(codes)].sort();
}

export function readCache(value: Json | undefined): { ttl_ms: number | null } | null {
  if (value === true) return { ttl_ms: null };
  const given = asObject(value);
  if (!given) return null;
  const ttl = own(given, "ttl_ms");
  return { ttl_ms: typeof ttl === "number" ? ttl : null };
}

/** `compensate`: the name of a function, or an object with its parameters; null if there is none. */
export function readCompensation(value: Json | undefined): IrCompensation | null {
  const given = typeof value === "string" ? { function_name: value } : asObject(value);
  const name = given && own(given, "function_name");
  if (typeof name !== "string") return null;
  const params = own(given ?? {}, "params");
  const filled = params === undefined ? {} : { params: rewriteTemplates(params) };
  const queue = own(given ?? {}, "queue");
  return {
    function_name: name,
    ...filled,
    queue: typeof queue === "string" ? queue : `fn:${name}`,
  };
}

const PERIODS = { per_second: 1000, per_minute: 60_000, per_hour: 3_600_000 } as const;

/** `rate_limit`, of a node or of the workflow; null if there is none. */
export function readRateLimit(value: Json | undefined): IrRateLimit | null {
  const given = asObject(value);
  if (!given) return null;
  const key = readKey(given);
  for (const [name, per_ms] of Object.entries(PERIODS)) {
    const limit = own(given, name);
    if (typeof limit === "number") return { key, limit, per_ms };
  }
  const limit = own(given, "limit");
  const period = own(given, "per_ms");
  if (typeof limit !== "number" || typeof period !== "number") return null;
  return { key, limit, per_ms: period };
}

/** What a circuit breaker has that says nothing else. */
const CIRCUIT_DEFAULTS = { failures: 5, within_ms: 60_000, open_ms: 30_000 } as const;

/** `circuit_breaker` of a node; `true` is one with all defaults, null if there is none. */
export function readCircuitBreaker(value: Json | undefined): IrCircuitBreaker | null {
  const given = value === true ? {} : asObject(value);
  if (!given) return null;
  const whole = (name: keyof typeof CIRCUIT_DEFAULTS): number => {
    const part = own(given, name);
    return typeof part === "number" ? part : CIRCUIT_DEFAULTS[name];
  };
  return {
    key: readKey(given),
    failures: whole("failures"),
    within_ms: whole("within_ms"),
    open_ms: whole("open_ms"),
    on_open: own(given, "on_open") === "fail" ? "fail" : "wait",
  };
}

/** `settings.concurrency`; null if there is none. */
export function readConcurrency(value: Json | undefined): IrConcurrency | null {
  const given = asObject(value);
  if (!given) return null;
  const limit = own(given, "limit");
  const conflict = own(given, "on_conflict");
  return {
    key: readKey(given),
    limit: typeof limit === "number" ? limit : 1,
    on_conflict: conflict === "reject" || conflict === "cancel_running" ? conflict : "queue",
  };
}

function readKey(given: JsonObject): string {
  const key = own(given, "key");
  return typeof key === "string" ? rewriteLegacy(key, "template") : "";
}
