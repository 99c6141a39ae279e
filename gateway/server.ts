/**
 * The server beneath the routes and the feed: which requests leave HTTP for the feed.
 *
 * Node hands every request that offers another protocol to who listens for upgrades, and no route
 * sees it. Clients that would rather speak HTTP/2 offer that with each request (Java's by default), and
 * who does not take an offer answers as ever (RFC 9110, 7.8). So only the feed's own are upgrades here.
 */
import { createServer, IncomingMessage, STATUS_CODES, type RequestListener } from "node:http";
import type { Server } from "node:http";
import type { Duplex } from "node:stream";
import { FEED_PATH } from "../sdk/internal.ts";
import type { Answer } from "./errors.ts";

/** Longer than proxies and clients keep a connection for a next request: none goes into a closed one. */
const KEEP_ALIVE_MS = 75_000;

/** A request as Node makes it, which asks itself whether its offer is taken. */
class Request extends IncomingMessage {
  /** Set while the parent is constructed, too: no private member is there then. */
  declare private isOffered: boolean | null;

  /** Node asks it twice: whether a body follows, and who gets the connection. */
  get upgrade(): boolean {
    const { isOffered, method, url = "", headers } = this;
    const isFeed =
      url.split("?")[0] === FEED_PATH && headers.upgrade?.toLowerCase() === "websocket";
    return isOffered === true && (method === "CONNECT" || isFeed);
  }

  /** What the parser says. */
  set upgrade(isOffered: boolean | null) {
    this.isOffered = isOffered;
  }
}

/** Makes it; it does not listen yet. */
export function createHttpServer(handler: RequestListener): Server {
  const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, IncomingMessage: Request });
  // Node listens to a connection's errors until it hands it over. One that nobody listens for ends the
  // process, and a client need only be gone when it is answered. This comes before every other listener.
  server.on("upgrade", (_request, socket) => socket.on("error", () => socket.destroy()));
  return server.on("request", handler);
}

/** Answers on the connection itself, and ends it: what will be no request of the router. */
export function answerSocket(socket: Duplex, { code, body, headers = {} }: Answer): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const text = JSON.stringify(body);
  const head = Object.entries({
    ...{ "content-type": "application/json", "content-length": Buffer.byteLength(text) },
    ...{ connection: "close", ...headers },
  }).map(([name, value]) => `${name}: ${value}`);
  const lines = [`HTTP/1.1 ${code} ${STATUS_CODES[code]}`, ...head, "", text];
  socket.end(lines.join("\r\n"), () => socket.destroy());
}
