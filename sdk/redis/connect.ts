/**
 * The one place that opens Redis connections.
 *
 * A connection that blocks (XREAD, XREADGROUP with BLOCK) or subscribes serves nothing else; ask
 * for one each. Commands never give up while a server is away (`maxRetriesPerRequest: null`): every
 * call of the engine is idempotent, and who wants a limit passes an abort signal.
 */
import { Redis, type RedisOptions } from "ioredis";

export interface RedisTarget {
  /** `redis://…`, `rediss://…`, or `unix:///path/to.sock?db=0`. */
  url: string;
}

/** Opens a connection named `name` (seen in CLIENT LIST). It connects at first use. */
export function connectRedis(target: RedisTarget, name: string, more: RedisOptions = {}): Redis {
  const options: RedisOptions = {
    connectionName: `gavotte:${name}`,
    maxRetriesPerRequest: null,
    enableReadyCheck: true,
    lazyConnect: true,
    // A connection that is closed leaves a timer behind for this long, which keeps the process.
    disconnectTimeout: 100,
    retryStrategy: (times) => Math.min(50 * times, 1000),
    ...more,
  };
  const redis = target.url.startsWith("unix:")
    ? new Redis({ ...unixOptions(target.url), ...options })
    : new Redis(target.url, options);
  // Without a listener an unreachable server would end the process; commands report it anyway.
  redis.on("error", () => undefined);
  return redis;
}

function unixOptions(url: string): RedisOptions {
  const parsed = new URL(url);
  const db = Number(parsed.searchParams.get("db") ?? "0");
  return { path: decodeURIComponent(parsed.pathname), db };
}
