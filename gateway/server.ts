/**
 * The server beneath the routes and the feed: which requests leave HTTP for the feed.
 *
 * Node hands every request that offers another protocol to who listens for upgrades, and no route
 * sees it. Clients that would rather speak HTTP/2 offer that with each request (Java's by default), and
 * who does not take an offer answers as ever (RFC 9110, 7.8). So only the feed's own are upgrades here.
 *
 * And what connections may take, whoever they are of: how many there are, how long one may stand still,
 * be it that nothing comes or that nothing is taken, and how many requests of one are under way.
 */
import { createServer, IncomingMessage, STATUS_CODES, type RequestListener } from "node:http";
import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { FEED_PATH } from "../sdk/internal.ts";
import type { Answer } from "./errors.ts";

/** Longer than proxies and clients keep a connection for a next request: none goes into a closed one. */
const KEEP_ALIVE_MS = 75_000;

export interface HttpLimits {
  /** Those of the feed, and of whoever waits for a result, too. */
  connectionsMax: number;
  /** Longer than anything that REST waits for. The feed's have heartbeats instead. */
  idleMs: number;
  /** Until the head of a request has come; and all of it. */
  headMs: number;
  requestMs: number;
  /** How often these two are looked at. */
  checkMs: number;
  /** Who sends one request behind the other waits for none of their answers. */
  pipelinedMax: number;
}

const LIMITS: HttpLimits = {
  ...{ connectionsMax: 10_000, idleMs: 120_000, pipelinedMax: 64 },
  ...{ headMs: 30_000, requestMs: 120_000, checkMs: 5000 },
};

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

/** Makes it; it does not listen yet. `limits`: in tests others. */
export function createHttpServer(handler: RequestListener, limits = LIMITS): Server {
  const server = createServer({
    ...{ IncomingMessage: Request, keepAliveTimeout: KEEP_ALIVE_MS },
    ...{ headersTimeout: limits.headMs, requestTimeout: limits.requestMs },
    connectionsCheckingInterval: limits.checkMs,
  });
  server.maxConnections = limits.connectionsMax;
  server.setTimeout(limits.idleMs); // nobody listens for it, so such a connection is destroyed
  // One that only waits for a next request makes room for who comes.
  server.on("drop", () => server.closeIdleConnections());
  // Node listens to a connection's errors until it hands it over. One that nobody listens for ends the
  // process, and a client need only be gone when it is answered. This comes before every other listener.
  server.on("upgrade", (_request, socket) => socket.on("error", () => socket.destroy()));
  return server.on("request", inTurn(handler, limits.pipelinedMax));
}

/**
 * Node stops reading from a connection whose answers are not taken, but not from one whose answers are
 * still being found: it would take in requests for as long as that lasts. And of a connection that is
 * closed it tells only the answer whose turn it is, so what is asked behind that would be found for
 * nobody, for as long as a result is waited for.
 */
function inTurn(handler: RequestListener, max: number): RequestListener {
  const underWay = new WeakMap<Socket, Set<ServerResponse>>();
  return (request, response) => {
    const { socket } = request;
    const responses = underWay.get(socket) ?? new Set();
    if (!underWay.has(socket)) {
      underWay.set(socket, responses);
      socket.once("close", () => responses.forEach(tellClosed));
    }
    if (responses.size >= max) {
      socket.destroy(); // what else has come of it is read to its end all the same
      return;
    }
    responses.add(response);
    response.once("close", () => responses.delete(response));
    handler(request, response);
  };
}

function tellClosed(response: ServerResponse): void {
  if (response.socket === null) {
    response.destroy();
    response.emit("close");
  }
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
