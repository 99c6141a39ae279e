/**
 * A client of the live feed for one run. It keeps the position of what it has seen, and a lost
 * connection goes on from there, so whoever listens misses nothing and hears nothing twice.
 *
 * One transition can change several nodes: their messages share its position, and a connection may
 * be lost between them. So it says how many messages of its position it has heard. What it has heard
 * may have been lost with Redis, and be void: then it is told the run anew, with a snapshot.
 */
import { shownUrl } from "./shown-url.ts";
import { WebSocket } from "ws";
import { FEED_HEARTBEAT_MS, feedAddress } from "./feed-address.ts";
import { ERRORS, GavotteError, type ErrorCode } from "./errors.ts";
import { pause } from "./pause.ts";
import type { NodeStatus, RunError, RunStatus } from "./status.ts";

export interface FeedNode {
  status: NodeStatus;
  attempts: number;
  started_at: number | null;
  ended_at: number | null;
}

export type FeedMessage =
  | {
      type: "snapshot";
      status: RunStatus;
      progress: number;
      nodes: { [id: string]: FeedNode };
      position: string;
    }
  | {
      type: "status_update";
      event: string;
      /** Null: the update is about the run. */
      node: string | null;
      attempt: number;
      status: string;
      progress: number;
      timestamp: string;
      position: string;
    }
  | { type: "end"; status: RunStatus; error: RunError | null; position: string }
  | { type: "error"; code: string; message: string };

export interface FeedOptions {
  /** Address of the gateway: http, https, ws or wss. */
  url: string;
  /** One of the gateway's keys, if it has any. */
  apiKey?: string;
  runId: string;
  signal: AbortSignal;
  onMessage: (message: Exclude<FeedMessage, { type: "error" }>) => void;
  /** Told when a connection is lost and will be tried again. */
  onRetry: (reason: string, waitMs: number) => void;
}

const RETRY_MS_MIN = 200;
const RETRY_MS_MAX = 5000;
/** Without a connection for longer, it gives up. */
const AWAY_MS_MAX = 60_000;
const CONNECT_MS_MAX = 5000;
/** Without a word for so long, pings included, nobody is there: a lost machine closes nothing. */
const SILENT_MS_MAX = 2.5 * FEED_HEARTBEAT_MS;
const TYPES: readonly unknown[] = ["snapshot", "status_update", "end", "error"];

/** How far the feed has been heard. */
interface Place {
  /** Position of the last message; null: ask for a snapshot. */
  position: string | null;
  /** How many messages of it were heard; null: all, as in a snapshot. */
  heard: number | null;
}

/** `error`: told by a gateway that is there, and passes. */
type Ending =
  { over: true } | { over: false; reason: string; heard: boolean; error: GavotteError | null };

/**
 * Follows a run to its end. Throws the feed's own errors, those that may pass when they do not for a
 * minute, GV_GATEWAY_UNAVAILABLE when the gateway cannot be reached, and the signal's reason.
 */
export async function followFeed(options: FeedOptions): Promise<void> {
  const { signal, url } = options;
  const place: Place = { position: null, heard: null };
  let waitMs = RETRY_MS_MIN;
  let everHeard = false;
  let awayMs = 0;
  for (;;) {
    // A signal that was given before is not heard any more.
    signal.throwIfAborted();
    const ending = await connectOnce(options, place);
    signal.throwIfAborted();
    if (ending.over) {
      return;
    }
    everHeard ||= ending.heard || ending.error !== null;
    awayMs = ending.heard ? 0 : awayMs + waitMs;
    waitMs = ending.heard ? RETRY_MS_MIN : Math.min(waitMs * 2, RETRY_MS_MAX);
    if (!everHeard || awayMs > AWAY_MS_MAX) {
      const shown = shownUrl(url);
      const message = `the gateway cannot be reached at ${shown} (${ending.reason}); check gateway_url`;
      throw ending.error ?? new GavotteError("GV_GATEWAY_UNAVAILABLE", message);
    }
    options.onRetry(ending.reason, waitMs);
    await pause(waitMs, signal);
  }
}

/** One connection, from subscription to whatever ends it. */
function connectOnce(options: FeedOptions, place: Place): Promise<Ending> {
  const { url, runId, signal, apiKey } = options;
  const target = feedAddress(url);
  return new Promise<Ending>((resolve, reject) => {
    const headers = apiKey === undefined ? {} : { authorization: `Bearer ${apiKey}` };
    const socket = new WebSocket(target, { handshakeTimeout: CONNECT_MS_MAX, headers });
    let heard = false;
    let reason = "the connection was closed";
    const aborted = (): void => socket.terminate();
    let isOver = false;
    let silence: NodeJS.Timeout | undefined;
    const finish = (end: () => void): void => {
      isOver = true;
      clearTimeout(silence);
      signal.removeEventListener("abort", aborted);
      end();
      socket.terminate();
    };
    signal.addEventListener("abort", aborted);
    const lose = (why: string, error: GavotteError | null = null): void =>
      finish(() => resolve({ over: false, reason: why, heard, error }));
    socket.on("ping", () => silence?.refresh());
    socket.on("open", () => {
      silence = setTimeout(() => lose("the gateway is silent"), SILENT_MS_MAX);
      const { position, heard } = place;
      const from = position === null ? {} : { from: position, ...(heard !== null && { heard }) };
      socket.send(JSON.stringify({ type: "subscribe", run_id: runId, ...from }));
    });
    socket.on("unexpected-response", (_request, { statusCode }) => {
      reason = `it answers ${statusCode}`;
      if (statusCode === 401) {
        finish(() => reject(keyRefused(url)));
      } else {
        lose(reason);
      }
    });
    socket.on("error", (error) => (reason = error.message));
    socket.on("close", () => lose(reason));
    socket.on("message", (data: Buffer) => {
      if (isOver) {
        return; // what had come with the end
      }
      silence?.refresh();
      const message = parse(data.toString());
      if (message === null) {
        const text = `what answers at ${shownUrl(url)} is no gateway; check gateway_url`;
        finish(() => reject(new GavotteError("GV_GATEWAY_UNAVAILABLE", text)));
        return;
      }
      if (message.type === "error") {
        const error = feedError(message);
        const passes = message.code === error.code && ERRORS[error.code].retryable;
        if (passes) {
          lose(error.message, error);
        } else {
          finish(() => reject(error));
        }
        return;
      }
      heard = true;
      advance(place, message);
      options.onMessage(message);
      if (message.type === "end") {
        finish(() => resolve({ over: true }));
      }
    });
  });
}

function keyRefused(url: string): GavotteError {
  const message = `the gateway at ${url} asks for one of its keys: set GAVOTTE_API_KEY`;
  return new GavotteError("GV_KEY_REFUSED", message);
}

/** A message of a feed, or null if it is none. */
function parse(text: string): FeedMessage | null {
  try {
    const message = JSON.parse(text) as FeedMessage | null;
    return TYPES.includes(message?.type) ? message : null;
  } catch {
    return null;
  }
}

function advance(place: Place, { type, position }: Exclude<FeedMessage, { type: "error" }>): void {
  if (type === "snapshot") {
    Object.assign(place, { position, heard: null });
  } else if (position !== place.position) {
    Object.assign(place, { position, heard: 1 });
  } else if (place.heard !== null) {
    place.heard++;
  }
}

function feedError({ code, message }: { code: string; message: string }): GavotteError {
  return new GavotteError(code in ERRORS ? (code as ErrorCode) : "GV_GATEWAY_UNAVAILABLE", message);
}
