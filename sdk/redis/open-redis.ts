/** A connection for who cannot wait for ever for its first answer. */
import type { Redis } from "ioredis";
import { GavotteError } from "../errors.ts";
import { shownUrl } from "../shown-url.ts";
import { connectRedis, type ConnectOptions } from "./connect.ts";

/** Opens a connection, with an end to the waiting. Throws GV_REDIS_UNAVAILABLE. */
export async function openRedis(
  url: string,
  name: string,
  timeoutMs: number,
  more: ConnectOptions = {},
): Promise<Redis> {
  const redis = connectRedis({ url }, name, { ...more, connectTimeout: timeoutMs });
  let reason = "the connection was closed";
  const heard = (error: Error): void => void (reason = error.message);
  redis.on("error", heard);
  try {
    await redis.connect();
  } catch (error) {
    redis.disconnect();
    const shown = shownUrl(url);
    const message = `Redis cannot be reached at ${shown} (${reason}); check redis_url and that it runs`;
    throw new GavotteError("GV_REDIS_UNAVAILABLE", message, { cause: error });
  }
  redis.off("error", heard);
  return redis;
}
