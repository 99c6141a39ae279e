/**
 * The gateway: health checks and callbacks over HTTP, the live feed over WebSocket (`/api/v1/ws`). Any
 * number may run; none holds state that a client would miss after reconnecting with its last position.
 */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { Logger } from "pino";
import { WebSocketServer, type WebSocket } from "ws";
import { FEED_HEARTBEAT_MS, FEED_PATH, inTime, type Service } from "../sdk/internal.ts";
import type { Database } from "../sdk/postgres/index.ts";
import { Access } from "./access.ts";
import { createApp } from "./app.ts";
import { Callbacks } from "./callbacks.ts";
import { FeedClient, MESSAGE_BYTES_MAX, MESSAGE_PIECES_MAX, MESSAGE_READS_MAX } from "./client.ts";
import { GatewayCounts } from "./counts.ts";
import { EngineClient } from "./engine-client.ts";
import { goingAway, handshakeRefused, type Answer } from "./errors.ts";
import { FileChecks } from "./file-checks.ts";
import { Hub } from "./hub.ts";
import { EndWaits } from "./rest/end-waits.ts";
import { Runs } from "./rest/runs.ts";
import { Submissions } from "./rest/submissions.ts";
import { answerSocket } from "./server.ts";

export interface GatewayOptions {
  host: string;
  /** 0: any free port. */
  port: number;
  redisUrl: string;
  db: Database;
  partitions: number;
  logger: Logger;
  /** Whoever calls REST or the feed sends one; none: REST is served on a loopback address only. */
  apiKeys?: readonly string[];
  /** How long a submission waits for its answer; as the client's, default 10 s. */
  submitTimeoutMs?: number;
}

export interface Gateway extends Service {
  /** `http://host:port`, once started. */
  url(): string;
  /** For metrics: what it counts, and how it stands. */
  facts(): GatewayFacts;
  /** Whether Redis answers. */
  ping(): Promise<void>;
}

export interface GatewayFacts {
  counts: GatewayCounts;
  /** Connections of the feed, their subscriptions, and how many runs these watch. */
  clients: number;
  subscriptions: number;
  runs: number;
}

export type { GatewayCounts } from "./counts.ts";

const READY_WITHIN_MS = 2000;
/** How long clients may take to answer that the gateway stops; they may be gone, or read nothing. */
const GOODBYE_MS = 1000;

/** Makes a gateway; it listens when started. */
export function createGateway(options: GatewayOptions): Gateway {
  return new GatewayService(options);
}

class GatewayService implements Gateway {
  readonly name = "gateway";
  readonly #o: GatewayOptions;
  readonly #hub: Hub;
  readonly #engine: EngineClient;
  readonly #waits: EndWaits;
  readonly #checks: FileChecks;
  readonly #counts = new GatewayCounts();
  readonly #clients = new WeakMap<WebSocket, FeedClient>();
  #server: Server | null = null;
  #sockets: WebSocketServer | null = null;
  #heartbeat: NodeJS.Timeout | undefined;
  /** The look that is under way; whoever asks meanwhile, as often as he likes, has its answer. */
  #looking: Promise<Answer> | null = null;

