/**
 * The one place that opens Redis connections.
 *
 * A connection that blocks (XREAD, XREADGROUP with BLOCK) or subscribes serves nothing else; ask
 * for one each. Commands never give up while a server is away (`maxRetriesPerRequest: null`): every
 * call of the engine is idempotent, and who wants a limit passes an abort signal.
 */
import calculateSlot from "cluster-key-slot";
import type { Redis, RedisOptions } from "ioredis";
import { GavotteError } from "../errors.ts";
import { shownUrl } from "../shown-url.ts";
import { connectCluster } from "./cluster-router.ts";
import { isClusterUrl } from "./cluster-url.ts";
import { Connection } from "./connection.ts";
import { connectSlot } from "./slot-connection.ts";
import { topologyOf } from "./topology.ts";

export interface RedisTarget {
  /**
   * `redis://…`, `rediss://…`, `unix:///path/to.sock?db=0`, or of a cluster
   * `redis-cluster://host:port,host:port` and `rediss-cluster://…`.
   */
  url: string;
}

export interface ConnectOptions extends RedisOptions {
  /**
   * On a cluster: a key that lies where the commands of this connection go. Needed for those that
   * block, scan, or concern one server. Without it commands are routed by their keys.
   */
  at?: string;
}

/** Opens a connection named `name` (seen in CLIENT LIST). It connects at first use. */
export function connectRedis(
  target: RedisTarget,
  name: string,
  { at, ...more }: ConnectOptions = {},
): Redis {
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
  const redis = opened(target.url, options, at);
  // Without a listener an unreachable server would end the process; commands report it anyway.
  redis.on("error", () => undefined);
  return redis;
}

/** Throws GV_BAD_CONFIG: the error of the driver would hold the URL, and that goes into logs. */
function opened(url: string, options: RedisOptions, at: string | undefined): Redis {
  try {
    return open(url, options, at);
  } catch (error) {
    if ((error as { code?: unknown }).code !== "ERR_INVALID_URL") {
      throw error;
    }
    const remedy = "what user and password hold of : / ? # @ and % has to be percent-encoded";
    const message = `redis_url cannot be read (${shownUrl(url)}): ${remedy}`;
    throw new GavotteError("GV_BAD_CONFIG", message);
  }
}

function open(url: string, options: RedisOptions, at: string | undefined): Redis {
  if (isClusterUrl(url)) {
    return at === undefined
      ? connectCluster(topologyOf(url), options)
      : connectSlot(topologyOf(url), calculateSlot(at), options);
  }
  return url.startsWith("unix:")
    ? new Connection({ ...unixOptions(url), ...options })
    : new Connection(url, options);
}

function unixOptions(url: string): RedisOptions {
  const parsed = new URL(url);
  const db = Number(parsed.searchParams.get("db") ?? "0");
  return { path: decodeURIComponent(parsed.pathname), db };
}
