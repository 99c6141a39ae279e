/** What a gateway and the clients of its feed agree on beside the messages. */
import { shownUrl } from "./shown-url.ts";
import { GavotteError } from "./errors.ts";

/** Where a gateway has its feed. */
export const FEED_PATH = "/api/v1/ws";
/** How often a gateway pings a client, so that each knows that the other is still there. */
export const FEED_HEARTBEAT_MS = 30_000;

/**
 * Address of the feed of a gateway that is at `url`, which may be a place behind a proxy. Throws
 * GV_BAD_CONFIG.
 */
export function feedAddress(url: string): URL {
  const target = URL.canParse(url) ? new URL(url) : null;
  if (target === null || !/^(http|ws)s?:$/.test(target.protocol)) {
    const message = `gateway_url is an address such as http://127.0.0.1:8080, not "${shownUrl(url)}"`;
    throw new GavotteError("GV_BAD_CONFIG", message);
  }
  target.protocol = target.protocol.replace("http", "ws");
  target.pathname = target.pathname.replace(/\/+$/, "") + FEED_PATH;
  return target;
}