  constructor(options: GatewayOptions) {
    this.#o = options;
    this.#hub = new Hub(options);
    const { redisUrl, db, logger, submitTimeoutMs } = options;
    this.#engine = new EngineClient({
      ...{ redisUrl, database: db },
      ...(submitTimeoutMs === undefined ? {} : { submitTimeoutMs }),
    });
    this.#waits = new EndWaits(db, logger);
    this.#checks = new FileChecks(logger);
  }

  url(): string {
    const address = this.#server?.address() as AddressInfo | null;
    const { host } = this.#o;
    return `http://${host.includes(":") ? `[${host}]` : host}:${address?.port ?? this.#o.port}`;
  }

  facts(): GatewayFacts {
    const clients = this.#sockets?.clients.size ?? 0;
    return { counts: this.#counts, clients, ...this.#hub.watched };
  }

  async ping(): Promise<void> {
    if (this.#server === null) {
      throw new Error("the gateway does not run");
    }
    await this.#hub.ping();
  }

  async start(): Promise<void> {
    await this.#hub.start();
    const access = new Access(this.#o.apiKeys ?? [], this.#o.host);
    const { server } = await createApp({
      access,
      callbacks: new Callbacks(this.#engine),
      rest: {
        runs: new Runs(this.#engine, this.#waits),
        submissions: new Submissions(this.#engine),
        checks: this.#checks,
      },
      readiness: () => this.#readiness(),
      counts: this.#counts,
      logger: this.#o.logger,
    });
    this.#server = server;
    // Given the server, ws would emit its errors anew where nobody listens, which ends the process.
    const sockets = new WebSocketServer({
      noServer: true,
      path: FEED_PATH,
      maxPayload: MESSAGE_BYTES_MAX, // of all pieces of a message together
      // Each keeps alive all that was read with it, up to 64 KiB.
      ...{ maxFragments: MESSAGE_PIECES_MAX, maxBufferedChunks: MESSAGE_READS_MAX },
      autoPong: false, // the client's turn: a pong is buffered, too
    });
    this.#sockets = sockets;
    sockets.on("wsClientError", (error, socket, request) =>
      answerSocket(socket, handshakeRefused(error, request)),
    );
    server.on("upgrade", (request, socket, head) => {
      const refused = access.feed(request) ?? (this.#server === server ? null : goingAway());
      if (refused === null) {
        sockets.handleUpgrade(request, socket, head, (accepted) => this.#accept(accepted));
      } else {
        answerSocket(socket, refused);
      }
    });
    this.#heartbeat = setInterval(() => this.#beat(), FEED_HEARTBEAT_MS);
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(this.#o.port, this.#o.host, resolve);
    });
    server.on("error", (error) =>
      this.#o.logger.warn({ err: error }, "a connection was not taken"),
    );
  }

  stop(deadlineMs: number): Promise<void> {
    return inTime(this.#stop(Math.min(deadlineMs, GOODBYE_MS)), deadlineMs, undefined);
  }

  async #stop(goodbyeMs: number): Promise<void> {
    const server = this.#server;
    this.#server = null;
    clearInterval(this.#heartbeat);
    this.#sockets?.clients.forEach((socket) => socket.close(1001, "the gateway stops"));
    this.#sockets?.close();
    if (server !== null) {
      const closed = new Promise((resolve) => server.close(resolve));
      // A server is closed when its last socket is: requests under way may take that long, and ws waits
      // 30 s for a client that says nothing.
      const left = this.#sockets?.clients;
      const late = setTimeout(() => {
        server.closeAllConnections();
        left?.forEach((socket) => socket.terminate());
      }, goodbyeMs);
      await Promise.all([this.#waits.stop(), this.#checks.stop()]);
      server.closeIdleConnections();
      await closed;
      clearTimeout(late);
      await Promise.all([this.#hub.stop(), this.#engine.stop()]);
    }
  }

  #accept(socket: WebSocket): void {
    this.#clients.set(socket, new FeedClient(socket, this.#hub, this.#counts));
  }

  /** Ends connections whose other side is gone. */
  #beat(): void {
    this.#sockets?.clients.forEach((socket) => this.#clients.get(socket)?.beat());
  }

  #readiness(): Promise<Answer> {
    this.#looking ??= this.#look().finally(() => (this.#looking = null));
    return this.#looking;
  }

  async #look(): Promise<Answer> {
    const [redis, postgres] = await Promise.all([
      this.#isUp(this.#hub.ping()),
      this.#isUp(this.#o.db.query({ name: "gateway_ready", text: "SELECT 1 AS one" })),
    ]);
    const body = { status: redis && postgres ? "ready" : "not ready", redis, postgres };
    return { code: redis && postgres ? 200 : 503, body };
  }

  async #isUp(check: Promise<unknown>): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<false>((resolve) => {
      timer = setTimeout(() => resolve(false), READY_WITHIN_MS);
    });
    const up = check.then(
      () => true,
      () => false,
    );
    return Promise.race([up, late]).finally(() => clearTimeout(timer));
  }
}
